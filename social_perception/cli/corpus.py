"""A corpus of videos: finds them, plans the folders of their results, and keeps the ledger of a run."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from social_perception.cli.manifest import MANIFEST, Origin, read_manifest
from social_perception.cli.result_folder import FIGURES, Job, Outcome, result_names
from social_perception.core.errors import ConfigurationError, OutputError, SourceError
from social_perception.sources.bag_names import has_bag_suffix, is_bag

CORPUS = "corpus.csv"
COLUMNS = ("video", "folder", "status", "frames", "faces", "duration_s", "mean_intensity", "error")
VIDEO_SUFFIXES = (
    ".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m2v",
    ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob",
    ".webm", ".wmv",
)  # fmt: skip
"""Suffixes of videos in folders, in lower case; a file that is named itself may have any suffix."""
_MAY_BE_ANIMATED = (".apng", ".avif", ".avifs", ".gif", ".png", ".webp")


def plan(videos: Sequence[Path], output: Path) -> tuple[Job, ...]:
    """Plan the folder of each video's results.

    The results of a file go to ``output/STEM``; those of a folder's files, at any depth, keep their place
    in it: those of ``FOLDER/a/talk.mp4`` go to ``output/a/talk``. With several folders the folder's own
    name comes first. A rosbag2 folder counts as one video, and keeps its whole name.

    Args:
        videos: files, bags and folders; a missing file is reported when it is opened.
        output: the folder of the results; videos in it are results and are skipped.

    Raises:
        SourceError: a folder has no videos.
        ConfigurationError: two videos would have the same folder.
    """
    folders = [path for path in videos if path.is_dir() and not is_bag(path)]
    placed: dict[Path, Path] = {}
    for path in videos:
        if path in folders:
            above = Path(path.resolve().name) if len(folders) > 1 else Path()
            placed.update(_placed_in(path, above, output))
        else:
            placed[path] = Path(path.resolve().name if path.is_dir() else path.stem)
    _check_places(placed)
    return tuple(Job(n, video, output / place) for n, (video, place) in enumerate(placed.items()))


def _placed_in(folder: Path, above: Path, output: Path) -> dict[Path, Path]:
    found = _videos_in(folder, output)
    if not found:
        raise SourceError(f"{folder} has no videos ({' '.join(VIDEO_SUFFIXES)}) and no bags")
    places = {video: above / _without_ending(video).relative_to(folder) for video in found}
    count = Counter(places.values())
    # talk.mp4 beside talk.mov: both keep their endings.
    return {
        video: place if count[place] == 1 else place.with_name(video.name) for video, place in places.items()
    }


def _without_ending(video: Path) -> Path:
    return video if video.is_dir() else video.with_suffix("")


def _videos_in(folder: Path, output: Path) -> list[Path]:
    """The videos and bags of a folder, however deep, by name; hidden files and results are skipped."""
    found: list[Path] = []
    names = result_names("")
    for name, inner, files in os.walk(folder, onerror=_unreadable):
        here = Path(name)
        inner[:] = sorted(each for each in inner if not each.startswith("."))
        if here.resolve() == output.resolve() and here != folder:
            inner[:], files = [], []
        bags = [here / each for each in inner if is_bag(here / each)]
        found += bags
        inner[:] = [each for each in inner if here / each not in bags]
        has_results = MANIFEST in files
        found += [
            here / file
            for file in sorted(files)
            if _is_video(here / file) and not file.startswith(".") and not (has_results and file in names)
        ]
    return found


def _is_video(file: Path) -> bool:
    # Imported here: loading Pillow takes a while.
    from social_perception.sources.images import is_animation

    suffix = file.suffix.lower()
    is_named_so = suffix in VIDEO_SUFFIXES or has_bag_suffix(file)
    return is_named_so or (suffix in _MAY_BE_ANIMATED and is_animation(file))


def _unreadable(error: OSError) -> None:
    raise SourceError(f"{error.filename} cannot be read: {error.strerror or error}") from error


def _check_places(placed: dict[Path, Path]) -> None:
    for place, count in Counter(placed.values()).items():
        if count > 1:
            same = ", ".join(str(video) for video, other in placed.items() if other == place)
            raise ConfigurationError(
                f"{same} would all be written to {place}: give the folder that they are in, "
                "rename them or run one by one"
            )


def outcome_of_earlier(job: Job, origin: Origin) -> Outcome | None:
    """The outcome of an earlier run on the video, if its results are complete and would be the same now."""
    manifest = read_manifest(job.folder)
    if manifest is None or not manifest.is_valid(job.folder, job.video, origin):
        return None
    results: Any = manifest.results  # as it stands in the file
    if not isinstance(results, dict):
        return None
    values = {"start_s": 0.0, **{name: value for name, value in results.items() if name in FIGURES}}
    if values.get("mean_intensity", 0) is None:
        values["mean_intensity"] = float("nan")
    if set(values) != set(FIGURES) or not all(type(value) in (int, float) for value in values.values()):
        return None  # edited by hand
    return Outcome(**values)


@dataclass(frozen=True, slots=True)
class Entry:
    """The state of a video in a run.

    ``status`` is done, skipped, failed, incomplete where some results could not be written, or open until
    the video is finished.
    """

    job: Job
    status: str = "open"
    outcome: Outcome | None = None
    error: str = ""


class Ledger:
    """The state of each video of a run."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.entries = [Entry(job) for job in jobs]

    def enter(self, job: Job, status: str, outcome: Outcome | None = None, error: str = "") -> None:
        self.entries[job.number] = Entry(job, status, outcome, error)

    def count(self, status: str) -> int:
        return sum(entry.status == status for entry in self.entries)

    def write(self, output: Path) -> Path:
        """Write ``corpus.csv``, a row per video, over that of an earlier run.

        Raises:
            OutputError: it cannot be written.
        """
        path = output / CORPUS
        part = path.with_name(f".{CORPUS}.part")
        try:
            with part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(COLUMNS)
                table.writerows(_row(entry, output) for entry in self.entries)
            part.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
        return path


def _row(entry: Entry, output: Path) -> list[str | int]:
    found: list[str | int] = [""] * 4
    if entry.outcome is not None:
        mean = entry.outcome.mean_intensity
        found = [
            entry.outcome.frames,
            entry.outcome.faces,
            f"{entry.outcome.duration_s:.3f}",
            "" if mean != mean else f"{mean:.4f}",
        ]
    place = entry.job.folder.relative_to(output).as_posix()
    return [str(entry.job.video), place, entry.status, *found, entry.error]
