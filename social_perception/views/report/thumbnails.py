"""Images of the moments of shared smiling, with the faces marked; made only where they are requested."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from social_perception.core.config import ReportConfig
from social_perception.core.errors import ImageError
from social_perception.core.timelines import Timeline, read_boxes
from social_perception.core.types import Box, FaceAffect, Frame, FrameAffect, ImageArray
from social_perception.views.blur import LOOK_BACK_S, head_box, hide
from social_perception.views.overlay import draw_overlay
from social_perception.views.report.measures import Clock, Moment, shared_moments

MAX_THUMBNAILS = 48
"""More would make the page slow: the longest moments get one."""

_WIDTH_PX = 640
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A frame of the video as a small JPEG."""

    frame: int
    jpeg: bytes

    @property
    def data_uri(self) -> str:
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


def make_thumbnails(
    frames: Iterable[Frame],
    faces_table: str | Path,
    faces: Sequence[Timeline],
    group: Timeline | None,
    settings: ReportConfig | None = None,
    *,
    blur: bool = False,
) -> tuple[Thumbnail, ...]:
    """The whole frame, with boxes, at the peak of each moment of shared smiling.

    Args:
        frames: the video from its start; read up to the last peak, and not at all without one.
        faces_table: the face table, with the boxes.
        faces: the table's timelines.
        group: the group's timeline.
        settings: as for ``write_report``.
        blur: whether faces are hidden, at their places up to two seconds before and after.
    """
    clock = Clock.of(faces, group)
    moments = shared_moments(clock.kept(faces), clock, settings)
    peaks = {moment.peak_frame for moment in _longest(moments)}
    if not peaks:
        return ()
    boxes = read_boxes(faces_table, peaks)
    heads = _heads_near(faces_table, peaks, clock) if blur else {}
    thumbnails = []
    for frame in frames:
        if frame.index in peaks:
            shown = replace(frame, image=hide(frame.image, heads[frame.index])) if blur else frame
            thumbnails.append(_thumbnail(shown, boxes[frame.index]))
            if len(thumbnails) == len(peaks):
                break
    return tuple(thumbnails)


def _heads_near(faces_table: str | Path, peaks: Iterable[int], clock: Clock) -> dict[int, tuple[Box, ...]]:
    """By frame, the places of the heads shortly before and after."""
    times_s = dict(zip(clock.frames.tolist(), clock.starts_s.tolist()))
    near = {
        peak: [frame for frame, stamp_s in times_s.items() if abs(stamp_s - times_s[peak]) <= LOOK_BACK_S]
        for peak in peaks
    }
    boxes = read_boxes(faces_table, {frame for frames in near.values() for frame in frames})
    return {
        peak: tuple(head_box(face.track.box) for frame in frames for face in boxes[frame])
        for peak, frames in near.items()
    }


def _longest(moments: Sequence[Moment]) -> Sequence[Moment]:
    return sorted(moments, key=lambda moment: -moment.length_s)[:MAX_THUMBNAILS]


def _thumbnail(frame: Frame, faces: Sequence[FaceAffect]) -> Thumbnail:
    scale = min(1.0, _WIDTH_PX / frame.width)
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    affect = FrameAffect(frame.stamp_s, frame.index, *size, tuple(_scaled(face, scale) for face in faces))
    return Thumbnail(frame.index, _jpeg(draw_overlay(small, affect, header=False, legend=False)))


def _scaled(face: FaceAffect, scale: float) -> FaceAffect:
    box = face.track.box
    small = Box(box.left * scale, box.top * scale, box.width * scale, box.height * scale)
    return dataclasses.replace(face, track=dataclasses.replace(face.track, box=small))


def _jpeg(image: ImageArray) -> bytes:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ImageError(f"an image of shape {image.shape} cannot be encoded as JPEG")
    return bytes(data)
