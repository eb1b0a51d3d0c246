"""Plays a recorded source at the pace at which it was recorded, as if it were a camera."""

from __future__ import annotations

import time
from dataclasses import replace

from social_perception.core.sound import Sound, join_sounds
from social_perception.core.types import Frame
from social_perception.sources.source import Source

_ASSUMED_RATE_HZ = 30.0
# Where even dropping frames does not keep the pace, it is better to be late than to show nothing.
_MAX_DROPPED_S = 1.0


class PacedSource(Source):
    """Delivers each frame when its time has come and drops those that are too late.

    The frames keep their stamps; their indices count those delivered. The sound of a dropped frame is
    delivered with the next one.
    """

    live = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.rate_hz, self.frame_count = source.name, source.rate_hz, source.frame_count
        self.sound_rate_hz = source.sound_rate_hz
        self._period_s = 1.0 / (source.rate_hz or _ASSUMED_RATE_HZ)
        self._start_s: float | None = None
        self._index = 0

    def __next__(self) -> Frame:
        frame = next(self._source)
        due_s = self._due(frame)
        first_stamp_s = frame.stamp_s
        sounds = [frame.sound]
        while time.monotonic() - due_s > self._period_s:
            if frame.stamp_s - first_stamp_s > _MAX_DROPPED_S:
                self._start_s = time.monotonic() - frame.stamp_s
                due_s = time.monotonic()
                break
            following = next(self._source, None)
            if following is None:
                break
            frame, due_s = following, self._due(following)
            sounds.append(frame.sound)
        time.sleep(max(0.0, due_s - time.monotonic()))
        delivered = replace(frame, index=self._index, sound=_joined(sounds))
        self._index += 1
        return delivered

    def _due(self, frame: Frame) -> float:
        if self._start_s is None:
            self._start_s = time.monotonic() - frame.stamp_s
        return self._start_s + frame.stamp_s

    def close(self) -> None:
        self._source.close()


def _joined(sounds: list[Sound | None]) -> Sound | None:
    known = [sound for sound in sounds if sound is not None]
    return join_sounds(known) if known else None
