"""Settings of a run from YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from social_perception.core.errors import ConfigurationError
from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.perception.smile.reference_network import ReferenceConfig, ReferenceNetwork
from social_perception.perception.smile.weights import save_network
from social_perception.research.training.run import starting_network
from social_perception.research.training.settings import TrainSettings, read_settings, without_sets

CONFIG = Path(__file__).resolve().parents[3] / "config" / "train_small.yaml"


def test_the_shipped_file_is_read() -> None:
    settings = read_settings(CONFIG)
    assert settings.finetune.rated_share > settings.pretrain.rated_share
    # The published figures depend on it: test sets are not trained on.
    assert not {"ferplus_test", "ferplus_valid", "smilesmiled"} & set(settings.sets)
    assert settings.teacher.channels > NetworkConfig().channels


def test_missing_settings_have_their_defaults(tmp_path: Path) -> None:
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
        ("- a", "mapping of setting names"),
        ("a: [", "cannot read"),
    ],
)
def test_invalid_files_are_reported(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=rule):
        read_settings(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent"):
        read_settings(tmp_path / "absent.yaml")


@pytest.mark.parametrize(("without", "sets"), [((), ("a", "b")), (("b",), ("a",)), (("a",), ("b",))])
def test_a_set_can_be_excluded(without: tuple[str, ...], sets: tuple[str, ...]) -> None:
    settings = without_sets(TrainSettings(name="small", sets=("a", "b")), without)
    assert settings.sets == sets
    assert settings.name == "_without_".join(["small", *without])


@pytest.mark.parametrize(
    ("without", "rule"), [(("c",), "must be one of a, b, got c"), (("a", "b"), "must not exclude all sets")]
)
def test_invalid_exclusions_are_reported(without: tuple[str, ...], rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        without_sets(TrainSettings(sets=("a", "b")), without)


def test_a_run_starts_from_a_small_network_only(tmp_path: Path) -> None:
    assert isinstance(starting_network("shipped"), SmileNetwork)
    other = tmp_path / "reference.safetensors"
    save_network(ReferenceNetwork(ReferenceConfig((4, 4, 8, 8, 8), 32, 12)), other, {})
    with pytest.raises(ConfigurationError, match="start must be a file of the small network"):
        starting_network(str(other))
