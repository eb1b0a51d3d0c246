"""The settings of an audit; a module of its own because ``--help`` must not load pandas."""

from __future__ import annotations

from dataclasses import dataclass

from social_perception.core.settings import Checked, setting


@dataclass(frozen=True, slots=True)
class AuditConfig(Checked):
    """Definition of a smile and of a group, and precision of the results."""

    smiling_level: int = setting(
        1, "level from which a face counts as scored as smiling (1 Low, 2 Medium, 3 High)", low=1, high=3
    )
    min_group: int = setting(30, "minimum number of images of a group", low=2, high=100_000)
    quantiles: int = setting(4, "number of groups of a numeric column", low=2, high=20)
    resamples: int = setting(2000, "bootstrap resamples and permutations", low=100, high=100_000)
    change_pictures: int = setting(
        200,
        "maximum number of images that the controlled changes are applied to; 0: no changes",
        low=0,
        high=100_000,
    )
    seed: int = setting(0, "seed of all random choices", low=0, high=2**31 - 1)
