"""Distillation targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.research.training.faces import TrainingFaces
from social_perception.research.training.labels import EMOTIONS, Targets
from social_perception.research.training.still_training import (
    distill_targets,
    mix_targets,
    predict_probabilities,
    read_outputs,
)


@pytest.fixture
def faces() -> TrainingFaces:
    """Two faces: one rated High, one with a weak label for Neutral."""
    rng = np.random.default_rng(0)
    targets = Targets(
        np.array([[1, 1, 1], [0, 0, 0]], np.float32),
        np.array([[1, 1, 1], [0.8, 0.2, 0.1]], np.float32),
        np.zeros((2, len(EMOTIONS)), np.float32),
        np.array([True, False]),
        np.array([False, False]),
    )
    images = tuple(rng.integers(0, 255, (2, 60, 60), np.uint8))
    boxes = np.full((2, 4), [6, 6, 48, 48], np.float32)
    return TrainingFaces(images, boxes, targets, np.zeros(2, bool), ("a.png", "b.png"))


@pytest.fixture
def teacher() -> SmileNetwork:
    torch.manual_seed(0)
    network = SmileNetwork(NetworkConfig(channels=(8, 8, 8, 8)))
    network.encoder.aligner = torch.nn.Identity()
    return network


def test_the_teachers_output_is_weighted(faces: TrainingFaces, teacher: SmileNetwork) -> None:
    predicted = predict_probabilities(faces, teacher)
    targets = distill_targets(faces, teacher, trust=0.5).targets
    assert targets.above[0] == pytest.approx((1.0 + 0.5 * predicted[0]) / 1.5, abs=1e-6)
    assert targets.weight[0] == pytest.approx([1.0, 1.0, 1.0])
    # Where the weak label has little weight, the teacher has more.
    assert targets.above[1, 2] == pytest.approx(0.5 * predicted[1, 2] / 0.6, abs=1e-6)
    assert targets.weight[1] == pytest.approx([1.3 / 1.5, 0.7 / 1.5, 0.6 / 1.5])
    assert (targets.rated == faces.targets.rated).all()


def test_scores_are_averaged_with_the_mirror_image(faces: TrainingFaces, teacher: SmileNetwork) -> None:
    # The boxes are centered, so that mirroring changes nothing else.
    mirrored = replace(faces, images=tuple(i[:, ::-1].copy() for i in faces.images))
    predicted = predict_probabilities(faces, teacher)
    assert predicted.shape == (2, 3)
    assert (np.diff(predicted, axis=1) <= 0).all()
    assert predict_probabilities(mirrored, teacher) == pytest.approx(predicted, abs=1e-5)


def test_outputs_of_a_table_replace_a_teacher(faces: TrainingFaces, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    table.write_text("name,p_neutral,p_low,p_medium,p_high\na.png,0.1,0.2,0.3,0.4\n")
    outputs = read_outputs(table, faces)
    assert outputs[0] == pytest.approx([0.9, 0.7, 0.4])
    targets = mix_targets(faces, outputs, trust=1.0).targets
    assert targets.above[0] == pytest.approx([0.95, 0.85, 0.7])
    assert (targets.above[1] == faces.targets.above[1]).all()  # it is not in the table
