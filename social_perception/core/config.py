"""Configuration: each setting's default, range and description, in one place.

A setting is a dataclass field made with :func:`setting`. ROS parameters, YAML files and
command-line flags are derived from :func:`settings_of`; nothing repeats a default.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from social_perception.core.errors import ConfigurationError
from social_perception.core.secret import check_secret

Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what ROS calls a parameter with its descriptor.

    ``type`` is bool, int, float, str or tuple; a tuple holds texts.
    """

    name: str
    type: type
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    def check(self, value: Any) -> None:
        """Raise ConfigurationError, naming the setting, the value and the rule, if value is illegal."""
        if self.type is tuple:
            if not isinstance(value, (tuple, list)) or not all(isinstance(each, str) for each in value):
                raise ConfigurationError(f"{self.name} must be a list of texts, got {shown(value)}")
            return
        allowed: Any = (int, float) if self.type is float else self.type
        if not isinstance(value, allowed) or (isinstance(value, bool) and self.type is not bool):
            raise ConfigurationError(f"{self.name} must be of type {self.type.__name__}, got {shown(value)}")
        if self.choices and value not in self.choices:
            raise ConfigurationError(
                f"{self.name} must be one of {', '.join(self.choices)}, got {shown(value, str)}"
            )
        if self.low is None or self.high is None:
            return
        if not self.low <= value <= self.high:  # NaN is in no range
            raise ConfigurationError(
                f"{self.name} must be in [{self.low:g}, {self.high:g}], got {shown(value)}"
            )


def shown(value: Any, form: Callable[[Any], str] = repr) -> str:
    """A value in an error's one line, cut where it is endless."""
    try:
        text = " ".join(form(value).split())
    except (ValueError, RecursionError):  # Python does not write out numbers of thousands of digits
        return "what cannot be shown"
    return text if len(text) <= 100 else f"{text[:100]} ..."


def setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    dynamic: bool = False,
) -> Any:
    """A dataclass field that carries its own description and range; dynamic ones may change at run time."""
    extras = {"low": low, "high": high, "choices": choices, "dynamic": dynamic}
    return field(default=default, metadata={"description": description, **extras})


def settings_of(config: type | object) -> tuple[Setting, ...]:
    """The settings of a configuration dataclass (class or instance), in order."""
    return tuple(
        Setting(item.name, type(item.default), item.default, **item.metadata)
        for item in dataclasses.fields(config)  # type: ignore[arg-type]
        if "description" in item.metadata
    )


def joined(kinds: Iterable[type], leave_out: Collection[str] = ()) -> dict[str, Setting]:
    """The settings of several kinds by name; those of one name become one, with the choices of all."""
    known: dict[str, Setting] = {}
    for item in (item for kind in kinds for item in settings_of(kind) if item.name not in leave_out):
        first = known.setdefault(item.name, item)
        if first is not item and first != item:
            choices = tuple(dict.fromkeys(first.choices + item.choices))
            description = f"{first.description}; {item.description}"
            known[item.name] = dataclasses.replace(first, choices=choices, description=description)
    return known


