"""The one place where jumps in time are handled: where frames enter."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

JUMP_BACK_S = 0.5
"""Stamps that go back further than this belong to another recording, or to the same one played again."""

MAX_PAUSE_S = 3600.0
"""A recording that pauses longer than this has a clock that was set."""

_ASSUMED_RATE_HZ = 30.0
_LONGEST_PERIOD_S = 1.0
_CLOCK_SET_S = 5.0
"""Difference from which two clocks that should agree do not; one may be ten times as fast as the other."""
_SOUND_JUMP_S = 3.0
"""Jumps of images and of sound that differ by less are the same one; overlapping sound steps back by less."""
_OUTLIER_FRAMES = 5
"""Number of frames after which stamps that jumped are no outliers any more."""
_REPORTS = 3

_DAY_S = 86_400.0

_logger = logging.getLogger(__name__)


def duration_text(time_s: float) -> str:
    """A duration with its unit; in days from two days on."""
    return f"{time_s:.1f} s" if time_s < 2 * _DAY_S else f"{time_s / _DAY_S:.0f} days"


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


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump of a recording's stamps: its size in s, and what is added to the stamps from then on."""

    size_s: float
    shift_s: float


class RecordingClock:
    """Gives each frame of a recording its time, without the jumps of its stamps.

    Pauses stay; a jump is bridged: the time goes on by the usual time between two frames, or by what a
    second clock measured. A jump is a step back by more than 0.5 s, a step forward by more than
    ``max_pause_s``, and one that the second clock contradicts. Single wrong stamps leave no trace: when the
    stamps return, so do the times. Each jump is logged with its size, up to a number.

    Args:
        name: of the recording, for the log.
        rate_hz: the usual number of frames per second; None: that of the frames before the jump.
        max_pause_s: the longest time between two frames that is no jump.
        begins_at_0: whether a first stamp that is more than an hour from 0 has jumped, too.
        is_reported: whether jumps are logged.

    Attributes:
        newest_s: the time of the newest frame; None: there was none.
        jumps: so far, including returns.
    """

    def __init__(
        self,
        name: str,
        rate_hz: float | None,
        max_pause_s: float = MAX_PAUSE_S,
        *,
        begins_at_0: bool = False,
        is_reported: bool = True,
    ) -> None:
        self.newest_s: float | None = None
        self.jumps: list[Jump] = []
        self.max_pause_s = max_pause_s
        self._name, self._is_rate_known = name, rate_hz is not None
        self._period_s = min(_LONGEST_PERIOD_S, 1.0 / (rate_hz or _ASSUMED_RATE_HZ))
        self._begins_at_0 = begins_at_0
        self._first_s = self._shift_s = self._other_shift_s = 0.0
        self._measured_s = math.nan
        self._since_jump = 0
        self._reported = 0 if is_reported else _REPORTS

    def admit(self, stamp_s: float, measured_s: float = math.nan) -> float:
        """Return the time in s of the next frame.

        Args:
            stamp_s: of the frame; NaN: it has none.
            measured_s: its time by a second clock, for example that of the recorder; NaN: unknown.
        """
        passed_s, self._measured_s = measured_s - self._measured_s, measured_s
        if self.newest_s is None:
            return self._begin(0.0 if math.isnan(stamp_s) else stamp_s)
        usual_s = passed_s if 0.0 < passed_s <= self.max_pause_s else self._period_s
        self._since_jump += 1
        if math.isnan(stamp_s):
            self.newest_s += usual_s
            return self.newest_s
        self._choose_shift(stamp_s, passed_s, usual_s)
        time_s = stamp_s + self._shift_s
        if time_s <= self.newest_s:
            # Late or repeated. The stamps may all be the same, and only a second clock knows.
            time_s = self.newest_s + (0.0 if passed_s > 0.0 else self._period_s)
        elif not self._is_rate_known:
            self._period_s = min(_LONGEST_PERIOD_S, time_s - self.newest_s)
        self.newest_s = time_s
        return time_s

    def _begin(self, stamp_s: float) -> float:
        # A rounding error below 0 would be written with its sign.
        self.newest_s = self._first_s = stamp_s if abs(stamp_s) >= 1e-6 else 0.0
        if self._begins_at_0 and abs(stamp_s) > MAX_PAUSE_S:
            self.newest_s = self._first_s = 0.0
            self._report(stamp_s)
            self._bridge(stamp_s, -stamp_s)
        return self.newest_s

    def _choose_shift(self, stamp_s: float, passed_s: float, usual_s: float) -> None:
        """Bridge a jump, or return to the shift before the last one."""
        assert self.newest_s is not None
        step_s = stamp_s + self._shift_s - self.newest_s
        is_jump = self._is_jump(step_s, passed_s)
        if self.jumps:
            return_s = stamp_s + self._other_shift_s - self.newest_s
            is_closer = abs(return_s - usual_s) < abs(step_s - usual_s)
            is_recent = self._since_jump <= _OUTLIER_FRAMES and is_closer
            if (is_jump or is_recent) and not self._is_jump(return_s, passed_s):
                self._bridge(step_s, self._other_shift_s)
                return
        if is_jump:
            self._report(step_s - usual_s)
            self._bridge(step_s, self.newest_s + usual_s - stamp_s)

    def _is_jump(self, step_s: float, passed_s: float) -> bool:
        contradicted = passed_s > 0.0 and step_s > 10.0 * passed_s + _CLOCK_SET_S  # False for NaN
        return step_s < -JUMP_BACK_S or step_s > self.max_pause_s or contradicted

    def _bridge(self, step_s: float, shift_s: float) -> None:
        self._shift_s, self._other_shift_s = shift_s, self._shift_s
        self.jumps.append(Jump(step_s, shift_s))
        self._since_jump = 0

    def _report(self, size_s: float) -> None:
        self._reported += 1
        if self._reported > _REPORTS:
            return
        assert self.newest_s is not None
        _logger.warning(
            "%s: after %.3f s the stamps jump %s by %s; the jump is bridged%s",
            self._name,
            self.newest_s - self._first_s,
            "forward" if size_s > 0.0 else "back",
            _size_text(abs(size_s)),
            ", further ones are not reported" if self._reported == _REPORTS else "",
        )


