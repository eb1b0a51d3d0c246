"""Settings of the nodes only, declared as in :mod:`social_perception.core.settings`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from social_perception.core.config import MICROPHONE
from social_perception.core.errors import ConfigurationError
from social_perception.core.settings import Checked, setting
from social_perception.ros.support.load import Limits
from social_perception.views.traces import DEFAULT_SPAN_S


@dataclass(frozen=True, slots=True)
class NodeConfig(Checked):
    """Settings of every managed node."""

    autostart: bool = setting(
        True, "whether the node configures and activates itself; false: a lifecycle manager does it"
    )
    silent_after_s: float = setting(
        2.0,
        "time in s without a message after which the input is reported silent",
        low=0.1,
        high=3600.0,
        dynamic=True,
    )
    diagnostics_period_s: float = setting(
        1.0, "period in s of the messages on /diagnostics", low=0.1, high=60.0
    )
    warn_dropped_share: float = setting(
        Limits().dropped_share,
        "fraction of dropped or lost messages in the last 5 s above which /diagnostics warns that the node "
        "is falling behind; 1: never",
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    warn_age_s: float = setting(
        Limits().age_s,
        "median age in s of the results of the last 5 s (time since the header stamp) above which "
        "/diagnostics warns that the node is falling behind",
        low=0.01,
        high=3600.0,
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class ImageInputConfig(Checked):
    """The subscription to the camera's images."""

    reliability: str = setting(
        "auto",
        "reliability of the image subscription; auto: reliable if all publishers are, otherwise best effort, "
        "which is compatible with any publisher",
        choices=("auto", "best_effort", "reliable"),
    )
    image_transport: str = setting(
        "raw",
        "raw: sensor_msgs/Image on image; compressed: sensor_msgs/CompressedImage on image/compressed",
        choices=("raw", "compressed"),
    )


@dataclass(frozen=True, slots=True)
class SoundConfig(Checked):
    """Whether a node uses the sound."""

    sound: bool = setting(
        False, "whether the node subscribes to sound_events, so that who speaks and laughs is estimated"
    )


@dataclass(frozen=True, slots=True)
class SceneSoundConfig(Checked):
    """Whether scene_affect uses sound."""

    sound: bool = setting(False, "whether sound is used beside the images")


@dataclass(frozen=True, slots=True)
class SoundInputConfig(Checked):
    """Where sound_events and scene_affect get their sound from."""

    audio_source: str = setting(
        "microphone",
        "source of the sound: the microphone of this machine, or the topic audio with audio_common_msgs "
        "AudioData or AudioDataStamped",
        choices=("microphone", "topic"),
    )
    microphone: str = setting("", MICROPHONE)


