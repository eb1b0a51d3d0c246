"""Measure speed on this machine: scoring, detector, pipeline, growth, other libraries; soak, overload."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.cli.options import positive
from social_perception.core.errors import ConfigurationError, OutputError

if TYPE_CHECKING:
    from social_perception.research.benchmarks.report import Report

# Named here and not imported: torch takes seconds to load, and --help must not.
PARTS = ("scoring", "detector", "backends", "pipeline", "growth", "first_box", "web", "peers")
OVERLOAD_S = 60.0
_INTERRUPTED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="plot the figures")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the tables between the markers of a document",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--only",
        type=_parts,
        default=PARTS,
        metavar="PARTS",
        help=f"some of {','.join(PARTS)}, comma-separated",
    )
    what.add_argument(
        "--soak",
        type=positive,
        metavar="S",
        help="run the pipeline alone for this time in s, with people who come and go, and check whether "
        "memory stays flat, ids are new, nothing queues up and delays stay constant",
    )
    what.add_argument(
        "--overload",
        type=positive,
        nargs="?",
        const=OVERLOAD_S,
        metavar="S",
        help="send twice as many images as can be processed for this time in s (default: %(const)g), and "
        "check whether the newest is processed, delays stay bounded and every image is accounted for",
    )
    what.add_argument(
        "--from",
        dest="earlier",
        type=Path,
        metavar="JSON",
        help="show the figures of an earlier run",
    )
    parser.add_argument(
        "--peer-model",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="model file for the part peers, may be repeated: .task for MediaPipe's face landmarker, "
        ".tflite for its face detector, .onnx for OpenCV's FaceDetectorYN",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and few repetitions")


def run(options: argparse.Namespace) -> int:
    is_checked = options.soak is not None or options.overload is not None
    if options.quick and (is_checked or options.earlier is not None):
        raise ConfigurationError("--quick goes with neither --soak nor --overload nor --from")
    if options.peer_model and (is_checked or options.earlier is not None or "peers" not in options.only):
        raise ConfigurationError("--peer-model goes with the part peers only")
    # Imported here: torch takes seconds to load, and --help must not.
    from social_perception.research.benchmarks.criteria_tables import section_of
    from social_perception.research.benchmarks.markdown import BENCH, check_document, fill, tables
    from social_perception.research.benchmarks.plots import write_figure
    from social_perception.research.benchmarks.report import to_json, write_text

    for path in (options.json, options.figure):
        if path is not None:
            _prepare(path)
    if options.markdown is not None and options.earlier is None:
        check_document(
            options.markdown,
            "soak" if options.soak is not None else "overload" if options.overload is not None else BENCH,
        )
    report = _report(options)
    print(tables(report), flush=True)
    if options.json is not None:
        write_text(options.json, to_json(report) + "\n")
    if options.figure is not None:
        write_figure(options.figure, report)
    if options.markdown is not None:
        fill(options.markdown, report, section_of(report))
    return 0 if options.earlier is not None or not is_checked else _status(report)


def _report(options: argparse.Namespace) -> Report:
    from social_perception.research.benchmarks import run as benchmarks
    from social_perception.research.benchmarks.peers import peer_models
    from social_perception.research.benchmarks.report import read_report

    if options.earlier is not None:
        return read_report(options.earlier)
    if options.soak is not None:
        return benchmarks.soak(options.soak)
    if options.overload is not None:
        return benchmarks.overload(options.overload)
    return benchmarks.run(options.only, quick=options.quick, peer_models=peer_models(options.peer_model))


def _status(report: Report) -> int:
    """Return 1 if a criterion failed or none was checked, 130 if the run was interrupted."""
    from social_perception.research.benchmarks.criteria_tables import has_failed

    streams = (*(report.soak or ()), *(report.overload or ()))
    if any(has_failed(each) for each in streams):
        return 1
    if any(each.interrupted for each in streams):
        return _INTERRUPTED
    return 0 if any(each.criteria for each in streams) else 1


def _parts(text: str) -> tuple[str, ...]:
    names = [part.strip() for part in text.split(",")]
    unknown = [part for part in names if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown part {unknown[0]!r}; parts are {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in names)


def _prepare(path: Path) -> None:
    """Make the folder and check that it is writable, before minutes of measuring are lost."""
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder")
    trial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
