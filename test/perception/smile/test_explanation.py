"""Which regions of a face moved its score, on faces in which a single region moves."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from factories import smile, track

from social_perception.core.config import PipelineConfig, SmileConfig
from social_perception.core.types import Box, Explanation, ImageArray, Smile, TrackedFaces
from social_perception.perception.estimators import make_face_estimators
from social_perception.perception.smile.crop import crop_faces
from social_perception.perception.smile.explanation import (
    INTERVAL_S,
    ExplanationEstimator,
    explain,
    region_masks,
)
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.track_scorer import TrackScorer
from social_perception.sources.portrait import BUST, FACE, load_portrait, smiling_busts

REGIONS = ("eyes", "cheeks", "mouth", "rest")


class Additive:
    """A scorer whose intensity is the mean brightness, weighted by region."""

    def __init__(self, **weights: float) -> None:
        weight = np.array([weights.get(name, 0.0) for name in REGIONS])
        self._weight = np.tensordot(weight, region_masks(), 1)[None, :, :, None]
        self.crops = 0

    def score_still(self, crops: ImageArray) -> tuple[Smile, ...]:
        self.crops += len(crops)
        return tuple(smile(value) for value in (crops / 255 * self._weight).mean(axis=(1, 2, 3)))


def bright(region: int) -> ImageArray:
    """A gray crop with one bright region, (1, 96, 96, 3)."""
    crop = 60 + 150 * (region_masks()[region] > 0.5)
    return np.repeat(crop.astype(np.uint8)[None, :, :, None], 3, axis=3)


@pytest.mark.parametrize("region", range(3))
def test_the_region_that_the_score_depends_on_gets_it(region: int) -> None:
    scorer = Additive(**{REGIONS[region]: 1.0})
    (found,) = explain(scorer, bright(region))
    parts = [getattr(found, name) for name in REGIONS]
    (whole,) = scorer.score_still(bright(region))
    assert sum(parts) == pytest.approx(whole.intensity, abs=1e-3)
    assert np.argmax(parts[:3]) == region
    assert parts[region] > 0
    assert max(abs(parts[other]) for other in range(3) if other != region) < 0.15 * parts[region]


def test_no_faces_are_explained_without_a_score() -> None:
    assert explain(Additive(), np.zeros((0, 96, 96, 3), np.uint8)) == ()
    np.testing.assert_allclose(region_masks().sum(axis=0), 1, atol=1e-5)


@cache
def portraits() -> dict[str, ImageArray]:
    """A neutral face, and the same where only the mouth smiles, and where everything else does."""
    neutral, smiling = smiling_busts(load_portrait(), [0.0, 1.0])
    place = Box((FACE.left - BUST[0]) * 2, (FACE.top - BUST[1]) * 2, 2 * FACE.width, 2 * FACE.height)
    crops = {name: crop_faces(image, [place])[0] for name, image in (("neutral", neutral), ("all", smiling))}
    mouth = np.zeros((96, 96, 1), np.float32)
    cv2.ellipse(mouth, (48, 72), (26, 15), 0, 0, 360, 1.0, cv2.FILLED)
    mouth = cv2.GaussianBlur(mouth, (0, 0), 2.0)[:, :, None]
    mixed = crops["neutral"] + mouth * (crops["all"].astype(np.float32) - crops["neutral"])
    return crops | {"mouth": np.rint(mixed).astype(np.uint8)}


@pytest.fixture(scope="module", params=["torch", "onnxruntime"])
def scorer(request) -> TrackScorer:
    if request.param == "onnxruntime":
        pytest.importorskip("onnxruntime")
    return make_scorer(SmileConfig(runtime=request.param))


def test_a_smile_of_the_mouth_is_explained_by_the_mouth(scorer: TrackScorer) -> None:
    faces = np.stack([portraits()["neutral"], portraits()["mouth"]])
    before, after = explain(scorer, faces)
    neutral, smiling = (each.intensity for each in scorer.score_still(faces))
    assert smiling - neutral > 0.3
    changes = {name: getattr(after, name) - getattr(before, name) for name in REGIONS}
    assert max(changes, key=changes.__getitem__) == "mouth"
    assert changes["mouth"] > 0.5 * (smiling - neutral)
    assert sum(changes.values()) == pytest.approx(smiling - neutral, abs=0.03)  # reduced precision


def frame(stamp_s: float, *names: str, visible: bool = True) -> TrackedFaces:
    tracks = tuple(track(name, visible=visible) for name in names)
    return TrackedFaces(stamp_s, 0, 640, 480, tracks, np.concatenate([bright(2)] * len(names)))


def test_a_video_is_explained_once_a_second_per_face() -> None:
    scorer = Additive(mouth=1.0)
    estimator = ExplanationEstimator(scorer)
    (first,) = estimator.estimate(frame(0.0, "a"))
    assert isinstance(first, Explanation)
    assert scorer.crops == 16
    assert estimator.estimate(frame(INTERVAL_S / 2, "a", "b"))[0] is first
    assert scorer.crops == 32  # b alone
    estimator.estimate(frame(INTERVAL_S, "a", "b"))
    assert scorer.crops == 48
    assert estimator.estimate(frame(INTERVAL_S, "c", visible=False)) == [None]
    estimator.estimate(frame(INTERVAL_S, "a"))  # it was away
    assert scorer.crops == 64
    estimator.reset()
    estimator.estimate(frame(INTERVAL_S, "a"))
    assert scorer.crops == 80


def test_nothing_is_explained_unless_requested() -> None:
    estimators = make_face_estimators(PipelineConfig())
    assert estimators["explanation"].estimate(frame(0.0, "a", "b")) == [None, None]
