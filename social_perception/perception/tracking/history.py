"""The last frames, by index, so that a late detection is compared with the frame it belongs to."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from social_perception.perception.tracking.flow import track_boxes, unshared_points
from social_perception.perception.tracking.geometry import BoolArray, FloatArray
from social_perception.perception.tracking.snapshot import Snapshot

CAPACITY = 192
"""Maximum number of frames: six seconds at 30 Hz, about 75 MB; later detections are not useful."""

MAX_STEPS = 24
"""Maximum number of flow steps to the newest frame; over more frames the steps are larger."""

SlotArray = npt.NDArray[np.intp]


class History:
    """A ring buffer of snapshots. Each frame has a slot in [0, CAPACITY), which is reused later."""

    def __init__(self) -> None:
        self._snapshots: dict[int, Snapshot] = {}
        self._slots: dict[int, int] = {}
        self._next_slot = 0
        self._clocks_s = np.zeros(CAPACITY)

    def add(self, frame_index: int, snapshot: Snapshot, clock_s: float) -> int:
        """Store a frame, replacing the oldest one if the buffer is full; return its slot."""
        if frame_index <= self.newest_index or (self._snapshots and not snapshot.same_size(self.newest)):
            self.clear()
        if len(self._slots) == CAPACITY:
            self._drop_oldest()
        slot, self._next_slot = self._next_slot, (self._next_slot + 1) % CAPACITY
        self._slots[frame_index] = slot
        self._snapshots[slot], self._clocks_s[slot] = snapshot, clock_s
        return slot

    def drop_before(self, frame_index: int) -> None:
        """Drop the frames before this one, except the newest."""
        while len(self._slots) > 1 and next(iter(self._slots)) < frame_index:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        del self._snapshots[self._slots.pop(next(iter(self._slots)))]

    def clear(self) -> None:
        self._snapshots.clear()
        self._slots.clear()

    def slots_since(self, frame_index: int) -> SlotArray:
        """Return the slots from that frame to the newest, in order; empty if it is not stored."""
        if frame_index not in self._slots:
            return np.empty(0, np.intp)
        return np.array([slot for index, slot in self._slots.items() if index >= frame_index], np.intp)

    def clock_s(self, slot: int) -> float:
        """The tracker's clock at that frame."""
        return float(self._clocks_s[slot])

    def snapshot(self, slot: int) -> Snapshot:
        return self._snapshots[slot]

    @property
    def newest_index(self) -> int:
        """The newest frame's index; less than any index if empty."""
        return next(reversed(self._slots), -(2**62))

    @property
    def newest(self) -> Snapshot:
        """The newest snapshot; the buffer must not be empty."""
        return self._snapshots[self._slots[self.newest_index]]

    def propagate(
        self, rows: FloatArray, slots: SlotArray, others: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """Carry M boxes from the first slot's frame through the others by optical flow.

        Args:
            rows: (M, 4) the boxes; M may be 0.
            slots: the L frames.
            others: (L, K, 4) the boxes of other faces in those frames, NaN where there is none.

        Returns:
            The boxes in each of the L frames, (L, M, 4), and whether each box could be tracked to
            the end, (M,).
        """
        stride = max(1, int(np.ceil((len(slots) - 1) / MAX_STEPS)))
        stops = np.unique(np.append(np.arange(0, len(slots), stride), len(slots) - 1))
        path = np.empty((len(slots), *rows.shape))
        path[0] = rows
        arrived = np.ones(len(rows), np.bool_)
        for start, end in pairwise(stops):
            usable = unshared_points(path[start], others[start])
            motion = track_boxes(self.snapshot(slots[start]), self.snapshot(slots[end]), path[start], usable)
            shares = np.arange(1, end - start + 1)[:, None, None] / (end - start)
            path[start + 1 : end + 1] = path[start] + shares * (motion.rows - path[start])
            arrived &= motion.tracked
        return path, arrived
