"""The content of a 3D view: the people's positions in front of the camera and the texts above them.

All in m, in the camera's optical frame (REP 103: x right, y down, z forward), so that above means a
smaller y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from social_perception.core.camera import Intrinsics
from social_perception.core.signals import Subject
from social_perception.core.types import FaceAffect, GroupAffect, Position, Smile, SmileLevel
from social_perception.views.colors import Color, level_color
from social_perception.views.text import further_figures, group_figures, level_text, number

_LINE_SPACING = 1.3
"""Height of a line of text, relative to that of its letters."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One person: a sphere of the face's size, and a text."""

    id: str
    position: Position
    diameter_m: float
    text: str
    color: Color
    valid: bool

    @property
    def top_m(self) -> float:
        """y of the sphere's highest point."""
        return self.position.y - self.diameter_m / 2


def figures_of(
    faces: Sequence[FaceAffect], camera: Intrinsics, plane_distance_m: float
) -> tuple[Figure, ...]:
    """The people of one image.

    Args:
        faces: of the image, with a position where the depth is known.
        camera: that took the image.
        plane_distance_m: distance (z) of faces whose depth is not known.
    """
    return tuple(_figure(face, camera, plane_distance_m) for face in faces)


def label_position(figure: Figure, text_height_m: float) -> Position:
    """The centre of the text above a person."""
    here = figure.position
    return Position(here.x, figure.top_m - _text_m(figure.text, text_height_m) / 2, here.z)


def group_position(
    figures: Sequence[Figure], text: str, text_height_m: float, plane_distance_m: float
) -> Position:
    """The centre of the text above the group and its labels; straight ahead if nobody is in view."""
    if not figures:
        return Position(0.0, 0.0, plane_distance_m)
    labels_top = min(each.top_m - _text_m(each.text, text_height_m) for each in figures)
    return Position(
        sum(each.position.x for each in figures) / len(figures),
        labels_top - text_height_m / 2 - _text_m(text, text_height_m) / 2,
        sum(each.position.z for each in figures) / len(figures),
    )


def group_text(group: GroupAffect | None) -> str:
    """The group's figures: size and level in the first line, the others in a second."""
    figures = group_figures(group)
    lines = (figures[:2], figures[2:])
    return "\n".join("   ".join(line) for line in lines if line)


def _figure(face: FaceAffect, camera: Intrinsics, plane_distance_m: float) -> Figure:
    box, smile = face.track.box, face[Smile]
    position = face.track.position
    if position is None or not _in_front(position):
        position = camera.position(*box.center, plane_distance_m)
    # A face at the image's edge is cut off in one direction; the other one still has its size.
    diameter_m = max(box.width / camera.fx, box.height / camera.fy) * position.z
    lines = [face.track.id, f"{level_text(smile)} {number(smile.intensity)}"]
    lines.append("   ".join(further_figures(Subject.FACE, face.signals)))
    text = "\n".join(filter(None, lines))
    level = smile.level if smile.valid else SmileLevel.UNKNOWN
    return Figure(face.track.id, position, diameter_m, text, level_color(level), smile.valid)


def _in_front(position: Position) -> bool:
    return position.z > 0.0 and all(math.isfinite(each) for each in (position.x, position.y, position.z))


def _text_m(text: str, text_height_m: float) -> float:
    return _LINE_SPACING * text_height_m * (text.count("\n") + 1)
