"""Annotate videos offline: tables, an ELAN file, an annotated video, a plot and a report for each."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from social_perception.cli.annotation import RECORDING, VIDEO, Annotator, Job, Wanted
from social_perception.cli.corpus import Ledger, outcome_of_earlier, plan
from social_perception.cli.engines import free_memory, run_in_processes, run_serially, workers_that_pay
from social_perception.cli.manifest import Origin, make_origin
from social_perception.cli.options import (
    add_pipeline_settings,
    given_settings,
    not_negative,
    pipeline_settings,
)
from social_perception.cli.privacy import add_privacy_options, check_privacy
from social_perception.cli.progress import Display
from social_perception.core.config import AnonymityConfig
from social_perception.core.errors import OutputError

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
    parser.add_argument("--no-video", action="store_true", help="make no annotated video")
    parser.add_argument("--no-plot", action="store_true", help="make no plot")
    parser.add_argument("--no-report", action="store_true", help="make no report")
    parser.add_argument(
        "--mcap",
        action="store_true",
        help=f"results as ROS 2 messages in {RECORDING}, for Foxglove and ros2 bag (needs rosbags)",
    )
    parser.add_argument(
        "--topic", default="", help="images to take from bags that have several (default: the first)"
    )
    parser.add_argument(
        "--thumbnails", action="store_true", help="pictures in the report; without them it shows nobody"
    )
    parser.add_argument(
        "--shortest-annotation",
        type=not_negative,
        default=Wanted().shortest_s,
        metavar="S",
        help="ELAN: give annotations shorter than this, in s, to their neighbours "
        "(default 0: exactly what the table says)",
    )
    add_privacy_options(parser, "the annotated video and the report's pictures")
    parser.add_argument("--force", action="store_true", help="do again what is already done")
    _add_engine(parser)
    add_pipeline_settings(parser)


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
    wanted = Wanted(
        video=not (options.no_video or options.anonymous),
        plot=not options.no_plot,
        report=not (options.no_report or options.anonymous),
        thumbnails=options.thumbnails,
        shortest_s=options.shortest_annotation,
        mcap=options.mcap,
        topic=options.topic,
        blur=options.blur_faces,
        min_group_size=given_settings(options, AnonymityConfig).min_group_size if options.anonymous else 0,
    )
    origin = make_origin(config, wanted)
    ledger = Ledger(jobs)
    display = Display(ledger)
    try:
        open_jobs = jobs if options.force else _not_done(jobs, origin, display)
        if open_jobs:
            _tell_of_pictures(wanted)
            _annotate(open_jobs, partial(Annotator, config, wanted, origin), display, options)
    except BaseException:
        display.close()
        # What ended the run is to be read, not what became of its summary.
        with suppress(OutputError):
            _sum_up(ledger, options.output)
        raise
    _sum_up(ledger, options.output)
    return 1 if ledger.count("failed") else 0


def _tell_of_pictures(wanted: Wanted) -> None:
    """Say in one line that what is written shows people."""
    places = [name for name, asked in ((VIDEO, wanted.video), ("the report", wanted.thumbnails)) if asked]
    if places:
        how = (
            "with the faces that are found hidden" if wanted.blur else "with everybody in them (--blur-faces)"
        )
        _logger.warning("the videos' pictures are kept in %s, %s", " and ".join(places), how)


def _not_done(jobs: Sequence[Job], origin: Origin, display: Display) -> tuple[Job, ...]:
    """The videos that are left to do; the others are told."""
    left = []
    for job in jobs:
        outcome = outcome_of_earlier(job, origin)
        if outcome is None:
            left.append(job)
        else:
            display.skipped(job, outcome)
    return tuple(left)


def _annotate(
    jobs: Sequence[Job], annotator: partial[Annotator], display: Display, options: argparse.Namespace
) -> None:
    if options.engine == "ray":
        # Imported here: ray is optional.
        from social_perception.cli.ray_engine import run_on_ray

        run_on_ray(jobs, annotator, display, options.jobs, options.threads)
        return
    cores = len(os.sched_getaffinity(0))
    workers = min(options.jobs or workers_that_pay(len(jobs), cores, free_memory()), len(jobs))
    if workers == 1:
        run_serially(jobs, partial(annotator, threads=options.threads or 0), display)
    else:
        threads = options.threads or max(1, cores // workers)
        run_in_processes(jobs, partial(annotator, threads=threads), display, workers)


def _sum_up(ledger: Ledger, output: Path) -> None:
    """Write the summary and say it, where there were several videos and any came to something."""
    if len(ledger.entries) < 2 or not output.is_dir():
        return
    table = ledger.write(output)
    counts = [f"{ledger.count(status)} {status}" for status in ("done", "skipped", "failed")]
    left = ledger.count("open")
    print(", ".join([*counts, *([f"{left} left"] if left else [])]), "->", table, flush=True)
