"""The settings of an audit."""

from __future__ import annotations

from dataclasses import dataclass

from social_perception.core.config import Checked, setting


@dataclass(frozen=True, slots=True)
class AuditConfig(Checked):
    """What counts as a smile and as a group, and how sure the figures are to be."""

    smiling_level: int = setting(
        1, "level from which a face counts as told to smile (1 Low, 2 Medium, 3 High)", low=1, high=3
    )
    min_group: int = setting(
        30, "pictures below which a group is called too small to judge", low=2, high=100_000
    )
    quantiles: int = setting(4, "groups into which a column of numbers is split", low=2, high=20)
    resamples: int = setting(2000, "bootstrap resamples and permutations", low=100, high=100_000)
    change_pictures: int = setting(
        200, "pictures that the controlled changes are tried on at most; 0: no changes", low=0, high=100_000
    )
    seed: int = setting(0, "seed of everything that is drawn", low=0, high=2**31 - 1)
