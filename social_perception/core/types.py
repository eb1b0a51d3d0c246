"""The value types that pass through the pipeline.

Images are numpy arrays of shape (H, W, 3), uint8, RGB. Pixels are those of the source image, with
the origin at its upper left corner, x to the right and y down. Times are seconds of the header
stamp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from social_perception.core.errors import ImageError
from social_perception.core.signals import Signals, Subject, declaration, signal, unknown_of, value
from social_perception.core.sound import Sound, SoundEvent

CROP_SIZE_PX = 96
"""Side of the square face crop that the smile network sees."""

MAX_STAMP_S = 2.0**31
"""Stamps are within this of 0 (the year 2038, if they are times of day), as those of ROS."""

ImageArray = npt.NDArray[np.uint8]

S = TypeVar("S")


class SmileLevel(IntEnum):
    """The four annotated smile levels; the values are those of FaceAffect.msg and GroupAffect.msg."""

    NEUTRAL = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    UNKNOWN = 255

    @property
    def label(self) -> str:
        """The level as a word for people, for example ``Medium``."""
        return self.name.capitalize()

    @classmethod
    def of_intensity(cls, intensity: float) -> SmileLevel:
        """The level nearest to an intensity in [0, 1] (thirds); UNKNOWN for NaN."""
        if math.isnan(intensity):
            return cls.UNKNOWN
        return cls(min(3, max(0, math.floor(3.0 * intensity + 0.5))))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the source image; it may reach over the image's edge."""

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        for name in ("left", "top", "width", "height"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"width and height must be positive, got {self.width} x {self.height}")

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def center(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.top + self.height / 2

    @property
    def area(self) -> float:
        return self.width * self.height

    def iou(self, other: Box) -> float:
        """Intersection over union with another box, in [0, 1]."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)

    def contains(self, x: float, y: float) -> bool:
        """Tell whether a point lies inside; the right and the lower edge do not belong to it."""
        return self.left <= x < self.right and self.top <= y < self.bottom

    def moved(self, dx: float, dy: float, scale: float = 1.0) -> Box:
        """The box with its centre shifted by (dx, dy) px and its sides multiplied by scale."""
        x, y = self.center
        width, height = self.width * scale, self.height * scale
        return Box(x + dx - width / 2, y + dy - height / 2, width, height)

    def visible_fraction(self, image_width: int, image_height: int) -> float:
        """The share of the box's area that lies inside the image, in [0, 1]."""
        width = min(self.right, image_width) - max(self.left, 0.0)
        height = min(self.bottom, image_height) - max(self.top, 0.0)
        return max(0.0, width) * max(0.0, height) / self.area


@dataclass(frozen=True, slots=True)
class Scope:
    """Which faces a search would have found: those centred in the area, of a width in [min_px, max_px).

    Not the tracked faces with the ``skipped`` boxes.
    """

    area: Box
    min_px: float
    max_px: float
    skipped: frozenset[Box] = frozenset()

    def holds(self, x: float, y: float, width: float) -> bool:
        """Tell whether a face with this centre and width, in px, would have been found."""
        return self.area.contains(x, y) and self.min_px <= width < self.max_px


@dataclass(frozen=True, slots=True)
class KnownBoxes:
    """The boxes of the tracked faces in a frame, most urgent first; ``due``: how many should be confirmed."""

    boxes: tuple[Box, ...] = ()
    due: int = 0


NOBODY = KnownBoxes()


@dataclass(frozen=True, slots=True)
class Face:
    """One face found by a detector; confidence is the detector's own score (higher is surer)."""

    box: Box
    confidence: float


@dataclass(frozen=True, slots=True)
class Position:
    """A point in metres in the camera's optical frame (x right, y down, z forward)."""

    x: float
    y: float
    z: float


@dataclass(frozen=True, slots=True)
class Track:
    """One followed face in one frame.

    ``visible`` is false while the face is hidden or lost and its box is only a prediction;
    ``confidence`` is in [0, 1] and 0 when the face is not visible.
    """

    id: str
    box: Box
    confidence: float
    visible: bool = True
    position: Position | None = None


def _part(region: str) -> Any:
    """Declare the part of a region of the face in the intensity."""
    return value(
        region,
        low=-1.0,
        high=1.0,
        unknown=math.nan,
        display="+.2f",
        columns=(f"part_{region}",),
        key=f"part_{region}",
    )


@signal(Subject.FACE, valid="valid")
@dataclass(frozen=True, slots=True)
class Smile:
    """How much one face smiles.

    ``intensity`` is in [0, 1]; ``probabilities`` are those of Neutral, Low, Medium, High and sum
    to 1. ``valid`` is false while the temporal window warms up, the mouth or half of the face is covered, or
    the face is lost.
    """

    intensity: float = value("intensity", low=0.0, high=1.0, unknown=math.nan)
    level: SmileLevel = value("level", unknown=SmileLevel.UNKNOWN)
    probabilities: tuple[float, float, float, float] = value(
        "probabilities",
        low=0.0,
        high=1.0,
        unknown=(math.nan,) * 4,
        columns=("p_neutral", "p_low", "p_medium", "p_high"),
        key="",
    )
    observed_frames: int = value("observed frames", low=0, high=65535, columns=(), key="")
    valid: bool = value("valid", columns=())

    @classmethod
    def unknown(cls, observed_frames: int = 0) -> Smile:
        """The smile of a face that was never scored: NaN and UNKNOWN."""
        return replace(unknown_of(cls), observed_frames=observed_frames)


@signal(Subject.FACE)
@dataclass(frozen=True, slots=True)
class Voice:
    """Whether one face speaks, and whether it laughs, each in [0, 1]; NaN where unknown."""

    speaking: float = value("speaking", low=0.0, high=1.0, unknown=math.nan)
    laughing: float = value("laughing", low=0.0, high=1.0, unknown=math.nan)


@signal(Subject.FACE)
@dataclass(frozen=True, slots=True)
class Explanation:
    """The parts of eyes, cheeks, mouth and the rest in the intensity of one image of a face.

    They add up to the intensity; below 0 where a region made the smile appear smaller; NaN where unknown.
    """

    eyes: float = _part("eyes")
    cheeks: float = _part("cheeks")
    mouth: float = _part("mouth")
    rest: float = _part("rest")


@dataclass(frozen=True, slots=True)
class FaceAffect:
    """A followed face with its signals; ``face[Smile]`` is one of them."""

    track: Track
    signals: Signals = field(default_factory=Signals)

    def __getitem__(self, kind: type[S]) -> S:
        """The signal of a class; unknown where it was not estimated."""
        return self.signals[kind]


@signal(Subject.GROUP)
@dataclass(frozen=True, slots=True)
class GroupAffect:
    """How the group feels at one time.

    Values that are unknown (nobody there, too short a history) are NaN, and the level is then
    UNKNOWN. ``signals`` holds the group's further signals.
    """

    stamp_s: float
    group_size: int = value("people", low=0, key="size")
    valid_faces: int = value("people with a known smile", low=0, key="valid")
    intensity: float = value("intensity", low=0.0, high=1.0, unknown=math.nan)
    mean_intensity: float = value("mean intensity", low=0.0, high=1.0, unknown=math.nan, key="mean")
    dispersion: float = value("dispersion", low=0.0, high=0.5, unknown=math.nan)
    smiling_fraction: float = value(
        "smiling", low=0.0, high=1.0, unknown=math.nan, display=".0%", key="smiling"
    )
    level: SmileLevel = value("level", unknown=SmileLevel.UNKNOWN)
    trend: float = value("trend", unit="1/s", unknown=math.nan, digits=5, display="+.2f")
    synchrony: float = value("synchrony", low=-1.0, high=1.0, unknown=math.nan, display="+.2f")
    window_s: float = value("window", unit="s", low=0.0, key="", message="window")
    face_ids: tuple[str, ...] = value("ids", key="")
    stale: bool = value("stale")
    signals: Signals = field(default_factory=Signals)

    @classmethod
    def unknown(cls) -> GroupAffect:
        """The group before the first image: all values are unknown, and stale."""
        values = {each.name: each.unknown for each in declaration(cls).fields}
        return cls(stamp_s=0.0, **{**values, "window_s": 0.0, "stale": True})

    def __getitem__(self, kind: type[S]) -> S:
        """The group's signal of a class: itself, or a further one."""
        return self if kind is GroupAffect else self.signals[kind]  # type: ignore[return-value]


@signal(Subject.GROUP)
@dataclass(frozen=True, slots=True)
class SoundLevel:
    """How loud it is around the group.

    ``level_dbfs`` is ``20 log10(RMS)`` of the samples since the frame before, relative to full scale: a
    full-scale sine has -3.01 dBFS. It is -120 for digital silence, and NaN where there is no sound.
    """

    level_dbfs: float = value(
        "sound level",
        unit="dBFS",
        low=-120.0,
        high=3.0,
        unknown=math.nan,
        digits=2,
        display=".0f",
        key="sound_level",
        message="sound_level",
    )


@signal(Subject.GROUP)
@dataclass(frozen=True, slots=True)
class RoomSound:
    """Speech and laughter in the room now, from visible people or others.

    ``speech`` and ``laughter`` are probabilities in [0, 1], NaN where unknown; ``speaking_count`` is the
    number of visible people who speak, -1 where unknown.
    """

    speech: float = value("speech", low=0.0, high=1.0, unknown=math.nan, display=".0%")
    laughter: float = value("laughter", low=0.0, high=1.0, unknown=math.nan, display=".0%")
    speaking_count: int = value("people speaking", low=-1, unknown=-1)


@signal(Subject.PAIR)
@dataclass(frozen=True, slots=True)
class PairDynamics:
    """How the smiles of two people go together.

    ``correlation`` is the highest peak of their lagged correlation, reached at ``lag_s`` (positive:
    the second follows the first), ``zero_lag_correlation`` that at the same time. Each is in [-1, 1],
    or NaN where unknown.
    """

    first: str
    second: str
    correlation: float = value("correlation", low=-1.0, high=1.0, unknown=math.nan)
    lag_s: float = value("lag", unit="s", unknown=math.nan, message="lag")
    zero_lag_correlation: float = value("correlation at lag 0", low=-1.0, high=1.0, unknown=math.nan)


@signal(Subject.DYNAMICS)
@dataclass(frozen=True, slots=True)
class GroupDynamics:
    """Who smiles with whom.

    ``pairs`` holds each two of ``face_ids`` once, the highest correlation first, unknown ones last.
    ``laughing_ids`` are the people who laughed in the newest laughter, and ``laughing_lags_s`` how much
    later than the first each joined in.
    """

    stamp_s: float
    face_ids: tuple[str, ...] = value("ids")
    pairs: tuple[PairDynamics, ...]  # type: ignore[misc]  # none of them has a default
    synchrony: float = value("synchrony", low=-1.0, high=1.0, unknown=math.nan)
    window_s: float = value("window", unit="s", low=0.0, message="window")
    stale: bool = value("stale")
    laughing_ids: tuple[str, ...] = value("laughed together")
    laughing_lags_s: tuple[float, ...] = ()


@signal(Subject.SCENE)
@dataclass(frozen=True, slots=True)
class SceneAffect:
    """How the group as a whole feels, estimated from whole images and sound, of nobody in particular.

    ``probabilities`` are those of negative, neutral, positive and sum to 1; ``valence`` is in [-1, 1],
    from negative to positive; both are NaN where unknown. ``with_sound`` tells whether sound was used.
    """

    probabilities: tuple[float, float, float] = value(
        "probabilities",
        low=0.0,
        high=1.0,
        unknown=(math.nan,) * 3,
        columns=("p_negative", "p_neutral", "p_positive"),
    )
    valence: float = value("valence", low=-1.0, high=1.0, unknown=math.nan, display="+.2f")
    with_sound: bool = value("with sound")


@dataclass(frozen=True, slots=True)
class Scene:
    """The scene's signals at one time; ``scene[SceneAffect]`` is one of them.

    ``stale`` is true where no images come any more; the signals are then those of the last one.
    """

    stamp_s: float
    signals: Signals = field(default_factory=Signals)
    stale: bool = False

    def __getitem__(self, kind: type[S]) -> S:
        """The signal of a class; unknown where it was not estimated."""
        return self.signals[kind]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One camera image; index grows by one with each frame that enters the pipeline.

    ``sound`` is what was recorded since the frame before, up to ``stamp_s``; None: the source has no sound.

    Raises:
        ImageError: the image or its stamp cannot be processed.
    """

    image: ImageArray
    stamp_s: float
    index: int
    sound: Sound | None = None

    def __post_init__(self) -> None:
        image: Any = self.image
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise ImageError(
                f"image must be a uint8 array, got {getattr(image, 'dtype', type(image).__name__)}"
            )
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ImageError(f"image must have shape (H, W, 3), got {image.shape}")
        if not abs(self.stamp_s) < MAX_STAMP_S:  # NaN is in no range
            raise ImageError(f"stamp_s must be within 2**31 s of 0, got {self.stamp_s}")

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFaces:
    """The followed faces of one frame, as the tracking step passes them to the estimators.

    Attributes:
        stamp_s: of the frame.
        index: of the frame.
        width: of the frame in px.
        height: of the frame in px.
        tracks: the N faces.
        crops: (N, 96, 96, 3) uint8, RGB, in the order of the tracks.
        epoch: grows where the stamps of the frames went back; see :class:`.clock.FrameClock`.
        sound: of the frame.
        sound_events: in the sound since the frame before; None: there is no sound.
    """

    stamp_s: float
    index: int
    width: int
    height: int
    tracks: tuple[Track, ...]
    crops: ImageArray
    epoch: int = 0
    sound: Sound | None = None
    sound_events: tuple[SoundEvent, ...] | None = None


@dataclass(frozen=True, slots=True)
class FrameAffect:
    """The result of the pipeline for one frame.

    ``group`` is None before the aggregation step, and ``sound``, that of the frame, after it.
    ``sound_events`` are those since the frame before; None: there is no sound. ``epoch`` grows where the
    stamps of the frames went back; see :class:`.clock.FrameClock`. ``scene`` is the result of the pipeline
    that processes no single people, whose frames have neither faces nor a group.
    """

    stamp_s: float
    index: int
    width: int
    height: int
    faces: tuple[FaceAffect, ...] = field(default=())
    group: GroupAffect | None = None
    epoch: int = 0
    sound: Sound | None = field(default=None, compare=False, repr=False)
    sound_events: tuple[SoundEvent, ...] | None = None
    scene: Scene | None = None
