"""The pipeline's results as the JSON messages that the page reads, and the last minute of them.

Positions are shares of the image's width and height, not mirrored; unknown values are null.
"""

from __future__ import annotations

import json
import math
from collections import deque
from typing import Any

from social_perception.core.signals import Field, Subject, fields_of, signals_of
from social_perception.core.types import FaceAffect, FrameAffect, GroupAffect, Scene, Smile

LENGTH_S = 60.0
RATE_HZ = 5.0
"""Of the history."""

_DIGITS = 4


def state_text(affect: FrameAffect | None, fps: float, message: str) -> str:
    """One ``state`` message.

    Args:
        affect: of the newest frame; None before the first.
        fps: recent frames per second; NaN: not known yet.
        message: the reason why there are no new frames; empty: there are.
    """
    faces = affect.faces if affect is not None else ()
    group = affect.group if affect is not None else None
    state = {
        "type": "state",
        "t": _number(affect.stamp_s if affect is not None else math.nan),
        "width": affect.width if affect is not None else 0,
        "height": affect.height if affect is not None else 0,
        "fps": _number(fps, 1),
        "stale": bool(message),
        "message": message,
        "faces": [_face(face, affect) for face in faces] if affect is not None else [],
        "group": None if group is None else _group(group),
    }
    if affect is not None and affect.scene is not None:
        state["scene"] = _scene(affect.scene)
    return compact(state)


def moment_text(affect: FrameAffect) -> str:
    """One entry of the history: time in s, the group's intensity, each known intensity by face id."""
    known = {face.track.id: _number(face[Smile].intensity) for face in affect.faces if face[Smile].valid}
    intensity = affect.group.intensity if affect.group is not None else math.nan
    entry = [
        _number(affect.stamp_s),
        _number(intensity),
        {name: value for name, value in known.items() if value is not None},
    ]
    return compact(entry)


def compact(value: Any) -> str:
    """JSON without spaces; a number that is not finite is an error."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _face(face: FaceAffect, affect: FrameAffect) -> dict[str, Any]:
    x, y = face.track.box.center
    width, height = max(1, affect.width), max(1, affect.height)
    return {
        "id": face.track.id,
        "x": _number(x / width),
        "y": _number(y / height),
        "size": _number(face.track.box.width / width),
        "visible": face.track.visible,
    } | _values(Subject.FACE, face)


def _group(group: GroupAffect) -> dict[str, Any]:
    return _values(Subject.GROUP, group)


def _scene(scene: Scene) -> dict[str, Any]:
    """The values of the scene's signals; those of a tuple by their table columns."""
    found: dict[str, Any] = {}
    for one, each in fields_of(Subject.SCENE):
        shown = each.json(getattr(scene[one.kind], each.name))
        found |= dict(zip(each.columns, shown)) if each.type is tuple else {each.key: shown}
    return found


def _values(subject: Subject, signals: FaceAffect | GroupAffect) -> dict[str, Any]:
    """The values of the estimated signals; those of smiles are always there."""
    estimated = {Smile, GroupAffect, *signals.signals}
    known = (one for one in signals_of(subject) if one.kind in estimated)
    return {key: each for one in known for key, each in one.json(signals[one.kind]).items()}


def fields_shown() -> dict[str, list[dict[str, str]]]:
    """How the page shows the single values of its state besides those of smiles, for each subject."""
    scene = []
    for _, each in fields_of(Subject.SCENE):
        if each.type is tuple:
            names = {column: column.removeprefix("p_") for column in each.columns}
            scene += [
                {"key": key, "label": name, "unit": "", "display": ".0%"} for key, name in names.items()
            ]
        else:
            scene.append(_shown(each))
    return {"scene": scene} | {
        subject.value: [
            _shown(each)
            for one, each in fields_of(subject)
            if each.key and each.type is not tuple and one.kind not in (Smile, GroupAffect)
        ]
        for subject in (Subject.FACE, Subject.GROUP)
    }


def _shown(field: Field) -> dict[str, str]:
    return {"key": field.key, "label": field.label, "unit": field.unit, "display": field.display}


def _number(value: float, digits: int = _DIGITS) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


class History:
    """The last minute of the stream, five entries a second, as JSON for a page that is opened late.

    An entry holds only the faces of its frame, so that many people who come and go do not make it grow.
    """

    def __init__(self) -> None:
        self._entries: deque[tuple[float, str]] = deque(maxlen=round(LENGTH_S * RATE_HZ))
        self._epoch, self._slot = 0, 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, affect: FrameAffect) -> None:
        """Keep the results of a frame, if the last one kept is old enough; a new epoch starts empty."""
        if affect.epoch != self._epoch:
            self._epoch = affect.epoch
            self._entries.clear()
        slot = math.floor(affect.stamp_s * RATE_HZ)
        if self._entries and slot == self._slot:
            return
        self._slot = slot
        self._entries.append((affect.stamp_s, moment_text(affect)))
        while self._entries[0][0] < affect.stamp_s - LENGTH_S:
            self._entries.popleft()

    def text(self) -> str:
        """The entries as a JSON list, the oldest first."""
        return f"[{','.join(text for _, text in self._entries)}]"
