"""Train the smile network that a YAML file describes."""

from __future__ import annotations

import argparse
from pathlib import Path

from social_perception.core.errors import MissingDependencyError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="for example config/train_small.yaml")
    parser.add_argument(
        "--resume",
        choices=("auto", "no"),
        default="no",
        help="auto: continue after the last epoch that an earlier run finished (default: start a new run)",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="SET",
        help="exclude a data set, to measure on it; may be repeated (genki_train)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="replace a setting of the file, for example epochs=2; may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    try:
        from social_perception.research.training.run import main
    except ImportError as error:
        raise missing_extra("training", error) from error
    main(options.config, resume=options.resume, without=options.without, changes=options.set)
    return 0


def missing_extra(what: str, error: ImportError) -> MissingDependencyError:
    """The error of a package that only training and evaluation need."""
    return MissingDependencyError(f"{what} needs {error.name}: pip install 'social_perception[train]'")
