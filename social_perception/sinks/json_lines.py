"""Results as JSON lines (https://jsonlines.org): an object per frame, named as in the ROS 2 messages."""

from __future__ import annotations

import json
from typing import Any

from social_perception.core.signals import Subject, fields_of
from social_perception.core.types import FaceAffect, Frame, FrameAffect, GroupAffect, Scene
from social_perception.sinks.sink import Sink
from social_perception.sinks.tables import TextFile


class JsonLinesSink(TextFile, Sink):
    """A line per frame: stamp, index, the faces with their boxes in px and the group, or the scene alone.

    null: unknown.
    """

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        line: dict[str, Any] = {"stamp_s": round(affect.stamp_s, 6), "frame": affect.index}
        if affect.scene is None:
            line["faces"] = [_face(face) for face in affect.faces]
            line["group"] = None if affect.group is None else _values(Subject.GROUP, affect.group)
        else:
            line["scene"] = _values(Subject.SCENE, affect.scene)
        self.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def _face(face: FaceAffect) -> dict[str, Any]:
    box = face.track.box
    place = {name: round(getattr(box, name), 2) for name in ("left", "top", "width", "height")}
    return {"id": face.track.id, "visible": face.track.visible, "box": place, **_values(Subject.FACE, face)}


def _values(subject: Subject, signals: FaceAffect | GroupAffect | Scene) -> dict[str, Any]:
    return {
        each.message: each.json(getattr(signals[declared.kind], each.name))
        for declared, each in fields_of(subject)
    }
