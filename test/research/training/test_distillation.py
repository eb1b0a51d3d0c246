"""What the teacher adds to the targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.research.training.distillation import answers, taught
from social_perception.research.training.faces import TrainingFaces
from social_perception.research.training.labels import EMOTIONS, Targets


@pytest.fixture
def faces() -> TrainingFaces:
    """Two faces: one rated High, one with a weak word for Neutral."""
    rng = np.random.default_rng(0)
    targets = Targets(
        np.array([[1, 1, 1], [0, 0, 0]], np.float32),
        np.array([[1, 1, 1], [0.8, 0.2, 0.1]], np.float32),
        np.zeros((2, len(EMOTIONS)), np.float32),
        np.array([True, False]),
        np.array([False, False]),
    )
    images = tuple(rng.integers(0, 255, (2, 60, 60), np.uint8))
    return TrainingFaces(images, np.full((2, 4), [6, 6, 48, 48], np.float32), targets)


@pytest.fixture
def teacher() -> SmileNetwork:
    torch.manual_seed(0)
    return SmileNetwork(NetworkConfig(channels=(8, 8, 8, 8)))


def test_its_word_is_mixed_in_by_weight(faces: TrainingFaces, teacher: SmileNetwork) -> None:
    said = answers(faces, teacher)
    targets = taught(faces, teacher, trust=0.5).targets
    assert targets.above[0] == pytest.approx((1.0 + 0.5 * said[0]) / 1.5, abs=1e-6)
    assert targets.weight[0] == pytest.approx([1.0, 1.0, 1.0])
    # Where the weak word says little, the teacher says more.
    assert targets.above[1, 2] == pytest.approx(0.5 * said[1, 2] / 0.6, abs=1e-6)
    assert targets.weight[1] == pytest.approx([1.3 / 1.5, 0.7 / 1.5, 0.6 / 1.5])
    assert (targets.rated == faces.targets.rated).all()


def test_it_looks_at_the_mirror_image_too(faces: TrainingFaces, teacher: SmileNetwork) -> None:
    boxes = faces.boxes  # in the middle of the picture, so that mirroring moves nothing else
    mirrored = TrainingFaces(tuple(i[:, ::-1].copy() for i in faces.images), boxes, faces.targets)
    said = answers(faces, teacher)
    assert said.shape == (2, 3)
    assert (np.diff(said, axis=1) <= 0).all()
    assert answers(mirrored, teacher) == pytest.approx(said, abs=1e-5)
