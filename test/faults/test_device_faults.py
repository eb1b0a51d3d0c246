"""A GPU that runs out of memory or vanishes in the middle of a run: the pipeline goes on, on the CPU.

The GPU is played by the CPU: networks that are sent to ``cuda`` stay where they are, and fail when a
test wants it, where a real GPU would: in the network's call.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch

from social_perception.cli.main import main
from social_perception.core.config import DetectionConfig, PipelineConfig, SmileConfig
from social_perception.core.errors import ConfigurationError, DetectionError, ModelError
from social_perception.core.types import Box, Frame, FrameAffect, ImageArray, Smile, Track
from social_perception.perception.detection.cascade import CascadeDetector
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.network import MmodNetwork
from social_perception.perception.detection.yunet_network import YuNet
from social_perception.perception.pipeline import Pipeline, make_pipeline
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.networks import SmileNetwork
from social_perception.perception.smile.streaming import StreamingScorer

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the manual")
LOST = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")
CUDNN = RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")
GONE = getattr(torch, "AcceleratorError", RuntimeError)("CUDA error: no CUDA-capable device is detected")
FRAMES = 16
WARMUP = 4


class Gpu:
    """Plays a GPU.

    Attributes:
        fails: is asked in each call of a network that is there, with the network, its batch and the
            number of the network's calls so far; what it returns is raised.
        placing: raised when a network is sent there.
        emptied: how often its cache was emptied.
    """

    def __init__(self) -> None:
        self.fails: Callable[[torch.nn.Module, int, int], Exception | None] = lambda *_: None
        self.placing: Exception | None = None
        self.emptied = 0
        self._calls: dict[type, int] = {}

    def empty_cache(self) -> None:
        self.emptied += 1

    def place(self, network: torch.nn.Module) -> None:
        if self.placing is not None:
            raise self.placing
        network.is_on_gpu = True

    def work(self, network: torch.nn.Module, batch: int) -> None:
        if not getattr(network, "is_on_gpu", False):
            return
        self._calls[type(network)] = self._calls.get(type(network), 0) + 1
        error = self.fails(network, batch, self._calls[type(network)])
        if error is not None:
            raise error

    def fail_for_good(self, kind: type, error: Exception, call: int = 3) -> None:
        """From its n-th call on, each call of this kind of network fails."""
        self.fails = lambda network, _, calls: error if isinstance(network, kind) and calls >= call else None


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    gpu, to = Gpu(), torch.nn.Module.to

    def placed(module: torch.nn.Module, *args: object, **kwargs: object) -> torch.nn.Module:
        there = [each for each in args if isinstance(each, (str, torch.device))]
        if any(torch.device(each).type == "cuda" for each in there):
            gpu.place(module)
            args = tuple(each for each in args if each not in there)
        return to(module, *args, **kwargs) if args or kwargs else module

    def watched(kind: type, name: str) -> None:
        method = getattr(kind, name)

        def call(network: torch.nn.Module, batch: torch.Tensor, *rest: object) -> object:
            gpu.work(network, len(batch))
            return method(network, batch, *rest)

        monkeypatch.setattr(kind, name, call)

    monkeypatch.setattr(torch.nn.Module, "to", placed)
    watched(SmileNetwork, "step")
    watched(SmileNetwork, "still")
    watched(MmodNetwork, "forward")
    watched(YuNet, "forward")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "empty_cache", gpu.empty_cache)
    return gpu


def on_device(config: PipelineConfig, device: str) -> PipelineConfig:
    detection = dataclasses.replace(config.detection, device=device, runtime="torch", detection_interval=5)
    smile = dataclasses.replace(config.smile, device=device, runtime="torch", warmup_frames=WARMUP)
    return dataclasses.replace(config, detection=detection, smile=smile)


def with_mmod(config: PipelineConfig, **settings: object) -> PipelineConfig:
    """The search of the whole image by dlib's CNN."""
    detection = dataclasses.replace(config.detection, backend="mmod-torch", **settings)
    return dataclasses.replace(config, detection=detection)


def walk(pipeline: Pipeline, people: tuple[ImageArray, ...], name: Callable[[], str]) -> list[FrameAffect]:
    pipeline.restart(name)
    return [pipeline.process(Frame(image, index / 30, index)) for index, image in enumerate(people[:FRAMES])]


@pytest.fixture
def on_gpu(gpu: Gpu, config: PipelineConfig) -> PipelineConfig:
    return on_device(config, "cuda")


@pytest.fixture(scope="module")
def expected(config: PipelineConfig, people: tuple[ImageArray, ...], letters) -> list[FrameAffect]:
    """What the CPU says from the start."""
    with make_pipeline(on_device(config, "cpu"), live=False) as pipeline:
        return walk(pipeline, people, letters())


