"""A run of the small network that starts from a trained one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from social_perception.perception.smile.weights import load_network, shipped_path
from social_perception.research.training import run
from social_perception.research.training.faces import TrainingFaces
from social_perception.research.training.labels import EMOTIONS, Targets
from social_perception.research.training.settings import (
    MemorySettings,
    MouthSettings,
    StillSettings,
    TrainSettings,
)
from social_perception.research.training.stills import Stills

FACES = 24
SETTINGS = TrainSettings(
    sets=("ferplus_train",),
    start=run.SHIPPED,
    threads=1,
    devices=1,
    finetune=StillSettings(epochs=1, draws=16, batch=8, rated_share=0.5, morphed_share=0.3),
    memory=MemorySettings(epochs=1, sequences=8, length=4, batch=4, clip_share=0.0),
    mouth=MouthSettings(draws=0),
)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise in place of the data sets; half of the training faces are rated."""
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 255, (FACES, 60, 60), np.uint8))
    boxes = np.full((FACES, 4), [6, 6, 48, 48], np.float32)
    rated = np.arange(FACES) % 2 == 0
    above = np.sort(rng.random((FACES, 3), np.float32))[:, ::-1].copy()
    emotion = np.zeros((FACES, len(EMOTIONS)), np.float32)
    targets = Targets(above, np.ones_like(above), emotion, rated, np.zeros(FACES, bool))
    names = tuple(f"{number}.png" for number in range(FACES))
    faces = TrainingFaces(images, boxes, targets, np.zeros(FACES, bool), names)
    votes = pd.DataFrame({"name": names, "neutral": rated * 6, "happiness": ~rated * 6, "unknown": 0})
    monkeypatch.setattr(run, "training_faces", lambda *_: faces)
    monkeypatch.setattr(run, "read_stills", lambda name, _: Stills(name, images, boxes, votes))


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_trained_network_is_trained_further(images: None, tmp_path: Path, epochs: int) -> None:
    settings = replace(SETTINGS, output=str(tmp_path), finetune=replace(SETTINGS.finetune, epochs=epochs))
    path = run.train_small(settings, resume="no")
    before, after = (load_network(each).state_dict() for each in (shipped_path(), path))
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {name for name in before if name.startswith("memory.")} <= changed
    assert not any(name.startswith("encoder.aligner.") for name in changed)
    cnn = {name for name in before if name.startswith("encoder.layers.") and "num_batches" not in name}
    assert cnn & changed == (cnn if epochs else set())
    assert ("head.first" in changed) == bool(epochs)