class Follower:
    """Gives the sound of a recording its times, by the clock of the images.

    Both jump at the same place of a file, though not by quite the same size: the sound then has the
    images' shift, so that the two stay together. Sound that alone pauses is missing; where it alone jumps, it
    goes on without a break.

    Args:
        images: their clock; None: there are no images.
    """

    def __init__(self, images: RecordingClock | None) -> None:
        self._images = images
        self._shift_s = 0.0
        self._end_s: float | None = None
        self._next_jump = 0

    def admit(self, stamp_s: float, duration_s: float) -> float | None:
        """Return the time in s of a block of sound.

        Returns:
            None where the sound has jumped and the images have yet to follow: call it again with the
            same block after the next image.
        """
        images_s = 0.0 if self._images is None else self._images.newest_s or 0.0
        max_pause_s = MAX_PAUSE_S if self._images is None else self._images.max_pause_s
        end_s = images_s if self._end_s is None else self._end_s
        time_s = stamp_s + self._shift_s
        back_s, forward_s = _SOUND_JUMP_S, max_pause_s - _SOUND_JUMP_S
        if self._end_s is None:  # it may begin before the images, or late
            back_s = forward_s = MAX_PAUSE_S
        if not -back_s <= time_s - end_s <= forward_s:
            shift_s = self._shift_of_images(time_s - end_s)
            is_pause = 0.0 < time_s - end_s <= MAX_PAUSE_S
            can_wait = self._images is not None and shift_s is None
            if can_wait and images_s < (time_s if is_pause else end_s + _SOUND_JUMP_S):
                return None
            if shift_s is not None or not is_pause:
                self._shift_s = end_s - stamp_s if shift_s is None else shift_s
        time_s = stamp_s + self._shift_s
        self._end_s = time_s + duration_s
        return time_s

    def _shift_of_images(self, step_s: float) -> float | None:
        """The shift of the images after their next jump of about this size; None: there is none."""
        jumps = () if self._images is None else self._images.jumps[self._next_jump :]
        for number, jump in enumerate(jumps, self._next_jump + 1):
            if abs(jump.size_s - step_s) < _SOUND_JUMP_S:
                self._next_jump = number
                return jump.shift_s
        return None


def _size_text(time_s: float) -> str:
    size = f"{time_s:.1f} s"
    if time_s < 2 * _DAY_S:
        return f"{size} ({time_s / 3600:.1f} h)" if time_s >= 3600 else size
    return f"{size} ({time_s / _DAY_S:.0f} days)"
