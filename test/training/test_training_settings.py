"""Settings of a run from YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from social_perception.core.errors import ConfigurationError
from social_perception.training.settings import TrainSettings, read_settings

CONFIG = Path(__file__).resolve().parents[2] / "config" / "train_small.yaml"


def test_the_shipped_file_is_read() -> None:
    settings = read_settings(CONFIG)
    assert settings.finetune.rated_share > settings.pretrain.rated_share
    # The published figures for genki rest on it.
    assert "genki_train" not in settings.sets
    assert "ferplus_test" not in settings.sets


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("seed: 4\npretrain: {epochs: 2}\n")
    settings = read_settings(path)
    assert settings.seed == 4
    assert settings.pretrain.epochs == 2
    assert settings.memory == TrainSettings().memory


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("sed: 4", "unknown setting sed"),
        ("pretrain: {epoch: 1}", "unknown setting epoch"),
        ("- a", "settings by name"),
        ("a: [", "cannot read"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=rule):
        read_settings(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent"):
        read_settings(tmp_path / "absent.yaml")
