"""Sequences for the memory: their frames and targets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.research.training import clip_sequences, sequences
from social_perception.research.training.clip_sequences import ClipFaces
from social_perception.research.training.faces import TrainingFaces
from social_perception.research.training.labels import Targets
from social_perception.research.training.morph import Expression
from social_perception.research.training.sequences import (
    ChainedSequences,
    FeatureSequences,
    feature_sequences,
    render_sequence,
    smooth_scores,
)
from social_perception.research.training.settings import MemorySettings

BOX = np.array([14.0, 10.0, 60.0, 60.0], np.float32)
LENGTH = 6


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    rows, columns = np.mgrid[0:90, 0:100]
    return (127 + 60 * np.sin(rows / 3) + 50 * np.cos(columns / 5)).astype(np.uint8)


@pytest.fixture
def network() -> SmileNetwork:
    torch.manual_seed(0)
    network = SmileNetwork(NetworkConfig((4, 4, 8, 8), 16, 12)).eval()
    network.encoder.aligner = torch.nn.Identity()
    torch.nn.init.constant_(network.score_now.weight, 1.0)  # so that the score follows the image
    return network


@pytest.fixture
def faces(image: np.ndarray) -> TrainingFaces:
    """12 faces of which the first four are rated, all of them High by both raters."""
    rated = np.arange(12) < 4
    above = np.where(rated[:, None], 1.0, 0.3).repeat(3, axis=1).astype(np.float32)
    targets = Targets(above, np.ones_like(above), np.zeros((12, 8), np.float32), rated, np.zeros(12, bool))
    boxes = np.tile(BOX, (12, 1))
    return TrainingFaces((image,) * 12, boxes, targets, np.zeros(12, bool), ("face",) * 12)


@pytest.fixture
def clips() -> ClipFaces:
    """Tracks of 9, 4 and 11 frames."""
    crops = np.random.default_rng(1).integers(0, 256, (24, 96, 96, 3), np.uint8)
    return ClipFaces(crops, np.repeat([0, 1, 2], [9, 4, 11]), np.array(["a.mp4"] * 13 + ["b.mp4"] * 11))


def settings_with(morphed: float, talking: float, clip: float, count: int = 16) -> MemorySettings:
    return MemorySettings(
        sequences=count, length=LENGTH, morphed_share=morphed, talking_share=talking, clip_share=clip
    )


def expressions(smiles: tuple[float, ...], jaw: float = 0.0) -> tuple[Expression, ...]:
    return tuple(Expression(smile=smile, jaw=jaw) for smile in smiles)


@pytest.mark.parametrize("shares", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0.5, 0.5, 0.25), (1, 1, 1)])
def test_every_frame_has_features_and_a_target(
    network: SmileNetwork, faces: TrainingFaces, clips: ClipFaces, shares: tuple[float, float, float]
) -> None:
    made = feature_sequences(network, faces, settings_with(*shares), seed=1, clips=clips)
    assert made.features.shape == (16, LENGTH, 16)
    assert made.above.shape == (16, LENGTH, 3)
    assert ((made.above >= 0) & (made.above <= 1)).all()
    assert (made.above[..., :-1] >= made.above[..., 1:]).all()
    varies = (made.above.std(dim=1) > 1e-6).any(dim=1)
    # A face that does not smile has one target, whether it talks or not.
    assert varies.any() == (shares[0] > 0 or shares[2] > 0)
    assert not made.features.is_inference()


def test_the_same_seed_makes_the_same_sequences(
    network: SmileNetwork, faces: TrainingFaces, clips: ClipFaces
) -> None:
    settings = settings_with(0.5, 0.5, 0.25)
    first, again, other = (feature_sequences(network, faces, settings, seed, clips) for seed in (3, 3, 4))
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.above, again.above)
    assert not torch.equal(first.features, other.features)


def test_only_frames_with_an_expression_differ(image: np.ndarray) -> None:
    still, smiling = (
        render_sequence(image, BOX, 4, np.random.default_rng(2), expressions(smiles)).astype(int)
        for smiles in ((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0))
    )
    difference = np.abs(still - smiling).mean(axis=(1, 2))
    assert difference[:2].max() < 0.5 < difference[2:].min()


def test_the_target_follows_the_smile_and_no_other_movement(
    network: SmileNetwork, faces: TrainingFaces
) -> None:
    weak = 7
    with torch.inference_mode():
        rising = sequences._target(network, faces, weak, expressions((0.0, 0.25, 0.5, 0.75, 1.0)))
        resting = sequences._target(network, faces, weak, expressions((0.0,) * 5))
        talking = sequences._target(network, faces, weak, expressions((0.0,) * 5, jaw=1.0))
    assert torch.equal(talking, resting)
    torch.testing.assert_close(rising[0], resting[0])
    steps = rising.diff(dim=0).abs().amax(dim=1)
    assert (steps > 0).all()


def test_ratings_correct_the_target_of_a_rated_face_at_rest(
    network: SmileNetwork, faces: TrainingFaces
) -> None:
    rated, weak = 0, 7  # the same image
    smiles = expressions((0.0, 0.5, 1.0))
    with torch.inference_mode():
        with_raters, predicted = (sequences._target(network, faces, index, smiles) for index in (rated, weak))
    torch.testing.assert_close(with_raters[0], (predicted[0] + 1.0) / 2)
    torch.testing.assert_close(with_raters[2], predicted[2])
    expected = (predicted[1] + (1.0 - predicted[0]) / 4).clamp(0, 1)
    torch.testing.assert_close(with_raters[1], expected)


def test_windows_stay_within_a_track(clips: ClipFaces) -> None:
    starts = clips.windows(LENGTH)
    assert starts.tolist() == [0, 1, 2, 3, 13, 14, 15, 16, 17, 18]
    assert clips.windows(12).tolist() == []


def test_real_video_has_its_share_or_is_replaced_by_stills(
    network: SmileNetwork, faces: TrainingFaces, clips: ClipFaces
) -> None:
    settings = settings_with(0, 0, 0.25)
    made = feature_sequences(network, faces, settings, 1, clips)
    with torch.inference_mode():
        crops = torch.from_numpy(clips.crops)
        both = [
            network.encoder(sequences.to_input(each.contiguous())) for each in (crops, crops.flip(dims=[2]))
        ]
    known = torch.cat(both)
    real = [bool((torch.cdist(each, known).amin(dim=1) < 1e-4).all()) for each in made.features]
    assert real == [False] * 12 + [True] * 4
    short = ClipFaces(clips.crops[:4], clips.track[:4], clips.clip[:4])
    assert len(feature_sequences(network, faces, settings, 1, short).features) == 16
    assert len(feature_sequences(network, faces, settings, 1).features) == 16


def test_the_target_of_real_video_is_smoothed_within_its_track() -> None:
    scores = np.array([0, 9] * 10 + [100] * 3, np.float32)
    track = np.repeat([0, 1], [20, 3])
    smooth = smooth_scores(scores, track)
    assert smooth[20:] == pytest.approx(100)
    assert smooth[0] == pytest.approx(4.5)  # itself and the five after it
    assert smooth[10] == pytest.approx(9 * 6 / 11)  # rows 5 to 15
    assert np.abs(np.diff(smooth[:20])).max() < 1.0


def test_chains_fade_from_one_face_to_the_next() -> None:
    features = torch.arange(6.0).view(6, 1, 1).expand(6, 10, 4).clone()
    within = torch.arange(10.0).view(1, 10, 1) / 1000
    sequences_ = FeatureSequences(features + within, (features[..., :3] + within) / 5)
    torch.manual_seed(0)
    chains = ChainedSequences(sequences_, chain_length=3, seed=1)
    for index in range(6):
        chain, target = chains[index]
        assert chain.shape == (30, 4)
        assert target.shape == (30, 3)
        assert chain[0, 0] == index
        # Features and targets change together, frame by frame.
        torch.testing.assert_close(target, chain[:, :3] / 5)
    fractions = torch.cat([chains[index][0] for index in range(6)]).frac()
    assert (fractions > 0.02).any()  # some frames are neither face


@pytest.fixture
def clip_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four clips: rated, the rated one cut and recoded under another name, another one, and a black one."""
    (tmp_path / "data").mkdir()
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(6)
    rated, other = (cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (160, 90)) for _ in range(2))
    black = np.zeros_like(rated)
    write(folder / "rated.mp4", [rated + np.uint8(i) // 2 for i in range(8)])
    write(folder / "renamed.mp4", [other] * 2 + [rated] * 3 + [black] * 2)
    write(folder / "other.mp4", [other] * 6 + [black] * 2)
    write(folder / "black.mp4", [black] * 4)
    pd.DataFrame({"clip": ["rated.mp4"], "frame": [0]}).to_csv(folder / "clip_levels.csv", index=False)
    monkeypatch.setenv("SOCIAL_PERCEPTION_DATA", str(tmp_path))
    return tmp_path


def write(path: Path, images: list[np.ndarray]) -> None:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 90))
    for image in images:
        video.write(image)
    video.release()


def test_recordings_of_rated_clips_are_not_trained_on(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked: list[str] = []

    def track(video: Path) -> tuple[np.ndarray, np.ndarray]:
        tracked.append(video.name)
        return np.zeros((2, 96, 96, 3), np.uint8), np.zeros(2, np.int64)

    monkeypatch.setattr(clip_sequences, "_track_faces", track)
    cache = clip_folder / "cache"
    found = clip_sequences.clip_faces(cache)
    assert tracked == ["black.mp4", "other.mp4"]
    assert set(found.clip) == {"black.mp4", "other.mp4"}
    assert found.track.tolist() == [0, 0, 1, 1]
    clip_sequences.clip_faces(cache)
    assert len(tracked) == 2  # kept in the cache


@pytest.mark.slow
def test_the_shared_rated_clips_are_excluded(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOCIAL_PERCEPTION_DATA", str(shared))
    rated = clip_sequences.rated_clips()
    names = {path.name for path in clip_sequences.training_clips(tmp_path)}
    assert names
    assert not names & rated
    assert "face_enters.mov" not in names  # the same recording as face_leaves.mov, cut elsewhere
