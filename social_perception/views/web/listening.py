"""The port that the page is served on."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket

from social_perception.core.errors import WebError

_BACKLOG = 256
_CANNOT = "the web page cannot be served"

_SEND_BUFFER_BYTES = 32 * 1024
"""Small, so that a slow browser is noticed after seconds and not after megabytes of old states."""

_SOMEWHERE = ("192.0.2.1", 9)  # RFC 5737: nobody is there; no packet is sent to find the way


def listen(address: str, port: int) -> socket.socket:
    """Take the port; 0: any that is free.

    Raises:
        WebError: the address is not one of this machine, or the port is in use or not allowed.
    """
    if not address:
        raise WebError("the web page needs an address; 0.0.0.0 is all of this machine's")
    place = f"port {port} of {address}"
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, target = found[0]
        # All addresses are those of both kinds.
        both = target[0] == "::" and socket.has_dualstack_ipv6()
        taken = socket.create_server(target, family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except (socket.gaierror, UnicodeError) as error:
        raise WebError(f"{_CANNOT}: {address} is not an address of this machine") from error
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"{place} is in use",
            errno.EACCES: f"{place} needs special rights; take one from 1024 on",
            errno.EADDRNOTAVAIL: f"{address} is not an address of this machine",
        }
        reason = reasons.get(error.errno or 0, f"{place}: {error.strerror or error}")
        raise WebError(f"{_CANNOT}: {reason}") from error
    # Connections inherit it.
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return taken


def is_loopback(taken: socket.socket) -> bool:
    """Whether only programs of this machine can reach the port, by the address it really has."""
    return ipaddress.ip_address(taken.getsockname()[0].partition("%")[0]).is_loopback


def reachable_host(taken: socket.socket) -> str:
    """The host that a browser should ask for, as it stands in a URL."""
    address = ipaddress.ip_address(taken.getsockname()[0].partition("%")[0])
    if address.is_unspecified:
        address = ipaddress.ip_address(_own_address())
    return f"[{address}]" if address.version == 6 else str(address)


def _own_address() -> str:
    """The address with which this machine would go out."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_SOMEWHERE)
        return str(probe.getsockname()[0])
    return "127.0.0.1"
