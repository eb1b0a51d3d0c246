"""Training of the reference network: recipe, early stopping and resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from social_perception.core.errors import ModelError
from social_perception.perception.smile.reference_network import ReferenceConfig
from social_perception.perception.smile.weights import load_network
from social_perception.research.training import reference_training
from social_perception.research.training.reference_settings import ReferenceSettings
from social_perception.research.training.reference_training import (
    ReferenceTraining,
    _trainer,
    train_reference,
)
from social_perception.research.training.video_corpus import PersonFrames

TINY = ReferenceConfig(channels=(8, 8, 8, 16, 16), features=32, hidden=16)


def person(video: str, seed: int) -> PersonFrames:
    """Sixty frames whose brightness is the level; it changes every ten frames."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.permutation([0, 1, 2, 3, 0, 3]), 10)
    noise = rng.integers(0, 20, (60, 96, 96, 3))
    crops = (level[:, None, None, None] * 75 + noise).astype(np.uint8)
    return PersonFrames(video, "anna", crops, np.arange(60), level, np.arange(60) / 30, 60)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReferenceSettings:
    corpus = tuple(person(f"video{i}", i) for i in range(10))
    monkeypatch.setattr(reference_training, "read_corpus", lambda videos, cache: corpus)
    return ReferenceSettings(
        batch=4, at_once=2, epochs=1, learning_rate=1e-2, decay=0.9, workers=0, threads=1, patience=99,
        sequence=10, output=str(tmp_path), sizes=TINY,
    )  # fmt: skip


def last(settings: ReferenceSettings) -> dict[str, object]:
    return torch.load(Path(settings.output) / "reference" / "last.ckpt", weights_only=True)


def test_it_learns_visible_levels(settings: ReferenceSettings, capsys) -> None:
    torch.set_num_threads(1)
    path = train_reference(replace(settings, epochs=10, batch=2, learning_rate=1e-3, decay=0.97), "no")
    shown = capsys.readouterr().out
    assert "test" in shown
    unseen = person("other", 77)
    network = load_network(path)
    crops = torch.from_numpy(unseen.crops).movedim(-1, -3).float() / 127.5 - 1
    with torch.no_grad():
        levels = network.level_logits(crops.unsqueeze(0))[0][0].argmax(dim=-1)
    assert (levels.numpy() == unseen.level).mean() > 0.6  # by chance a third


def test_the_recipe_is_followed(settings: ReferenceSettings) -> None:
    train_reference(replace(settings, epochs=2), "no")
    state = last(settings)
    (optimizer,) = state["optimizer_states"]
    assert optimizer["param_groups"][0]["lr"] == pytest.approx(1e-2 * 0.9**2)
    assert state["global_step"] == 2 * 48 // 4  # eight videos of six sequences, four a step


def test_a_batch_of_the_recipe_is_320_sequences(tmp_path: Path) -> None:
    recipe = ReferenceSettings()
    trainer, _ = _trainer(recipe, tmp_path / "run")
    assert trainer.accumulate_grad_batches * recipe.at_once == 320
    optimizer = ReferenceTraining(torch.nn.Linear(1, 1), recipe).configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["lr"] == 1e-5


def test_training_stops_when_nothing_gets_better(settings: ReferenceSettings) -> None:
    train_reference(replace(settings, epochs=9, learning_rate=0.0, patience=1), "no")
    assert last(settings)["epoch"] == 1


def test_a_checkpoint_with_other_objects_is_rejected(settings: ReferenceSettings, capsys) -> None:
    train_reference(settings, "no")
    path = Path(settings.output) / "reference" / "last.ckpt"
    torch.save({**last(settings), "more": Attack()}, path)
    capsys.readouterr()
    with pytest.raises(ModelError, match=r"the checkpoint .*last\.ckpt cannot be read") as caught:
        train_reference(replace(settings, epochs=2), "auto")
    assert "run by the pickle" not in capsys.readouterr().out
    assert "\n" not in str(caught.value)


class Attack:
    def __reduce__(self):
        return (print, ("run by the pickle",))


def test_a_run_resumes_where_it_ended(settings: ReferenceSettings) -> None:
    train_reference(settings, "no")
    steps = last(settings)["global_step"]
    train_reference(replace(settings, epochs=2), "auto")
    assert last(settings)["global_step"] == 2 * steps
    train_reference(settings, "no")
    assert last(settings)["global_step"] == steps
