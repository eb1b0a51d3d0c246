"""The people of a 3D view as visualization_msgs/Marker messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from social_perception.core.types import Position
from social_perception.views.colors import Color
from social_perception.views.scene import Figure, label_position

FACES, LABELS, GROUP = "faces", "labels", "group"
"""Namespaces of the markers, which a viewer can show and hide."""

_WHITE: Color = (255, 255, 255)
_OPAQUE, _TRANSLUCENT = 1.0, 0.4


class MarkerIds:
    """The marker id of each person; ids are never reused."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._next = 0

    def of(self, person: str) -> int:
        """The id of the person's markers until the person leaves."""
        if person not in self._ids:
            self._ids[person] = self._next
            self._next += 1
        return self._ids[person]

    def keep(self, present: Iterable[str]) -> tuple[int, ...]:
        """Forget all other people; return the ids of their markers."""
        gone = set(self._ids) - set(present)
        return tuple(sorted(self._ids.pop(person) for person in gone))


@dataclass(frozen=True, slots=True)
class MarkerStyle:
    """The common properties of all markers of one image."""

    header: Header
    lifetime_s: float
    text_height_m: float

    def sphere(self, marker_id: int, figure: Figure) -> Marker:
        """A person's face."""
        marker = self._marker(FACES, marker_id, Marker.SPHERE, figure.position)
        marker.scale = Vector3(x=figure.diameter_m, y=figure.diameter_m, z=figure.diameter_m)
        marker.color = _color(figure.color, figure.valid)
        return marker

    def label(self, marker_id: int, figure: Figure) -> Marker:
        """The text above a person."""
        place = label_position(figure, self.text_height_m)
        return self._text(LABELS, marker_id, figure.text, place, figure.valid)

    def group(self, text: str, place: Position, *, sure: bool) -> Marker:
        """The text above the group."""
        return self._text(GROUP, 0, text, place, sure)

    def deletions(self, marker_ids: Sequence[int]) -> list[Marker]:
        """Markers that delete those of people who left."""
        return [
            Marker(header=self.header, ns=namespace, id=each, action=Marker.DELETE)
            for each in marker_ids
            for namespace in (FACES, LABELS)
        ]

    def _text(self, namespace: str, marker_id: int, text: str, place: Position, sure: bool) -> Marker:
        marker = self._marker(namespace, marker_id, Marker.TEXT_VIEW_FACING, place)
        marker.scale.z = self.text_height_m
        marker.color = _color(_WHITE, sure)
        marker.text = text
        return marker

    def _marker(self, namespace: str, marker_id: int, kind: int, place: Position) -> Marker:
        marker = Marker(header=self.header, ns=namespace, id=marker_id, type=kind, action=Marker.ADD)
        marker.pose.position = Point(x=place.x, y=place.y, z=place.z)
        marker.lifetime = _duration(self.lifetime_s)
        return marker


def delete_all_marker(header: Header) -> Marker:
    """A marker that deletes all markers of the topic."""
    return Marker(header=header, action=Marker.DELETEALL)


def _color(color: Color, sure: bool) -> ColorRGBA:
    red, green, blue = (each / 255 for each in color)
    return ColorRGBA(r=red, g=green, b=blue, a=_OPAQUE if sure else _TRANSLUCENT)


def _duration(seconds: float) -> Duration:
    whole, nanoseconds = divmod(round(seconds * 1e9), 10**9)
    return Duration(sec=whole, nanosec=nanoseconds)
