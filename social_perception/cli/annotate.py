"""Annotate videos offline: tables, an ELAN file, an annotated video, a plot and a report for each."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from social_perception.cli.annotation import Annotator
from social_perception.cli.corpus import Ledger, outcome_of_earlier, plan
from social_perception.cli.engines import default_workers, free_memory, run_in_processes, run_serially
from social_perception.cli.manifest import Origin, make_origin
from social_perception.cli.options import (
    add_pipeline_settings,
    not_negative,
    pipeline_settings,
    settings_from,
)
from social_perception.cli.privacy import add_privacy_options, check_privacy
from social_perception.cli.result_folder import Job, Outcome, OutputOptions
from social_perception.core.config import AnonymityConfig
from social_perception.core.errors import OutputError
from social_perception.core.signals import Subject
from social_perception.sinks.registry import FACES, GROUP, SCENE, SINKS, formats
from social_perception.sinks.tables import described_columns

_logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "videos",
        nargs="+",
        type=Path,
        metavar="VIDEO",
        help="a video, a bag, or a folder: all videos and bags in it, however deep",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="each video's results go to DIR/STEM/, those of a folder's videos as they lie in the folder",
    )
    _add_sinks(parser)
    parser.add_argument("--no-plot", action="store_true", help="make no plot")
    parser.add_argument("--no-report", action="store_true", help="make no report")
    parser.add_argument(
        "--topic", default="", help="topic of the images in bags that have several (default: the first)"
    )
    parser.add_argument(
        "--thumbnails",
        action="store_true",
        help="images of people in the report; without them it shows nobody",
    )
    parser.add_argument(
        "--shortest-annotation",
        type=not_negative,
        default=OutputOptions().shortest_s,
        metavar="S",
        help="ELAN: merge annotations shorter than this, in s, into their neighbours "
        "(default 0: exactly the levels of the table)",
    )
    add_privacy_options(parser, "the annotated video and the report's images")
    parser.add_argument("--force", action="store_true", help="annotate again what is already done")
    _add_engine(parser)
    add_pipeline_settings(parser, live=False)
    # The columns stay one a line.
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _columns()


def _columns() -> str:
    """The columns of the tables, for the help; an empty cell is an unknown value."""
    lines = []
    for subject, table in ((Subject.FACE, FACES), (Subject.GROUP, GROUP), (Subject.SCENE, SCENE)):
        lines += ["", f"columns of {table} (an empty cell: unknown):"]
        lines += [f"  {name:<18}{text}" for name, text in described_columns(subject).items()]
    return "\n".join(lines[1:])


def _add_sinks(parser: argparse.ArgumentParser) -> None:
    """A flag for each sink that has a description: ``--no-NAME`` where it is enabled, else ``--NAME``."""
    for name, each in SINKS.items():
        if each.description:
            flag = f"--no-{name}" if each.enabled else f"--{name}"
            parser.add_argument(
                flag.replace("_", "-"), dest=f"sink_{name}", action="store_true", help=each.description
            )


def _enabled_sinks(options: argparse.Namespace) -> tuple[str, ...]:
    """The names of the sinks that are enabled, or not disabled."""
    hears = pipeline_settings(options).hearing.sound
    enabled = {
        name: hears if each.needs_hearing else each.enabled != getattr(options, f"sink_{name}", False)
        for name, each in formats(people=not options.anonymous, scene=options.group_only).items()
    }
    return tuple(name for name, is_enabled in enabled.items() if is_enabled)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("several videos at once")
    group.add_argument(
        "--jobs", type=_count, metavar="N", help="videos at a time (default: one per core and GiB of memory)"
    )
    group.add_argument(
        "--threads",
        type=_count,
        metavar="N",
        help="threads of a video's arithmetic (default: the cores divided by the jobs)",
    )
    group.add_argument(
        "--engine",
        choices=("processes", "ray"),
        default="processes",
        help="processes of this machine, or a Ray cluster (RAY_ADDRESS, or one started here; needs ray)",
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return value


def run(options: argparse.Namespace) -> int:
    check_privacy(options, {"--thumbnails": options.thumbnails})
    jobs = plan(options.videos, options.output)
    config = pipeline_settings(options)
    output = OutputOptions(
        sinks=_enabled_sinks(options),
        plot=not options.no_plot,
        report=not (options.no_report or options.anonymous),
        thumbnails=options.thumbnails,
        shortest_s=options.shortest_annotation,
        topic=options.topic,
        blur=options.blur_faces,
        min_group_size=settings_from(options, AnonymityConfig).min_group_size if options.anonymous else 0,
        group_only=options.group_only,
    )
    origin = make_origin(config, output)
    ledger = Ledger(jobs)
    display = Display(ledger)
    try:
        open_jobs = jobs if options.force else _not_done(jobs, origin, display)
        if open_jobs:
            _warn_of_images(output)
            _annotate(open_jobs, partial(Annotator, config, output, origin), display, options)
    except BaseException:
        display.close()
        # The error that ended the run is to be read, not that of its summary.
        with suppress(OutputError):
            _sum_up(ledger, options.output)
        raise
    _sum_up(ledger, options.output)
    return 1 if ledger.count("failed") or ledger.count("incomplete") else 0


def _warn_of_images(output: OutputOptions) -> None:
    """Warn that people can be seen in the results."""
    places = [each.file for each in output.formats if each.has_images]
    places += ["the report"] if output.thumbnails else []
    if places:
        how = (
            "with the faces that are found hidden" if output.blur else "with everybody in them (--blur-faces)"
        )
        _logger.warning("the videos' images are kept in %s, %s", " and ".join(places), how)


def _not_done(jobs: Sequence[Job], origin: Origin, display: Display) -> tuple[Job, ...]:
    """The videos that are not done yet; the others are reported as skipped."""
    open_jobs = []
    for job in jobs:
        outcome = outcome_of_earlier(job, origin)
        if outcome is None:
            open_jobs.append(job)
        else:
            display.skipped(job, outcome)
    return tuple(open_jobs)


def _annotate(
    jobs: Sequence[Job], annotator: partial[Annotator], display: Display, options: argparse.Namespace
) -> None:
    if options.engine == "ray":
        # Imported here: ray is optional.
        from social_perception.cli.ray_engine import run_on_ray

        run_on_ray(jobs, annotator, display, options.jobs, options.threads)
        return
    cores = len(os.sched_getaffinity(0))
    workers = min(options.jobs or default_workers(len(jobs), cores, free_memory()), len(jobs))
    if workers == 1:
        run_serially(jobs, partial(annotator, threads=options.threads or 0), display)
    else:
        threads = options.threads or max(1, cores // workers)
        run_in_processes(jobs, partial(annotator, threads=threads), display, workers)


def _sum_up(ledger: Ledger, output: Path) -> None:
    """Write and print the summary of several videos, unless nothing was written."""
    if len(ledger.entries) < 2 or not output.is_dir():
        return
    table = ledger.write(output)
    counts = [f"{ledger.count(status)} {status}" for status in ("done", "skipped", "failed")]
    further = {"incomplete": ledger.count("incomplete"), "left": ledger.count("open")}
    counts += [f"{count} {name}" for name, count in further.items() if count]
    print(", ".join(counts), "->", table, flush=True)


class Display:
    """Shows a progress bar per video at work and a line per finished one; keeps the ledger, too."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._bars: dict[Job, Any] = {}

    def started(self, job: Job) -> None:
        from tqdm import tqdm

        used = {abs(bar.pos) for bar in self._bars.values()}
        place = next(n for n in range(len(used) + 1) if n not in used)
        # None: no bar where standard error is no terminal.
        self._bars[job] = tqdm(desc=job.video.stem, unit="frame", disable=None, position=place, leave=False)

    def progressed(self, job: Job, frames: int, total: int | None) -> None:
        bar = self._bars[job]
        bar.total = total if total is None else max(total, frames)
        bar.update(frames - bar.n)

    def finished(self, job: Job, outcome: Outcome) -> None:
        status = "incomplete" if outcome.errors else "done"
        self._ledger.enter(job, status, outcome, "; ".join(outcome.errors))
        self._end(job)
        rate = outcome.frames / outcome.seconds
        counts = f"frames {outcome.frames}, faces {outcome.faces}, {rate:.1f} fps"
        self._print(f"{job.video}: {counts} -> {job.folder}")

    def skipped(self, job: Job, outcome: Outcome) -> None:
        """Report a video that an earlier run has annotated."""
        self._ledger.enter(job, "skipped", outcome)
        self._print(f"{job.video}: already done -> {job.folder}")

    def failed(self, job: Job, error: str) -> None:
        self._ledger.enter(job, "failed", error=error)
        self._end(job)
        self._print(f"social-perception: error: {error}", file=sys.stderr)

    def _end(self, job: Job) -> None:
        bar = self._bars.pop(job, None)
        if bar is not None:
            bar.close()

    def close(self) -> None:
        """Remove the bars of unfinished videos."""
        for job in list(self._bars):
            self._end(job)

    def _print(self, line: str, file: Any = None) -> None:
        from tqdm import tqdm

        tqdm.write(line, file=file or sys.stdout)
        (file or sys.stdout).flush()
