"""More images than the machine can answer: how many that is, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from social_perception.benchmarks.report import Stream
from social_perception.benchmarks.stream import StreamRequest

PROBE_RATES_HZ = (60.0, 120.0, 240.0)
"""Tried one after the other, until one is too much."""

PROBE_S = 8.0
FACTOR = 2.0
"""The overload, as a multiple of the images that can be answered."""

_TOO_MUCH = 0.3
"""Share of images without an answer, from which on it is the machine that sets the pace."""

Play = Callable[[StreamRequest], Stream]


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many images a second can be answered; ``reason`` says why it is not known."""

    per_second: float | None
    reason: str = ""


def find_capacity(
    play: Play, request: StreamRequest, rates_hz: tuple[float, ...] = PROBE_RATES_HZ
) -> Capacity:
    """Send more and more images per second, until too many are left out.

    Args:
        play: plays a stream.
        request: of the stream; its rate and its time are those of a probe.
        rates_hz: growing.
    """
    for rate_hz in rates_hz:
        found = play(replace(request, rate_hz=rate_hz, seconds=PROBE_S, parts=0))
        if found.per_second is None or found.unprocessed is None:
            return Capacity(None, found.reason or "no image was answered")
        if found.unprocessed >= _TOO_MUCH:
            return Capacity(found.per_second)
    return Capacity(None, f"this machine answers more than 0.7 of {rates_hz[-1]:g} images per second")


def overload(play: Play, request: StreamRequest) -> Stream:
    """Play a stream of twice as many images as can be answered.

    Args:
        play: plays a stream.
        request: of the stream; its rate is replaced.
    """
    capacity = find_capacity(play, request)
    if capacity.per_second is None:
        return Stream("", request.device, request.people, reason=capacity.reason)
    return play(replace(request, rate_hz=FACTOR * capacity.per_second))
