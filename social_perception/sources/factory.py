"""Opens the source that a specification on the command line names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from social_perception.core.config import SourceConfig
from social_perception.core.errors import SourceError
from social_perception.core.settings import from_mapping
from social_perception.sources.bag_names import is_bag
from social_perception.sources.image_folder import ImageFolderSource
from social_perception.sources.images import is_animation, is_image
from social_perception.sources.source import Source

_CAMERA = re.compile(r"(?:/dev/video)?(\d{1,3})")
_TOPIC = "?topic="
_KINDS = "a camera index, a video file, a folder of images, tcp://HOST:PORT, a bag, or sample"


def open_source(
    spec: str, config: SourceConfig | None = None, *, sound: bool = False, microphone: bool = False
) -> Source:
    """Open a source.

    Args:
        spec: ``0`` or ``/dev/video0`` (a camera), ``tcp://HOST:PORT`` (listen there), ``sample`` or
            ``sample?people=8``, a folder of images, an image, a video file, or a bag (a rosbag2 folder,
            an .mcap, .db3 or .bag file), optionally with the topic: ``BAG?topic=/camera/image_raw``.
        config: settings; None: the defaults.
        sound: whether the frames' sound is requested, where the source has any.
        microphone: whether a camera's frames have the sound of a microphone, and those of the sample theirs.

    Raises:
        SourceError: there is no such source or microphone, or it cannot be opened.
        MissingDependencyError: the source needs a package that is not installed.
    """
    config = config or SourceConfig()
    camera = _CAMERA.fullmatch(spec)
    if camera:
        return _open_camera(int(camera[1]), config, microphone=microphone)
    if spec.startswith("tcp://"):
        from social_perception.sources.tcp import TcpSource
        from social_perception.sources.tcp_protocol import parse_address

        return TcpSource(parse_address(spec), config)
    if re.fullmatch(r"sample(\?.*)?", spec):
        return _open_sample(spec, config, sound_rate_hz=config.sound_rate_hz if microphone else None)
    if "://" in spec and not os.path.exists(spec):
        raise SourceError(f"{spec} is no source; sources are {_KINDS}")
    # A name may contain anything: what exists is meant as it is.
    place, _, topic = (spec, "", "") if os.path.exists(spec) else spec.partition(_TOPIC)
    path = Path(place if os.path.exists(place) else os.path.expanduser(place))
    if not os.path.exists(path):
        raise SourceError(f"{place} does not exist; a source is {_KINDS}")
    return open_recording(path, topic, config, sound=sound)


def _open_camera(index: int, config: SourceConfig, *, microphone: bool) -> Source:
    from social_perception.sources.camera import CameraSource

    camera = CameraSource(index, config)
    if not microphone:
        return camera
    from social_perception.sources.microphone import Microphone, WithMicrophone

    try:
        return WithMicrophone(camera, Microphone(config.microphone, config.sound_rate_hz))
    except BaseException:
        camera.close()
        raise


def _open_sample(spec: str, config: SourceConfig, sound_rate_hz: int | None) -> Source:
    from social_perception.sources.sample import SampleSource

    match = re.fullmatch(r"sample(?:\?people=(\d+))?", spec)
    if match is None:
        raise SourceError(f"{spec} is no source; write sample or sample?people=8")
    if match[1]:
        config = from_mapping(SourceConfig, {"sample_people": int(match[1])})
    return SampleSource(people=config.sample_people, sound_rate_hz=sound_rate_hz)


def open_recording(path: Path, topic: str, config: SourceConfig, *, sound: bool) -> Source:
    """Open a video, an animated image, an image, a folder of images, or a bag; its content decides.

    Args:
        path: of the file or folder.
        topic: of the images in a bag; empty: the first.
        config: settings.
        sound: whether the frames' sound is requested.

    Raises:
        SourceError: it cannot be read.
        MissingDependencyError: a bag needs rosbags, which is not installed.
    """
    if os.path.exists(path) and not path.is_file() and not path.is_dir():
        raise SourceError(f"{path} is neither a file nor a folder")
    sound_rate_hz = config.sound_rate_hz if sound else None
    if is_bag(path):
        from social_perception.sources.bag import BagSource

        return BagSource(path, topic, sound_rate_hz)
    if topic:
        raise SourceError(f"{path} is no bag: it has no topics")
    if is_animation(path):
        from social_perception.sources.animation import AnimationSource

        return AnimationSource(path)
    if path.is_dir() or is_image(path):
        return ImageFolderSource(path, config.folder_rate_hz)
    from social_perception.sources.video import VideoSource

    return VideoSource(path, sound_rate_hz)


def with_topic(spec: str, topic: str | None) -> str:
    """The source that is this topic of a bag; without a topic the source as it is."""
    return spec if topic is None else f"{spec}{_TOPIC}{topic}"


def default_source(config: SourceConfig | None = None) -> str:
    """The first camera (``0``) if it really delivers an image, else ``sample``."""
    from social_perception.sources.camera import camera_works

    return "0" if camera_works(0, config or SourceConfig()) else "sample"
