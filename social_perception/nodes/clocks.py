"""Whether the clocks of a node, its images and the machine go together; time is passed in."""

from __future__ import annotations

JUMP_S = 0.5
"""A clock or a stamp that is further than this from where it should be has jumped."""
AHEAD_S = 0.5
BEHIND_S = 10.0
"""Results of a slow pipeline are seconds old; what is older is of another clock."""
_DAY_S = 86_400.0
_STAMP_JUMP_S = 5.0
"""Images may stay away for a while and come from a recording that is played faster."""


def in_words(time_s: float) -> str:
    """A length of time, in days where seconds say nothing."""
    return f"{time_s:.1f} s" if time_s < 2 * _DAY_S else f"{time_s / _DAY_S:.0f} days"


class StampWatch:
    """Compares the header stamps of the input with each other and with the node's clock."""

    def __init__(self) -> None:
        self._newest_s: float | None = None
        self._steady_s = 0.0
        self.offset_s = 0.0

    def forget(self) -> None:
        """Begin anew: the next stamp is the first one."""
        self._newest_s, self.offset_s = None, 0.0

    def note(self, stamp_s: float, now_s: float, steady_s: float) -> float:
        """Note a message; return by how many s its stamp jumped, negative: back. 0: it did not.

        Args:
            stamp_s: of the message's header.
            now_s: by the node's clock.
            steady_s: by a clock that never jumps.
        """
        before_s, passed_s = self._newest_s, steady_s - self._steady_s
        self._newest_s, self._steady_s, self.offset_s = stamp_s, steady_s, stamp_s - now_s
        if before_s is None:
            return 0.0
        step_s = stamp_s - before_s
        # Who is late gets an older image only by a little; a recording may be played ten times as fast.
        forward = step_s > 10.0 * passed_s + _STAMP_JUMP_S
        return step_s if step_s < -JUMP_S or forward else 0.0

    @property
    def problem(self) -> str:
        """Why the stamps do not fit the node's clock; empty: they do."""
        if -BEHIND_S <= self.offset_s <= AHEAD_S:
            return ""
        side = "ahead of" if self.offset_s > 0.0 else "behind"
        return (
            f"header stamps are {in_words(abs(self.offset_s))} {side} the node's clock: synchronise the "
            "camera's clock, or set use_sim_time for a recording"
        )


class ClockWatch:
    """Compares the node's clock with one that never jumps."""

    def __init__(self) -> None:
        self._now_s: float | None = None
        self._steady_s = self._moved_s = 0.0

    def check(self, now_s: float, steady_s: float, *, simulated: bool, limit_s: float) -> str:
        """Return what the clock did since the last call; empty: it went on.

        Args:
            now_s: by the node's clock.
            steady_s: by a clock that never jumps.
            simulated: whether the node's clock follows /clock, which may be slow, fast or paused.
            limit_s: time after which a simulated clock that stands still is reported.
        """
        before_s, passed_s = self._now_s, steady_s - self._steady_s
        self._now_s, self._steady_s = now_s, steady_s
        if before_s is None or now_s != before_s:
            self._moved_s = steady_s
        if simulated and steady_s - self._moved_s > limit_s:
            return f"use_sim_time is set, but /clock stands still for {steady_s - self._moved_s:.1f} s"
        if before_s is None or (simulated and before_s <= 0.0):
            return ""
        off_s = now_s - before_s - (0.0 if simulated else passed_s)
        if off_s < -JUMP_S:
            return f"the node's clock jumped back by {in_words(-off_s)}"
        # A simulation may go faster than the world, but hardly ten times.
        if off_s > JUMP_S + (10.0 * passed_s if simulated else 0.0):
            return f"the node's clock jumped forward by {in_words(off_s)}"
        return ""
