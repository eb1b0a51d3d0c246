"""The group and the numbers in a few words, the same in every view."""

from __future__ import annotations

import math

from social_perception.core.signals import Subject, fields_of
from social_perception.core.types import GroupAffect, Smile


def number(value: float) -> str:
    """Two digits, or ``-`` for what cannot be known."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def signed(value: float) -> str:
    """Two digits with their sign, or ``-`` for what cannot be known."""
    # Adding 0 turns the -0.0 of a small negative value into 0.0.
    return "-" if math.isnan(value) else f"{round(value, 2) + 0.0:+.2f}"


def percent(value: float) -> str:
    """A share in [0, 1] in percent, or ``-`` for what cannot be known."""
    return "-" if math.isnan(value) else f"{100.0 * value:.0f} %"


def level_word(smile: Smile) -> str:
    """The level, in brackets while it is not valid (warming up, or the face is lost)."""
    return smile.level.label if smile.valid else f"({smile.level.label})"


def group_words(group: GroupAffect | None) -> tuple[str, ...]:
    """The group's figures, the most important first; none of them alone is long."""
    if group is None:
        return ("group: waiting",)
    if group.stale:
        return ("group: no images",)
    if group.group_size == 0:
        return ("nobody in view",)
    return (
        f"group of {group.group_size}",
        f"{group.level.label} {number(group.intensity)}",
        f"smiling {percent(group.smiling_fraction)}",
        f"trend {signed(group.trend)}/s",
        f"synchrony {signed(group.synchrony)}",
        *(
            f"{each.label} {each.text(getattr(group[one.kind], each.name))}"
            for one, each in fields_of(Subject.GROUP, without=GroupAffect)
            if one.kind in group.signals
        ),
    )
