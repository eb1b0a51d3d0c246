"""Settings that only the nodes have, in the style of :mod:`social_perception.core.config`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from social_perception.core.config import Checked, setting
from social_perception.core.errors import ConfigurationError
from social_perception.ros.support.load import Limits
from social_perception.views.traces import DEFAULT_SPAN_S


@dataclass(frozen=True, slots=True)
class NodeConfig(Checked):
    """What every node of the package has."""

    autostart: bool = setting(
        True, "whether the node configures and activates itself; false: a lifecycle manager does"
    )
    silent_after_s: float = setting(
        2.0,
        "time in s without a message after which the input is reported silent",
        low=0.1,
        high=3600.0,
        dynamic=True,
    )
    diagnostics_period_s: float = setting(
        1.0, "time in s from one message on /diagnostics to the next", low=0.1, high=60.0
    )
    warn_dropped_share: float = setting(
        Limits().dropped_share,
        "share of the messages of the last 5 s, dropped or lost, above which /diagnostics warns that the "
        "node falls behind; 1: never",
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    warn_age_s: float = setting(
        Limits().age_s,
        "median age in s of the results of the last 5 s, since the header stamp, above which /diagnostics "
        "warns that the node falls behind",
        low=0.01,
        high=3600.0,
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class ImageInputConfig(Checked):
    """How the camera's images are subscribed."""

    reliability: str = setting(
        "auto",
        "reliability of the image subscription; auto: best effort, which any publisher suits, until "
        "all publishers turn out to be reliable",
        choices=("auto", "best_effort", "reliable"),
    )
    image_transport: str = setting(
        "raw",
        "raw: sensor_msgs/Image on image; compressed: sensor_msgs/CompressedImage on image/compressed",
        choices=("raw", "compressed"),
    )


