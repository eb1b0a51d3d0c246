"""Values for tests: a test names the fields that it is about, and the others are plausible.

from factories import affect, face, group
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from social_perception.core.signals import Signals
from social_perception.core.types import (
    Box,
    FaceAffect,
    Frame,
    FrameAffect,
    GroupAffect,
    ImageArray,
    Position,
    Smile,
    SmileLevel,
    Track,
)

BOX = Box(100.0, 200.0, 80.0, 90.0)
NAN = math.nan
NAMES = "abcdefghijklmnopqrstuvwxyz"


def smile(intensity: float | None = 0.5, *, valid: bool = True, **changes: Any) -> Smile:
    """A smile at the level nearest to its intensity; None: of a face that was never scored."""
    if intensity is None:
        return replace(Smile.unknown(), **changes)
    value = float(intensity)
    return replace(Smile(value, SmileLevel.of_intensity(value), (0.1, 0.2, 0.3, 0.4), 9, valid), **changes)


def track(
    name: str = "a", box: Box = BOX, *, visible: bool = True, position: Position | None = None
) -> Track:
    return Track(name, box, 0.9 if visible else 0.0, visible, position)


def face(
    name: str = "a",
    intensity: float | None = 0.5,
    *,
    valid: bool = True,
    box: Box = BOX,
    visible: bool = True,
    position: Position | None = None,
    further: Sequence[object] = (),
) -> FaceAffect:
    """A followed face that smiles and has further signals; ``intensity`` None: it was never scored."""
    signals = Signals(smile(intensity, valid=valid), *further)
    return FaceAffect(track(name, box, visible=visible, position=position), signals)


def group(size: int = 2, **changes: Any) -> GroupAffect:
    """So many people, called a, b and so on; of nobody all values are unknown."""
    counts = {"stamp_s": 0.0, "group_size": size, "valid_faces": size, "face_ids": tuple(NAMES[:size])}
    known = {
        "intensity": 0.5, "mean_intensity": 0.45, "dispersion": 0.1, "smiling_fraction": 0.5,
        "level": SmileLevel.MEDIUM, "trend": 0.01,
    }  # fmt: skip
    values = {**counts, "window_s": 2.5, "stale": False, **(known if size else {}), **changes}
    return replace(GroupAffect.unknown(), **values)


def affect(
    *faces: FaceAffect,
    stamp_s: float = 0.0,
    index: int = 0,
    size: tuple[int, int] = (640, 480),
    group: GroupAffect | None = None,
) -> FrameAffect:
    """The result for a frame of a size (width, height)."""
    return FrameAffect(stamp_s, index, *size, tuple(faces), group)


def affect_of(frame: Frame, *faces: FaceAffect, group: GroupAffect | None = None) -> FrameAffect:
    """The result for a frame."""
    size = (frame.width, frame.height)
    return affect(*faces, stamp_s=frame.stamp_s, index=frame.index, size=size, group=group)


def frame(index: int = 0, image: ImageArray | None = None, *, stamp_s: float | None = None) -> Frame:
    """A frame at 30 Hz, black and small where the image does not matter."""
    pixels = np.zeros((8, 8, 3), np.uint8) if image is None else image
    return Frame(pixels, index / 30 if stamp_s is None else stamp_s, index)
