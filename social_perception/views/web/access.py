"""Who may see the page, and what a browser may do with it.

On this machine alone no token is needed, but a page of another site must not get at it: neither by
a WebSocket of its own (the origin is checked) nor by a name that it lets point here (the host is
checked; DNS rebinding). On any other address a token is asked for, and nobody may guess it often.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from social_perception.views.web.guesses import WINDOW_S, Guesses

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

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_NO_TOKEN = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>No access</title>"
    "<p>This page asks for a token: add ?token= and the token to its address. Where none was set, the "
    "robot's terminal shows the whole address when the page starts.</p>"
    "</html>"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access:
    """Decides about every request.

    Args:
        local_host: the loopback address that is listened on; empty: another address, any host will do.
        token: what must be known; empty: nothing.
        port: listened on; it is part of the cookie's name, because cookies are shared by all ports.
    """

    def __init__(self, *, local_host: str, token: str, port: int) -> None:
        self._hosts = _LOCAL_NAMES | {local_host} if local_host else None
        self._token = token.encode()
        self._cookie_name = f"social_perception_{port}"
        # Follows from the token: who was let in stays so when the robot starts anew with the same one.
        self._cookie = hmac.new(self._token, b"social_perception session", hashlib.sha256).hexdigest()
        self._guesses = Guesses()

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through to its handler, or answer in its place."""
        if self._hosts is not None and _host_name(request) not in self._hosts:
            raise web.HTTPForbidden(text="This host is not served here.")
        if request.path == HEALTH_PATH:
            return await handler(request)
        if request.path == SOCKET_PATH and not _from_own_page(request):
            raise web.HTTPForbidden(text="Another site's page may not connect.")
        if not self._token:
            return await handler(request)
        if not self._is_known(request):
            raise web.HTTPUnauthorized(text=_NO_TOKEN, content_type="text/html")
        # A program connects at once; a browser's address line shall not keep showing the token.
        if "token" in request.query and request.path != SOCKET_PATH:
            raise self._welcome()
        return await handler(request)

    def _is_known(self, request: web.Request) -> bool:
        """Whether the request has the token, or the cookie that was given for it."""
        token, cookie = request.query.get("token", ""), request.cookies.get(self._cookie_name, "")
        if not token and not cookie:
            return False
        address = request.remote or ""
        if self._guesses.are_used_up(address):
            raise web.HTTPTooManyRequests(
                text="Too many wrong tokens came from here. Wait a minute.",
                headers={"Retry-After": f"{WINDOW_S:.0f}"},
            )
        if _same(token, self._token) or _same(cookie, self._cookie.encode()):
            return True
        # The cookie follows from the token: who guesses cookies guesses tokens.
        for guess in filter(None, (token, cookie)):
            self._guesses.note(address, guess)
        return False

    def _welcome(self) -> web.HTTPException:
        answer = web.HTTPSeeOther("/")
        answer.set_cookie(self._cookie_name, self._cookie, path="/", httponly=True, samesite="Strict")
        return answer


async def protect(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every response has (a signal of aiohttp)."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _host_name(request: web.Request) -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        return None


def _from_own_page(request: web.Request) -> bool:
    """Whether a page that was loaded from here asks, or a program, which names no origin."""
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower() != ""
    except ValueError:
        return False


def _same(given: str, wanted: bytes) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted)
