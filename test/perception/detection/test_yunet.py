"""YuNet on torch finds what libfacedetection, from which the weights are, finds in the same images."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from social_perception.core.errors import ModelError
from social_perception.perception.detection.yunet import propose
from social_perception.perception.detection.yunet_network import TorchYuNet, load_yunet, weights_path
from social_perception.sources.portrait import load_portrait
from social_perception.sources.sample import SampleSource

PORTRAIT = ((178, 63, 89, 112, 93),)
PEOPLE = (
    (192, 165, 68, 86, 93),
    (516, 175, 63, 80, 93),
    (401, 202, 56, 69, 93),
    (240, 36, 48, 57, 92),
    (52, 180, 61, 78, 92),
    (561, 38, 46, 54, 92),
    (336, 57, 40, 46, 92),
    (66, 90, 26, 33, 92),
)
"""Left, top, width, height and confidence as libfacedetection v3 reports them: cut to whole numbers."""


def people():
    return cv2.resize(next(SampleSource(8)).image, (640, 360), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(("image", "expected"), [(load_portrait, PORTRAIT), (people, PEOPLE)])
def test_boxes_and_scores_are_those_of_libfacedetection(image, expected):
    found = propose(TorchYuNet(load_yunet(weights_path())), image(), 0.5)
    cut = [
        tuple(map(math.floor, (box.left, box.top, box.width, box.height, 100 * face.confidence)))
        for face in found
        for box in [face.box]
    ]
    assert tuple(cut) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bfloat16_in_channels_last_moves_boxes_by_less_than_a_pixel(dtype):
    source = load_yunet(weights_path())
    found, exact = (propose(TorchYuNet(source, dtype=each), people(), 0.5) for each in (dtype, torch.float32))
    assert len(found) == len(exact) == len(PEOPLE)
    for face in exact:
        nearest = max(found, key=lambda other: other.box.iou(face.box))
        sides = np.subtract([*nearest.box.center, nearest.box.width], [*face.box.center, face.box.width])
        assert np.abs(sides).max() < 1.0
        assert nearest.confidence == pytest.approx(face.confidence, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (7, 900), (360, 640)])
def test_an_image_without_faces_has_no_proposals(shape):
    assert propose(TorchYuNet(load_yunet(weights_path())), np.full((*shape, 3), 128, np.uint8), 0.2) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop("stem.bias"), "is not a network of YuNet: Missing"),
        (lambda tensors: tensors.update({"stem.bias": torch.zeros(3)}), "is not a network of YuNet: size"),
        (lambda tensors: tensors["stem.bias"].fill_(float("nan")), "has weights that are not finite"),
    ],
)
def test_other_weights_are_refused(tmp_path, change, reason):
    tensors = load_file(weights_path())
    change(tensors)
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=rf"other\.safetensors {reason}"):
        load_yunet(tmp_path / "other.safetensors")


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 100])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelError, match="is not a safetensors file or is damaged"):
        load_yunet(tmp_path / "file")
