"""This package against other libraries: fakes, and the real ones where they are installed."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from social_perception.core.errors import ConfigurationError
from social_perception.research.benchmarks import peers
from social_perception.research.benchmarks.timing import Effort

ONCE = Effort(rounds=1, slice_s=0.0, budget_s=60.0)
FACES, LANDMARKS, OPENCV, CNN, HOG = (peer.name for peer in peers.PEERS)
drawn_once = functools.cache(peers.Loop)
MODELS = {suffix: Path(f"model{suffix}") for suffix in (".tflite", ".task", ".onnx")}


class FakeTask:
    """A detector of MediaPipe that finds as many faces as its model's name has letters."""

    opened, closed = [], []

    def __init__(self, options):
        self.options, self.stamps_ms = options, []
        self.opened.append(self)

    @classmethod
    def create_from_options(cls, options):
        return cls(options)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.closed.append(self)

    def _found(self, image):
        assert (image.data.shape, image.data.dtype, image.image_format) == ((720, 1280, 3), np.uint8, "srgb")
        return [None] * len(self.options.base_options.model_asset_path)

    def detect(self, image):
        return SimpleNamespace(detections=self._found(image))

    def detect_for_video(self, image, stamp_ms):
        self.stamps_ms.append(stamp_ms)
        return SimpleNamespace(face_landmarks=self._found(image))


class FakeSolution:
    """A detector of MediaPipe's older interface; None stands for no faces."""

    def __init__(self, **options):
        self.options = options

    __enter__, __exit__ = FakeTask.__enter__, lambda *unused: None

    def process(self, image):
        return SimpleNamespace(detections=[None] * 3, multi_face_landmarks=None)


def fake_mediapipe(*, models_inside):
    vision = SimpleNamespace(
        FaceDetector=FakeTask,
        FaceDetectorOptions=SimpleNamespace,
        FaceLandmarker=FakeTask,
        FaceLandmarkerOptions=SimpleNamespace,
        RunningMode=SimpleNamespace(VIDEO="video"),
    )
    fake = SimpleNamespace(
        tasks=SimpleNamespace(vision=vision, BaseOptions=SimpleNamespace),
        Image=SimpleNamespace,
        ImageFormat=SimpleNamespace(SRGB="srgb"),
    )
    if models_inside:
        fake.solutions = SimpleNamespace(
            face_detection=SimpleNamespace(FaceDetection=FakeSolution),
            face_mesh=SimpleNamespace(FaceMesh=FakeSolution),
        )
    return fake


@pytest.fixture
def quick(monkeypatch):
    """Neither dlib's slow CNN nor our networks."""
    without = [peer for peer in peers.PEERS if not peer.name.startswith("dlib")]
    monkeypatch.setattr(peers, "PEERS", tuple(without))
    monkeypatch.setattr(peers, "_our_faces", lambda model, opened: lambda image, number: 1)
    monkeypatch.setattr(peers, "_our_pipeline", lambda model, opened: lambda image, number: 1)
    monkeypatch.setattr(peers, "FRAMES", 2)
    monkeypatch.setattr(peers, "Loop", drawn_once)


def compare(models=(), effort=ONCE):
    (comparison,) = peers.compare_peers([1], dict(models), effort)
    return comparison


