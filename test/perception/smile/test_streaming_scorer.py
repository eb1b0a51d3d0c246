"""The streaming scorer: one state per track, whatever comes and goes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from social_perception.core.config import SmileConfig
from social_perception.core.errors import ConfigurationError, ImageError
from social_perception.core.types import Box, ImageArray, Smile, SmileLevel, Track
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork, intensity, to_input
from social_perception.perception.smile.reference_network import ReferenceConfig, ReferenceNetwork
from social_perception.perception.smile.streaming import StreamingScorer
from social_perception.perception.smile.weights import Network

SMALL = NetworkConfig(channels=(4, 4, 8, 8), features=16, hidden=12)
SMALL_REFERENCE = ReferenceConfig(channels=(4, 4, 8, 8, 8), features=16, hidden=12)
RNG = np.random.default_rng(3)
CROPS = RNG.integers(0, 256, (40, 96, 96, 3), dtype=np.uint8)


@pytest.fixture(params=["small", "reference"])
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(2)
    if request.param == "reference":
        network = ReferenceNetwork(SMALL_REFERENCE).eval().requires_grad_(False)
        torch.nn.init.normal_(network.levels.weight, std=2.0)
        return network
    network = SmileNetwork(SMALL).eval().requires_grad_(False)
    torch.nn.init.normal_(network.score_memory.weight, std=2.0)
    return network


def scorer_of(network: Network, **settings: object) -> StreamingScorer:
    return StreamingScorer(network, SmileConfig(**settings))  # type: ignore[arg-type]


def tracks(*ids: str, visible: bool = True) -> list[Track]:
    return [Track(name, Box(0, 0, 50, 50), 1.0, visible) for name in ids]


def alone(network: Network, crops: ImageArray) -> list[float]:
    """The intensities of one face over time, scored as one window."""
    return intensity(network(to_input(torch.from_numpy(crops)).unsqueeze(0))[0])[0].tolist()


def values(smiles: Sequence[Smile]) -> list[float]:
    return [smile.intensity for smile in smiles]


def test_each_track_has_its_own_memory_in_any_order(network: Network) -> None:
    scorer = scorer_of(network)
    first, second = CROPS[:6], CROPS[6:12]
    for t in range(6):
        pair = [(track, crop) for track, crop in zip(tracks("a", "b"), (first[t], second[t]))]
        if t % 2:
            pair.reverse()
        smiles = scorer.score([track for track, _ in pair], np.stack([crop for _, crop in pair]), t / 30)
        said = {track.id: smile.intensity for (track, _), smile in zip(pair, smiles)}
        assert said["a"] == pytest.approx(alone(network, first)[t], abs=1e-5)
        assert said["b"] == pytest.approx(alone(network, second)[t], abs=1e-5)


def test_no_faces_is_legal(network: Network) -> None:
    scorer = scorer_of(network)
    assert scorer.score((), CROPS[:0], 0.0) == ()
    assert scorer.score_still(CROPS[:0]) == ()


def test_warm_up_counts_observed_frames(network: Network) -> None:
    scorer = scorer_of(network, warmup_frames=3)
    seen = [scorer.score(tracks("a"), CROPS[t : t + 1], t / 30)[0] for t in range(4)]
    assert [smile.valid for smile in seen] == [False, False, True, True]
    assert [smile.observed_frames for smile in seen] == [1, 2, 3, 4]


def test_a_hidden_face_keeps_its_smile_and_its_state(network: Network) -> None:
    scorer = scorer_of(network, warmup_frames=1)
    before = scorer.score(tracks("a"), CROPS[:1], 0.0)[0]
    hidden = scorer.score(tracks("a", visible=False), CROPS[9:10], 0.1)[0]
    assert not hidden.valid
    assert hidden.intensity == before.intensity
    assert hidden.observed_frames == 1
    after = scorer.score(tracks("a"), CROPS[1:2], 0.2)[0]
    assert after.valid
    assert after.intensity == pytest.approx(alone(network, CROPS[:2])[1], abs=1e-5)


def test_a_face_never_seen_is_unknown(network: Network) -> None:
    smile = scorer_of(network).score(tracks("a", visible=False), CROPS[:1], 0.0)[0]
    assert smile.level is SmileLevel.UNKNOWN
    assert math.isnan(smile.intensity)
    assert not smile.valid


@pytest.mark.parametrize(("pause_s", "remembers"), [(0.4, True), (0.6, False), (-0.4, True), (-0.6, False)])
def test_state_is_forgotten_after_the_gap(network: Network, pause_s: float, remembers: bool) -> None:
    scorer = scorer_of(network, max_gap_s=0.5)
    scorer.score(tracks("a"), CROPS[:1], 10.0)
    smile = scorer.score(tracks("a"), CROPS[1:2], 10.0 + pause_s)[0]
    expected = alone(network, CROPS[:2])[1] if remembers else alone(network, CROPS[1:2])[0]
    assert smile.intensity == pytest.approx(expected, abs=1e-5)
    assert smile.observed_frames == (2 if remembers else 1)


def test_a_slot_that_is_used_again_starts_empty(network: Network) -> None:
    scorer = scorer_of(network, max_faces=1, max_gap_s=0.5)
    scorer.score(tracks("a"), CROPS[:1], 0.0)
    smile = scorer.score(tracks("b"), CROPS[1:2], 5.0)[0]
    assert smile.intensity == pytest.approx(alone(network, CROPS[1:2])[0], abs=1e-5)


def test_more_tracks_than_slots_grow_the_memory(network: Network) -> None:
    scorer = scorer_of(network, max_faces=2, max_gap_s=9.0)
    for t in range(12):  # every frame another face, all still remembered
        scorer.score(tracks(f"face{t}"), CROPS[t : t + 1], t / 30)
    smile = scorer.score(tracks("face0"), CROPS[20:21], 1.0)[0]
    assert smile.intensity == pytest.approx(alone(network, CROPS[[0, 20]])[1], abs=1e-5)


def test_the_largest_faces_are_scored(network: Network) -> None:
    scorer = scorer_of(network, max_faces=2, warmup_frames=1)
    sizes = {"small": 30.0, "large": 90.0, "middle": 60.0}
    faces = [Track(name, Box(0, 0, size, size), 1.0) for name, size in sizes.items()]
    small, large, middle = scorer.score(faces, CROPS[:3], 0.0)
    assert large.valid
    assert middle.valid
    assert not small.valid
    assert small.level is SmileLevel.UNKNOWN
    assert large.intensity == pytest.approx(alone(network, CROPS[1:2])[0], abs=1e-5)


def test_reset_forgets(network: Network) -> None:
    scorer = scorer_of(network)
    scorer.score(tracks("a"), CROPS[:1], 0.0)
    scorer.reset()
    smile = scorer.score(tracks("a"), CROPS[1:2], 0.1)[0]
    assert smile.observed_frames == 1
    assert smile.intensity == pytest.approx(alone(network, CROPS[1:2])[0], abs=1e-5)


def test_stills_do_not_depend_on_side_or_company(network: Network) -> None:
    scorer = scorer_of(network)
    together = values(scorer.score_still(CROPS[:4]))
    mirrored = values(scorer.score_still(CROPS[:4, :, ::-1]))
    assert together == pytest.approx(mirrored, abs=1e-5)
    assert together[2] == pytest.approx(values(scorer.score_still(CROPS[2:3]))[0], abs=1e-5)


def test_probabilities_sum_to_one_and_fit_the_level(network: Network) -> None:
    for smile in scorer_of(network).score_still(CROPS):
        assert sum(smile.probabilities) == pytest.approx(1.0, abs=1e-5)
        assert smile.level is SmileLevel.of_intensity(smile.intensity)


@pytest.mark.parametrize(
    ("crops", "rule"),
    [
        (CROPS[:2], "one per track"),
        (CROPS[:1].astype(np.float32), "uint8"),
        (CROPS[:1, :90], "96, 96, 3"),
    ],
)
def test_wrong_crops_are_named(network: Network, crops: np.ndarray, rule: str) -> None:
    with pytest.raises(ImageError, match=rule):
        scorer_of(network).score(tracks("a"), crops, 0.0)


def test_the_same_id_twice_is_refused(network: Network) -> None:
    with pytest.raises(ValueError, match="differ"):
        scorer_of(network).score(tracks("a", "a"), CROPS[:2], 0.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no CUDA device"):
        make_scorer(SmileConfig(device="cuda"))


def test_stamps_that_stand_still_do_not_make_the_memory_grow(network: Network) -> None:
    scorer = scorer_of(network, max_faces=2)
    for number in range(200):
        scorer.score(tracks("stays", f"new{number}"), CROPS[:2], 0.0)
    assert len(scorer._tracks) == 32
    assert len(scorer._memory) <= 32
    (smile,) = scorer.score(tracks("stays"), CROPS[:1], 0.0)
    assert smile.observed_frames == 201


def test_of_equal_faces_those_scored_before_stay_chosen(network: Network) -> None:
    scorer = scorer_of(network, max_faces=3, warmup_frames=1)
    rng = np.random.default_rng(5)
    valid = []
    for t in range(10):
        sides = rng.uniform(50.0, 52.0, 8)
        people = [Track(str(n), Box(0, 0, side, side), 1.0) for n, side in enumerate(sides)]
        smiles = scorer.score(people, CROPS[:8], t / 30)
        valid.append([smile.valid for smile in smiles])
    assert sum(valid[0]) == 3
    assert valid == [valid[0]] * 10
    # Who comes much nearer takes the place of one of them.
    people[-1] = Track("nearer", Box(0, 0, 90, 90), 1.0)
    assert scorer.score(people, CROPS[:8], 1.0)[-1].valid
