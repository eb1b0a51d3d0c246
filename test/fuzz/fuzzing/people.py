"""The group: its affect, its dynamics, and their state on the web page."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fuzzing.faces import STAMPS, boxes
from fuzzing.target import PROPERTY, of_property, promise
from social_perception.core.config import DynamicsConfig, GroupConfig
from social_perception.core.signals import Signals
from social_perception.core.types import FaceAffect, FrameAffect, Position, Smile, SmileLevel, Track
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.perception.group.dynamics import DynamicsEstimator
from social_perception.views.web.snapshot import moment_text, state_text

_COORDINATES = st.floats(-100, 100) | st.floats(allow_nan=False, allow_infinity=False) | st.just(1e-300)
_POSITIONS = st.none() | st.builds(Position, _COORDINATES, _COORDINATES, _COORDINATES)
_SHARES = st.floats(0.0, 1.0)


@st.composite
def faces(draw: Any) -> list[FaceAffect]:
    """Up to five people, known or not, with or without positions."""
    names = draw(st.lists(st.sampled_from("abcdefgh") | st.text(max_size=4), max_size=5, unique=True))
    return [draw(_face(name)) for name in names]


@st.composite
def _face(draw: Any, name: str) -> FaceAffect:
    track = Track(name, draw(boxes(1e5)), draw(_SHARES), draw(st.booleans()), draw(_POSITIONS))
    if draw(st.booleans()):
        return FaceAffect(track, Signals(Smile.unknown()))
    intensity = draw(_SHARES)
    level = SmileLevel.of_intensity(intensity)
    return FaceAffect(
        track, Signals(Smile(intensity, level, (0.25,) * 4, draw(st.integers(0, 99)), draw(st.booleans())))
    )


_FRAMES = st.lists(st.tuples(st.floats(0.0, 0.3) | STAMPS, faces()), max_size=15)


@PROPERTY
@given(
    st.builds(
        GroupConfig,
        window_s=st.floats(0.5, 120.0),
        size_exponent=st.floats(0.0, 4.0),
        center_weight=_SHARES,
        smiling_level=st.integers(1, 3),
    ),
    _FRAMES,
)
def check_group(config: GroupConfig, frames: list[tuple[float, list[FaceAffect]]]) -> None:
    aggregator, stamp_s = GroupAggregator(config), 0.0
    for step_s, people in frames:
        stamp_s += step_s
        group = aggregator.update(people, stamp_s)
        valid = [face for face in people if face[Smile].valid]
        promise((group.group_size, group.valid_faces) == (len(people), len(valid)), repr(group))
        promise(0.0 <= group.window_s <= config.window_s + 1e-6, f"a window of {group.window_s}")
        numbers = {
            "intensity": (0, 1),
            "mean_intensity": (0, 1),
            "dispersion": (0, 0.5),
            "smiling_fraction": (0, 1),
        }
        for name, (low, high) in numbers.items():
            value = getattr(group, name)
            right = low - 1e-9 <= value <= high + 1e-9 if valid else math.isnan(value)
            promise(right, f"{name} is {value} for {len(valid)} known smiles")
        promise((group.level is SmileLevel.UNKNOWN) == (not valid), f"the level {group.level}")
        promise(not math.isinf(group.trend), f"a trend of {group.trend}")
        promise(math.isnan(group.synchrony) or -1.0 <= group.synchrony <= 1.0, f"{group.synchrony}")
        if valid:
            smallest, largest = (each(face[Smile].intensity for face in valid) for each in (min, max))
            promise(smallest - 1e-9 <= group.intensity <= largest + 1e-9, "beyond every single smile")
        _check_page(FrameAffect(stamp_s, 0, 640, 480, tuple(people), group))


def _check_page(affect: FrameAffect) -> None:
    state = json.loads(state_text(affect, 25.0, ""), parse_constant=lambda name: promise(False, name))
    promise(len(state["faces"]) == len(affect.faces), "a face is missing in the page")
    json.loads(moment_text(affect))


@PROPERTY
@given(
    st.builds(
        DynamicsConfig,
        dynamics_window_s=st.floats(2.0, 30.0),
        max_lag_s=st.floats(0.0, 3.0),
        min_overlap=st.floats(0.05, 1.0),
    ),
    _FRAMES,
)
def check_dynamics(config: DynamicsConfig, frames: list[tuple[float, list[FaceAffect]]]) -> None:
    estimator, stamp_s = DynamicsEstimator(config), 0.0
    promise(estimator.estimate().stale, "not stale before the first frame")
    for step_s, people in frames:
        stamp_s += step_s
        estimator.add(people, stamp_s)
    found, names = estimator.estimate(), sorted(face.track.id for face in frames[-1][1]) if frames else []
    promise(list(found.face_ids) == names, f"{found.face_ids} for {names}")
    promise(len(found.pairs) == len(names) * (len(names) - 1) // 2, f"{len(found.pairs)} pairs")
    for pair in found.pairs:
        for value in (pair.correlation, pair.zero_lag_correlation, found.synchrony):
            promise(math.isnan(value) or -1.0 <= value <= 1.0, repr(pair))
        promise(math.isnan(pair.lag_s) == math.isnan(pair.correlation), repr(pair))
        promise(math.isnan(pair.lag_s) or abs(pair.lag_s) <= config.max_lag_s + 0.1, repr(pair))
    known = [pair.correlation for pair in found.pairs if not math.isnan(pair.correlation)]
    promise(known == sorted(known, reverse=True), "the highest correlation is not first")


_ANY = st.floats() | _SHARES


@PROPERTY
@given(
    st.floats(),
    st.lists(
        st.tuples(st.text(max_size=5), boxes(1e9), _ANY, st.sampled_from(SmileLevel), st.booleans()),
        max_size=4,
    ),
    st.floats(),
    st.text(max_size=20),
)
def check_state(stamp_s: float, people: list[Any], fps: float, message: str) -> None:
    shown = [
        FaceAffect(Track(name, box, 1.0), Signals(Smile(intensity, level, (math.nan,) * 4, 1, valid)))
        for name, box, intensity, level, valid in people
    ]
    affect = FrameAffect(stamp_s, 0, 0, 0, tuple(shown))
    state = json.loads(state_text(affect, fps, message), parse_constant=lambda name: promise(False, name))
    promise(state["stale"] == bool(message) and len(state["faces"]) == len(shown), repr(state))


TARGETS = {
    "group": of_property(
        "numbers in their ranges where a smile is known, else NaN; JSON for the page", check_group
    ),
    "dynamics": of_property("a pair for each two people, correlations in [-1, 1] or NaN", check_dynamics),
    "web_state": of_property("JSON without NaN, whatever the numbers", check_state),
}
