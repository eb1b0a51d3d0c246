"""Processor time of one image: this package against MediaPipe, dlib and OpenCV.

All get the same decoded images in turns, each with one thread where it has a setting for it. A peer that is
not installed, or has no model file, is skipped with the reason; nothing is downloaded.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import torch

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import (
    ConfigurationError,
    DetectionError,
    MissingDependencyError,
    SocialPerceptionError,
)
from social_perception.core.types import Frame, ImageArray
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.pipeline import make_pipeline
from social_perception.research.benchmarks.image_loop import Loop
from social_perception.research.benchmarks.report import Comparison, Ratio
from social_perception.research.benchmarks.stream_without_ros import config_on
from social_perception.research.benchmarks.timing import Candidate, Effort, measure_interleaved
from social_perception.sources.sample import HEIGHT_PX, MAX_PEOPLE, RATE_HZ, WIDTH_PX

OURS, OURS_ALL = "ours, faces", "ours, with ids and smiles"
PEOPLE = (1, 3, 8)
FRAMES = 30
EFFORT = Effort(slice_s=1.0, budget_s=10.0)
"""A turn has several searches of the pipeline, which searches every tenth image."""

Find = Callable[[ImageArray, int], int]
"""Finds the faces in an RGB image (H, W, 3) uint8 with its number in the video; returns how many."""

Make = Callable[[Path | None, ExitStack], Find]
"""Loads a side with its model file, if one was given; what must be closed goes to the stack."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a user would take instead.

    Attributes:
        name: name of its side.
        make: loads it.
        suffix: suffix of its model file; empty: it needs none.
        ours: the side of this package that does the same.
    """

    name: str
    make: Make
    suffix: str = ""
    ours: str = OURS


def peer_models(paths: Sequence[Path]) -> Mapping[str, Path]:
    """Return the model files by suffix.

    Raises:
        ConfigurationError: a file does not exist, or is of a suffix that no peer or another file has.
    """
    suffixes = [peer.suffix for peer in PEERS if peer.suffix]
    models: dict[str, Path] = {}
    for path in paths:
        if path.suffix not in suffixes:
            raise ConfigurationError(f"{path} is not a model of a peer: it must end in {', '.join(suffixes)}")
        if path.suffix in models:
            raise ConfigurationError(f"{path} and {models[path.suffix]} are models of the same peer")
        if not path.is_file():
            raise ConfigurationError(f"{path} cannot be read: it is not a file")
        models[path.suffix] = path
    return models


def compare_peers(
    people: Sequence[int], models: Mapping[str, Path], effort: Effort = EFFORT
) -> Iterator[Comparison]:
    """Measure one image with each number of people of the sample, on one thread of the CPU.

    Args:
        people: numbers of people, 1 to 16.
        models: model files of peers by suffix.
        effort: rounds and time limits, in processor time.
    """
    with one_thread():
        for number in people:
            yield _compare(number, models, effort)


def _compare(people: int, models: Mapping[str, Path], effort: Effort) -> Comparison:
    loop = Loop(people, FRAMES)
    ours = (Peer(OURS, _our_faces), Peer(OURS_ALL, _our_pipeline))
    with ExitStack() as opened:
        searches = [_Search(peer, models.get(peer.suffix), loop, opened) for peer in (*ours, *PEERS)]
        candidates = [Candidate(each.name, each) for each in searches]
        measured = measure_interleaved(candidates, effort, time.process_time)
    sides = {side.name: replace(side, faces=each.faces) for side, each in zip(measured, searches)}
    ratios = (Ratio.of(f"{peer.ours} / {peer.name}", sides[peer.name], sides[peer.ours]) for peer in PEERS)
    widths = [face.box.width for face in loop.truth(0)]
    who = "1 person" if people == 1 else f"{people} people"
    sizes = dict.fromkeys(f"{px:.0f}" for px in (min(widths), max(widths)))  # one if both are equal
    what = f"{who}, {' to '.join(sizes)} px"
    return Comparison("cpu", what, WIDTH_PX * HEIGHT_PX, tuple(sides.values()), tuple(ratios))


class _Search:
    """The search of the next image of the loop; loaded by the first call, which is the warm-up."""

    def __init__(self, peer: Peer, model: Path | None, loop: Loop, opened: ExitStack) -> None:
        self.name = peer.name
        self._load = lambda: peer.make(model, opened)
        self._loop = loop
        self._find: Find | None = None
        self._counts: list[int] = []

    @property
    def faces(self) -> int | None:
        """The median number of faces found."""
        return statistics.median_low(self._counts) if self._counts else None

    def __call__(self) -> None:
        number = len(self._counts)
        try:
            self._find = self._find or self._load()
            self._counts.append(self._find(self._loop[number], number))
        except SocialPerceptionError:
            raise
        except Exception as error:  # whatever a library of others raises costs its own side only
            raise DetectionError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch and OpenCV to one thread."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def _our_faces(model: Path | None, opened: ExitStack) -> Find:
    detector = make_detector(DetectionConfig(device="cpu"), video=True)
    return lambda image, number: len(detector.detect(image))


def _our_pipeline(model: Path | None, opened: ExitStack) -> Find:
    pipeline = opened.enter_context(make_pipeline(config_on("cpu"), live=False))
    return lambda image, number: len(pipeline.process(Frame(image, number / RATE_HZ, number)).faces)


def _dlib(backend: str) -> Make:
    def make(model: Path | None, opened: ExitStack) -> Find:
        detector = make_detector(DetectionConfig(backend=backend, upsample=0))
        return lambda image, number: len(detector.detect(image))

    return make


def _mediapipe_faces(model: Path | None, opened: ExitStack) -> Find:
    mediapipe = _mediapipe()
    if model is None:
        kind = _solutions(mediapipe, ".tflite").face_detection.FaceDetection
        detection = opened.enter_context(kind(model_selection=1))
        return lambda image, number: len(detection.process(image).detections or ())
    vision, base = mediapipe.tasks.vision, mediapipe.tasks.BaseOptions(model_asset_path=str(model))
    options = vision.FaceDetectorOptions(base_options=base)
    detector = opened.enter_context(vision.FaceDetector.create_from_options(options))
    return lambda image, number: len(detector.detect(_mediapipe_image(mediapipe, image)).detections)


def _mediapipe_landmarks(model: Path | None, opened: ExitStack) -> Find:
    mediapipe = _mediapipe()
    if model is None:
        kind = _solutions(mediapipe, ".task").face_mesh.FaceMesh
        mesh = opened.enter_context(kind(max_num_faces=MAX_PEOPLE))
        return lambda image, number: len(mesh.process(image).multi_face_landmarks or ())
    vision, base = mediapipe.tasks.vision, mediapipe.tasks.BaseOptions(model_asset_path=str(model))
    options = vision.FaceLandmarkerOptions(
        base_options=base,
        running_mode=vision.RunningMode.VIDEO,
        num_faces=MAX_PEOPLE,
        output_face_blendshapes=True,
    )
    landmarker = opened.enter_context(vision.FaceLandmarker.create_from_options(options))

    def find(image: ImageArray, number: int) -> int:
        found = landmarker.detect_for_video(
            _mediapipe_image(mediapipe, image), round(1000 * number / RATE_HZ)
        )
        return len(found.face_landmarks)

    return find


def _mediapipe() -> Any:
    try:
        return importlib.import_module("mediapipe")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"{error}: pip install mediapipe") from error


def _mediapipe_image(mediapipe: Any, image: ImageArray) -> Any:
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)


def _solutions(mediapipe: Any, suffix: str) -> Any:
    """Return the older interface, whose package carries the models."""
    if not hasattr(mediapipe, "solutions"):
        raise MissingDependencyError(f"this version of mediapipe carries no model: --peer-model FILE{suffix}")
    return mediapipe.solutions


def _opencv_yunet(model: Path | None, opened: ExitStack) -> Find:
    if model is None:
        raise MissingDependencyError("OpenCV carries no model: --peer-model FILE.onnx")
    detector = cv2.FaceDetectorYN.create(str(model), "", (WIDTH_PX, HEIGHT_PX))

    def find(image: ImageArray, number: int) -> int:
        _, found = detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return 0 if found is None else len(found)

    return find


PEERS = (
    Peer("MediaPipe, faces", _mediapipe_faces, ".tflite"),
    Peer("MediaPipe, landmarks", _mediapipe_landmarks, ".task", OURS_ALL),
    Peer("OpenCV FaceDetectorYN", _opencv_yunet, ".onnx"),
    Peer("dlib, CNN", _dlib("mmod-dlib")),
    Peer("dlib, HOG", _dlib("hog")),
)
