"""The tracker and the scorer: any sequence of frames, detections and stamps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fuzzing.target import PROPERTY, of_property, promise
from fuzzing.weights import SMALL
from social_perception.core.config import SmileConfig, TrackingConfig
from social_perception.core.types import Box, Face, Frame, Scope, SmileLevel, Track
from social_perception.perception.smile.networks import SmileNetwork
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.perception.tracking.tracker import Tracker

STAMPS = st.floats(-1e6, 1e6) | st.floats(0.0, 3.0)
SIZES = st.sampled_from([(64, 48), (48, 64), (16, 16), (1, 1)])
_NOISE = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)


def boxes(most_px: float = 200.0) -> st.SearchStrategy[Box]:
    """Boxes in and around a small picture, of any shape."""
    place, size = st.floats(-most_px, most_px), st.floats(0.01, most_px)
    return st.builds(Box, place, place, size, size)


_FACES = st.lists(st.builds(Face, boxes(), st.floats(-2, 5)), max_size=4)
_SCOPES = st.none() | st.builds(Scope, boxes(), st.floats(0, 50), st.floats(50, 500))
_STEPS = st.tuples(STAMPS, SIZES, st.integers(0, 8), st.integers(-1, 9), _FACES, _SCOPES, st.booleans())
_TRACKING = st.builds(
    TrackingConfig,
    max_lost_s=st.floats(0.0, 60.0),
    coast_s=st.floats(0.0, 5.0),
    min_iou=st.floats(0.01, 1.0),
    confirm_detections=st.integers(1, 3),
)


@PROPERTY
@given(_TRACKING, st.lists(_STEPS, max_size=8))
def check_tracker(config: TrackingConfig, steps: list[Any]) -> None:
    tracker, gone, before = Tracker(config), set[str](), set[str]()
    for index, (stamp_s, (width, height), shift, detected, faces, scope, jump) in enumerate(steps):
        image = np.roll(_NOISE, shift, axis=1)[:height, :width].copy()
        # Frames of a source count up; one that begins anew counts from the start.
        tracker.advance(Frame(image, stamp_s, 0 if jump else index))
        tracker.correct(detected, faces, scope)
        tracks = tracker.tracks()
        ids = [track.id for track in tracks]
        promise(len(set(ids)) == len(ids) and all(ids), f"ids {ids}")
        for track in tracks:
            promise(0.0 <= track.confidence <= 1.0, f"a confidence of {track.confidence}")
            promise(track.visible or track.confidence == 0.0, f"hidden, with {track.confidence}")
            promise(all(map(math.isfinite, (*track.box.center, track.box.area))), f"{track.box}")
        followed = {face.id for face in tracker._faces if face.id}
        promise(set(ids) <= followed and not followed & gone, "an id was given again")
        gone |= before - followed
        before = followed


def _scorer() -> StreamingScorer:
    torch.manual_seed(1)
    config = SmileConfig(max_faces=3, warmup_frames=2, max_gap_s=1.0)
    return StreamingScorer(SmileNetwork(SMALL).eval().requires_grad_(False), config)


_SCORED = st.tuples(
    STAMPS, st.lists(st.tuples(st.sampled_from("abcdef"), boxes(), st.booleans()), max_size=6,
                     unique_by=lambda face: face[0]),
    st.integers(0, 255),
)  # fmt: skip


@PROPERTY
@given(st.lists(_SCORED, max_size=6))
def check_scorer(frames: list[Any]) -> None:
    scorer = _scorer()
    for stamp_s, faces, shade in frames:
        tracks = [Track(name, box, float(visible), visible) for name, box, visible in faces]
        crops = np.full((len(tracks), 96, 96, 3), shade, np.uint8)
        crops[:, :48] //= 2
        smiles = scorer.score(tracks, crops, stamp_s)
        promise(len(smiles) == len(tracks), f"{len(smiles)} smiles of {len(tracks)} faces")
        for track, smile in zip(tracks, smiles):
            promise(not smile.valid or (track.visible and smile.observed_frames >= 2), repr(smile))
            if smile.level is SmileLevel.UNKNOWN:
                promise(math.isnan(smile.intensity) and not smile.valid, repr(smile))
                continue
            promise(0.0 <= smile.intensity <= 1.0, repr(smile))
            sums = math.isclose(sum(smile.probabilities), 1.0, abs_tol=1e-3)
            promise(sums and min(smile.probabilities) >= 0.0, repr(smile))
        promise(sum(smile.valid for smile in smiles) <= 3, "more than max_faces are scored")
        promise(len(scorer._tracks) <= 12, f"{len(scorer._tracks)} states are kept")


TARGETS = {
    "tracker": of_property("ids are given once, boxes and confidences are finite", check_tracker),
    "scorer": of_property("intensities in [0, 1], probabilities that sum to 1, or unknown", check_scorer),
}