@dataclass(frozen=True, slots=True)
class DepthConfig(Checked):
    """Whether and how faces get a 3-D position."""

    use_depth: bool = setting(
        True,
        "whether depth (sensor_msgs/Image of 16UC1 in mm or 32FC1 in m, aligned with image) and camera_info "
        "are subscribed, so that faces get a position in m while depth comes",
    )
    max_depth_age_s: float = setting(
        0.25,
        "longest time in s between the stamps of an image and of the depth image that is taken for it; the "
        "nearest one is, and where depth comes after its image, that is the one of the image before",
        low=0.0,
        high=5.0,
        dynamic=True,
    )
    rectified: bool = setting(
        False,
        "whether image is rectified, so that P of camera_info is the camera's matrix instead of K",
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class TrackedFacesConfig(Checked):
    """What face_tracker publishes beside the faces' places."""

    publish_crops: bool = setting(
        False,
        "whether tracked_faces carries the face crops, for a smile_intensity in another process, ros4hri's "
        "pictures or a recording; in one process they are handed over without a topic",
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class OverlayConfig(Checked):
    """What affect_overlay draws, and how long it waits for what belongs together."""

    show_header: bool = setting(True, "whether the group's figures are written along the top", dynamic=True)
    show_legend: bool = setting(True, "whether the colours are explained in the picture", dynamic=True)
    show_traces: bool = setting(
        True, "whether each face has a trace of its intensity in the last seconds", dynamic=True
    )
    trace_s: float = setting(
        DEFAULT_SPAN_S, "time in s that the traces go back", low=0.5, high=60.0, dynamic=True
    )
    blur_faces: bool = setting(
        False,
        "whether the faces that are found are hidden, and a whole picture where it is not known who is in it",
    )
    jpeg_quality: int = setting(80, "quality of affect_overlay/compressed", low=1, high=100, dynamic=True)
    max_wait_s: float = setting(
        1.0,
        "time in s, by the stamps, for which an image waits for its results; after that it is shown "
        "without, with a warning",
        low=0.05,
        high=10.0,
        dynamic=True,
    )
    max_group_age_s: float = setting(
        1.0,
        "age in s up to which the group's figures are shown with an image",
        low=0.0,
        high=60.0,
        dynamic=True,
    )
    max_memory_mb: int = setting(
        256, "memory in MB for the images that wait for their results", low=1, high=16384
    )


@dataclass(frozen=True, slots=True)
class DashboardConfig(Checked):
    """Of whom affect_dashboard's page tells."""

    anonymous: bool = setting(
        False, "whether the page shows the group alone, for which group_affect is all that is subscribed"
    )


@dataclass(frozen=True, slots=True)
class MarkersConfig(Checked):
    """Where affect_markers draws, and how large."""

    plane_distance_m: float = setting(
        1.5,
        "without depth: distance in m (z) of the plane on which the faces are drawn",
        low=0.1,
        high=100.0,
        dynamic=True,
    )
    horizontal_fov_deg: float = setting(
        69.0,
        "horizontal field of view in degrees that is assumed until camera_info comes (69: RealSense D435)",
        low=5.0,
        high=170.0,
        dynamic=True,
    )
    text_height_m: float = setting(0.05, "height in m of the letters", low=0.005, high=1.0, dynamic=True)
    marker_lifetime_s: float = setting(
        1.0,
        "time in s for which a marker stays when no newer one comes; longer than from one image to the next",
        low=0.1,
        high=60.0,
        dynamic=True,
    )


_NAMESPACE = re.compile(r"/?[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class TrackersConfig(Checked):
    """Whose faces smile_intensity scores."""

    trackers: tuple[str, ...] = setting(
        ("",),
        "namespaces of the face_trackers whose faces are scored, those of all cameras as one batch; of each, "
        "NAMESPACE/tracked_faces is taken and NAMESPACE/face_affect published; a relative name lies in the "
        "node's own namespace, which an empty one stands for",
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if not self.trackers or len(set(self.trackers)) != len(self.trackers):
            raise ConfigurationError(f"trackers must be different namespaces, got {list(self.trackers)}")
        for name in self.trackers:
            if name and not _NAMESPACE.fullmatch(name):
                raise ConfigurationError(f"trackers must be namespaces such as left, got {name!r}")


@dataclass(frozen=True, slots=True)
class HumansConfig(Checked):
    """Where ROS4HRI's topics lie."""

    humans: str = setting(
        "/humans", "namespace of ROS4HRI (REP-155); a relative name lies in the node's own namespace"
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if not _NAMESPACE.fullmatch(self.humans):
            raise ConfigurationError(f"humans must be a topic's name such as /humans, got {self.humans!r}")


@dataclass(frozen=True, slots=True)
class Ros4HriConfig(Checked):
    """What ros4hri publishes."""

    publish_faces: bool = setting(
        True,
        "whether tracked and each face's roi are published; false: another ROS4HRI node detects the faces, "
        "and only expression and facs are added to them",
    )
    publish_cropped: bool = setting(
        False, "whether each face's picture is published, too, to those who subscribe it"
    )
    cropped_size_px: int = setting(
        128, "width and height in px of the pictures (128 is REP-155's default)", low=16, high=1024
    )


@dataclass(frozen=True, slots=True)
class Ros4HriFacesConfig(Checked):
    """How ros4hri_faces makes the faces of another ROS4HRI node into ours."""

    crops: str = setting(
        "cropped",
        "where the crops come from: the faces' own cropped pictures, which end at the face's box, or the "
        "camera's image, from which they are cut as face_tracker does",
        choices=("cropped", "image"),
    )
    crop_margin: float = setting(
        1.1,
        "side of the crop as a multiple of the longer side of the other detector's box; 1.1 suits "
        "hri_face_detect, 1.25 boxes like ours",
        low=1.0,
        high=3.0,
        dynamic=True,
    )
    wait_s: float = setting(
        0.1,
        "time in s for which messages of one stamp wait for those that are missing",
        low=0.0,
        high=5.0,
    )
    kept_images: int = setting(
        15, "images that are kept until the faces found in them arrive (crops: image)", low=1, high=120
    )
    faces_reliability: str = setting(
        "reliable",
        "reliability with which the faces' topics are subscribed",
        choices=("reliable", "best_effort"),
    )
    assumed_width_px: int = setting(
        640, "width in px of the source image until camera_info or an image comes", low=1, high=65535
    )
    assumed_height_px: int = setting(
        480, "height in px of the source image until camera_info or an image comes", low=1, high=65535
    )


@dataclass(frozen=True, slots=True)
class GreeterConfig(Checked):
    """When the example greeter greets."""

    greeting: str = setting("Hello! You look happy.", "what is published on the topic greeting")
    smile_s: float = setting(
        1.0, "time in s for which the group must smile to be greeted", low=0.0, high=60.0
    )
    smiling_on: float = setting(0.5, "share of the people from which the group smiles", low=0.0, high=1.0)
    smiling_off: float = setting(
        0.3, "share of the people below which it smiles no more; not above smiling_on", low=0.0, high=1.0
    )
    absence_s: float = setting(
        3.0, "time in s for which nobody must be seen for the group to have left", low=0.0, high=3600.0
    )
    cooldown_s: float = setting(
        60.0, "time in s after which a group that stayed may be greeted again", low=0.0, high=86400.0
    )
    tick_rate_hz: float = setting(10.0, "rate in Hz at which the tree is ticked", low=1.0, high=100.0)
