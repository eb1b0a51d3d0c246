"""The people of a 3D view as visualization_msgs/Marker."""

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
"""The namespaces, which a viewer can switch on and off."""

_WHITE: Color = (255, 255, 255)
_OPAQUE, _TRANSLUCENT = 1.0, 0.4


class Numbers:
    """The marker id of each person; it is never given to another one."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._next = 0

    def of(self, person: str) -> int:
        """The person's number, from now until the person leaves."""
        if person not in self._numbers:
            self._numbers[person] = self._next
            self._next += 1
        return self._numbers[person]

    def keep(self, present: Iterable[str]) -> tuple[int, ...]:
        """Forget all others; return their numbers."""
        gone = set(self._numbers) - set(present)
        return tuple(sorted(self._numbers.pop(person) for person in gone))


@dataclass(frozen=True, slots=True)
class MarkerStyle:
    """What all markers of one image have in common."""

    header: Header
    lifetime_s: float
    text_height_m: float

    def ball(self, number: int, figure: Figure) -> Marker:
        """A person's face."""
        marker = self._marker(FACES, number, Marker.SPHERE, figure.position)
        marker.scale = Vector3(x=figure.diameter_m, y=figure.diameter_m, z=figure.diameter_m)
        marker.color = _color(figure.color, figure.sure)
        return marker

    def label(self, number: int, figure: Figure) -> Marker:
        """What is written above a person."""
        place = label_position(figure, self.text_height_m)
        return self._text(LABELS, number, figure.text, place, figure.sure)

    def group(self, text: str, place: Position, *, sure: bool) -> Marker:
        """What is written above the group."""
        return self._text(GROUP, 0, text, place, sure)

    def removals(self, numbers: Sequence[int]) -> list[Marker]:
        """Takes away the markers of people who left."""
        return [
            Marker(header=self.header, ns=namespace, id=number, action=Marker.DELETE)
            for number in numbers
            for namespace in (FACES, LABELS)
        ]

    def _text(self, namespace: str, number: int, text: str, place: Position, sure: bool) -> Marker:
        marker = self._marker(namespace, number, Marker.TEXT_VIEW_FACING, place)
        marker.scale.z = self.text_height_m
        marker.color = _color(_WHITE, sure)
        marker.text = text
        return marker

    def _marker(self, namespace: str, number: int, kind: int, place: Position) -> Marker:
        marker = Marker(header=self.header, ns=namespace, id=number, type=kind, action=Marker.ADD)
        marker.pose.position = Point(x=place.x, y=place.y, z=place.z)
        marker.lifetime = _duration(self.lifetime_s)
        return marker


def removal_of_all(header: Header) -> Marker:
    """Takes away everything that was ever drawn from this topic."""
    return Marker(header=header, action=Marker.DELETEALL)


def _color(color: Color, sure: bool) -> ColorRGBA:
    red, green, blue = (each / 255 for each in color)
    return ColorRGBA(r=red, g=green, b=blue, a=_OPAQUE if sure else _TRANSLUCENT)


def _duration(seconds: float) -> Duration:
    whole, nanoseconds = divmod(round(seconds * 1e9), 10**9)
    return Duration(sec=whole, nanosec=nanoseconds)
