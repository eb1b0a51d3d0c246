"""Compare detection and scoring between groups of faces, and measure the effect of image changes."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.cli.options import add_settings, settings_from
from social_perception.cli.stills import MIN_FACE_PX, NOT_FOR_STILLS
from social_perception.cli.train import missing_extra
from social_perception.core.config import DetectionConfig, SmileConfig
from social_perception.core.errors import ConfigurationError, OutputError
from social_perception.research.evaluation.audit.settings import AuditConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from social_perception.research.evaluation.audit.changes import Change
    from social_perception.research.evaluation.audit.labelled_images import AuditSet
    from social_perception.research.evaluation.audit.run import SetResult


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("images", nargs="?", type=Path, metavar="FOLDER", help="a folder of labelled images")
    what.add_argument(
        "--data",
        nargs="?",
        const="",
        metavar="DIR",
        help="the development data instead: the folder that contains data/ (default: as for evaluate)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="LABELS.CSV",
        help="name, one or more of level (0-3), intensity (0-1) and smile (0 or 1), and columns of groups",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for tables and figures"
    )
    parser.add_argument(
        "--groups",
        type=_names,
        metavar="A,B,...",
        help="columns and measured properties to compare by (default: all): picture_lightness, "
        "face_lightness, face_contrast, face_px, apparent_ita",
    )
    parser.add_argument(
        "--changes",
        type=_names,
        metavar="A,B,...",
        help="changes to measure, or none (default: all)",
    )
    add_settings(parser, [AuditConfig])
    add_settings(parser, [DetectionConfig, SmileConfig], leave_out=NOT_FOR_STILLS)


def run(options: argparse.Namespace) -> int:
    try:
        # Imported here: torch, pandas and matplotlib take seconds to load, and --help must not.
        from social_perception.perception.detection.factory import make_detector
        from social_perception.perception.smile.factory import make_scorer
        from social_perception.research.evaluation.audit import appearance
        from social_perception.research.evaluation.audit.report import console
        from social_perception.research.evaluation.audit.run import audit
        from social_perception.research.evaluation.audit.scoring import StillScorer
        from social_perception.research.evaluation.run import make_folder
    except ImportError as error:
        raise missing_extra("the audit", error) from error
    config = settings_from(options, AuditConfig)
    smile = settings_from(options, SmileConfig)
    changes = _changes(options.changes)
    sets = _sets(options, config, smile.model)
    folder = make_folder(options.output)
    judge = StillScorer(
        make_detector(settings_from(options, DetectionConfig, min_face_px=MIN_FACE_PX)), make_scorer(smile)
    )
    measured = appearance.MEASURED_GROUPS if options.groups is None else options.groups
    # The curves need many colour images: of the development data only the first set has them.
    results = [
        audit(each, judge, config, measured, changes if number == 0 else ())
        for number, each in enumerate(sets)
    ]
    _write(folder, results, config, smile.model)
    for line in console(results):
        print(line)
    print(f"-> {folder}")
    return int(any(each.unread for each in results))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _sets(options: argparse.Namespace, config: AuditConfig, model: str) -> Sequence[AuditSet]:
    from social_perception.research.evaluation.audit.appearance import MEASURED_GROUPS
    from social_perception.research.evaluation.audit.labelled_images import read_labelled_images

    if options.data is None:
        if options.labels is None:
            raise ConfigurationError("a folder of images needs --labels LABELS.CSV")
        return [
            read_labelled_images(
                options.images, options.labels, options.groups, config.quantiles, MEASURED_GROUPS
            )
        ]
    if options.labels is not None:
        raise ConfigurationError("--data has its own labels; --labels goes with a folder")
    if options.data:
        # The readers of the development data find it by this variable.
        os.environ["SOCIAL_PERCEPTION_DATA"] = options.data
    return _development_sets(options, config, model)


def _development_sets(options: argparse.Namespace, config: AuditConfig, model: str) -> Sequence[AuditSet]:
    from dataclasses import replace

    from social_perception.perception.smile.weights import shipped_path
    from social_perception.research.evaluation.agreement import read_training_sets
    from social_perception.research.evaluation.audit.appearance import MEASURED_GROUPS
    from social_perception.research.evaluation.audit.development_sets import development_sets

    sets = development_sets(
        read_training_sets(Path(model).expanduser() if model else shipped_path()), config.quantiles
    )
    if options.groups is None:
        return sets
    known = {column for each in sets for column in each.groups} | set(MEASURED_GROUPS)
    for name in options.groups:
        if name not in known:
            raise ConfigurationError(f"the data have no group {name}; there are {', '.join(sorted(known))}")
    return [
        replace(each, groups=each.groups[[name for name in each.groups if name in options.groups]])
        for each in sets
    ]


def _changes(names: Sequence[str] | None) -> Sequence[Change]:
    from social_perception.research.evaluation.audit.changes import CHANGES

    if names is None:
        return CHANGES
    if names == ["none"]:
        return ()
    known = {change.name: change for change in CHANGES}
    for name in names:
        if name not in known:
            raise ConfigurationError(f"there is no change {name}; there are {', '.join(known)}, or none")
    return [known[name] for name in names]


def _write(folder: Path, results: Sequence[SetResult], config: AuditConfig, model: str) -> None:
    from social_perception.research.evaluation.audit.plots import write_figures
    from social_perception.research.evaluation.audit.report import markdown, write_csv, write_json

    try:
        write_json(folder / "audit.json", results, {**asdict(config), "model": model or "shipped"})
        write_csv(folder / "audit.csv", results)
        (folder / "audit.md").write_text(markdown(results, config), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from error
    write_figures(folder, results)
