"""Trains the Social-MAE on a Ray cluster: a process per GPU, or per processor where there are none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from social_perception.core.errors import MissingDependencyError, SocialPerceptionError
from social_perception.research.social_mae.settings import RunSettings


def run_on_ray(train: Callable[[Any, str], Path], settings: RunSettings, resume: str) -> None:
    """Run a training on the cluster of RAY_ADDRESS, or on a Ray of this machine.

    Paths must be the same on all machines, and the package must be installed on each.

    Args:
        train: trains in one of the processes.
        settings: passed on to it; ``devices`` is the number of processes.
        resume: passed on to it.

    Raises:
        MissingDependencyError: Ray, or a package that Ray Train needs, is not installed.
        SocialPerceptionError: Ray does not start, or a process failed.
    """
    # Ray would send usage statistics to its developers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        # Else other machines, and any user of this one, could run code on it. Ray reads these at its import.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise MissingDependencyError("engine ray needs Ray Train: pip install 'ray[train]'") from error
    place = Path.cwd()

    def loop() -> None:
        os.chdir(place)
        train(settings, resume)

    storage = str(Path(settings.output).absolute() / "ray")
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        count = max(1, gpus) if settings.devices == "auto" else int(settings.devices)
        trainer = TorchTrainer(
            loop,
            scaling_config=ScalingConfig(num_workers=count, use_gpu=gpus > 0),
            run_config=RunConfig(name=settings.name, storage_path=storage),
        )
        trainer.fit()
    except Exception as error:  # of any kind, from Ray or the process that failed
        raise SocialPerceptionError(f"ray: {' '.join(str(error).split())[:500]}") from error
    finally:
        ray.shutdown()
