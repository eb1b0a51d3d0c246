"""Who may open the page, and what a browser may do with it.

On the loopback address no token is needed, but the page of another site must not reach it: neither by a
WebSocket (the origin is checked) nor by a name that resolves to this machine (the host is checked; DNS
rebinding). On any other address a token is required, and the number of wrong ones is limited.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

SOCKET_PATH, HEALTH_PATH = "/ws", "/healthz"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the first address holds the token
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "social-perception",
}
"""On every response."""

MAX_WRONG_TOKENS = 10
"""Different ones, per address. A page that reconnects with an old cookie counts once."""

BLOCK_S = 60.0
"""From the first wrong token on."""

_MAX_ADDRESSES = 1024
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_NO_TOKEN = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>No access</title>"
    "<p>This page requires a token: add ?token= and the token to its address. If none was configured, the "
    "robot's terminal shows the whole address when the page starts.</p>"
    "</html>"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access:
    """Decides about every request.

    Args:
        local_host: the loopback address of the server; empty: another address, whose host is not checked.
        token: required of every browser; empty: none is.
        port: of the server; it is part of the cookie's name, because all ports share their cookies.
    """

    def __init__(self, *, local_host: str, token: str, port: int) -> None:
        self._hosts = _LOCAL_NAMES | {local_host} if local_host else None
        self._token = token.encode()
        self._cookie_name = f"social_perception_{port}"
        # Derived from the token: a browser keeps its access when the robot restarts with the same one.
        self._cookie = hmac.new(self._token, b"social_perception session", hashlib.sha256).hexdigest()
        self._wrong_tokens = WrongTokens()

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass a request on to its handler, or refuse it."""
        if self._hosts is not None and _host_name(request) not in self._hosts:
            raise web.HTTPForbidden(text="This host is not served here.")
        if request.path == HEALTH_PATH:
            return await handler(request)
        if request.path == SOCKET_PATH and not _is_same_origin(request):
            raise web.HTTPForbidden(text="Another site's page may not connect.")
        if not self._token:
            return await handler(request)
        if not self._is_authorized(request):
            raise web.HTTPUnauthorized(text=_NO_TOKEN, content_type="text/html")
        # A program connects at once; a browser must not keep showing the token in its address bar.
        if "token" in request.query and request.path != SOCKET_PATH:
            raise self._redirect_with_cookie()
        return await handler(request)

    def _is_authorized(self, request: web.Request) -> bool:
        """Whether the request has the token, or the cookie that is derived from it."""
        token, cookie = request.query.get("token", ""), request.cookies.get(self._cookie_name, "")
        if not token and not cookie:
            return False
        address = request.remote or ""
        if self._wrong_tokens.is_blocked(address):
            raise web.HTTPTooManyRequests(
                text="Too many wrong tokens from this address. Wait a minute.",
                headers={"Retry-After": f"{BLOCK_S:.0f}"},
            )
        if _is_equal(token, self._token) or _is_equal(cookie, self._cookie.encode()):
            return True
        # The cookie follows from the token: guessing cookies is guessing tokens.
        for wrong in filter(None, (token, cookie)):
            self._wrong_tokens.add(address, wrong)
        return False

    def _redirect_with_cookie(self) -> web.HTTPException:
        answer = web.HTTPSeeOther("/")
        answer.set_cookie(self._cookie_name, self._cookie, path="/", httponly=True, samesite="Strict")
        return answer


@dataclass(slots=True)
class _Attempts:
    first_s: float
    tokens: set[int] = field(default_factory=set)


class WrongTokens:
    """Counts different wrong tokens by the address that sent them; for IPv6 by its /64 network.

    Args:
        clock: monotonic time in s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: OrderedDict[str, _Attempts] = OrderedDict()

    def is_blocked(self, address: str) -> bool:
        """Whether tokens of this address are refused for now, right or wrong."""
        attempts = self._attempts.get(_network(address))
        return (
            attempts is not None
            and len(attempts.tokens) >= MAX_WRONG_TOKENS
            and self._clock() - attempts.first_s < BLOCK_S
        )

    def add(self, address: str, token: str) -> None:
        """Count a wrong token."""
        network, now_s = _network(address), self._clock()
        attempts = self._attempts.pop(network, None)
        if attempts is None or now_s - attempts.first_s >= BLOCK_S:
            attempts = _Attempts(now_s)
        attempts.tokens.add(hash(token))
        self._attempts[network] = attempts
        if len(self._attempts) > _MAX_ADDRESSES:
            self._attempts.popitem(last=False)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every response has (a signal of aiohttp)."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def _host_name(request: web.Request) -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        return None


def _is_same_origin(request: web.Request) -> bool:
    """Whether the request comes from a page of this server, or from a program, which sends no origin."""
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower() != ""
    except ValueError:
        return False


def _is_equal(received: str, secret: bytes) -> bool:
    return hmac.compare_digest(received.encode("utf-8", "surrogateescape"), secret)
