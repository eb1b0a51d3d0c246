"""The networks by onnxruntime: nearly the results of torch, and no torch."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from social_perception.core.config import DetectionConfig, SmileConfig
from social_perception.core.errors import (
    ConfigurationError,
    DetectionError,
    MissingDependencyError,
    ModelError,
)
from social_perception.core.types import Box, ImageArray, Track
from social_perception.perception import onnx_network
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.detection.places import Place
from social_perception.perception.onnx_network import SMILE, Exported, OnnxNetwork
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.track_scorer import TrackScorer
from social_perception.sources.portrait import load_portrait
from social_perception.sources.sample import SampleSource

RUNTIMES = ("torch", "onnxruntime")


@pytest.fixture
def onnxruntime():
    return pytest.importorskip("onnxruntime", reason="onnxruntime is optional")


def crops_of(count: int, shift: int) -> ImageArray:
    """Crops of a face that moves with ``shift`` and from crop to crop, and rolls by up to 17 degrees."""
    portrait = load_portrait()
    turns = [cv2.getRotationMatrix2D((120, 120), 2 * shift - 9 + x, 1) for x in range(0, 4 * count, 4)]
    images = [cv2.warpAffine(portrait, turn, portrait.shape[1::-1]) for turn in turns]
    parts = [image[40 + shift : 180 + shift, 50 + 4 * i : 190 + 4 * i] for i, image in enumerate(images)]
    return np.stack([cv2.resize(part, (96, 96), interpolation=cv2.INTER_AREA) for part in parts])


@pytest.mark.usefixtures("onnxruntime")
@pytest.mark.parametrize("settings", [{}, {"boxes": "dlib"}, {"upsample": 0}, {"max_face_px": 120}])
@pytest.mark.parametrize("video", [True, False])
def test_faces_are_those_of_torch(settings, video):
    image = next(SampleSource(8)).image
    exact, found = (
        make_detector(
            DetectionConfig(device="cpu", precision="float32", runtime=each, **settings), video=video
        ).detect(image)
        for each in RUNTIMES
    )
    assert len(found) == len(exact) > 0
    for face in found:
        nearest = max(exact, key=lambda other: other.box.iou(face.box))
        assert nearest.box.iou(face.box) > 0.99
        assert face.confidence == pytest.approx(nearest.confidence, abs=0.005)


@pytest.mark.usefixtures("onnxruntime")
def test_smiles_are_those_of_torch_while_tracks_come_and_go():
    scorers = [make_scorer(SmileConfig(device="cpu", precision="float32", runtime=each)) for each in RUNTIMES]
    both = [streamed(scorer) for scorer in scorers]
    assert np.abs(both[0] - both[1]).max() < 0.001
    assert np.ptp(both[0]) > 0.01
    stills = [[each.intensity for each in scorer.score_still(crops_of(3, 0))] for scorer in scorers]
    assert stills[0] == pytest.approx(stills[1], abs=0.001)


@pytest.mark.usefixtures("onnxruntime")
def test_video_is_scored_in_8_bits_and_stills_exactly():
    exact, usual, short = (
        make_scorer(SmileConfig(device="cpu", precision=each, runtime="onnxruntime"))
        for each in ("float32", "auto", "int8")
    )
    assert [each.precision for each in (exact, usual, short)] == ["float32", "int8", "int8"]
    expected, found = streamed(exact), streamed(usual)
    assert 0 < np.abs(expected - found).mean() < 0.02
    assert np.abs(expected - found).max() < 0.1
    assert np.array_equal(found, streamed(short))
    stills = [
        [each.intensity for each in scorer.score_still(crops_of(3, 0))] for scorer in (exact, usual, short)
    ]
    assert stills[0] == stills[1] != stills[2]
    assert stills[0] == pytest.approx(stills[2], abs=0.1)


def streamed(scorer: TrackScorer) -> np.ndarray:
    """The probabilities of six faces that are seen in turn, so that rows of the state are used again."""
    scorer.config = SmileConfig(max_gap_s=0.05)
    rows = []
    for index in range(30):
        ids = [f"face{(index // 4 + each) % 6}" for each in range(3)]
        tracks = [Track(name, Box(0, 0, 50, 50), 1.0) for name in ids]
        smiles = scorer.score(tracks, crops_of(3, index % 10), index / 30)
        rows.append([smile.probabilities for smile in smiles])
    return np.array(rows)


@pytest.mark.usefixtures("onnxruntime")
def test_more_tracks_than_rows_of_the_state_get_more_rows():
    scorers = [
        make_scorer(SmileConfig(device="cpu", precision="float32", runtime=each, max_faces=2))
        for each in RUNTIMES
    ]
    for index in range(4):
        tracks = [Track(f"face{2 * index + each}", Box(0, 0, 50, 50), 1.0) for each in range(2)]
        smiles = [scorer.score(tracks, crops_of(2, index), index / 30) for scorer in scorers]
        values = [[smile.intensity for smile in each] for each in smiles]
        assert values[0] == pytest.approx(values[1], abs=0.001)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from social_perception.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("installed", "drivers", "device", "unsupported", "expected"),
    [
        ({"torch", "onnxruntime"}, False, "auto", "", True),
        ({"torch", "onnxruntime"}, True, "auto", "", False),
        ({"torch", "onnxruntime"}, True, "cpu", "", True),
        ({"torch", "onnxruntime"}, False, "auto", "precision bfloat16", False),
        ({"torch"}, False, "auto", "", False),
        ({"onnxruntime"}, True, "auto", "", True),
    ],
)
def test_auto_takes_onnxruntime_unless_there_is_a_gpu(
    tmp_path, monkeypatch, installed, drivers, device, unsupported, expected
):
    monkeypatch.setattr(onnx_network.util, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(onnx_network, "GPU_DRIVERS", (str(tmp_path) if drivers else "/no/driver",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: drivers)
    assert onnx_network.uses_onnxruntime(SmileConfig(device=device), unsupported) is expected


@pytest.mark.usefixtures("onnxruntime")
@pytest.mark.parametrize("runtime", ["auto", "onnxruntime"])
def test_live_needs_no_torch(tmp_path: Path, runtime: str):
    source, images = SampleSource(2), tmp_path / "images"
    images.mkdir()
    for index in range(8):
        cv2.imwrite(str(images / f"{index}.png"), cv2.cvtColor(next(source).image, cv2.COLOR_RGB2BGR))
    output = tmp_path / "faces.csv"
    arguments = ["live", "--source", str(images), "--no-ros", "--output", str(output), "--runtime", runtime]
    arguments += ["--reproducible", "--warmup-frames", "2"]
    program = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 10
    assert len({row["face_id"] for row in rows}) == 2


@pytest.mark.parametrize(
    ("make", "config", "named"),
    [
        (make_detector, DetectionConfig(runtime="onnxruntime", backend="mmod-torch"), "backend mmod-torch"),
        (make_detector, DetectionConfig(runtime="onnxruntime", device="cuda"), "device cuda"),
        (make_detector, DetectionConfig(runtime="onnxruntime", precision="bfloat16"), "precision bfloat16"),
        (make_scorer, SmileConfig(runtime="onnxruntime", model="own.safetensors"), r"model own\.safetensors"),
        (make_scorer, SmileConfig(runtime="onnxruntime", device="cuda"), "device cuda"),
        (make_scorer, SmileConfig(runtime="onnxruntime", precision="bfloat16"), "precision bfloat16"),
    ],
)
def test_settings_that_need_torch_are_named(make, config, named):
    with pytest.raises(ConfigurationError, match=rf"^{named} needs runtime torch"):
        make(config)


@pytest.mark.parametrize("make", [make_detector, make_scorer])
def test_a_missing_onnxruntime_is_named(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    kind = DetectionConfig if make is make_detector else SmileConfig
    with pytest.raises(MissingDependencyError, match="pip install onnxruntime"):
        make(kind(runtime="onnxruntime"))


@pytest.mark.usefixtures("onnxruntime")
def test_a_changed_file_is_refused():
    with pytest.raises(ModelError, match="is not the expected file"):
        OnnxNetwork(Exported(SMILE.name, "0" * 64, SMILE.weights_sha256))


@pytest.mark.usefixtures("onnxruntime")
def test_a_failing_network_is_an_error_of_the_image():
    detector = make_detector(DetectionConfig(runtime="onnxruntime"), video=True)
    scorer = make_scorer(SmileConfig(runtime="onnxruntime", precision="int8"))

    def fail(_):
        raise ValueError("no memory\nlong details")

    for network in (detector._mmod._network, scorer._network):
        network._run = fail
    with pytest.raises(DetectionError, match=r"^face detection failed on 1 places: no memory$"):
        detector._mmod.detect_at(load_portrait(), [Place(Box(60, 70, 100, 100))])
    with pytest.raises(ModelError, match=r"^smile network failed on 2 faces: no memory$"):
        scorer.score_still(crops_of(2, 0))
