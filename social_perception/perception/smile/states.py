"""Assigns the rows of the state tensor to tracks, and drops expired tracks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from social_perception.core.types import Smile


@dataclass(slots=True)
class TrackState:
    """The state of one track; ``slot`` is its row in the state tensor."""

    slot: int
    last_seen_s: float
    observed_frames: int = 0
    smile: Smile | None = None


_MAX_TRACKS_FACTOR = 16
"""Maximum number of tracks, as a multiple of the faces per frame: with constant stamps no track would
expire.
"""


class TrackStates:
    """Allocates slots to track ids; the number of slots doubles when required, up to a limit."""

    def __init__(self, slots: int) -> None:
        self._most = _MAX_TRACKS_FACTOR * slots
        self._states: dict[str, TrackState] = {}
        self._free = list(range(slots - 1, -1, -1))
        self.capacity = slots

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def get(self, track_id: str) -> TrackState | None:
        """Return the state of a track, if it has one."""
        return self._states.get(track_id)

    def acquire(self, track_id: str, stamp_s: float) -> TrackState:
        """Return the state of a track, created if missing.

        Until its first frame is observed, its row has the content of a previous track. If there are too many
        tracks, the least recently acquired one is dropped.
        """
        state = self._states.pop(track_id, None)
        if state is not None:
            self._states[track_id] = state  # now the most recent
            return state
        if len(self._states) >= self._most:
            self._drop(next(iter(self._states)))
        if not self._free:
            self._free = list(range(2 * self.capacity - 1, self.capacity - 1, -1))
            self.capacity *= 2
        state = self._states[track_id] = TrackState(self._free.pop(), stamp_s)
        return state

    def expire(self, stamp_s: float, max_gap_s: float) -> None:
        """Drop the tracks not seen for longer than max_gap_s, also after a jump back in time."""
        for track_id, state in list(self._states.items()):
            if abs(stamp_s - state.last_seen_s) > max_gap_s:
                self._drop(track_id)

    def _drop(self, track_id: str) -> None:
        self._free.append(self._states.pop(track_id).slot)

    def restart_warm_up(self) -> None:
        """Restart the warm-up of all tracks after the rows were lost; their last smiles are kept."""
        for state in self._states.values():
            state.observed_frames = 0

    def clear(self) -> None:
        """Drop all tracks."""
        self._free += [state.slot for state in self._states.values()]
        self._states.clear()
