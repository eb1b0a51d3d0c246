"""The training of the output of a visible mouth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.perception.smile.track_scorer import COVERED_LOGIT
from social_perception.research.training import mouth_training
from social_perception.research.training.augmentation import Augmentation, GrayImage, render
from social_perception.research.training.faces import TrainingFaces, gray_input
from social_perception.research.training.labels import EMOTIONS, Targets
from social_perception.research.training.settings import MouthSettings

BOX = np.array([20, 20, 60, 60], np.float32)


@pytest.fixture
def faces() -> TrainingFaces:
    """Twenty bright discs with a dark mouth."""
    rows, columns = np.mgrid[0:100, 0:100]
    image = np.where(np.hypot(rows - 50, columns - 50) < 36, 200, 60)
    image[64:70, 36:64] = 20
    count = 20
    targets = Targets(
        np.zeros((count, 3), np.float32), np.ones((count, 3), np.float32),
        np.zeros((count, len(EMOTIONS)), np.float32), np.ones(count, bool), np.zeros(count, bool),
    )  # fmt: skip
    boxes, moving = np.tile(BOX, (count, 1)), np.arange(count) % 2 == 0
    return TrainingFaces((image.astype(np.uint8),) * count, boxes, targets, moving, ("a",) * count)


@pytest.fixture
def network() -> SmileNetwork:
    torch.manual_seed(0)
    network = SmileNetwork(NetworkConfig((4, 4, 8, 16), 16, 12)).requires_grad_(False)
    network.encoder.aligner = torch.nn.Identity()
    return network


def test_covered_faces_are_recognised_and_nothing_else_changes(
    network: SmileNetwork, faces: TrainingFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mouth_training, "sample_augmentation", lambda rng: Augmentation())
    monkeypatch.setattr(mouth_training, "occlude", lambda crop, rng: crop)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    settings = MouthSettings(draws=600, steps=200, batch=64, false_alarms=0.02)
    mouth_training.train_mouth(network, faces, settings, seed=1)
    changed = {name for name, each in network.state_dict().items() if not torch.equal(each, before[name])}
    assert changed == {name for name in before if name.startswith("mouth_visible")}

    def logits(images: list[GrayImage]) -> torch.Tensor:
        rng = np.random.default_rng(0)  # not used without augmentation
        crops = np.stack([render(image, BOX, Augmentation(), rng) for image in images])
        return network.still(gray_input(torch.from_numpy(crops)))[:, 3]

    rng = np.random.default_rng(3)
    covered = [mouth_training.cover_half(faces.images[0], BOX, rng) for _ in range(40)]
    assert (logits([faces.images[0]]) > COVERED_LOGIT).all()
    assert (logits(covered) < COVERED_LOGIT).float().mean() > 0.7


def test_the_share_of_false_alarms_sets_the_bias(network: SmileNetwork, faces: TrainingFaces) -> None:
    settings = MouthSettings(draws=500, steps=1, batch=8, false_alarms=0.25)
    mouth_training.train_mouth(network, faces, settings, seed=1)
    maps, visible, checked = mouth_training.covered_maps(network, faces, settings.draws, seed=1)
    logits = network.mouth_visible(maps[checked & (visible == 1)])[:, 0]
    assert (logits < COVERED_LOGIT).float().mean() == pytest.approx(0.25, abs=0.03)
