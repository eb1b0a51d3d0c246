"""Measure a smile network on the development data."""

from __future__ import annotations

import argparse
from pathlib import Path

from social_perception.cli.train import missing_extra


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", metavar="FILE", help="weights; default: the shipped network")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".cache"),
        metavar="DIR",
        help="folder of the faces that were found",
    )
    parser.add_argument("--no-clips", action="store_true", help="skip the rated clips, which take minutes")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--precisions", action="store_true", help="compare float32, bfloat16 and int8 instead")
    other.add_argument(
        "--detector", action="store_true", help="measure the face detector's recall by face size instead"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the figures, as JSON and as plots"
    )


def run(options: argparse.Namespace) -> int:
    try:
        from social_perception.research.evaluation import detection_recall, precision
        from social_perception.research.evaluation.run import main
    except ImportError as error:
        raise missing_extra("evaluation", error) from error
    if options.detector:
        detection_recall.main()
        return 0
    if options.precisions:
        precision.main(options.model, cache=options.cache)
        return 0
    main(options.model, cache=options.cache, clips=not options.no_clips, output=options.output)
    return 0
