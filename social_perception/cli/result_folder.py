"""The results of one video: which are made, and their folder, which is replaced once they are complete."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from social_perception.cli.manifest import MANIFEST, Manifest, Origin, write_manifest
from social_perception.core.errors import OutputError
from social_perception.sinks.registry import SINKS, SinkFormat, formats

_logger = logging.getLogger(__name__)

PLOT, REPORT = "timeline.png", "report.html"


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The results that are made of each video.

    Attributes:
        sinks: names of the enabled sinks.
        plot: whether a plot is made.
        report: whether a report is made.
        thumbnails: whether the report contains images of the people.
        shortest_s: shorter annotations of the ELAN file are merged into their neighbours.
        topic: of the images in bags; empty: the first.
        blur: whether faces are hidden in the annotated video and in the thumbnails.
        min_group_size: number of people from which the group's values are reported where single people
            are not; 0: everything is reported.
        group_only: whether no single people are processed, and the scene is reported.
    """

    sinks: tuple[str, ...] = tuple(name for name, each in formats(people=True).items() if each.enabled)
    plot: bool = True
    report: bool = True
    thumbnails: bool = False
    shortest_s: float = 0.0
    topic: str = ""
    blur: bool = False
    min_group_size: int = 0
    group_only: bool = False

    @property
    def people(self) -> bool:
        """Whether single people are reported."""
        return self.min_group_size == 0 and not self.group_only

    @property
    def formats(self) -> tuple[SinkFormat, ...]:
        """The formats of the enabled sinks."""
        known = formats(people=self.people, scene=self.group_only)
        return tuple(each for name, each in known.items() if name in self.sinks)


@dataclass(frozen=True, slots=True)
class Job:
    """A video or bag and the folder of its results; number counts the videos of a run from 0."""

    number: int
    video: Path
    folder: Path

    @property
    def part(self) -> Path:
        """The folder of the results until they are complete."""
        return self.folder.with_name(f".{self.folder.name}.part")

    @property
    def stem(self) -> str:
        """The name of the video: of a file without its suffix; the name of a folder may have any dots."""
        return self.video.resolve().name if self.video.is_dir() else self.video.stem


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of an annotated video.

    Attributes:
        frames: that were processed.
        faces: people in them.
        duration_s: of the video.
        mean_intensity: over all faces and frames, NaN without a valid one.
        seconds: that the work took.
        start_s: the stamp of a bag's first image, from which the tables count; 0 for videos.
        errors: why some results are missing.
    """

    frames: int
    faces: int
    duration_s: float
    mean_intensity: float
    seconds: float
    start_s: float = 0.0
    errors: tuple[str, ...] = ()


FIGURES = tuple(each.name for each in dataclasses.fields(Outcome) if each.name != "errors")


def result_names(stem: str) -> tuple[str, ...]:
    """The names of all results that a video of this name can have."""
    return *(each.file.format(stem=stem) for each in SINKS.values()), PLOT, REPORT


def begin(job: Job) -> None:
    """Make an empty folder for the results.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        if job.part.exists():
            _logger.warning("%s was interrupted earlier and is annotated again from its start", job.video)
            shutil.rmtree(job.part)
        job.part.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{job.part} cannot be made: {error.strerror or error}") from error


def publish(job: Job, fingerprint: str, outcome: Outcome, origin: Origin) -> None:
    """Move the results, each in one step, over those of an earlier run; other files stay.

    Where some are missing there is no manifest: the next run makes them again.

    Raises:
        OutputError: they cannot be moved.
    """
    part, folder = job.part, job.folder
    made = tuple(sorted(path.name for path in part.iterdir()))
    try:
        folder.mkdir(exist_ok=True)
        # Written again at the very end: while it is missing the results are not complete.
        (folder / MANIFEST).unlink(missing_ok=True)
        _remove_earlier(job, made)
        for name in made:
            (part / name).replace(folder / name)
        part.rmdir()
        if not outcome.errors:
            figures = {name: getattr(outcome, name) for name in FIGURES}
            write_manifest(folder, Manifest.of(job.video, fingerprint, origin, made, figures))
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}; see {part}") from error


def _remove_earlier(job: Job, made: tuple[str, ...]) -> None:
    """Remove the results of an earlier run that this one did not make; back up those corrected by hand."""
    for each in SINKS.values():
        if each.keeps_backup:
            _back_up(job, each.file.format(stem=job.stem), made)
    for name in result_names(job.stem):
        if name not in made:
            (job.folder / name).unlink(missing_ok=True)


def _back_up(job: Job, name: str, made: tuple[str, ...]) -> None:
    earlier = job.folder / name
    new = (job.part / name).read_bytes() if name in made else b""
    if earlier.exists() and earlier.read_bytes() != new:
        earlier.replace(job.folder / f"{name}.bak")
