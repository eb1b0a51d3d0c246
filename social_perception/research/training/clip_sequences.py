"""Face tracks of the unrated clips, cut into windows of frames.

Rated clips are used for evaluation only. A clip of the same recording as a rated one is excluded too,
whatever its name: recordings are compared by their frames (:func:`shares_frames`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from social_perception.core.config import PipelineConfig
from social_perception.core.types import CROP_SIZE_PX, Frame, ImageArray, Track
from social_perception.perception.pipeline import make_tracking
from social_perception.perception.smile.crop import CROP_MARGIN, crop_faces
from social_perception.research.tables import read_table
from social_perception.research.training.stills import data_folder
from social_perception.sources.video import VideoSource

SAME_FRAME_CORRELATION = 0.98
"""Two downscaled frames with at least this correlation show the same frame."""
MIN_DEVIATION = 3.0
"""Standard deviation in gray values below which a frame (a black one) identifies no recording."""
_GEOMETRY = (CROP_MARGIN, CROP_SIZE_PX)
VIDEO_SUFFIXES = (".mp4", ".mov")


@dataclass(frozen=True, slots=True, eq=False)
class ClipFaces:
    """F crops (F, 96, 96, 3) uint8 RGB of tracked faces, grouped by face and sorted by time.

    ``track`` (F,) numbers the uninterrupted tracks, over all clips; ``clip`` (F,) is the clip's file
    name.
    """

    crops: ImageArray
    track: npt.NDArray[np.int64]
    clip: npt.NDArray[np.str_]

    def windows(self, length: int) -> npt.NDArray[np.int64]:
        """Return the first rows (W,) of all windows of ``length`` frames within one track."""
        last = np.arange(length - 1, len(self.track))
        return last[self.track[last] == self.track[last - length + 1]] - length + 1


def clip_faces(cache: Path) -> ClipFaces:
    """Return the faces of all training clips; tracked once, then read from the cache folder.

    Raises:
        SourceError: the data is missing or a clip cannot be read.
    """
    parts = [_cached(clip, cache) for clip in training_clips(cache)]
    crops, tracks, names, used = [np.zeros((0, CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)], [], [], 0
    for name, clip_crops, track in parts:
        crops.append(clip_crops)
        tracks.append(track + used)
        names += [name] * len(track)
        used += int(track.max(initial=-1)) + 1
    return ClipFaces(
        np.concatenate(crops), np.concatenate([np.zeros(0, np.int64), *tracks]), np.array(names, np.str_)
    )


def rated_clips() -> frozenset[str]:
    """Return the file names of the clips reserved for evaluation."""
    return frozenset(read_table(data_folder() / "clips" / "clip_levels.csv", ["clip"])["clip"])


def training_clips(cache: Path) -> list[Path]:
    """Return the clips that are not rated and share no frame with a rated one."""
    folder, rated = data_folder() / "clips", rated_clips()
    unrated = [
        path for path in sorted(folder.iterdir()) if path.suffix in VIDEO_SUFFIXES and path.name not in rated
    ]
    if not unrated:
        return []
    evaluated = np.concatenate([_small_frames(folder / name, cache) for name in sorted(rated)])
    return [path for path in unrated if not shares_frames(_small_frames(path, cache), evaluated)]


def shares_frames(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Return whether two clips, given as downscaled frames (N, P) and (M, P), have a frame in common."""
    return bool(len(one) and len(other) and (one @ other.T).max() > SAME_FRAME_CORRELATION * one.shape[1])


def small_frame(frame: Frame) -> npt.NDArray[np.float32] | None:
    """Downscale a frame to (48 * 27,) gray values of mean 0 and deviation 1; None for a blank frame."""
    gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (48, 27), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    return None if small.std() < MIN_DEVIATION else (small - small.mean()) / small.std()


def _small_frames(video: Path, cache: Path) -> npt.NDArray[np.float32]:
    path = cache / "clips" / f"{clip_key(video, *_GEOMETRY)}_small.npy"
    if path.is_file():
        return np.load(path)
    with VideoSource(video) as source:
        frames = [small for frame in source if (small := small_frame(frame)) is not None]
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.array(frames, np.float32).reshape(-1, 48 * 27)
    np.save(path, small)
    return small


def _cached(video: Path, cache: Path) -> tuple[str, ImageArray, npt.NDArray[np.int64]]:
    path = cache / "clips" / f"{clip_key(video, *_GEOMETRY)}_faces.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        crops, track = _track_faces(video)
        np.savez(path, crops=crops, track=track)
    with np.load(path) as kept:
        return video.name, kept["crops"], kept["track"]


def _track_faces(video: Path) -> tuple[ImageArray, npt.NDArray[np.int64]]:
    """Return the crops of a clip, grouped by track, and the track number of each."""
    open_tracks: dict[str, list[ImageArray]] = {}
    finished: list[list[ImageArray]] = []
    for frame, tracks in track_clip(video):
        crops_of_frame = crop_faces(frame.image, [track.box for track in tracks])
        visible = {each.id: crop for each, crop in zip(tracks, crops_of_frame)}
        # A face that was hidden starts a new track.
        finished += [open_tracks.pop(name) for name in sorted(set(open_tracks) - set(visible))]
        for name, crop in visible.items():
            open_tracks.setdefault(name, []).append(crop)
    finished += open_tracks.values()
    track = np.repeat(np.arange(len(finished)), [len(crops_) for crops_ in finished]).astype(np.int64)
    crops = [crop for crops_ in finished for crop in crops_]
    return np.array(crops, np.uint8).reshape(-1, CROP_SIZE_PX, CROP_SIZE_PX, 3), track


def track_clip(
    video: Path, sound_rate_hz: int | None = None, progress: bool = True
) -> Iterator[tuple[Frame, list[Track]]]:
    """Yield each frame of a clip with its visible tracks.

    Args:
        video: path of the clip.
        sound_rate_hz: rate in Hz at which the frames' sound is requested; None: no sound is decoded.
        progress: whether a progress bar is shown.

    Raises:
        SourceError: the clip cannot be read.
    """
    tracking = make_tracking(PipelineConfig(), live=False)
    try:
        with VideoSource(video, sound_rate_hz) as source:
            title, total = f"faces of {video.name}", source.frame_count
            for frame in tqdm(source, desc=title, total=total, mininterval=5, disable=not progress):
                yield frame, [track for track in tracking.process(frame).tracks if track.visible]
    finally:
        tracking.close()


def clip_key(video: Path, *geometry: float) -> str:
    """Return a cache key that changes with the file and the geometry of what is cached."""
    facts = " ".join(map(str, (video.name, video.stat().st_size, *geometry)))
    return f"{video.stem}-{hashlib.sha1(os.fsencode(facts), usedforsecurity=False).hexdigest()[:12]}"
