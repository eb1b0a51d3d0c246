"""Fits the weights of who speaks to scenes of two people: a canonical correlation and a logistic regression.

The canonical correlation is fitted to whole clips, whose mouths go with their own sound. The regression is
fitted to scenes of people whom that one does not know, or it would trust the lips too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from social_perception.core.sound import BANDS
from social_perception.perception.hearing.lip_sync import FloatArray, LipSync, mouth_inputs, sound_inputs
from social_perception.perception.hearing.mouth import PARTS, PIXELS
from social_perception.perception.hearing.speakers import Observation

COMPONENTS, COMBINATIONS = 20, 5
"""Principal components of the mouth's pixels, and combinations of the canonical correlation."""

_RIDGE = 0.3
"""Added to the unit variances of the canonical correlation's inputs."""

_MEAN_ROWS = 30
_STEPS = 30


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A second of a scene: what was observed at its end, and who speaks; None: undecided."""

    scene: int
    kind: str
    observation: Observation
    motions: tuple[float, ...]
    speaks: tuple[bool | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """People who are in no other fold: an observation of each whole clip, and the seconds of their scenes."""

    clips: tuple[Observation, ...]
    moments: tuple[Moment, ...]


def untrained() -> LipSync:
    """Weights of zero, with which scenes are observed."""
    inputs = 3 * (1 + PARTS + COMPONENTS), 6 * (1 + BANDS)
    shapes = (PIXELS, COMPONENTS), *((each, COMBINATIONS) for each in inputs), (COMBINATIONS,), (5,)
    return LipSync(*map(np.zeros, shapes))


def fit(folds: Sequence[Fold]) -> LipSync:
    """Fit all weights."""
    found, truth = [], []
    for fold in folds:
        elsewhere = _fit_sync([each for other in folds if other is not fold for each in other.clips])
        for moment in fold.moments:
            values = elsewhere.features(moment.observation.views, moment.observation.levels)
            for row, speaks in zip(values, moment.speaks):
                if speaks is not None:
                    found.append(row)
                    truth.append(speaks)
    sync = _fit_sync(list(chain.from_iterable(fold.clips for fold in folds)))
    return replace(sync, decision=_regression(np.array(found), np.array(truth)))


def to_tensors(weights: LipSync) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of a file that :func:`.lip_sync.read_lip_sync` reads."""
    values = {each.name: getattr(weights, each.name) for each in fields(weights)}
    # safetensors writes the memory as it lies.
    return {name: np.ascontiguousarray(value, np.float32) for name, value in values.items()}


def _fit_sync(clips: Sequence[Observation]) -> LipSync:
    views = [each.views[0][np.isfinite(each.views[0][:, 0])] for each in clips]
    levels = [each.levels[np.isfinite(each.views[0][:, 0])] for each in clips]
    images = np.concatenate([each[:, 1 + PARTS :] - each[:, 1 + PARTS :].mean(axis=0) for each in views])
    pixels = np.linalg.svd(images, full_matrices=False)[2][:COMPONENTS].T
    mouth, sound, strength = canonical_correlation(
        np.concatenate([_centered(mouth_inputs(each, pixels)) for each in views]),
        np.concatenate([_centered(sound_inputs(each)) for each in levels]),
    )
    return LipSync(pixels, mouth, sound, strength, np.zeros(5))


def _centered(values: FloatArray) -> FloatArray:
    """Without the mean of the rows up to each, at most 30."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - _MEAN_ROWS)
    return values - (sums[last] - sums[first]) / (last - first)[:, np.newaxis]


def canonical_correlation(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The projections of both (N, A) and (N, B), (A, C) and (B, C), and their correlations (C,).

    Source: H. Hotelling, "Relations between two sets of variates", 1936; a ridge is added, as by H. D. Vinod.
    """
    scales = [each.std(axis=0) + 1e-6 for each in (first, second)]
    first, second = first / scales[0], second / scales[1]
    roots = [
        np.linalg.cholesky(each.T @ each / len(each) + _RIDGE * np.eye(each.shape[1]))
        for each in (first, second)
    ]
    whitened = solve_triangular(roots[0], first.T @ second / len(first), lower=True)
    whitened = solve_triangular(roots[1], whitened.T, lower=True).T
    left, strength, right = np.linalg.svd(whitened, full_matrices=False)
    sides = left[:, :COMBINATIONS], right[:COMBINATIONS].T
    projections = [
        solve_triangular(root.T, side) / scale[:, np.newaxis]
        for root, side, scale in zip(roots, sides, scales)
    ]
    return projections[0], projections[1], strength[:COMBINATIONS]


def _regression(values: FloatArray, truth: npt.NDArray[np.bool_]) -> FloatArray:
    """Weights (F,) and bias of a logistic regression that weights both classes alike, by Newton's method."""
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-9
    inputs = np.column_stack([(values - mean) / deviation, np.ones(len(values))])
    counts = np.where(truth, 0.5 / truth.mean(), 0.5 / (1.0 - truth.mean()))
    penalty = np.array([1.0] * values.shape[1] + [1e-6])
    weights = np.zeros(len(penalty))
    for _ in range(_STEPS):
        share = 1.0 / (1.0 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (counts * (share - truth)) + penalty * weights
        curvature = (inputs * (counts * share * (1.0 - share))[:, np.newaxis]).T @ inputs + np.diag(penalty)
        weights -= np.linalg.solve(curvature, gradient)
    scaled = weights[:-1] / deviation
    return np.append(scaled, weights[-1] - scaled @ mean)
