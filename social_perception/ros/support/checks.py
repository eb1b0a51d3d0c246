"""What a message must keep to before anything is computed with it.

Another program, another version or a recording may send anything. What cannot be is refused as a whole
message, by name, so that no NaN gets into a history and no length of a list decides on our memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from social_perception.core.errors import MessageError
from social_perception.core.types import SmileLevel

MAX_FACES = 1024
"""More people than that are in no camera's picture; it is also the most that smile_intensity scores."""

MAX_ID_LENGTH = 256

_LEVELS = frozenset(int(level) for level in SmileLevel)
_ROUNDING = 1e-3
"""By so much float32 and sums of probabilities may leave [0, 1]."""


def check_faces(message: Any) -> None:
    """Check what TrackedFaceArray and FaceAffectArray have in common.

    Raises:
        MessageError: there are too many faces, an id is missing or there twice, or a face lies beside
            the image.
    """
    faces, width, height = message.faces, message.image_width, message.image_height
    if width < 1 or height < 1:
        raise MessageError(f"image_width and image_height must be at least 1, got {width} x {height}")
    check_ids([face.id for face in faces])
    for face in faces:
        roi = face.roi
        if roi.x_offset + roi.width > width or roi.y_offset + roi.height > height:
            raise MessageError(
                f"roi of face {face.id!r} must be inside the image of {width} x {height} px, got "
                f"{roi.width} x {roi.height} px at ({roi.x_offset}, {roi.y_offset})"
            )


def check_ids(ids: Sequence[str]) -> None:
    """Check the names of the people in one image.

    Raises:
        MessageError: there are too many, or one is empty, endless or there twice.
    """
    check_count(ids)
    for each in ids:
        if not 0 < len(each) <= MAX_ID_LENGTH:
            raise MessageError(f"id of a face must have 1 to {MAX_ID_LENGTH} characters, got {len(each)}")
    if len(set(ids)) < len(ids):
        twice = next(each for place, each in enumerate(ids) if each in ids[:place])
        raise MessageError(f"ids of the faces in a message must differ, got {twice!r} twice")


def check_count(ids: Sequence[str]) -> None:
    """Check how many people there are in one image.

    Raises:
        MessageError: there are too many.
    """
    if len(ids) > MAX_FACES:
        raise MessageError(f"a message may have at most {MAX_FACES} faces, got {len(ids)}")


def check_share(name: str, value: float, *, may_be_unknown: bool = False) -> None:
    """Check a number that must be in [0, 1].

    Raises:
        MessageError: it is not, or it is NaN and must be known.
    """
    known = -_ROUNDING <= value <= 1.0 + _ROUNDING
    if not (known or (may_be_unknown and math.isnan(value))):
        raise MessageError(f"{name} must be in [0, 1], got {value:g}")


def check_smile(face: Any) -> None:
    """Check the numbers of a FaceAffect; a smile that is not valid may be unknown.

    Raises:
        MessageError: a number is outside its range.
    """
    where = f"of face {face.id!r}"
    check_level(face.level, where)
    check_share(f"intensity {where}", face.intensity, may_be_unknown=not face.valid)
    for each in face.probabilities:
        check_share(f"probabilities {where}", float(each), may_be_unknown=not face.valid)


def check_level(level: int, where: str) -> None:
    """Check a level.

    Raises:
        MessageError: it is none of the LEVEL constants.
    """
    if level not in _LEVELS:
        raise MessageError(f"level {where} must be one of the LEVEL constants, got {level}")


_SHARES = ("intensity", "mean_intensity", "dispersion", "smiling_fraction")


def check_group(message: Any) -> None:
    """Check the numbers of a GroupAffect; each may be unknown.

    Raises:
        MessageError: a number is outside its range, or there are too many people.
    """
    check_ids(message.face_ids)
    check_level(message.level, "of the group")
    for name in _SHARES:
        check_share(f"{name} of the group", getattr(message, name), may_be_unknown=True)
    check_share("synchrony of the group, without its sign,", abs(message.synchrony), may_be_unknown=True)
    if math.isinf(message.trend):
        raise MessageError(f"trend of the group must be finite, got {message.trend:g}")
    check_window(message.window)


def check_dynamics(message: Any) -> None:
    """Check the numbers of a GroupDynamics; those of a pair may be unknown.

    Raises:
        MessageError: a number is outside its range, or there are too many people.
    """
    check_ids(message.face_ids)
    check_window(message.window)
    for pair in message.pairs:
        for value in (pair.correlation, pair.zero_lag_correlation):
            check_share("correlation of a pair, without its sign,", abs(value), may_be_unknown=True)


def check_window(window_s: float) -> None:
    """Check the length of a history.

    Raises:
        MessageError: it is none.
    """
    if not 0.0 <= window_s < math.inf:
        raise MessageError(f"window of the group must be 0 s or more, got {window_s:g}")


def all_finite(values: Iterable[float]) -> bool:
    """Whether no number is NaN or infinite."""
    return all(math.isfinite(each) for each in values)
