import math

import numpy as np
import pytest

from social_perception.core.config import HearingConfig, PipelineConfig
from social_perception.core.sound import BANDS, Sound
from social_perception.core.types import FrameAffect, SoundLevel
from social_perception.perception.hearing.level_meter import FLOOR_DBFS, band_levels_dbfs, level_dbfs
from social_perception.perception.pipeline import make_aggregation

SINE = np.sin(2 * np.pi * 1000 * np.arange(1600) / 16_000)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.sign(SINE + 1e-9), 0.0),
        (SINE, -3.01),
        (0.1 * SINE, -23.01),
        (np.full(100, 0.5), -6.02),
        (np.full(100, 1e-7), FLOOR_DBFS),
        (np.zeros(100), FLOOR_DBFS),
        (np.zeros(0), math.nan),
    ],
    ids=["square", "sine", "a-tenth", "half", "below-the-floor", "silence", "no-samples"],
)
def test_the_level_is_that_of_the_mean_power(samples, expected):
    sound = Sound(np.asarray(samples, np.float32), 16_000, 0.0)
    assert level_dbfs(sound) == pytest.approx(expected, abs=0.01, nan_ok=True)


@pytest.mark.parametrize(("tone_hz", "band"), [(100, 0), (1000, 4), (5000, 7)])
def test_a_tone_is_in_its_band(tone_hz, band):
    tone = 0.1 * np.sin(2 * np.pi * tone_hz * np.arange(1600) / 16_000)
    levels = band_levels_dbfs(Sound(np.float32(tone), 16_000, 0.0))
    assert len(levels) == BANDS
    assert levels[band] == pytest.approx(-23.01, abs=0.1)
    assert max(levels[:band] + levels[band + 1 :]) < -60.0
    assert band_levels_dbfs(Sound(np.zeros(1600, np.float32), 16_000, 0.0)) == (FLOOR_DBFS,) * BANDS


def aggregated(sound, **settings):
    """The group of a frame, as the pipeline's last step returns it."""
    config = PipelineConfig(hearing=HearingConfig(**settings))
    return make_aggregation(config).process(FrameAffect(1.0, 25, 64, 48, sound=sound)).group


def test_the_level_is_a_signal_of_the_group():
    group = aggregated(Sound(np.float32(SINE), 16_000, 0.9))
    assert group[SoundLevel].level_dbfs == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize(
    ("sound", "settings", "is_estimated"),
    [
        (Sound.empty(16_000, 1.0), {}, True),
        (None, {}, False),
        (Sound(np.float32(SINE), 16_000, 0.9), {"sound_level": False}, False),
    ],
    ids=["nothing-new", "no-sound", "disabled"],
)
def test_the_level_is_unknown_without_samples(sound, settings, is_estimated):
    group = aggregated(sound, **settings)
    assert math.isnan(group[SoundLevel].level_dbfs)
    assert (SoundLevel in group.signals) is is_estimated
