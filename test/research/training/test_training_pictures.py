"""Augmentation, sampling and sequences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from social_perception.core.types import Box
from social_perception.perception.smile.crop import crop_faces
from social_perception.research.training.augmentation import Look, draw_look, occlude, render
from social_perception.research.training.faces import AugmentedFaces, RatedShareSampler, TrainingFaces
from social_perception.research.training.labels import Targets
from social_perception.research.training.sequences import drifting

BOX = np.array([14.0, 10.0, 60.0, 60.0], np.float32)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rows, columns = np.mgrid[0:90, 0:100]
    return (127 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7)).astype(np.uint8)


@pytest.fixture
def faces(picture: np.ndarray) -> TrainingFaces:
    count = 12
    above = np.repeat(np.linspace(0, 1, count, dtype=np.float32)[:, None], 3, axis=1)
    rated = np.arange(count) < 4
    targets = Targets(
        above, np.ones_like(above), np.zeros((count, 8), np.float32), rated, np.zeros(count, bool)
    )
    return TrainingFaces((picture,) * count, np.tile(BOX, (count, 1)), targets)


@pytest.mark.parametrize("box", [(14, 10, 60, 60), (-8, -5, 70, 64), (40.5, 30.25, 33, 40)])
def test_an_undisturbed_look_is_the_pipelines_crop(picture: np.ndarray, box: tuple[float, ...]) -> None:
    rendered = render(picture, np.array(box, np.float32), Look(), np.random.default_rng(0))
    (crop,) = crop_faces(np.repeat(picture[:, :, None], 3, axis=2), [Box(*box)])
    difference = np.abs(rendered.astype(int) - crop[:, :, 0])
    # The crop's edges are whole pixels of the picture, so it may be off by up to one of them.
    assert difference.mean() < 6.0


def test_a_look_is_what_it_says(picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    plain = render(picture, BOX, Look(), rng).astype(int)
    assert render(picture, BOX, Look(brightness=30), rng).mean() > plain.mean() + 20
    assert render(picture, BOX, Look(log_contrast=-1.0), rng).std() < 0.6 * plain.std()
    assert (
        np.abs(np.diff(render(picture, BOX, Look(resolution_px=12), rng).astype(int))).mean()
        < np.abs(np.diff(plain)).mean()
    )
    shifted = render(picture, BOX, Look(shift_x=10 / 96), rng).astype(int)
    assert np.abs(shifted[:, :-10] - plain[:, 10:]).mean() < 3.0


def test_the_same_draw_gives_the_same_picture(faces: TrainingFaces) -> None:
    augmented = AugmentedFaces(faces, seed=5)
    first, again, other = (augmented[draw][0] for draw in ((3, 7), (3, 7), (3, 8)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (96, 96)
    assert first.dtype == torch.uint8


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
    sampler = RatedShareSampler(faces.targets.rated, share, draws=80, seed=1)
    drawn = np.array([index for index, _ in sampler])
    assert len(drawn) == len(sampler) == 80
    assert (drawn < 4).mean() == pytest.approx(share)


def test_each_epoch_draws_anew_and_the_same_on_every_run(faces: TrainingFaces) -> None:
    sampler = RatedShareSampler(faces.targets.rated, 0.25, draws=80, seed=1)
    first, again = list(sampler), list(sampler)
    sampler.set_epoch(1)
    assert first == again != list(sampler)


def test_a_look_drifts_from_frame_to_frame(picture: np.ndarray) -> None:
    frames = drifting(picture, BOX, 20, np.random.default_rng(4)).astype(float)
    assert frames.shape == (20, 96, 96)
    steps = np.abs(np.diff(frames, axis=0)).mean()
    assert 0 < steps < np.abs(frames[0] - frames[-1]).mean() + 40


def test_drawn_looks_stay_within_reason() -> None:
    rng = np.random.default_rng(2)
    looks = [draw_look(rng) for _ in range(300)]
    assert all(16 <= look.resolution_px <= 96 and 20 <= look.jpeg_quality <= 100 for look in looks)
    assert any(look.resolution_px < 25 for look in looks)
    assert any(look.noise for look in looks)
