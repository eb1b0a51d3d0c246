"""Configuration: the default, range and description of each setting, in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from social_perception.core.errors import ConfigurationError
from social_perception.core.secret import check_secret
from social_perception.core.settings import Checked, setting

DEVICES = ("auto", "cpu", "cuda")
MICROPHONE = "microphone by its name, a part of its name, or its index; empty: the system's default"
RUNTIME = (
    "library that computes the shipped networks; onnxruntime (backend cascade only, in float32 on the CPU): "
    "less memory and a faster start; auto: onnxruntime if it is installed and torch cannot use a GPU"
)


@dataclass(frozen=True, slots=True)
class DetectionConfig(Checked):
    """Settings of the face detection."""

    backend: str = setting(
        "cascade",
        "face detector: dlib's CNN where YuNet proposes faces (cascade), dlib's CNN on the whole image, run "
        "by torch or by dlib, or dlib's HOG detector",
        choices=("cascade", "mmod-torch", "mmod-dlib", "hog"),
    )
    detection_interval: int = setting(
        10,
        "frames from one detection of all faces to the next; the cascade looks for new faces twice as often",
        low=1,
        high=300,
        dynamic=True,
    )
    cpu_budget: float = setting(
        0.0,
        "processor time that the process may use, in cores; above it, the interval between detections is "
        "lengthened up to six times; 0: no limit",
        low=0.0,
        high=1024.0,
        dynamic=True,
    )
    detection_threshold: float = setting(
        0.0, "minimum detector score of a face; lower detects more", low=-2.0, high=5.0, dynamic=True
    )
    min_face_px: int = setting(
        40, "width in px of the smallest face to detect (the image is upsampled for it)", low=20, high=1000
    )
    max_face_px: int = setting(
        0,
        "width in px of the largest face to detect (cascade and mmod-torch only); 0: no limit",
        low=0,
        high=10000,
    )
    pyramid_divisor: int = setting(
        6,
        "n, where each pyramid scale has (n - 1) / n of the size of the previous one (mmod-torch only); "
        "6 is dlib's, 4 and 3 are faster and miss more faces",
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
        "boxes of cascade and mmod-torch: averaged with their neighbors (box voting), or exactly dlib's",
        choices=("voted", "dlib"),
    )
    device: str = setting("auto", "device of the detector", choices=DEVICES)
    runtime: str = setting("auto", RUNTIME, choices=("auto", "torch", "onnxruntime"))
    precision: str = setting(
        "auto",
        "numeric precision of cascade and mmod-torch; auto: float32 for stills, faster for video",
        choices=("auto", "float32", "bfloat16"),
    )
    reproducible: bool = setting(
        False,
        "whether detection is synchronous, so that the same images always give the same results; false: the "
        "images of a camera are searched in the background",
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.reproducible and self.cpu_budget:
            raise ConfigurationError(f"cpu_budget must be 0 if reproducible is true, got {self.cpu_budget:g}")


@dataclass(frozen=True, slots=True)
class TrackingConfig(Checked):
    """Settings of the face tracking."""

    max_lost_s: float = setting(
        2.0, "time in s for which a lost face keeps its id", low=0.0, high=60.0, dynamic=True
    )
    coast_s: float = setting(
        0.3,
        "time in s for which a lost face is still published, as not visible",
        low=0.0,
        high=5.0,
        dynamic=True,
    )
    min_iou: float = setting(
        0.25,
        "minimum intersection over union of a tracked face and its detection",
        low=0.01,
        high=1.0,
        dynamic=True,
    )
    confirm_detections: int = setting(
        1, "number of detections before a new face gets an id", low=1, high=10, dynamic=True
    )
    id_prefix: str = setting(
        "",
        "prefix of up to 8 lower-case letters of all ids; different prefixes keep the ids of several cameras "
        "apart",
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
        "", "expected SHA-256 of the file in model, 64 hexadecimal digits; empty: not checked"
    )
    device: str = setting("auto", "device of the smile network", choices=DEVICES)
    runtime: str = setting("auto", RUNTIME, choices=("auto", "torch", "onnxruntime"))
    precision: str = setting(
        "auto",
        "numeric precision of the smile network's convolutions; int8 on the CPU only; auto: "
        "with onnxruntime int8 for video and float32 for stills, with torch bfloat16 if the CPU supports it "
        "natively, else float32",
        choices=("auto", "float32", "bfloat16", "int8"),
    )
    warmup_frames: int = setting(
        5, "frames of a face before its smile is valid", low=1, high=300, dynamic=True
    )
    max_gap_s: float = setting(
        2.0,
        "time in s without a face after which its temporal state is dropped",
        low=0.0,
        high=60.0,
        dynamic=True,
    )
    max_faces: int = setting(
        64, "maximum number of faces scored per frame; the largest are scored", low=1, high=1024
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if not re.fullmatch("([0-9a-fA-F]{64})?", self.model_sha256):
            raise ConfigurationError(f"model_sha256 must be 64 hexadecimal digits, got {self.model_sha256!r}")


@dataclass(frozen=True, slots=True)
class ExplanationConfig(Checked):
    """The explanation of smiles."""

    explain: bool = setting(
        False,
        "report the parts of eyes, cheeks, mouth and the rest in each face's intensity, in videos once a "
        "second",
    )


@dataclass(frozen=True, slots=True)
class GroupConfig(Checked):
    """Settings of the aggregation over the group."""

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
        "exponent of the relative face size in a person's weight; 0: size has no effect",
        low=0.0,
        high=4.0,
        dynamic=True,
    )
    center_weight: float = setting(
        0.5,
        "share of the weight lost at the edge of the group, relative to its center; 0: no effect",
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

    sound: bool = setting(
        False,
        "whether speech and laughter are estimated from sound, for the room and for each face; needs the "
        "extra [sound]",
    )
    sound_level: bool = setting(True, "whether the level of the sound is measured, where a source has sound")

    @property
    def needs_sound(self) -> bool:
        """Whether any estimator is enabled that needs sound, so that sources decode it."""
        return self.sound or self.sound_level


@dataclass(frozen=True, slots=True)
class LaughterConfig(Checked):
    """The network that hears laughter."""

    laughter_model: str = setting(
        "", "file with the weights of a fine-tuned network for laughter; empty: the shipped network"
    )


@dataclass(frozen=True, slots=True)
class AnonymityConfig(Checked):
    """Settings of the anonymous mode."""

    min_group_size: int = setting(
        2,
        "minimum number of people with a valid smile for publishing the group's values in anonymous mode; "
        "of fewer people only their number is published, because the values would be those of single people",
        low=1,
        high=100,
    )


@dataclass(frozen=True, slots=True)
class SceneConfig(Checked):
    """Settings of the scene affect: the group as a whole, without any processing of single people."""

    scene_rate_hz: float = setting(
        5.0, "images per second that the scene affect is estimated from", low=0.1, high=30.0
    )
    scene_image_px: int = setting(
        96,
        "long side in px to which each image is reduced before anything else; smaller: people are recognised "
        "from less far, and the estimate is less certain",
        low=48,
        high=160,
    )
    stale_after_s: float = setting(
        1.0,
        "time in s without an image after which the scene affect is stale",
        low=0.05,
        high=60.0,
        dynamic=True,
    )
    device: str = setting("auto", "device of the scene network", choices=DEVICES)
    runtime: str = setting(
        "auto",
        "library that computes the scene network; onnxruntime (on the CPU): less memory and a faster start; "
        "auto: onnxruntime if it is installed, torch on a GPU",
        choices=("auto", "torch", "onnxruntime"),
    )


@dataclass(frozen=True, slots=True)
class DynamicsConfig(Checked):
    """Settings of the group dynamics: who smiles with whom."""

    dynamics_rate_hz: float = setting(1.0, "rate in Hz of GroupDynamics", low=0.01, high=10.0)
    dynamics_window_s: float = setting(
        30.0,
        "time in s over which the smiles of two people are correlated",
        low=2.0,
        high=300.0,
        dynamic=True,
    )
    max_lag_s: float = setting(
        2.0, "maximum lag in s between the smiles of two people", low=0.0, high=10.0, dynamic=True
    )
    min_overlap: float = setting(
        0.3,
        "share of dynamics_window_s for which both people must be visible",
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
    folder_rate_hz: float = setting(30.0, "frame rate of a folder of images", low=0.01, high=1000.0)
    max_message_bytes: int = setting(
        16 * 1024 * 1024, "size in bytes of the largest TCP message accepted", low=1024, high=1 << 30
    )
    peer_timeout_s: float = setting(
        10.0,
        "time in s in which a TCP peer must deliver a message before it is disconnected",
        low=0.1,
        high=3600.0,
    )
    tcp_token: str = setting(
        "",
        "token that a TCP peer must send, at least 12 letters, digits, - or _, or @FILE with them; required "
        "if other machines can connect; empty: none",
    )
    sample_people: int = setting(5, "people in the sample", low=1, high=16)
    microphone: str = setting("", MICROPHONE)
    sound_rate_hz: int = setting(
        16000, "samples per second to which a source's sound is converted", low=4000, high=192000
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        check_secret("tcp_token", self.tcp_token)


@dataclass(frozen=True, slots=True)
class ReportConfig(Checked):
    """Settings of the report: what counts as a smile, and as shared smiling."""

    smiling_level: int = setting(
        2, "level from which a person counts as smiling (1 Low, 2 Medium, 3 High)", low=1, high=3
    )
    shared_people: int = setting(2, "minimum number of people of a shared smile", low=2, high=100)
    shared_fraction: float = setting(
        0.5, "minimum share of the people with a known smile who smile in a shared smile", low=0.0, high=1.0
    )
    min_smile_s: float = setting(
        0.5, "minimum duration in s of a smile, or a shared smile", low=0.0, high=60.0
    )
    max_pause_s: float = setting(
        0.3, "maximum pause in s within a smile, or a shared smile", low=0.0, high=60.0
    )


@dataclass(frozen=True, slots=True)
class WebConfig(Checked):
    """Settings of the live web page."""

    port: int = setting(8080, "port of the web page; 0: any free port", low=0, high=65535)
    address: str = setting(
        "127.0.0.1",
        "address that the web page listens on; 127.0.0.1: this machine only; 0.0.0.0: all addresses, with "
        "the token",
    )
    token: str = setting(
        "",
        "token that a browser must send, at least 12 letters, digits, - or _, or @FILE; empty: none "
        "on 127.0.0.1, a new random token with every start on other addresses",
    )
    picture: bool = setting(
        False, "whether browsers may request the live image; it shows everybody in it to all of them"
    )
    picture_px: int = setting(960, "maximum longer side in px of the live image", low=64, high=8192)
    rate_hz: float = setting(15.0, "maximum states per second sent to a browser", low=0.5, high=60.0)
    max_clients: int = setting(256, "maximum number of connected browsers", low=1, high=4096)

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        check_secret("token", self.token)


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """All settings of the pipeline."""

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    smile: SmileConfig = field(default_factory=SmileConfig)
    group: GroupConfig = field(default_factory=GroupConfig)
    hearing: HearingConfig = field(default_factory=HearingConfig)
    explanation: ExplanationConfig = field(default_factory=ExplanationConfig)
    scene: SceneConfig = field(default_factory=SceneConfig)
    laughter: LaughterConfig = field(default_factory=LaughterConfig)
