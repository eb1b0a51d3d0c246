"""Numbers, levels and the group's figures as text, the same in every view."""

from __future__ import annotations

import math

from social_perception.core.signals import Signals, Subject, fields_of
from social_perception.core.types import GroupAffect, Scene, Smile


def number(value: float) -> str:
    """Two digits; ``-``: unknown."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def signed(value: float) -> str:
    """Two digits with a sign; ``-``: unknown."""
    # Adding 0 turns the -0.0 of a small negative value into 0.0.
    return "-" if math.isnan(value) else f"{round(value, 2) + 0.0:+.2f}"


def percent(value: float) -> str:
    """A share in [0, 1] in percent; ``-``: unknown."""
    return "-" if math.isnan(value) else f"{100.0 * value:.0f} %"


def level_text(smile: Smile) -> str:
    """The level's label, in brackets while it is not valid (warming up, mouth covered, or the face is
    lost).
    """
    return smile.level.label if smile.valid else f"({smile.level.label})"


def group_figures(group: GroupAffect | None) -> tuple[str, ...]:
    """The group's figures as short texts, the most important first."""
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
        *further_figures(Subject.GROUP, group.signals),
    )


def scene_figures(scene: Scene) -> tuple[str, ...]:
    """The scene's figures as short texts."""
    if scene.stale:
        return ("scene: no images",)
    figures: list[str] = []
    for one, each in fields_of(Subject.SCENE):
        value = getattr(scene[one.kind], each.name)
        if each.type is tuple:
            names = (column.removeprefix("p_") for column in each.columns)
            figures += [f"{name} {percent(part)}" for name, part in zip(names, value)]
        else:
            figures.append(f"{each.label} {each.text(value)}")
    return tuple(figures)


def further_figures(subject: Subject, signals: Signals) -> tuple[str, ...]:
    """The values of a subject's estimated signals, besides those of smiles, with label and unit."""
    return tuple(
        f"{each.label} {each.text(getattr(signals[one.kind], each.name))}"
        for one, each in fields_of(subject)
        if one.kind in signals and one.kind not in (Smile, GroupAffect) and each.type is not tuple
    )
