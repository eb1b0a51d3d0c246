"""Augmentation, sampling and sequences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from social_perception.core.types import Box
from social_perception.perception.smile.crop import crop_faces
from social_perception.research.training import faces as training_faces
from social_perception.research.training.augmentation import (
    Augmentation,
    cover_half,
    cover_mouth,
    occlude,
    render,
    sample_augmentation,
)
from social_perception.research.training.faces import AugmentedFaces, RatedShareSampler, TrainingFaces
from social_perception.research.training.labels import Targets
from social_perception.research.training.sequences import render_sequence
from social_perception.research.training.settings import StillSettings

BOX = np.array([14.0, 10.0, 60.0, 60.0], np.float32)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    rows, columns = np.mgrid[0:90, 0:100]
    return (127 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7)).astype(np.uint8)


@pytest.fixture
def faces(image: np.ndarray) -> TrainingFaces:
    count = 12
    above = np.repeat(np.linspace(0, 1, count, dtype=np.float32)[:, None], 3, axis=1)
    rated = np.arange(count) < 4
    targets = Targets(
        above, np.ones_like(above), np.zeros((count, 8), np.float32), rated, np.zeros(count, bool)
    )
    moving = np.arange(count) >= 9
    return TrainingFaces((image,) * count, np.tile(BOX, (count, 1)), targets, moving, ("face",) * count)


@pytest.mark.parametrize("box", [(14, 10, 60, 60), (-8, -5, 70, 64), (40.5, 30.25, 33, 40)])
def test_without_augmentation_it_is_the_crop_of_the_pipeline(
    image: np.ndarray, box: tuple[float, ...]
) -> None:
    rendered = render(image, np.array(box, np.float32), Augmentation(), np.random.default_rng(0))
    (crop,) = crop_faces(np.repeat(image[:, :, None], 3, axis=2), [Box(*box)])
    difference = np.abs(rendered.astype(int) - crop[:, :, 0])
    # The crop's edges are whole pixels of the image, so it may be off by up to one of them.
    assert difference.mean() < 6.0


def test_each_parameter_has_its_effect(image: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    plain = render(image, BOX, Augmentation(), rng).astype(int)
    assert render(image, BOX, Augmentation(brightness=30), rng).mean() > plain.mean() + 20
    assert render(image, BOX, Augmentation(log_contrast=-1.0), rng).std() < 0.6 * plain.std()
    assert (
        np.abs(np.diff(render(image, BOX, Augmentation(resolution_px=12), rng).astype(int))).mean()
        < np.abs(np.diff(plain)).mean()
    )
    shifted = render(image, BOX, Augmentation(shift_x=10 / 96), rng).astype(int)
    assert np.abs(shifted[:, :-10] - plain[:, 10:]).mean() < 3.0


def test_the_same_draw_gives_the_same_picture(faces: TrainingFaces) -> None:
    augmented = AugmentedFaces(faces, StillSettings(morphed_share=1.0), seed=5)
    first, again, other = (augmented[draw][0] for draw in ((3, 7), (3, 7), (3, 8)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (96, 96)
    assert first.dtype == torch.uint8


def test_faces_smile_by_increasing_amounts(faces: TrainingFaces) -> None:
    *_, smiling, amounts = AugmentedFaces(faces, StillSettings(morphed_share=1.0), seed=5)[0, 0]
    assert amounts[:2].tolist() == [0.0, 1.0]
    assert smiling.shape == (len(amounts), 96, 96)
    assert not torch.equal(smiling[0], smiling[1])
    *_, amounts = AugmentedFaces(faces, StillSettings(morphed_share=0.0), seed=5)[0, 0]
    assert amounts.isnan().all()


def test_a_covered_mouth_is_marked_and_changes_the_mouth_alone(
    faces: TrainingFaces, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for share in (0.0, 1.0):
        monkeypatch.setattr(training_faces, "COVERED_SHARE", share)
        *_, visible, _, _ = AugmentedFaces(faces, StillSettings(), seed=5)[0, 0]
        assert visible == 1.0 - share
    covered = cover_mouth(image, BOX, np.random.default_rng(0))
    changed = np.argwhere(covered != image) - (BOX[1], BOX[0])
    assert (covered != image)[int(10 + 0.79 * 60), int(14 + 0.5 * 60)]
    assert changed[:, 0].min() > 0.4 * 60


def test_half_a_face_is_covered(image: np.ndarray) -> None:
    left, top, width, height = BOX.astype(int)
    shares = []
    for seed in range(40):
        covered = cover_half(image, BOX, np.random.default_rng(seed)) != image
        shares.append(covered[top : top + height, left : left + width].mean())
    assert min(shares) > 0.15
    assert max(shares) < 0.85
    assert np.median(shares) == pytest.approx(0.55, abs=0.15)


def test_occlusion_leaves_the_mouth_in_view() -> None:
    rng = np.random.default_rng(1)
    changed = 0
    for _ in range(300):
        crop = occlude(np.full((96, 96), 77, np.uint8), rng)
        changed += bool((crop != 77).any())
        assert (crop[60:80, 30:66] == 77).mean() > 0.4
    assert 30 < changed < 120


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_rated_faces_have_their_share(faces: TrainingFaces, share: float) -> None:
    sampler = RatedShareSampler(faces, StillSettings(rated_share=share, draws=80), seed=1)
    drawn = np.array([index for index, _ in sampler])
    assert len(drawn) == len(sampler) == 80
    assert (drawn < 4).mean() == pytest.approx(share)
    assert not (drawn >= 9).any()


def test_frames_of_clips_have_their_share(faces: TrainingFaces) -> None:
    sampler = RatedShareSampler(faces, StillSettings(rated_share=0.5, moving_share=0.25, draws=80), seed=1)
    drawn = np.array([index for index, _ in sampler])
    assert (drawn < 4).mean() == 0.5
    assert (drawn >= 9).mean() == 0.25


def test_epochs_differ_and_runs_repeat(faces: TrainingFaces) -> None:
    sampler = RatedShareSampler(faces, StillSettings(rated_share=0.25, draws=80), seed=1)
    first, again = list(sampler), list(sampler)
    sampler.set_epoch(1)
    assert first == again != list(sampler)


def test_the_augmentation_changes_slowly_from_frame_to_frame(image: np.ndarray) -> None:
    frames = render_sequence(image, BOX, 20, np.random.default_rng(4)).astype(float)
    assert frames.shape == (20, 96, 96)
    steps = np.abs(np.diff(frames, axis=0)).mean()
    assert 0 < steps < np.abs(frames[0] - frames[-1]).mean() + 40


def test_sampled_parameters_are_within_their_ranges() -> None:
    rng = np.random.default_rng(2)
    sampled = [sample_augmentation(rng) for _ in range(300)]
    assert all(16 <= params.resolution_px <= 96 and 20 <= params.jpeg_quality <= 100 for params in sampled)
    assert any(params.resolution_px < 25 for params in sampled)
    assert any(params.noise for params in sampled)
