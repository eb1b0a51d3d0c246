"""Checks that header stamps, the node's clock and the machine's clock agree; the time is passed in."""

from __future__ import annotations

from social_perception.core.clock import duration_text

JUMP_S = 0.5
"""A clock or a stamp that deviates by more than this has jumped."""
AHEAD_S = 0.5
BEHIND_S = 10.0
"""Results of a slow pipeline are seconds old; older stamps were made by another clock."""
_STAMP_JUMP_S = 5.0
"""Images may pause for a while, and a recording may be played faster than it was recorded."""
_SAME_S = 1e-6
"""Stamps in s are exact to a quarter of a microsecond."""
_STRAYS = 2
"""Number of outlying stamps in a row that are dropped; the next one is accepted."""


class StampWatch:
    """Compares the header stamps of the input with each other and with the node's clock.

    Attributes:
        offset_s: time in s by which the stamps are ahead of the node's clock.
        stray: why the last message should be dropped; empty: it should not.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset: the next stamp is the first one."""
        self._newest_s: float | None = None
        self._steady_s = self.offset_s = 0.0
        self._strays = 0
        self.stray = ""

    def note(self, stamp_s: float, now_s: float, steady_s: float) -> float:
        """Note a message; return the jump of its stamp in s: negative for a jump back, 0 without a jump.

        Each jump back resets a history. A message that is a little late would reset it once, one with a
        wrong stamp (zero, or of another clock) twice. Both are strays, unless the following messages
        have such stamps too.

        Args:
            stamp_s: of the message's header.
            now_s: by the node's clock.
            steady_s: by a clock that never jumps.
        """
        before_s, passed_s, offset_s = self._newest_s, steady_s - self._steady_s, stamp_s - now_s
        step_s = 0.0 if before_s is None else stamp_s - before_s
        # A recording may be played ten times as fast.
        jumps = step_s < -JUMP_S or step_s > 10.0 * passed_s + _STAMP_JUMP_S
        late = -JUMP_S <= step_s < -_SAME_S
        wrong = jumps and _fits(self.offset_s) and not _fits(offset_s)
        if (late or wrong) and self._strays < _STRAYS:
            self._strays += 1
            side = "older" if step_s < 0.0 else "newer"
            self.stray = (
                f"an image that is {duration_text(abs(step_s))} {side} than the one before it is dropped"
            )
            return 0.0
        self._newest_s, self._steady_s, self.offset_s = stamp_s, steady_s, offset_s
        self._strays, self.stray = 0, ""
        return step_s if jumps or late else 0.0

    @property
    def problem(self) -> str:
        """Why the stamps do not agree with the node's clock; empty: they do."""
        if _fits(self.offset_s):
            return ""
        side = "ahead of" if self.offset_s > 0.0 else "behind"
        return (
            f"header stamps are {duration_text(abs(self.offset_s))} {side} the node's clock: synchronise the "
            "camera's clock, or set use_sim_time for a recording"
        )


def _fits(offset_s: float) -> bool:
    return -BEHIND_S <= offset_s <= AHEAD_S


class ClockWatch:
    """Compares the node's clock with a clock that never jumps."""

    def __init__(self) -> None:
        self._now_s: float | None = None
        self._steady_s = self._moved_s = 0.0

    def check(self, now_s: float, steady_s: float, *, simulated: bool, limit_s: float) -> str:
        """Return what is wrong with the clock since the last call; empty: nothing.

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
        still_s = steady_s - self._moved_s
        if simulated and still_s > limit_s:
            if now_s <= 0.0:
                return f"use_sim_time is set, but no message was received on /clock for {still_s:.1f} s"
            return f"use_sim_time is set, but /clock stands still for {still_s:.1f} s"
        if before_s is None or (simulated and before_s <= 0.0):
            return ""
        off_s = now_s - before_s - (0.0 if simulated else passed_s)
        if off_s < -JUMP_S:
            return f"the node's clock jumped back by {duration_text(-off_s)}"
        # A simulation may run faster than real time, but hardly ten times as fast.
        if off_s > JUMP_S + (10.0 * passed_s if simulated else 0.0):
            return f"the node's clock jumped forward by {duration_text(off_s)}"
        return ""
