"""Check which packages and devices are installed, how to get missing ones, and process a test frame."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import util

from social_perception import __version__
from social_perception.core.config import DetectionConfig
from social_perception.core.errors import SocialPerceptionError

_PEOPLE = 5


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: of the package, device or step.
        status: ``ok``, ``missing`` or ``failed``.
        detail: a version, a figure, or the error.
        remedy: how to install it; empty where nothing is to be done.
        needed: whether the package requires it.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""
    needed: bool = False


@dataclass(frozen=True, slots=True)
class _Package:
    """A Python package: its module, its purpose, its name on PyPI and its rosdep key."""

    module: str
    purpose: str
    pip: str
    rosdep: str = ""
    needed: bool = False


_PACKAGES = (
    _Package("numpy", "arrays", "numpy", "python3-numpy", needed=True),
    _Package("cv2", "image processing, cameras", "opencv-python-headless", "python3-opencv", needed=True),
    _Package("scipy", "tracking", "scipy", "python3-scipy", needed=True),
    _Package("torch", "the networks", "torch", needed=util.find_spec("onnxruntime") is None),
    _Package("onnxruntime", "the networks without torch", "onnxruntime"),
    _Package("safetensors", "the networks' weights", "safetensors", needed=True),
    _Package("PIL", "still images, TCP stream", "pillow", "python3-pil", needed=True),
    _Package("av", "video files", "av"),
    _Package("tqdm", "progress bars", "tqdm", "python3-tqdm"),
    _Package("rich", "the live table", "rich", "python3-rich"),
    _Package("matplotlib", "plots", "matplotlib", "python3-matplotlib"),
    _Package("pympi", "ELAN files", "pympi-ling"),
    _Package("rosbags", "bags without ROS", "rosbags"),
    _Package("silero_vad", "speech in sound", "silero-vad"),
    _Package("sounddevice", "the microphone (and apt install libportaudio2)", "sounddevice"),
    _Package("dlib", "detector backends mmod-dlib and hog", "dlib-bin"),
    _Package("lightning", "training", "lightning"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(options: argparse.Namespace) -> int:
    checks = tuple(_checks())
    works = all(check.status == "ok" for check in checks if check.needed)
    if options.json:
        print(json.dumps({"works": works, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            print(_line(check))
        print("The core works." if works else "The core does not work: see the lines marked with !!.")
    return 0 if works else 1


def _line(check: Check) -> str:
    mark = "ok" if check.status == "ok" else "!!" if check.needed else "--"
    remedy = f" -> {check.remedy}" if check.remedy and check.status != "ok" else ""
    return f"{mark}  {check.name:<22} {check.detail}{remedy}"


def _checks() -> Iterator[Check]:
    yield Check("social_perception", "ok", __version__)
    yield Check("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in _PACKAGES:
        yield _package(package)
    for check in (_device, _ros, _messages, _cv_bridge, _camera, _test_frame):
        yield check()


def _package(package: _Package) -> Check:
    remedy = f"pip install {package.pip}" + (f" (rosdep: {package.rosdep})" if package.rosdep else "")
    try:
        module = importlib.import_module(package.module)
    except ImportError:
        return Check(package.module, "missing", f"for {package.purpose}", remedy, package.needed)
    # A package built for another numpy, or without one of its libraries, raises any error.
    except Exception as error:
        return Check(package.module, "failed", _short(error), remedy, package.needed)
    version = getattr(module, "__version__", None) or _distribution_version(package.pip.split()[0])
    return Check(package.module, "ok", f"{version}, for {package.purpose}", needed=package.needed)


def _distribution_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "installed"


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _guarded(name: str, run: Callable[[], str], remedy: str, *, needed: bool = False) -> Check:
    """A check from a function that returns a detail or raises."""
    try:
        return Check(name, "ok", run(), needed=needed)
    except ImportError as error:
        return Check(name, "missing", _short(error), remedy, needed)
    # Any error is a result of the check.
    except Exception as error:
        return Check(name, "failed", _short(error), remedy, needed)


def _device() -> Check:
    def run() -> str:
        from social_perception.perception.onnx_network import uses_onnxruntime

        if uses_onnxruntime(DetectionConfig()):
            return "cpu, by onnxruntime (no GPU found)"
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            return f"cuda: {torch.cuda.get_device_name(0)}"
        return f"cpu, {torch.get_num_threads()} threads (no CUDA device found)"

    return _guarded("device", run, "pip install torch", needed=True)


def _ros() -> Check:
    def run() -> str:
        importlib.import_module("rclpy")
        return os.environ.get("ROS_DISTRO", "rclpy found, ROS_DISTRO not set")

    return _guarded("ROS 2", run, "source /opt/ros/DISTRO/setup.bash, or run make setup and . ./env.sh")


def _messages() -> Check:
    def run() -> str:
        importlib.import_module("social_perception.msg")
        return "built"

    return _guarded("messages", run, "colcon build, then source install/setup.bash")


def _cv_bridge() -> Check:
    def run() -> str:
        importlib.import_module("cv_bridge")
        return "found"

    return _guarded("cv_bridge", run, "for rare image encodings: apt install ros-DISTRO-cv-bridge")


def _camera() -> Check:
    def run() -> str:
        from social_perception.core.config import SourceConfig
        from social_perception.core.errors import SourceError
        from social_perception.sources.camera import camera_works

        if not camera_works(0, SourceConfig()):
            raise SourceError("camera 0 is missing or delivers no image")
        return "camera 0 delivers images"

    return _guarded("camera", run, "connect one; the user must be in the group video")


def _test_frame() -> Check:
    def run() -> str:
        from social_perception.core.config import PipelineConfig
        from social_perception.perception.pipeline import make_pipeline
        from social_perception.sources.sample import SampleSource

        with SampleSource(people=_PEOPLE) as source, make_pipeline(PipelineConfig(), live=False) as pipeline:
            begun_s = time.perf_counter()
            first = pipeline.process(next(source))
            detected_s = time.perf_counter()
            pipeline.process(next(source))
            done_s = time.perf_counter()
        if not first.faces:
            raise SocialPerceptionError(f"no face was found in an image with {_PEOPLE}")
        return (
            f"{len(first.faces)} of {_PEOPLE} faces in 1280x720; {1000 * (detected_s - begun_s):.0f} ms with "
            f"detection (the first is the slowest), {1000 * (done_s - detected_s):.0f} ms without"
        )

    return _guarded("test frame", run, "", needed=True)
