"""``social-perception evaluate --precisions``: accuracy and speed of the network by numeric precision."""

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
from social_perception.perception.smile.factory import make_scorer, make_torch_scorer
from social_perception.perception.smile.track_scorer import TrackScorer
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
"""Of torch; the first is the reference of the others."""

IN_8_BITS = "int8, onnxruntime"

FACES = (1, 8, 64)
_ROUNDS = 60
_TEST_SETS = ("ferplus_test", "genki_train")


@dataclass(frozen=True, slots=True)
class PrecisionResult:
    """Accuracy and speed in one precision.

    Attributes:
        precision: numeric precision of the convolutions.
        auc_ferplus: happiness against neutral on ``ferplus_test``.
        auc_genki: smile against no smile on ``genki_train``.
        kappa: quadratic-weighted kappa with the raters' mean on the held-out fifth.
        correlation: Pearson correlation of the intensities of both test sets with float32.
        largest_difference: largest difference of an intensity to float32.
        frame_ms: median time per frame in ms for each number of faces in :data:`FACES`.
    """

    precision: str
    auc_ferplus: float
    auc_genki: float
    kappa: float
    correlation: float
    largest_difference: float
    frame_ms: tuple[float, ...]


def main(model: str = "", *, cache: Path | str = ".cache") -> tuple[PrecisionResult, ...]:
    """Measure a network in each precision on the CPU, print a table and return its rows.

    Args:
        model: file with the weights; empty: the shipped network.
        cache: folder for the face boxes.

    Raises:
        ModelError: the weights cannot be read.
        SourceError: the data is missing.
    """
    scorers = _scorers(model)
    tests = [read_stills(name, Path(cache)) for name in _TEST_SETS]
    held_out = [read_stills(name, Path(cache), held_out_names(name)) for name in SETS_OF_SOURCES.values()]
    times = frame_times_ms(list(scorers.values()))
    reference: FloatArray | None = None
    results = []
    for (precision, scorer), frame_ms in zip(scorers.items(), times):
        scored = [score_stills(stills, scorer) for stills in tests]
        intensity = np.concatenate([each.intensity for each in scored])
        reference = intensity if reference is None else reference
        results.append(_measure(precision, scorer, scored, held_out, reference, frame_ms))
    print(table(results))
    return tuple(results)


def frame_times_ms(scorers: Sequence[TrackScorer]) -> list[tuple[float, ...]]:
    """Measure the median time per frame in ms, for each scorer and each number of faces in :data:`FACES`.

    The scorers alternate, so that other load on the machine affects all of them equally.
    """
    random = np.random.default_rng(0)
    medians = []
    for faces in FACES:
        crops = random.integers(0, 256, (faces, CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
        tracks = [Track(str(number), Box(0.0, 0.0, 60.0, 60.0), 1.0) for number in range(faces)]
        times_s = np.empty((_ROUNDS, len(scorers)))
        for turn in range(-3, _ROUNDS):  # the first rounds warm up
            for column, scorer in enumerate(scorers):
                start = time.perf_counter()
                scorer.score(tracks, crops, turn / 30)
                times_s[turn, column] = time.perf_counter() - start
        medians.append(1e3 * np.median(times_s, axis=0))
    return [tuple(row) for row in np.transpose(medians).tolist()]


def table(results: Sequence[PrecisionResult]) -> str:
    """Format the results as a table with a heading."""
    names = [f"{faces} face{'s' * (faces > 1)} (ms)" for faces in FACES]
    headings = ("AUC FER+", "AUC GENKI", "kappa", "correlation", "largest", *names)
    lines = [f"{'precision':<18}" + "".join(f"{heading:>14}" for heading in headings)]
    for result in results:
        values = (
            result.auc_ferplus,
            result.auc_genki,
            result.kappa,
            result.correlation,
            result.largest_difference,
        )
        numbers = [f"{value:14.4f}" for value in values] + [f"{value:14.2f}" for value in result.frame_ms]
        lines.append(f"{result.precision:<18}" + "".join(numbers))
    return "\n".join(lines)


def _scorers(model: str) -> dict[str, TrackScorer]:
    scorers: dict[str, TrackScorer | None] = {each: _scorer(model, each) for each in PRECISIONS}
    if not model:  # only the shipped network is exported
        scorers[IN_8_BITS] = make_scorer(SmileConfig(runtime="onnxruntime", precision="int8"))
    return {name: scorer for name, scorer in scorers.items() if scorer is not None}


def _scorer(model: str, precision: str) -> TrackScorer | None:
    try:
        return make_torch_scorer(SmileConfig(model=model, device="cpu", precision=precision))
    except ConfigurationError as error:
        print(f"{precision} is skipped: {error}")
        return None


def _measure(
    precision: str,
    scorer: TrackScorer,
    tests: Sequence[ScoredStills],
    held_out: Sequence[Stills],
    reference: FloatArray,
    frame_ms: tuple[float, ...],
) -> PrecisionResult:
    intensity = np.concatenate([each.intensity for each in tests])
    rated = {name: score_stills(stills, scorer) for name, stills in zip(SETS_OF_SOURCES.values(), held_out)}
    levels: dict[str, float] = level_figures(rated)["all"]  # type: ignore[assignment]
    return PrecisionResult(
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
    parser.add_argument("--cache", default=".cache", help="folder for the face boxes")
    options = parser.parse_args()
    main(options.model, cache=options.cache)
