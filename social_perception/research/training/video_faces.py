"""Detects and crops the faces of a video once and caches them.

The crops of an hour of video take gigabytes, so the cache file is memory-mapped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from social_perception.core.types import CROP_SIZE_PX, Box, Frame, ImageArray
from social_perception.perception.detection.schedule import Detector
from social_perception.perception.smile.crop import CROP_MARGIN, crop_faces
from social_perception.sources.video import VideoSource

_VERSION = "as shown"
"""Of the frames that were cropped: earlier caches are of stored frames, not of those that a player shows."""

MIN_OVERLAP = 0.3
"""Intersection over union from which the detections of two frames are the same face."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFaces:
    """The F faces detected in a video of N frames, sorted by frame.

    ``stamps_s`` (N,) are the times of the frames; ``frame`` (F,) is the frame index of each face and
    ``box`` (F, 4) its left, top, width and height in px; ``crops`` is (F, 96, 96, 3) uint8 RGB.
    """

    stamps_s: npt.NDArray[np.float64]
    frame: npt.NDArray[np.int64]
    box: npt.NDArray[np.float32]
    crops: ImageArray


def video_faces(video: Path, detector: Detector, every: int, cache: Path) -> VideoFaces:
    """Return the faces of a video; detected once, then read from the cache folder.

    Args:
        video: path of the video file.
        detector: the face detector.
        every: it runs on every ``every``-th frame; boxes are interpolated linearly in between.
        cache: folder for the faces, created if missing.

    Raises:
        SourceError: the video cannot be read.
    """
    folder = cache / "videos" / _key(video, every)
    index = folder / "index.npz"
    if not index.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write_faces(video, detector, every, folder)
    with np.load(index) as kept:
        stamps_s, frame, box = kept["stamps_s"], kept["frame"], kept["box"]
    shape = (len(frame), CROP_SIZE_PX, CROP_SIZE_PX, 3)
    crops = (
        np.memmap(folder / "crops.u8", np.uint8, "r", shape=shape)
        if len(frame)
        else np.zeros(shape, np.uint8)
    )
    return VideoFaces(stamps_s, frame, box, crops)


def assign_people(faces: VideoFaces, people: int) -> npt.NDArray[np.int64]:
    """Assign each face to a person.

    A single person is the largest face of each frame. In frames that show all of several people, the
    largest faces are assigned from left to right; in other frames each face is the person last seen
    nearby.

    Args:
        faces: F faces of a video.
        people: number of people.

    Returns:
        (F,): person index from left to right, -1 for nobody.
    """
    person = np.full(len(faces.frame), -1)
    last_x = np.full(people, np.nan)
    for rows in np.split(np.arange(len(faces.frame)), np.flatnonzero(np.diff(faces.frame)) + 1):
        largest = rows[np.argsort(-faces.box[rows, 2] * faces.box[rows, 3], kind="stable")[:people]]
        x = faces.box[largest, 0] + faces.box[largest, 2] / 2
        if len(largest) == people:
            person[largest[np.argsort(x, kind="stable")]] = np.arange(people)
            last_x[:] = np.sort(x)
            continue
        for row, center in sorted(zip(largest, x), key=lambda face: face[1]):
            distance = np.abs(last_x - center)
            if np.isnan(distance).all() or np.nanmin(distance) > faces.box[row, 2]:
                continue
            nearest = int(np.nanargmin(distance))
            if nearest not in person[rows]:
                person[row], last_x[nearest] = nearest, center
    return person


def _key(video: Path, every: int) -> str:
    """Return a cache key that changes with the file, ``every`` and the crop geometry."""
    state = video.stat()
    file = f"{video.resolve()} {state.st_size} {state.st_mtime_ns}"
    facts = f"{_VERSION} {file} {every} {CROP_MARGIN} {CROP_SIZE_PX}"
    return f"{video.stem}-{hashlib.sha1(os.fsencode(facts), usedforsecurity=False).hexdigest()[:12]}"


def _write_faces(video: Path, detector: Detector, every: int, folder: Path) -> None:
    stamps_s, frame, box = [], [], []
    with VideoSource(video) as source, (folder / "crops.u8").open("wb") as crops:
        frames = tqdm(source, desc=f"faces of {video.name}", total=source.frame_count, mininterval=5)
        for image_frame, boxes in _detect_frames(frames, detector, every):
            boxes = sorted(boxes, key=lambda each: each.left)
            stamps_s.append(image_frame.stamp_s)
            frame += [len(stamps_s) - 1] * len(boxes)
            box += [(each.left, each.top, each.width, each.height) for each in boxes]
            crops.write(crop_faces(image_frame.image, boxes).tobytes())
    # Written last: an index marks a complete cache.
    np.savez(
        folder / "index.npz",
        stamps_s=np.array(stamps_s, float),
        frame=np.array(frame, np.int64),
        box=np.array(box, np.float32).reshape(-1, 4),
    )


def _detect_frames(
    frames: Iterable[Frame], detector: Detector, every: int
) -> Iterator[tuple[Frame, Sequence[Box]]]:
    """Yield each frame with its detected or interpolated boxes, in order."""
    before: Sequence[Box] = ()
    waiting: list[Frame] = []
    for frame in frames:
        if frame.index % every:
            waiting.append(frame)
            continue
        boxes = [face.box for face in detector.detect(frame.image)]
        for number, between in enumerate(waiting, start=1):
            yield between, _interpolate_boxes(before, boxes, number / (len(waiting) + 1))
        waiting.clear()
        yield frame, boxes
        before = boxes
    for frame in waiting:
        yield frame, before


def _interpolate_boxes(before: Sequence[Box], after: Sequence[Box], fraction: float) -> list[Box]:
    """Interpolate the boxes of the faces that are in both detections."""
    pairs = sorted(
        ((one.iou(two), i, j) for i, one in enumerate(before) for j, two in enumerate(after)), reverse=True
    )
    matches: list[tuple[int, int]] = []
    for overlap, i, j in pairs:
        if overlap >= MIN_OVERLAP and all(i != one and j != two for one, two in matches):
            matches.append((i, j))
    return [_interpolate_box(before[i], after[j], fraction) for i, j in matches]


def _interpolate_box(one: Box, two: Box, fraction: float) -> Box:
    sides = ("left", "top", "width", "height")
    return Box(*((1 - fraction) * getattr(one, side) + fraction * getattr(two, side) for side in sides))
