"""More images than the machine can answer: how many that is, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from social_perception.research.benchmarks.report import Stream
from social_perception.research.benchmarks.stream import StreamRequest

PROBE_RATES_HZ = (60.0, 90.0, 120.0, 180.0, 240.0)
"""Tried one after the other. To send and to take images costs time too, so that the number of images that
can be answered depends on how many are sent: what is twice as many is found by trying."""

PROBE_S = 8.0
_OVERLOAD = 0.5
"""Share of images without an answer, from which on twice as many are sent as can be answered."""

Play = Callable[[StreamRequest], Stream]


@dataclass(frozen=True, slots=True)
class Rate:
    """Images per second that are too many; ``reason`` says why there are none."""

    hz: float | None
    reason: str = ""


def find_overload(play: Play, request: StreamRequest) -> Rate:
    """Send more and more images per second, until less than half of them are answered.

    Args:
        play: plays a stream.
        request: of the stream; its rate and its time are those of a probe.
    """
    for rate_hz in PROBE_RATES_HZ:
        found = play(replace(request, rate_hz=rate_hz, seconds=PROBE_S, parts=0))
        if found.unprocessed is None:
            return Rate(None, found.reason or "no image was answered")
        if found.unprocessed >= _OVERLOAD:
            return Rate(rate_hz)
    return Rate(None, f"this machine answers more than half of {PROBE_RATES_HZ[-1]:g} images per second")


def overload(play: Play, request: StreamRequest) -> Stream:
    """Play a stream of twice as many images as can be answered, or more.

    Args:
        play: plays a stream.
        request: of the stream; its rate is replaced.
    """
    rate = find_overload(play, request)
    if rate.hz is None:
        return Stream("", request.device, request.people, reason=rate.reason)
    return play(replace(request, rate_hz=rate.hz))
