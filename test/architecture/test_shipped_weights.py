"""The shipped files of weights are the ones that the code knows, and no others are taken for them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from social_perception.core.config import DetectionConfig, SmileConfig
from social_perception.core.errors import ConfigurationError, ModelError
from social_perception.perception.detection import factory as detection
from social_perception.perception.detection import yunet_network
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.hearing import lip_sync
from social_perception.perception.onnx_network import (
    LAUGHTER,
    MMOD,
    MMOD_INT8,
    SCENE,
    SMILE,
    SMILE_ALIGNER,
    SMILE_INT8,
    YUNET,
)
from social_perception.perception.smile import weights
from social_perception.perception.smile.factory import make_scorer

PACKAGE = Path(__file__).resolve().parents[2] / "social_perception"

EXPORTED = (SMILE_ALIGNER, SMILE, MMOD, YUNET, LAUGHTER, SCENE, MMOD_INT8, SMILE_INT8)
SHIPPED = {
    "perception/smile/weights/smile_small.safetensors": "SHIPPED_SHA256 in smile/weights.py",
    "perception/detection/weights/mmod_human_face_detector.dat": "WEIGHTS_SHA256 in detection/factory.py",
    "perception/detection/weights/yunet.safetensors": "WEIGHTS_SHA256 in detection/yunet_network.py",
    "perception/hearing/weights/laughter_small.safetensors": "weights_sha256 in perception/onnx_network.py",
    "perception/scene/weights/scene_tiny.safetensors": "weights_sha256 in perception/onnx_network.py",
    "perception/hearing/weights/speakers.safetensors": "WEIGHTS_SHA256 in hearing/lip_sync.py",
    **{f"perception/{each.name}": "the hash in perception/onnx_network.py" for each in EXPORTED},
}
KNOWN = (
    weights.SHIPPED_SHA256,
    detection.WEIGHTS_SHA256,
    yunet_network.WEIGHTS_SHA256,
    LAUGHTER.weights_sha256,
    SCENE.weights_sha256,
)
HASHES = (*KNOWN, lip_sync.WEIGHTS_SHA256, *(each.sha256 for each in EXPORTED))


def test_the_code_knows_the_shipped_files_by_their_hash() -> None:
    for (name, place), known in zip(SHIPPED.items(), HASHES, strict=True):
        found = hashlib.sha256((PACKAGE / name).read_bytes()).hexdigest()
        assert found == known, f"{place} must be {found}, if {name} is meant to have changed"


def test_the_exported_networks_are_those_of_the_shipped_weights() -> None:
    exported = tuple(each.weights_sha256 for each in EXPORTED)
    in_8_bits = (detection.WEIGHTS_SHA256, weights.SHIPPED_SHA256)
    assert exported == (weights.SHIPPED_SHA256, *KNOWN, *in_8_bits), (
        "the weights have changed; run tools/export_networks.py"
    )


def test_no_other_weights_are_shipped() -> None:
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("**/weights/*")}
    assert found == set(SHIPPED)


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of the shipped files in which one bit of the last number has changed."""
    for name in SHIPPED:
        content = bytearray((PACKAGE / name).read_bytes())
        content[-100] ^= 1
        (tmp_path / Path(name).name).write_bytes(content)
    monkeypatch.setattr(weights, "shipped_path", lambda: tmp_path / weights.SHIPPED)
    monkeypatch.setattr(detection, "weights_path", lambda: tmp_path / detection.WEIGHTS)
    return tmp_path


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_scorer(SmileConfig(runtime="torch")),
        lambda: make_detector(DetectionConfig(runtime="torch")),
        lambda: make_detector(DetectionConfig(backend="mmod-dlib")),
    ],
    ids=["smile", "mmod-torch", "mmod-dlib"],
)
@pytest.mark.usefixtures("changed")
def test_a_shipped_file_that_was_changed_is_refused_in_one_line(make) -> None:
    with pytest.raises(ModelError, match="is not the expected file: its SHA-256 is") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_users_own_weights_need_no_hash_and_may_have_one(tmp_path: Path) -> None:
    path = Path(shutil.copy(weights.shipped_path(), tmp_path / "own.safetensors"))
    with path.open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"\x00")
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    for sha256 in ("", own, own.upper()):
        make_scorer(SmileConfig(model=str(path), model_sha256=sha256, device="cpu"))
    with pytest.raises(ModelError, match="is not the expected file"):
        make_scorer(SmileConfig(model=str(path), model_sha256=weights.SHIPPED_SHA256, device="cpu"))


@pytest.mark.parametrize("sha256", ["abc", "g" * 64, "0" * 65])
def test_what_is_no_hash_is_refused(sha256: str) -> None:
    with pytest.raises(ConfigurationError, match="model_sha256 must be 64 hexadecimal digits"):
        SmileConfig(model_sha256=sha256)
