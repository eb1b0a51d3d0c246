"""Measure a smile network on the development data."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from social_perception.cli.train import missing_extra
from social_perception.core.errors import ConfigurationError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        nargs="+",
        default=[""],
        metavar="FILE",
        help="weights; several are compared with the first; '': the shipped network, the default; files "
        "joined by commas are the folds of a cross-validation over clips",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".cache"),
        metavar="DIR",
        help="folder of the faces that were found",
    )
    parser.add_argument(
        "--no-clips", action="store_true", help="skip the rated clips, which take two minutes"
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--precisions", action="store_true", help="compare float32, bfloat16 and int8 instead")
    other.add_argument(
        "--detector", action="store_true", help="measure the face detector's recall by face size instead"
    )
    other.add_argument(
        "--sound",
        action="store_true",
        help="measure speech, laughter, who speaks and who laughs from sound instead, and smiles while "
        "talking, without sound and with it",
    )
    other.add_argument(
        "--scene",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="measure scene networks instead; folders of images without people, for the synthetic scenes",
    )
    other.add_argument(
        "--social-mae",
        nargs="+",
        metavar="FILE",
        help="measure pre-trained weights of the Social-MAE instead; several are compared with the first",
    )
    parser.add_argument(
        "--finetune",
        type=int,
        nargs="?",
        const=3,
        default=0,
        metavar="SEEDS",
        help="with --social-mae, fine-tune the first, too, and train it from scratch, with so many seeds "
        "(default: 3), in half an hour",
    )
    parser.add_argument(
        "--bursts",
        type=Path,
        metavar="DIR",
        help="with --finetune, fine-tune for laughter on EmoGator's recordings, too",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the figures, as JSON and as plots"
    )


def run(options: argparse.Namespace) -> int:
    try:
        evaluate = _evaluation(options)
    except ImportError as error:
        raise missing_extra("evaluation", error) from error
    evaluate()
    return 0


def _evaluation(options: argparse.Namespace) -> Callable[[], object]:
    """The requested evaluation; only what it needs is imported."""
    if options.detector:
        from social_perception.research.evaluation import detection_recall

        return detection_recall.main
    if options.sound:
        from social_perception.research.evaluation import hearing

        if len(options.model) > 1:
            raise ConfigurationError("--sound measures one model")
        return partial(hearing.main, options.model[0])
    if options.scene:
        from social_perception.research.evaluation import scenes

        backgrounds = list(map(str, options.scene))
        return partial(scenes.main, options.model, backgrounds, options.cache, options.output)
    if options.social_mae:
        if options.bursts and options.finetune < 1:
            raise ConfigurationError("--bursts needs --finetune")
        from social_perception.research.evaluation import social_mae

        return partial(
            social_mae.main,
            options.social_mae,
            options.cache,
            seeds=range(1, options.finetune + 1),
            recordings=options.bursts,
            output=options.output,
        )
    if options.precisions:
        from social_perception.research.evaluation import precision

        if len(options.model) > 1:
            raise ConfigurationError("--precisions measures one model")
        return partial(precision.main, options.model[0], cache=options.cache)
    from social_perception.research.evaluation.run import main

    return partial(
        main, options.model, cache=options.cache, clips=not options.no_clips, output=options.output
    )
