"""What reduced precision costs and saves: ``social-perception evaluate --precisions``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import CROP_SIZE_PX, Box, Track
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.research.evaluation import metrics
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.stills import (
    ScoredStills,
    ferplus_figures,
    genki_figures,
    held_out_names,
    level_figures,
    score_stills,
)
from social_perception.research.training.labels import SETS_OF_SOURCES
from social_perception.research.training.stills import Stills, read_stills

PRECISIONS = ("float32", "bfloat16", "int8")
"""The first is what the others are compared with."""

FACES = (1, 8, 64)
_ROUNDS = 60
_TEST_SETS = ("ferplus_test", "genki_train")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one precision says and takes.

    Attributes:
        precision: of the convolutions.
        auc_ferplus: happiness against neutral on ``ferplus_test``.
        auc_genki: smile against no smile on ``genki_train``.
        kappa: quadratic-weighted, with the raters' mean, on the held-out fifth.
        correlation: Pearson's, of the intensities of both test sets with those of float32.
        largest_difference: of an intensity to that of float32.
        frame_ms: median time in ms for a frame of each number of :data:`FACES`.
    """

    precision: str
    auc_ferplus: float
    auc_genki: float
    kappa: float
    correlation: float
    largest_difference: float
    frame_ms: tuple[float, ...]


def main(model: str = "", *, cache: Path | str = ".cache") -> tuple[Cost, ...]:
    """Measure a network in each precision on the CPU, print a table and return its rows.

    Args:
        model: file with the weights; empty: the shipped network.
        cache: where found face boxes are kept.

    Raises:
        ModelError: the weights cannot be read.
        SourceError: the data is missing.
    """
    scorers = _scorers(model)
    tests = [read_stills(name, Path(cache)) for name in _TEST_SETS]
    held_out = [
        read_stills(name, Path(cache)).select(held_out_names(name)) for name in SETS_OF_SOURCES.values()
    ]
    times = frame_times_ms(list(scorers.values()))
    reference: FloatArray | None = None
    costs = []
    for (precision, scorer), frame_ms in zip(scorers.items(), times):
        scored = [score_stills(stills, scorer) for stills in tests]
        intensity = np.concatenate([each.intensity for each in scored])
        reference = intensity if reference is None else reference
        costs.append(_cost(precision, scorer, scored, held_out, reference, frame_ms))
    print(table(costs))
    return tuple(costs)


def frame_times_ms(scorers: Sequence[StreamingScorer]) -> list[tuple[float, ...]]:
    """Median time in ms per frame, for each scorer and each number of :data:`FACES`.

    The scorers take turns, so that what else the machine does meets all of them alike.
    """
    random = np.random.default_rng(0)
    medians = []
    for faces in FACES:
        crops = random.integers(0, 256, (faces, CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
        tracks = [Track(str(number), Box(0.0, 0.0, 60.0, 60.0), 1.0) for number in range(faces)]
        taken = np.empty((_ROUNDS, len(scorers)))
        for turn in range(-3, _ROUNDS):  # the first rounds warm up
            for column, scorer in enumerate(scorers):
                begun = time.perf_counter()
                scorer.score(tracks, crops, turn / 30)
                taken[turn, column] = time.perf_counter() - begun
        medians.append(1e3 * np.median(taken, axis=0))
    return [tuple(row) for row in np.transpose(medians).tolist()]


def table(costs: Sequence[Cost]) -> str:
    """The rows of all precisions, with a line of names."""
    names = [f"{faces} face{'s' * (faces > 1)} (ms)" for faces in FACES]
    heads = ("AUC FER+", "AUC GENKI", "kappa", "correlation", "largest", *names)
    lines = [f"{'precision':<10}" + "".join(f"{head:>14}" for head in heads)]
    for cost in costs:
        told = (cost.auc_ferplus, cost.auc_genki, cost.kappa, cost.correlation, cost.largest_difference)
        numbers = [f"{value:14.4f}" for value in told] + [f"{value:14.2f}" for value in cost.frame_ms]
        lines.append(f"{cost.precision:<10}" + "".join(numbers))
    return "\n".join(lines)


def _scorers(model: str) -> dict[str, StreamingScorer]:
    scorers = {precision: _scorer(model, precision) for precision in PRECISIONS}
    return {precision: scorer for precision, scorer in scorers.items() if scorer is not None}


def _scorer(model: str, precision: str) -> StreamingScorer | None:
    try:
        return make_scorer(SmileConfig(model=model, device="cpu", precision=precision))
    except ConfigurationError as error:
        print(f"{precision} is left out: {error}")
        return None


def _cost(
    precision: str,
    scorer: StreamingScorer,
    tests: Sequence[ScoredStills],
    held_out: Sequence[Stills],
    reference: FloatArray,
    frame_ms: tuple[float, ...],
) -> Cost:
    intensity = np.concatenate([each.intensity for each in tests])
    rated = {name: score_stills(stills, scorer) for name, stills in zip(SETS_OF_SOURCES.values(), held_out)}
    levels: dict[str, float] = level_figures(rated)["all"]  # type: ignore[assignment]
    return Cost(
        precision,
        float(ferplus_figures(tests[0])["auc_happiness_neutral"]),  # type: ignore[arg-type]
        float(genki_figures(tests[1])["auc"]),  # type: ignore[arg-type]
        levels["with_raters_mean"],
        metrics.pearson(reference, intensity),
        float(np.nanmax(np.abs(intensity - reference))),
        frame_ms,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", default="", help="file with the weights; default: the shipped network")
    parser.add_argument("--cache", default=".cache", help="where found face boxes are kept")
    given = parser.parse_args()
    main(given.model, cache=given.cache)