def assert_same(affect: FrameAffect, expected: FrameAffect) -> None:
    """Equal but for rounding, which on a CPU depends on where in memory a network lies."""
    for face, other in zip(affect.faces, expected.faces, strict=True):
        assert (face.track.id, face.track.visible) == (other.track.id, other.track.visible)
        assert (face[Smile].valid, face[Smile].level) == (other[Smile].valid, other[Smile].level)
        assert face[Smile].intensity == pytest.approx(other[Smile].intensity, abs=1e-4)
        assert face.track.box.iou(other.track.box) > 0.9999


def devices(pipeline: Pipeline) -> tuple[str, str]:
    detector, scorer = pipeline.tracking.detection.detector, pipeline.estimation.estimators["smile"].scorer
    assert isinstance(detector, CascadeDetector)
    assert isinstance(scorer, StreamingScorer)
    return detector.device, scorer.device


@pytest.mark.parametrize(
    ("kind", "error", "left", "what"),
    [
        (SmileNetwork, OUT_OF_MEMORY, ("cuda", "cpu"), "smile network"),
        (SmileNetwork, LOST, ("cuda", "cpu"), "smile network"),
        (SmileNetwork, CUDNN, ("cuda", "cpu"), "smile network"),
        (SmileNetwork, GONE, ("cuda", "cpu"), "smile network"),
        (MmodNetwork, OUT_OF_MEMORY, ("cpu", "cuda"), "face detector"),
        (MmodNetwork, GONE, ("cpu", "cuda"), "face detector"),
        (YuNet, OUT_OF_MEMORY, ("cuda", "cuda"), "face proposals"),
        (YuNet, GONE, ("cuda", "cuda"), "face proposals"),
    ],
    ids=[
        "smile-memory",
        "smile-lost",
        "smile-cudnn",
        "smile-gone",
        "detector-memory",
        "detector-gone",
        "proposals-memory",
        "proposals-gone",
    ],
)
def test_the_run_goes_on_with_the_same_results(
    gpu, on_gpu, people, expected, caplog, kind, error, left, what, letters
) -> None:
    caplog.set_level(logging.WARNING)
    gpu.fail_for_good(kind, error)
    with make_pipeline(on_gpu, live=False) as pipeline:
        assert devices(pipeline) == ("cuda", "cuda")
        found = walk(pipeline, people, letters())
        assert devices(pipeline) == left
    assert [len(affect.faces) for affect in found] == [2] * FRAMES
    for affect, expected_affect in zip(found, expected, strict=True):
        assert_same(affect, expected_affect)
    assert [face[Smile].valid for face in found[-1].faces] == [True, True]
    reason = str(error).splitlines()[0].rstrip(".")
    assert caplog.messages == [f"{what}: cuda failed ({reason}); it runs on the CPU from now on"]


def test_memory_that_is_short_once_is_made_free_and_the_gpu_kept(
    gpu, on_gpu, people, expected, caplog, letters
) -> None:
    gpu.fails = lambda network, batch, calls: OUT_OF_MEMORY if calls == 3 else None
    with make_pipeline(on_gpu, live=False) as pipeline:
        found = walk(pipeline, people, letters())
        assert devices(pipeline) == ("cuda", "cuda")
    for affect, expected_affect in zip(found, expected, strict=True):
        assert_same(affect, expected_affect)
    assert gpu.emptied == 3
    assert caplog.messages == []


def crops_of(count: int, seed: int = 1) -> ImageArray:
    return np.random.default_rng(seed).integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)


def tracks_of(count: int) -> list[Track]:
    return [Track(f"face{number}", Box(0, 0, 50 + number, 50), 1.0) for number in range(count)]


def intensities(scorer: StreamingScorer, count: int, frames: int = 3) -> list[list[float]]:
    scored = (scorer.score(tracks_of(count), crops_of(count, n), n / 30) for n in range(frames))
    return [[smile.intensity for smile in smiles] for smiles in scored]


def test_too_many_faces_for_the_gpu_are_scored_in_halves(gpu, on_gpu) -> None:
    expected = intensities(make_scorer(on_device(on_gpu, "cpu").smile), 10)
    gpu.fails = lambda network, batch, calls: OUT_OF_MEMORY if batch > 5 else None
    scorer = make_scorer(on_gpu.smile)
    for row, expected_row in zip(intensities(scorer, 10), expected, strict=True):
        assert row == pytest.approx(expected_row, abs=1e-5)
    assert (scorer.device, gpu.emptied) == ("cuda", 1)


def test_too_many_pictures_for_the_gpu_are_searched_in_halves(gpu, on_gpu, people) -> None:
    images = list(people[:4])
    on_gpu = with_mmod(on_gpu)
    expected = make_detector(on_device(on_gpu, "cpu").detection).detect_batch(images)
    gpu.fails = lambda network, batch, calls: OUT_OF_MEMORY if batch > 2 else None
    detector = make_detector(on_gpu.detection)
    for faces, expected_faces in zip(detector.detect_batch(images), expected, strict=True):
        assert [face.box for face in faces] == [face.box for face in expected_faces]
    assert (detector.device, gpu.emptied) == ("cuda", 1)


