"""The live table of a terminal, and the same as plain lines."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from social_perception.core.types import FaceAffect, FrameAffect
from social_perception.views.colors import level_color
from social_perception.views.words import group_words, level_word, number

_BAR_WIDTH = 24


def live_table(affect: FrameAffect | None, title: str = "") -> Table:
    """Who smiles how much, and the group, for a terminal."""
    caption = "  ".join(group_words(affect.group if affect else None))
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left", min_width=64)
    table.add_column("face", min_width=6)
    table.add_column("level", min_width=8)
    table.add_column("intensity", justify="right")
    table.add_column("smile", min_width=_BAR_WIDTH)
    for face in affect.faces if affect else ():
        color = "rgb({},{},{})".format(*level_color(face.smile.level))
        smile = face.smile
        table.add_row(
            face.track.id, Text(level_word(smile), color), number(smile.intensity), Text(_bar(face), color)
        )
    return table


def live_line(affect: FrameAffect | None) -> str:
    """The same in one line of plain text."""
    faces = affect.faces if affect else ()
    people = ", ".join(
        f"{face.track.id} {level_word(face.smile)} {number(face.smile.intensity)}" for face in faces
    )
    return " | ".join(["  ".join(group_words(affect.group if affect else None)), people or "no faces"])


def _bar(face: FaceAffect) -> str:
    intensity = face.smile.intensity
    return "" if math.isnan(intensity) else "█" * round(_BAR_WIDTH * intensity)
