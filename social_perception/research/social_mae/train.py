"""``social-perception train`` with the networks of the Social-MAE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from social_perception.core.errors import ConfigurationError
from social_perception.research.social_mae.development import pretraining_examples
from social_perception.research.social_mae.finetuning import finetune
from social_perception.research.social_mae.pretraining import pretrain
from social_perception.research.social_mae.ray_engine import run_on_ray
from social_perception.research.social_mae.runs import batches, stream
from social_perception.research.social_mae.settings import (
    RAY,
    FinetuningSettings,
    PretrainingSettings,
    finetuning_settings,
    pretraining_settings,
)
from social_perception.research.social_mae.shards import shard_settings, write_shards
from social_perception.research.social_mae.streaming import ShardLoader

SHARDS, PRETRAINING, FINETUNING = "social_mae_shards", "social_mae_pretraining", "social_mae_finetuning"
NETWORKS = (SHARDS, PRETRAINING, FINETUNING)


def train(network: str, values: Mapping[str, Any], resume: str) -> Path:
    """Write shards, pre-train or fine-tune as a YAML file says; returns the shards or the weights.

    Raises:
        ConfigurationError: a setting is unknown or invalid.
        SourceError: data is missing.
        OutputError: shards cannot be written.
        ModelError: the weights to begin with cannot be read.
        MissingDependencyError: Ray is not installed.
    """
    if network == SHARDS:
        return write_shards(shard_settings(values))
    is_pretraining = network == PRETRAINING
    settings = pretraining_settings(values) if is_pretraining else finetuning_settings(values)
    if settings.engine != RAY:
        return train_here(settings, resume)
    run_on_ray(train_here, settings, resume)
    path = Path(settings.output) / settings.name / f"{settings.name}.safetensors"
    print(f"weights written to {path}")
    return path


def train_here(settings: PretrainingSettings | FinetuningSettings, resume: str) -> Path:
    """Train in this process, which may be one of many."""
    if isinstance(settings, PretrainingSettings):
        of_development = settings.development
        data = batches(*pretraining_examples(settings), settings) if of_development else stream(settings)
        return pretrain(data, settings, resume)
    data = stream(settings)
    names = data.train.stream.labels if isinstance(data.train, ShardLoader) else ()
    if len(names) != settings.outputs:
        listed = ", ".join(names) or "none"
        raise ConfigurationError(
            f"outputs must be the number of labels in the shards ({listed}), got {settings.outputs}"
        )
    return finetune(data, settings, resume)
