"""The table of the demo: who smiles how much, and the group."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from social_perception.core.types import SmileLevel
from social_perception.nodes.messages import FaceAffect, FaceAffectArray, GroupAffectMessage

_BAR_WIDTH = 24
_COLORS = {
    SmileLevel.NEUTRAL: "grey62",
    SmileLevel.LOW: "cyan",
    SmileLevel.MEDIUM: "green",
    SmileLevel.HIGH: "bright_yellow",
    SmileLevel.UNKNOWN: "grey42",
}


def live_table(faces: FaceAffectArray | None, group: GroupAffectMessage | None) -> Table:
    """The newest messages as a table for a terminal."""
    table = Table(caption=group_line(group), caption_justify="left", min_width=64)
    table.add_column("person", min_width=8)
    table.add_column("level", min_width=8)
    table.add_column("intensity", justify="right")
    table.add_column("smile", min_width=_BAR_WIDTH)
    for face in faces.faces if faces is not None else ():
        color = _COLORS[SmileLevel(face.level)]
        table.add_row(face.id, Text(_level(face), color), _number(face.intensity), Text(_bar(face), color))
    return table


def live_line(faces: FaceAffectArray | None, group: GroupAffectMessage | None) -> str:
    """The same as one line of plain text."""
    people = ", ".join(
        f"{face.id} {_level(face)} {_number(face.intensity)}" for face in (faces.faces if faces else ())
    )
    return f"{group_line(group)} | {people}" if people else group_line(group)


def group_line(group: GroupAffectMessage | None) -> str:
    """The group in a few words."""
    if group is None:
        return "group: waiting"
    if group.stale:
        return "group: no images"
    if not group.group_size:
        return "group: nobody in view"
    words = [
        f"group of {group.group_size}: {SmileLevel(group.level).label} {_number(group.intensity)}",
        f"smiling {_percent(group.smiling_fraction)}",
        f"trend {_signed(group.trend)}/s",
        f"synchrony {_signed(group.synchrony)}",
    ]
    return ", ".join(words)


def _level(face: FaceAffect) -> str:
    label = SmileLevel(face.level).label
    return label if face.valid else f"({label})"


def _bar(face: FaceAffect) -> str:
    if math.isnan(face.intensity):
        return ""
    return "█" * round(_BAR_WIDTH * face.intensity)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"
