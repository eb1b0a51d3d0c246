"""Examples of the Social-MAE: spectrograms as those of the public code, and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from social_perception.core.errors import ConfigurationError
from social_perception.perception.hearing.fbank import log_mel
from social_perception.research.social_mae.examples import (
    Example,
    ExampleShape,
    collate,
    fit_video,
    video_to_uint8,
)

SHAPE = ExampleShape(frames=4, side=32, steps=50, bins=16)


def _sound() -> np.ndarray:
    k = np.arange(1200)
    return (0.5 * np.sin(2 * np.pi * 440 * k / 16000) + 0.25 * ((k * 7919 % 101) / 50 - 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("step", "band", "value"),
    [
        # Computed once with torchaudio 2.7 from the same samples.
        (0, 0, -13.6331),
        (0, 1, -15.0241),
        (2, 20, -0.3569),
        (3, 64, -3.8770),
        (5, 100, 0.8228),
        (5, 127, 1.5929),
    ],
)
def test_spectrogram_is_that_of_kaldi(step: int, band: int, value: float) -> None:
    spectrogram = log_mel(_sound(), 128)
    assert spectrogram.shape == (6, 128)
    assert spectrogram[step, band] == pytest.approx(value, abs=3e-3)


def test_long_sound_has_the_steps_of_its_parts() -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000 * 70).astype(np.float32)
    samples -= samples.mean()
    part = samples[65 * 16_000 : 66 * 16_000]
    steps = log_mel(samples, 16)[6500:6598]
    # The mean of a step is removed, so the offset of the part does not matter.
    np.testing.assert_allclose(steps, log_mel(part, 16), atol=2e-3)


@pytest.mark.parametrize("count", [0, 1, 399])
def test_sound_below_a_step_has_none(count: int) -> None:
    assert log_mel(np.zeros(count, np.float32), 128).shape == (0, 128)


def _video(frames: int = 8, side: int = 32) -> np.ndarray:
    images = np.arange(frames)[:, None, None, None] * 10 + np.arange(3)[:, None, None]
    return np.broadcast_to(images, (frames, 3, side, side)).astype(np.uint8)


def test_batch_has_the_shape_and_the_flags() -> None:
    spectrogram = np.full((20, 16), -6.2943, np.float32)
    batch = collate(
        [
            Example(_video(), spectrogram, 2, "a"),
            Example(_video(), None, None, "b"),
            Example(None, spectrogram, 0, "c"),
        ],
        SHAPE,
    )
    assert batch["video"].shape == (3, 3, 4, 32, 32)
    assert batch["sound"].shape == (3, 1, 50, 16)
    assert batch["has_video"].tolist() == [True, True, False]
    assert batch["has_sound"].tolist() == [True, False, True]
    assert batch["label"].tolist() == [2, -1, 0]
    assert batch["person"] == ["a", "b", "c"]
    assert not batch["video"][2].any()
    assert not batch["sound"][1].any()
    sound = batch["sound"][0, 0]
    assert sound[:20].abs().max() < 1e-6
    # Padded before the normalisation, as in the public code.
    torch.testing.assert_close(sound[20:], torch.full((30, 16), 6.2943 / 12.26344))
    np.testing.assert_array_equal(
        video_to_uint8(batch["video"][:1])[0].numpy().transpose(1, 0, 2, 3), _video()[[1, 3, 4, 6]]
    )


def test_values_are_labels_of_a_regression() -> None:
    batch = collate([Example(_video(), None, (0.25, 1.0), "a")], SHAPE)
    assert batch["label"].tolist() == [[0.25, 1.0]]


def test_empty_batch_is_legal() -> None:
    batch = collate([], SHAPE)
    assert batch["video"].shape == (0, 3, 4, 32, 32)
    assert batch["label"].shape == (0,)


@pytest.mark.parametrize(("frames", "side"), [(1, 32), (3, 64), (20, 16)])
def test_video_is_resized_and_a_still_is_repeated(frames: int, side: int) -> None:
    fitted = fit_video(_video(frames, side), SHAPE)
    assert fitted.shape == (4, 3, 32, 32)
    red = fitted[:, 0, 0, 0].astype(int)
    assert (np.diff(red) >= 0).all()
    if frames == 1:
        assert not np.diff(red).any()


def test_frames_are_of_the_time_of_the_sound_that_fits() -> None:
    batch = collate([Example(_video(16), np.zeros((100, 16), np.float32), None, "a")], SHAPE)
    red = video_to_uint8(batch["video"])[0, 0, :, 0, 0]
    assert red.tolist() == [10, 30, 40, 60]  # of the first 8 frames, as 50 of 100 steps fit


@pytest.mark.parametrize(
    ("video", "sound", "message"),
    [
        (None, None, "got neither"),
        (np.zeros((2, 32, 32, 3), np.uint8), None, r"got \(2, 32, 32, 3\)"),
        (None, np.zeros(5, np.float32), r"got \(5,\)"),
    ],
)
def test_invalid_example_names_the_shape(video: object, sound: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Example(video, sound, None, "a")  # type: ignore[arg-type]


def test_other_bins_are_rejected() -> None:
    with pytest.raises(ConfigurationError, match="12 bins, the network has 16"):
        collate([Example(None, np.zeros((5, 12), np.float32), None, "a")], SHAPE)
