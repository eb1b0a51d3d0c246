"""How well mouths go with the sound: weights that are fitted to mouths that do, on numbers made for it."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from social_perception.core.errors import ModelError
from social_perception.perception.hearing.lip_sync import LipSync, read_lip_sync, shipped
from social_perception.perception.hearing.mouth import VIEW
from social_perception.perception.hearing.speakers import Observation
from social_perception.research.training.speaker_training import (
    Fold,
    Moment,
    canonical_correlation,
    fit,
    to_tensors,
    untrained,
)

ROWS = 30


def observed(generator: np.random.Generator, rows: int = ROWS) -> Observation:
    """A mouth that moves with the loudness, and one that moves as much at other times."""
    loud = generator.uniform(0.0, 1.0, rows)
    views = generator.normal(0.0, 0.1, (2, rows, VIEW))
    for view, motion in zip(views, (loud, generator.permutation(loud))):
        view[:, :13] = 0.01 + 0.2 * motion[:, np.newaxis]
    levels = (-60.0 + 30.0 * loud)[:, np.newaxis] + generator.normal(0.0, 1.0, (rows, 9))
    return Observation(views, levels, np.ones(rows), 0.0)


@pytest.fixture(scope="module")
def weights() -> LipSync:
    generator = np.random.default_rng(1)
    people = []
    for fold in range(3):
        clips = tuple(observed(generator, 100) for _ in range(2))
        moments = tuple(Moment(fold, "", observed(generator), (0.0, 0.0), (True, False)) for _ in range(10))
        people.append(Fold(clips, moments))
    return fit(people)


def test_the_mouth_that_goes_with_the_sound_speaks(weights):
    seen = [observed(np.random.default_rng(seed)).voices(weights) for seed in range(20, 30)]
    assert all(first.speaking > 0.5 > second.speaking for first, second in seen)


def test_nothing_is_known_of_unknown_bands_short_sound_and_hidden_mouths(weights):
    whole = observed(np.random.default_rng(20))
    assert weights.fits(whole.views, whole.levels)[0] > 0.3
    views = whole.views.copy()
    views[0, 3:] = np.nan
    unknown = np.full_like(whole.levels, np.nan)
    assert weights.fits(views, whole.levels)[0] == 0.0
    assert not weights.fits(whole.views, unknown).any()
    assert not weights.fits(whole.views[:, :5], whole.levels[:5]).any()
    assert weights.features(whole.views[:0], whole.levels).shape == (0, 4)
    views[0] = whole.views[0]
    views[0, ::4] = np.nan  # a few rows without an image
    assert weights.fits(views, whole.levels)[0] > 0.2


def test_canonical_correlation_finds_what_both_have_in_common():
    generator = np.random.default_rng(3)
    common = generator.normal(size=(2000, 1))
    first, second = (common * [[1, 0, 2, 0, 0, 0]] + generator.normal(size=(2000, 6)) for _ in range(2))
    left, right, strength = canonical_correlation(first, second)
    seen = np.corrcoef((first @ left)[:, 0], (second @ right)[:, 0])[0, 1]
    assert seen == pytest.approx(5 / 6, abs=0.05)
    assert strength[0] > 5 * strength[1]


def test_weights_are_read_as_they_were_written(tmp_path, weights):
    save_file(to_tensors(weights), tmp_path / "a.safetensors")
    seen = observed(np.random.default_rng(20))
    found = read_lip_sync(tmp_path / "a.safetensors").features(seen.views, seen.levels)
    np.testing.assert_allclose(found, weights.features(seen.views, seen.levels), atol=1e-4)
    assert shipped().pixels.shape == untrained().pixels.shape


@pytest.mark.parametrize("name", ["pixels", "mouth", "sound", "strength", "decision"])
@pytest.mark.parametrize("damage", ["missing", "shape", "nan"])
def test_damaged_weights_are_rejected(tmp_path, weights, name, damage):
    tensors = to_tensors(weights)
    value = tensors.pop(name)
    if damage == "shape":
        tensors[name] = value[:-1]
    elif damage == "nan":
        tensors[name] = np.full_like(value, np.nan)
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="who speaks"):
        read_lip_sync(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"no weights")
    for file in ("b", "c"):
        with pytest.raises(ModelError, match="who speaks"):
            read_lip_sync(tmp_path / f"{file}.safetensors")


def test_one_person_alone_needs_no_comparison(weights):
    seen = observed(np.random.default_rng(20))
    assert replace(seen, views=seen.views[:1]).voices(weights)[0].speaking > 0.5