@dataclass(frozen=True, slots=True)
class DepthConfig(Checked):
    """Positions of faces from depth images."""

    use_depth: bool = setting(
        True,
        "whether the node subscribes to depth (sensor_msgs/Image, 16UC1 in mm or 32FC1 in m, aligned with "
        "image) and camera_info, so that faces have a position in m while depth is available",
    )
    max_depth_age_s: float = setting(
        0.25,
        "maximum difference in s between the stamps of an image and of the depth image used for it, which is "
        "the nearest one received so far",
        low=0.0,
        high=5.0,
        dynamic=True,
    )
    rectified: bool = setting(
        False,
        "whether image is rectified, so that the camera matrix is P of camera_info instead of K",
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class TrackedFacesConfig(Checked):
    """Optional content of tracked_faces."""

    publish_crops: bool = setting(
        False,
        "whether tracked_faces contains the face crops, for smile_intensity in another process, for the face "
        "images of ros4hri or for a recording; within one process no topic is needed",
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class OverlayConfig(Checked):
    """What affect_overlay draws, and how it matches images and results."""

    show_header: bool = setting(True, "whether the group's values are shown along the top", dynamic=True)
    show_legend: bool = setting(True, "whether a legend of the colours is shown", dynamic=True)
    show_traces: bool = setting(
        True, "whether each face has a plot of its intensity over the last seconds", dynamic=True
    )
    trace_s: float = setting(
        DEFAULT_SPAN_S, "time span in s of these plots", low=0.5, high=60.0, dynamic=True
    )
    blur_faces: bool = setting(
        False,
        "whether detected faces are blurred, and the whole image while the detections are missing",
    )
    jpeg_quality: int = setting(
        80, "JPEG quality of affect_overlay/compressed", low=1, high=100, dynamic=True
    )
    max_wait_s: float = setting(
        1.0,
        "time in s, by the stamps, for which an image waits for its results; afterwards it is published "
        "without them, with a warning",
        low=0.05,
        high=10.0,
        dynamic=True,
    )
    max_group_age_s: float = setting(
        1.0,
        "maximum age in s of the group's values that are shown with an image",
        low=0.0,
        high=60.0,
        dynamic=True,
    )
    max_memory_mb: int = setting(
        256, "maximum memory in MB of the images that wait for their results", low=1, high=16384
    )


@dataclass(frozen=True, slots=True)
class DashboardConfig(Checked):
    """Whose values affect_dashboard's page shows."""

    anonymous: bool = setting(
        False, "whether the page shows the group only; the node then subscribes to group_affect alone"
    )
    group_only: bool = setting(
        False, "whether the page shows the scene affect only; the node then subscribes to scene_affect alone"
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.anonymous and self.group_only:
            raise ConfigurationError("anonymous must be false if group_only is true")


@dataclass(frozen=True, slots=True)
class MarkersConfig(Checked):
    """Positions and sizes of the markers of affect_markers."""

    plane_distance_m: float = setting(
        1.5,
        "distance in m (z) of the plane on which faces without a position are drawn",
        low=0.1,
        high=100.0,
        dynamic=True,
    )
    horizontal_fov_deg: float = setting(
        69.0,
        "horizontal field of view in degrees assumed until camera_info is received (69: RealSense D435)",
        low=5.0,
        high=170.0,
        dynamic=True,
    )
    text_height_m: float = setting(0.05, "height in m of the text", low=0.005, high=1.0, dynamic=True)
    marker_lifetime_s: float = setting(
        1.0,
        "lifetime in s of a marker without a newer one; longer than the period of the images",
        low=0.1,
        high=60.0,
        dynamic=True,
    )


_NAMESPACE = re.compile(r"/?[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class TrackersConfig(Checked):
    """The face_trackers whose faces smile_intensity scores."""

    trackers: tuple[str, ...] = setting(
        ("",),
        "namespaces of the face_trackers whose faces are scored, all in one batch; the node subscribes to "
        "NAMESPACE/tracked_faces and publishes NAMESPACE/face_affect for each; relative names are resolved "
        "in the node's own namespace, and an empty name stands for it",
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if not self.trackers or len(set(self.trackers)) != len(self.trackers):
            raise ConfigurationError(f"trackers must be distinct namespaces, got {list(self.trackers)}")
        for name in self.trackers:
            if name and not _NAMESPACE.fullmatch(name):
                raise ConfigurationError(f"trackers must be namespaces such as left, got {name!r}")


@dataclass(frozen=True, slots=True)
class HumansConfig(Checked):
    """The namespace of ROS4HRI's topics."""

    humans: str = setting(
        "/humans", "namespace of ROS4HRI (REP-155); a relative name is resolved in the node's own namespace"
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if not _NAMESPACE.fullmatch(self.humans):
            raise ConfigurationError(f"humans must be a namespace such as /humans, got {self.humans!r}")


@dataclass(frozen=True, slots=True)
class Ros4HriConfig(Checked):
    """The topics that ros4hri publishes."""

    publish_faces: bool = setting(
        True,
        "whether tracked and the roi of each face are published; false: another ROS4HRI node detects the "
        "faces, and only their expression and facs are published",
    )
    publish_cropped: bool = setting(
        False, "whether the image of each face is published while its topic has a subscriber"
    )
    cropped_size_px: int = setting(
        128, "width and height in px of these images (128 is the default of REP-155)", low=16, high=1024
    )


@dataclass(frozen=True, slots=True)
class Ros4HriFacesConfig(Checked):
    """How ros4hri_faces converts the faces of another ROS4HRI node."""

    crops: str = setting(
        "cropped",
        "source of the crops: the cropped image of each face, which ends at the face's box, or the camera's "
        "image, as in face_tracker",
        choices=("cropped", "image"),
    )
    crop_margin: float = setting(
        1.1,
        "side of the crop as a multiple of the longer side of the other detector's box: 1.1 for "
        "hri_face_detect, 1.25 for boxes like those of face_tracker",
        low=1.0,
        high=3.0,
        dynamic=True,
    )
    wait_s: float = setting(
        0.1,
        "time in s for which the messages of a stamp wait for missing ones",
        low=0.0,
        high=5.0,
    )
    kept_images: int = setting(
        15, "number of images kept until the faces detected in them arrive (crops: image)", low=1, high=120
    )
    faces_reliability: str = setting(
        "reliable",
        "reliability of the subscriptions to the topics of the faces",
        choices=("reliable", "best_effort"),
    )
    assumed_width_px: int = setting(
        640, "width in px of the source image until camera_info or an image is received", low=1, high=65535
    )
    assumed_height_px: int = setting(
        480, "height in px of the source image until camera_info or an image is received", low=1, high=65535
    )


@dataclass(frozen=True, slots=True)
class GreeterConfig(Checked):
    """When the example node greeter publishes a greeting."""

    greeting: str = setting("Hello! You look happy.", "text that is published on the topic greeting")
    smile_s: float = setting(
        1.0, "time in s for which the group must smile before it is greeted", low=0.0, high=60.0
    )
    smiling_on: float = setting(
        0.5, "fraction of smiling people from which the group counts as smiling", low=0.0, high=1.0
    )
    smiling_off: float = setting(
        0.3, "fraction below which it no longer counts as smiling; at most smiling_on", low=0.0, high=1.0
    )
    absence_s: float = setting(
        3.0, "time in s without people after which the group has left", low=0.0, high=3600.0
    )
    cooldown_s: float = setting(
        60.0, "time in s after which a group that has not left may be greeted again", low=0.0, high=86400.0
    )
    tick_rate_hz: float = setting(10.0, "rate in Hz at which the tree is ticked", low=1.0, high=100.0)