def test_peers_that_are_not_installed_are_skipped_with_the_reason(quick, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    comparison = compare()
    assert comparison.what == "1 person, 150 px"
    assert "pip install mediapipe" in comparison.side(FACES).reason
    assert "pip install mediapipe" in comparison.side(LANDMARKS).reason
    assert comparison.side(OPENCV).reason == "OpenCV carries no model: --peer-model FILE.onnx"
    assert comparison.side(peers.OURS).faces == 1
    assert [ratio.value for ratio in comparison.ratios] == [None] * 3


@pytest.mark.parametrize(
    ("models_inside", "given", "faces", "landmarks"),
    [
        (False, (), "this version of mediapipe carries no model: --peer-model FILE.tflite", "FILE.task"),
        (True, (), 3, 0),
        (True, MODELS, len("model.tflite"), len("model.task")),
    ],
)
def test_mediapipe_uses_its_own_models_or_the_files(
    quick, monkeypatch, models_inside, given, faces, landmarks
):
    monkeypatch.setitem(sys.modules, "mediapipe", fake_mediapipe(models_inside=models_inside))
    monkeypatch.setattr(FakeTask, "opened", [])
    monkeypatch.setattr(FakeTask, "closed", [])
    comparison = compare(given)
    for name, expected in ((FACES, faces), (LANDMARKS, landmarks)):
        side = comparison.side(name)
        if isinstance(expected, int):
            assert (side.faces, side.reason) == (expected, "")
        else:
            assert expected in side.reason
    assert FakeTask.closed == FakeTask.opened[::-1]
    if given:
        options, stamps_ms = FakeTask.opened[1].options, FakeTask.opened[1].stamps_ms
        assert (options.running_mode, options.num_faces) == ("video", peers.MAX_PEOPLE)
        assert options.output_face_blendshapes is True
        assert stamps_ms == [0, 33]


def test_opencv_gets_its_colors_and_the_size(quick, monkeypatch):
    class Detector:
        def detect(self, image):
            shown.append(image[0, 0].tolist())
            return 1, (None if len(shown) == 1 else np.zeros((4, 15), np.float32))

    shown, made = [], []
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    monkeypatch.setattr(
        cv2, "FaceDetectorYN", SimpleNamespace(create=lambda *given: (made.append(given), Detector())[1])
    )
    assert compare(MODELS).side(OPENCV).faces == 0  # the lower of no face and four
    assert made == [("model.onnx", "", (1280, 720))]
    assert shown[0] == peers.Loop(1, 2)[0][0, 0, ::-1].tolist()


def test_a_failing_peer_costs_its_own_side_only(quick, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", SimpleNamespace(solutions=None))
    comparison = compare()
    assert comparison.side(FACES).reason.startswith("AttributeError: ")
    assert comparison.side(peers.OURS).seconds is not None


def test_ratios_compare_processor_time_with_the_side_that_does_the_same(quick, monkeypatch):
    clock = SimpleNamespace(now_s=0.0)

    def costing(seconds):
        def find(image, number):
            clock.now_s += seconds
            return 1

        return lambda model, opened: find

    monkeypatch.setattr(peers, "_our_faces", costing(2.0))
    monkeypatch.setattr(peers, "_our_pipeline", costing(4.0))
    both = (peers.Peer("a", costing(1.0)), peers.Peer("b", costing(6.0), ours=peers.OURS_ALL))
    monkeypatch.setattr(peers, "PEERS", both)
    monkeypatch.setattr(peers.time, "process_time", lambda: clock.now_s)
    ratios = [(ratio.name, ratio.value) for ratio in compare().ratios]
    assert ratios == [("ours, faces / a", 0.5), (f"{peers.OURS_ALL} / b", 1.5)]


def test_threads_are_as_before_afterwards(quick):
    before = peers.torch.get_num_threads(), cv2.getNumThreads()
    peers.torch.set_num_threads(2)
    cv2.setNumThreads(2)
    try:
        for _ in peers.compare_peers([1], {}, ONCE):
            assert (peers.torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
        assert (peers.torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)
    finally:
        peers.torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_models_are_checked_before_the_work(tmp_path):
    for name in ("a.task", "b.task", "c.pb"):
        (tmp_path / name).touch()
    assert peers.peer_models([tmp_path / "a.task"]) == {".task": tmp_path / "a.task"}
    for names, message in [
        (["c.pb"], "must end in .tflite, .task, .onnx"),
        (["a.task", "b.task"], "are models of the same peer"),
        (["missing.onnx"], "is not a file"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            peers.peer_models([tmp_path / name for name in names])


@pytest.mark.parametrize(
    ("package", "names"), [("dlib", (HOG,)), ("mediapipe", (FACES,))], ids=["dlib", "mediapipe"]
)
def test_real_peers_and_ours_find_the_person(package, names, monkeypatch):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    if package == "mediapipe" and not hasattr(pytest.importorskip(package), "solutions"):
        pytest.skip("this version of mediapipe carries no model")
    monkeypatch.setattr(peers, "PEERS", tuple(peer for peer in peers.PEERS if peer.name in names))
    monkeypatch.setattr(peers, "FRAMES", 2)
    comparison = compare()
    for side in comparison.sides:
        assert (side.faces, side.reason) == (1, "")
    assert all(ratio.value > 0 for ratio in comparison.ratios)
