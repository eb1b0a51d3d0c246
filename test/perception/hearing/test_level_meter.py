import math

import numpy as np
import pytest

from social_perception.core.sound import Sound
from social_perception.perception.hearing.level_meter import FLOOR_DBFS, level_dbfs

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


def test_a_source_without_sound_has_no_level():
    assert math.isnan(level_dbfs(None))