def values_for(config: type | object, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that a configuration takes: of a joined setting's choices it knows its own only."""
    return {
        item.name: values[item.name]
        for item in settings_of(config)
        if item.name in values and (not item.choices or values[item.name] in item.choices)
    }


def from_mapping(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Build a configuration from the values given by name; unknown names raise ConfigurationError."""
    known = {item.name for item in settings_of(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigurationError(
            f"unknown setting {shown(unknown[0], str)}; known are {', '.join(sorted(known))}"
        )
    # What is read from files and parameters has lists where a frozen object has tuples.
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**frozen)


class Checked:
    """Base of the configurations: checks every setting when the object is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for item in settings_of(self):
            item.check(getattr(self, item.name))


DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class DetectionConfig(Checked):
    """Where faces are looked for, and how often."""

    backend: str = setting(
        "mmod-torch",
        "face detector: dlib's CNN run by torch, by dlib, or dlib's HOG detector",
        choices=("mmod-torch", "mmod-dlib", "hog"),
    )
    detection_interval: int = setting(
        10, "frames from one detection to the next", low=1, high=300, dynamic=True
    )
    detection_threshold: float = setting(
        0.0, "detector score above which a face counts; lower finds more", low=-2.0, high=5.0, dynamic=True
    )
    min_face_px: int = setting(
        40, "width in px of the smallest face looked for (the image is enlarged for it)", low=20, high=1000
    )
    max_face_px: int = setting(
        0, "width in px of the largest face looked for (mmod-torch only); 0: no limit", low=0, high=10000
    )
    pyramid_divisor: int = setting(
        6,
        "n, where each scale searched has (n - 1) / n of the size of the one before (mmod-torch only); "
        "6 is dlib's, 4 and 3 are faster and miss more",
        low=2,
        high=20,
    )
    upsample: int = setting(
        -1,
        "how often the image is doubled before the search, as in dlib; -1: as min_face_px needs",
        low=-1,
        high=3,
    )
    boxes: str = setting(
        "voted",
        "boxes of mmod-torch: steadied by the votes of their neighbours, or exactly dlib's",
        choices=("voted", "dlib"),
    )
    device: str = setting("auto", "where the detector runs", choices=DEVICES)
    precision: str = setting(
        "auto",
        "arithmetic of mmod-torch; auto: dlib's own for stills, faster for video",
        choices=("auto", "float32", "bfloat16"),
    )
    reproducible: bool = setting(
        False,
        "whether each image waits for the search that is due in it, so that the same images give the same "
        "results in every run; false: a camera's images are searched in the background",
    )


@dataclass(frozen=True, slots=True)
class TrackingConfig(Checked):
    """How faces are followed and when they are given up."""

    max_lost_s: float = setting(
        2.0, "time in s for which a lost face keeps its id", low=0.0, high=60.0, dynamic=True
    )
    coast_s: float = setting(
        0.3,
        "time in s for which a face just lost is still listed, as not visible",
        low=0.0,
        high=5.0,
        dynamic=True,
    )
    min_iou: float = setting(
        0.25,
        "overlap with a detection from which a followed face is the same one",
        low=0.01,
        high=1.0,
        dynamic=True,
    )
    confirm_detections: int = setting(
        1, "detections that must agree before a new face gets an id", low=1, high=10, dynamic=True
    )
    id_prefix: str = setting(
        "",
        "up to 8 lower-case letters before the random letters of each id; one for each of several cameras "
        "keeps their ids apart",
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if not re.fullmatch("[a-z]{0,8}", self.id_prefix):
            raise ConfigurationError(f"id_prefix must be up to 8 lower-case letters, got {self.id_prefix!r}")


@dataclass(frozen=True, slots=True)
class SmileConfig(Checked):
    """The smile network and its temporal window."""

    model: str = setting("", "file with the network's weights (safetensors); empty: the shipped network")
    model_sha256: str = setting(
        "", "SHA-256 that the file of model must have, in 64 hexadecimal digits; empty: any"
    )
    device: str = setting("auto", "where the smile network runs", choices=DEVICES)
    precision: str = setting(
        "auto",
        "arithmetic of the smile network's convolutions; int8 on the CPU only; auto: bfloat16 where the CPU "
        "multiplies it natively, else float32",
        choices=("auto", "float32", "bfloat16", "int8"),
    )
    warmup_frames: int = setting(
        5, "frames of a face before its smile counts as valid", low=1, high=300, dynamic=True
    )
    max_gap_s: float = setting(
        2.0,
        "time in s without a face after which its temporal state is forgotten",
        low=0.0,
        high=60.0,
        dynamic=True,
    )
    max_faces: int = setting(64, "most faces scored per frame; the largest are taken", low=1, high=1024)

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if not re.fullmatch("([0-9a-fA-F]{64})?", self.model_sha256):
            raise ConfigurationError(f"model_sha256 must be 64 hexadecimal digits, got {self.model_sha256!r}")


@dataclass(frozen=True, slots=True)
class GroupConfig(Checked):
    """How single smiles become the group's."""

    window_s: float = setting(
        5.0, "time in s over which trend and synchrony are computed", low=0.5, high=120.0, dynamic=True
    )
    publish_rate_hz: float = setting(10.0, "rate in Hz of GroupAffect", low=0.1, high=100.0)
    stale_after_s: float = setting(
        1.0,
        "time in s without a frame after which the group's state is stale",
        low=0.05,
        high=60.0,
        dynamic=True,
    )
    size_exponent: float = setting(
        1.0,
        "power of the relative face size in a person's weight; 0: size does not count",
        low=0.0,
        high=4.0,
        dynamic=True,
    )
    center_weight: float = setting(
        0.5,
        "share of weight lost at the group's rim, relative to its centre; 0: place does not count",
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    smiling_level: int = setting(
        1,
        "level from which a person counts as smiling (1 Low, 2 Medium, 3 High)",
        low=1,
        high=3,
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class HearingConfig(Checked):
    """What is estimated from sound."""

    sound_level: bool = setting(True, "whether the level of the sound is measured, where a source has sound")

    @property
    def needs_sound(self) -> bool:
        """Whether any estimator is enabled that needs sound, so that sources decode it."""
        return self.sound_level


@dataclass(frozen=True, slots=True)
class AnonymityConfig(Checked):
    """What of a group may be told where nothing may be told of its people."""

    min_group_size: int = setting(
        2,
        "people with a valid smile from which the group's values are told where nothing is told of single "
        "people; of fewer only how many there are, because one person's value is that person's",
        low=1,
        high=100,
    )


@dataclass(frozen=True, slots=True)
class DynamicsConfig(Checked):
    """How it is found out who smiles with whom."""

    dynamics_rate_hz: float = setting(1.0, "rate in Hz of GroupDynamics", low=0.01, high=10.0)
    dynamics_window_s: float = setting(
        30.0,
        "time in s over which each two people's smiles are correlated",
        low=2.0,
        high=300.0,
        dynamic=True,
    )
    max_lag_s: float = setting(
        2.0, "longest lag in s looked for between two people's smiles", low=0.0, high=10.0, dynamic=True
    )
    min_overlap: float = setting(
        0.3,
        "share of dynamics_window_s for which two people must have been seen together",
        low=0.05,
        high=1.0,
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class SourceConfig(Checked):
    """How a camera, a folder, a stream, a video or the sample delivers frames."""

    width: int = setting(1280, "width in px requested from the camera", low=16, high=16384)
    height: int = setting(720, "height in px requested from the camera", low=16, high=16384)
    fps: float = setting(30.0, "images per second requested from the camera", low=1.0, high=1000.0)
    timeout_s: float = setting(
        5.0,
        "time in s without an image after which a live source is reported as silent",
        low=0.1,
        high=3600.0,
    )
    folder_rate_hz: float = setting(
        30.0, "images per second that a folder of images stands for", low=0.01, high=1000.0
    )
    max_message_bytes: int = setting(
        16 * 1024 * 1024, "size in bytes of the largest TCP message accepted", low=1024, high=1 << 30
    )
    peer_timeout_s: float = setting(
        10.0,
        "time in s in which a TCP peer must deliver a message before it is dropped",
        low=0.1,
        high=3600.0,
    )
    tcp_token: str = setting(
        "",
        "what a TCP peer must know, 12 letters, digits, - or _ at least, or @FILE that holds them; needed "
        "where other machines can connect; empty: nothing",
    )
    sample_people: int = setting(5, "people in the sample", low=1, high=16)
    sound_rate_hz: int = setting(
        16000, "samples per second to which a source's sound is converted", low=4000, high=192000
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        check_secret("tcp_token", self.tcp_token)


@dataclass(frozen=True, slots=True)
class ReportConfig(Checked):
    """What a report counts as a smile, and as a moment of shared smiling."""

    smiling_level: int = setting(
        2, "level from which somebody counts as smiling (1 Low, 2 Medium, 3 High)", low=1, high=3
    )
    shared_people: int = setting(2, "people who must smile at once to share it", low=2, high=100)
    shared_fraction: float = setting(
        0.5, "share of the people with a known smile who must smile to share it", low=0.0, high=1.0
    )
    min_smile_s: float = setting(
        0.5, "time in s that a smile, or a shared one, lasts at least", low=0.0, high=60.0
    )
    max_pause_s: float = setting(
        0.3, "time in s of the longest pause that does not end a smile, or a shared one", low=0.0, high=60.0
    )


@dataclass(frozen=True, slots=True)
class WebConfig(Checked):
    """The live web page: where it is served, to whom, and what it shows."""

    port: int = setting(8080, "port of the web page; 0: any that is free", low=0, high=65535)
    address: str = setting(
        "127.0.0.1",
        "address that the web page is served on; 127.0.0.1: to this machine only; 0.0.0.0: on all addresses, "
        "to those who know the token",
    )
    token: str = setting(
        "",
        "what a browser must know to see the page, 12 letters, digits, - or _ at least, or @FILE that holds "
        "them; empty: nothing on 127.0.0.1, a new one with every start on other addresses",
    )
    picture: bool = setting(
        False, "whether browsers may ask for the live picture; everybody in it is shown to all of them"
    )
    picture_px: int = setting(960, "longer side in px of the picture shown at most", low=64, high=8192)
    rate_hz: float = setting(15.0, "most states per second that a browser is sent", low=0.5, high=60.0)
    max_clients: int = setting(256, "most browsers at once", low=1, high=4096)

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        check_secret("token", self.token)


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """All settings of the way of one frame."""

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    smile: SmileConfig = field(default_factory=SmileConfig)
    group: GroupConfig = field(default_factory=GroupConfig)
    hearing: HearingConfig = field(default_factory=HearingConfig)
