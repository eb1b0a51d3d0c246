"""How often somebody may be wrong about the token."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_GUESSES = 10
"""Different ones. A page that goes on asking with what it once knew makes one guess."""

WINDOW_S = 60.0
"""From the first guess on."""

_MOST_ADDRESSES = 1024


@dataclass(slots=True)
class _Guesser:
    begun_s: float
    guesses: set[int] = field(default_factory=set)


class Guesses:
    """Counts wrong tokens by the address that they come from; of IPv6 by the network of 64 bits.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()

    def are_used_up(self, address: str) -> bool:
        """Whether no token of this address is looked at for now, be it right or wrong."""
        guesser = self._guessers.get(_network(address))
        return (
            guesser is not None
            and len(guesser.guesses) >= MOST_GUESSES
            and self._clock() - guesser.begun_s < WINDOW_S
        )

    def note(self, address: str, guess: str) -> None:
        """Remember a wrong token."""
        network, now_s = _network(address), self._clock()
        guesser = self._guessers.pop(network, None)
        if guesser is None or now_s - guesser.begun_s >= WINDOW_S:
            guesser = _Guesser(now_s)
        guesser.guesses.add(hash(guess))
        self._guessers[network] = guesser
        if len(self._guessers) > _MOST_ADDRESSES:
            self._guessers.popitem(last=False)


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
