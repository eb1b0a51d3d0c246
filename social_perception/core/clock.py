"""The one place where jumps in time are handled: where frames enter."""

from __future__ import annotations

import logging

JUMP_BACK_S = 0.5
"""Stamps that go back further than this belong to another recording, or to the same one played again."""

_logger = logging.getLogger(__name__)


class FrameClock:
    """Gives each frame its time, which never goes back within an *epoch*.

    A frame that is up to 0.5 s late gets the time of the newest one. A stamp that goes back further
    starts a new epoch: what was seen before it says nothing about what comes now. Whoever keeps a
    history compares the epoch of a result with the one it knows, and starts again if they differ.

    Attributes:
        epoch: number of the current epoch, from 0.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._newest_s: float | None = None

    def admit(self, stamp_s: float) -> float:
        """Return the time in s of a frame with this stamp; ``epoch`` is then that of the frame."""
        if self._newest_s is not None and stamp_s < self._newest_s:
            if stamp_s >= self._newest_s - JUMP_BACK_S:
                return self._newest_s
            self.epoch += 1
            back_s = self._newest_s - stamp_s
            _logger.warning("the frames' stamps went back by %.1f s: histories start again", back_s)
        self._newest_s = stamp_s
        return stamp_s

    def restart(self) -> None:
        """Accept any stamp next, as the first of a new epoch."""
        if self._newest_s is not None:
            self.epoch += 1
        self._newest_s = None
