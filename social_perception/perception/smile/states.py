"""Which track has which row of the state tensor, and when it is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from social_perception.core.types import Smile


@dataclass(slots=True)
class TrackState:
    """What is kept of one track; ``slot`` is its row in the state tensor."""

    slot: int
    last_seen_s: float
    observed_frames: int = 0
    smile: Smile | None = None


_MOST_KEPT = 16
"""Tracks kept at most, in frames full of faces: stamps that stand still would let nobody be forgotten."""


class TrackStates:
    """Hands out slots to track ids; the number of slots grows when it must, by doubling, to a limit."""

    def __init__(self, slots: int) -> None:
        self._most = _MOST_KEPT * slots
        self._states: dict[str, TrackState] = {}
        self._free = list(range(slots - 1, -1, -1))
        self.capacity = slots

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def get(self, track_id: str) -> TrackState | None:
        """The state of a track, if it has one."""
        return self._states.get(track_id)

    def claim(self, track_id: str, stamp_s: float) -> TrackState:
        """The state of a track, made if there is none.

        While no frame of it was observed its row holds what was there before. Where there are too many
        tracks the one that was claimed the longest ago is forgotten.
        """
        state = self._states.pop(track_id, None)
        if state is not None:
            self._states[track_id] = state  # now the last in order
            return state
        if len(self._states) >= self._most:
            self._drop(next(iter(self._states)))
        if not self._free:
            self._free = list(range(2 * self.capacity - 1, self.capacity - 1, -1))
            self.capacity *= 2
        state = self._states[track_id] = TrackState(self._free.pop(), stamp_s)
        return state

    def forget(self, stamp_s: float, max_gap_s: float) -> None:
        """Drop the tracks not seen for longer than max_gap_s, also when time has jumped back."""
        for track_id, state in list(self._states.items()):
            if abs(stamp_s - state.last_seen_s) > max_gap_s:
                self._drop(track_id)

    def _drop(self, track_id: str) -> None:
        self._free.append(self._states.pop(track_id).slot)

    def start_over(self) -> None:
        """Note that the rows are lost: every track warms up anew, its last smile stays known."""
        for state in self._states.values():
            state.observed_frames = 0

    def clear(self) -> None:
        """Forget every track."""
        self._free += [state.slot for state in self._states.values()]
        self._states.clear()
