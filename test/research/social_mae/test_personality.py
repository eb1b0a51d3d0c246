"""Apparent personality: from the layout of First Impressions to weights that do not run on people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from made_videos import gray, tone, write_video

from social_perception.cli.main import main
from social_perception.core.config import SmileConfig
from social_perception.core.errors import ModelError
from social_perception.perception.smile.factory import make_scorer
from social_perception.research.social_mae import settings as social_settings
from social_perception.research.social_mae.finetuning import SCORE, Finetuning
from social_perception.research.social_mae.first_impressions import TRAITS
from social_perception.research.social_mae.network import TINY, Classifier
from social_perception.research.social_mae.settings import FinetuningSettings

SMALL = replace(
    TINY, frames=2, side=16, steps=32, bins=16, video_patch=8, sound_patch=8, width=32, heads=2, blocks=1
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that were fine-tuned on two made-up videos, by the commands."""
    folder = tmp_path_factory.mktemp("first_impressions")
    for split, name in (("training", "abc.000.mp4"), ("validation", "xyz.001.mp4")):
        write_video(folder / name, gray(1.0), 10, tone(1.0))
        table = pd.DataFrame({"name": [name], **{trait: [0.1 * row] for row, trait in enumerate(TRAITS)}})
        table.to_csv(folder / f"annotation_{split}.csv", index=False)
    values = {
        "network": "social_mae_shards", "name": "impressions", "layout": "first_impressions",
        "folder": str(folder), "clips": {"side": 16, "cropped": True}, "output": str(folder),
    }  # fmt: skip
    (folder / "shards.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", str(folder / "shards.yaml")]) == 0
    values = {
        "network": "social_mae_finetuning", "name": "impressions", "size": "small", "frames": 2,
        "shards": [str(folder / "impressions")], "labels": "values", "outputs": len(TRAITS), "epochs": 1,
        "batch": 2, "precision": "32-true", "devices": 1, "workers": 0, "output": str(folder / "runs"),
    }  # fmt: skip
    (folder / "finetuning.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(social_settings, "SIZES", {**social_settings.SIZES, "small": SMALL})
        assert main(["train", str(folder / "finetuning.yaml")]) == 0
    return folder / "runs" / "impressions" / "impressions.safetensors"


@pytest.mark.parametrize(
    "command",
    [
        ["annotate", "abc.000.mp4", "--output", "out"],
        ["score", "abc.000.mp4", "--output", "scores.csv"],
        ["live", "--source", "sample?people=1", "--no-ros"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_runs_them(command: list[str], weights: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "abc.000.mp4").write_bytes((weights.parents[2] / "abc.000.mp4").read_bytes())
    assert main([*command, "--model", str(weights)]) != 0
    message = capsys.readouterr().err
    assert "estimates apparent personality: it is for research only and does not run on people" in message
    assert "Traceback" not in message


def test_no_node_runs_them(weights: Path) -> None:
    with pytest.raises(ModelError, match="it is for research only"):
        make_scorer(SmileConfig(model=str(weights)))


def test_the_score_is_one_minus_the_mean_absolute_error() -> None:
    settings = FinetuningSettings(labels="values", outputs=2)
    module = Finetuning(Classifier(SMALL, 2), settings, steps=1)
    logged = {}
    module.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign]
    module.score.update(torch.tensor([[0.2, 0.6]]), torch.tensor([[0.3, 0.3]]))
    module.on_validation_epoch_end()
    assert logged[SCORE] == pytest.approx(1 - (0.1 + 0.3) / 2)