def test_memories_that_are_lost_with_the_gpu_warm_up_anew(
    gpu, on_gpu, people, letters, check_sane, monkeypatch
) -> None:
    fails_at = 8

    def unreadable(tensor: torch.Tensor) -> torch.Tensor:
        raise LOST

    gpu.fail_for_good(SmileNetwork, LOST, fails_at)
    with make_pipeline(on_gpu, live=False) as pipeline:
        move = pipeline.estimation.estimators["smile"].scorer._move_to_cpu

        def move_without_memories() -> None:
            with monkeypatch.context() as patch:
                patch.setattr(torch.Tensor, "cpu", unreadable)
                move()

        pipeline.estimation.estimators["smile"].scorer._failover._to_cpu = move_without_memories
        found = walk(pipeline, people, letters())
    valid = [all(face[Smile].valid for face in affect.faces) for affect in found]
    # The call that fails is that of the frame before its number, and its frame is scored, too.
    again = fails_at - 1 + WARMUP - 1
    assert valid == [WARMUP - 1 <= index < fails_at - 1 or index >= again for index in range(FRAMES)]
    assert {face.track.id for face in found[-1].faces} == {"a", "b"}
    for affect in found:
        check_sane(affect)


def test_stills_are_scored_on(gpu, on_gpu) -> None:
    expected = make_scorer(on_device(on_gpu, "cpu").smile).score_still(crops_of(5))
    gpu.fail_for_good(SmileNetwork, LOST, 1)
    scorer = make_scorer(on_gpu.smile)
    found = scorer.score_still(crops_of(5))
    assert [smile.intensity for smile in found] == pytest.approx([smile.intensity for smile in expected])
    assert scorer.device == "cpu"


def test_the_search_is_split_from_then_on_as_the_cpu_needs_it(gpu, on_gpu, people) -> None:
    gpu.fail_for_good(MmodNetwork, LOST)
    with make_pipeline(with_mmod(on_gpu, min_face_px=40, precision="auto"), live=False) as pipeline:
        for index in range(16):
            affect = pipeline.process(Frame(people[index], index / 30, index))
        assert len(pipeline.tracking.detection.detector.parts(768, 432)) == 2
        assert pipeline.tracking.detection._plan._parts
    assert [face.track.visible for face in affect.faces] == [True, True]


@pytest.mark.parametrize("kind", [SmileNetwork, MmodNetwork, YuNet])
def test_what_is_not_the_devices_fault_stays_an_error(gpu, on_gpu, people, kind) -> None:
    gpu.fail_for_good(kind, RuntimeError("shapes (1, 2) and (3, 4) cannot be multiplied\nat line 7"), 1)
    with make_pipeline(on_gpu, live=False) as pipeline:
        with pytest.raises((ModelError, DetectionError), match=r"cannot be multiplied$"):
            pipeline.process(Frame(people[0], 0.0, 0))
        assert devices(pipeline) == ("cuda", "cuda")


def test_a_cpu_without_memory_is_an_error_of_the_frame(gpu, config, people, check_sane) -> None:
    errors = [MemoryError("Unable to allocate 3.00 GiB")]
    with make_pipeline(on_device(config, "cpu"), live=False) as pipeline:
        pipeline.estimation.estimators["smile"].scorer.network.is_on_gpu = True
        gpu.fails = lambda *_: errors.pop() if errors else None
        with pytest.raises(ModelError, match=r"failed on 2 faces: Unable to allocate 3\.00 GiB$"):
            pipeline.process(Frame(people[0], 0.0, 0))
        check_sane(pipeline.process(Frame(people[1], 1 / 30, 1)))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda device: make_scorer(SmileConfig(device=device, runtime="torch")), "smile network"),
        (lambda device: make_detector(DetectionConfig(device=device, runtime="torch")), "face detector"),
    ],
    ids=["scorer", "detector"],
)
def test_a_gpu_that_is_full_at_the_start_is_left_alone(gpu, caplog, make, what) -> None:
    gpu.placing = OUT_OF_MEMORY
    assert make("auto").device == "cpu"
    reason = "CUDA out of memory. Tried to allocate 2.00 GiB"
    assert caplog.messages == [f"{what}: cuda cannot be used ({reason}); it runs on the CPU"]
    with pytest.raises(ConfigurationError, match=r"device is cuda, but it cannot be used \(CUDA out of"):
        make("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", [["live", "--source"], ["score", "--output", "scores.csv"]])
def test_a_gpu_that_is_not_there_is_one_line(command, tmp_path, monkeypatch, capsys, people) -> None:
    import cv2

    monkeypatch.chdir(tmp_path)
    cv2.imwrite("picture.png", people[0])
    assert main([*command, "picture.png", "--device", "cuda"]) == 1
    error = capsys.readouterr().err
    assert error == (
        "social-perception: error: device is cuda, but torch finds no CUDA device; use cpu or auto\n"
    )
