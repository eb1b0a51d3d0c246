import numpy as np
import pytest

from social_perception.core.errors import SoundError
from social_perception.core.sound import MAX_SOUND_S, Sound, join_sounds


def ramp(start_s, count, first=1, rate_hz=100):
    """Samples that count up, in units of 1e-4."""
    return Sound(np.arange(first, first + count, dtype=np.float32) / 10_000, rate_hz, start_s)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "start_s", "message"),
    [
        ([0.0], 100, 0.0, "samples must be a float32 array, got list"),
        (np.zeros(3), 100, 0.0, "samples must be a float32 array, got float64"),
        (np.zeros((3, 1), np.float32), 100, 0.0, r"samples must have shape \(N,\), got \(3, 1\)"),
        (np.array([0.5, -1.5], np.float32), 100, 0.0, r"samples must be in \[-1, 1\], got \[-1.5, 0.5\]"),
        (np.array([0.5, np.nan], np.float32), 100, 0.0, r"samples must be in \[-1, 1\], got"),
        (np.zeros(3, np.float32), 0, 0.0, "rate_hz must be positive, got 0"),
        (np.zeros(3, np.float32), 100, np.inf, "start_s must be finite, got inf"),
    ],
)
def test_what_is_no_sound_is_refused(samples, rate_hz, start_s, message):
    with pytest.raises(SoundError, match=message):
        Sound(samples, rate_hz, start_s)


def test_the_times_of_a_block_follow_from_its_samples():
    sound = ramp(5.0, 25)
    assert (sound.duration_s, sound.end_s) == (0.25, 5.25)
    assert (Sound.empty(100, 5.0).end_s, sound.moved(-5.0).start_s) == (5.0, 0.0)


# The sample at exactly the time belongs to the later part.
@pytest.mark.parametrize(
    ("time_s", "before"), [(4.0, 0), (5.0, 0), (5.001, 1), (5.1, 10), (5.105, 11), (9.0, 25)]
)
def test_a_block_is_split_at_a_time(time_s, before):
    first, second = ramp(5.0, 25).split(time_s)
    assert (len(first.samples), len(second.samples)) == (before, 25 - before)
    assert first.start_s == 5.0
    assert second.start_s == pytest.approx(first.end_s)


@pytest.mark.parametrize(
    ("blocks", "start_s", "expected"),
    [
        ([ramp(5, 2)], 5.0, [1, 2]),
        ([ramp(5, 2), ramp(5.02, 2, 3)], 5.0, [1, 2, 3, 4]),
        ([ramp(5, 2), ramp(5.04, 2, 3)], 5.0, [1, 2, 0, 0, 3, 4]),
        ([Sound.empty(100, 4.0), ramp(5, 2), Sound.empty(100, 5.1)], 5.0, [1, 2]),
        ([Sound.empty(100, 4.0), Sound.empty(100, 5.0)], 5.0, []),
        ([ramp(50, 2), ramp(5, 2, 3)], 5.0, [3, 4]),
    ],
    ids=["one", "following", "gap", "empty", "all-empty", "clock-set-back"],
)
def test_blocks_are_joined(blocks, start_s, expected):
    joined = join_sounds(blocks)
    assert joined.start_s == start_s
    assert (joined.samples * 10_000).tolist() == pytest.approx(expected)


def test_a_gap_of_any_length_fills_no_memory():
    joined = join_sounds([ramp(0, 100), ramp(36_000, 2)])
    assert joined.end_s == pytest.approx(36_000.02)
    assert joined.duration_s == MAX_SOUND_S
    joined = join_sounds([ramp(0, 3000), ramp(30, 2, 7)])
    assert (joined.samples[[0, -1]] * 10_000).tolist() == pytest.approx([3, 8])


def test_blocks_of_different_rates_are_not_joined():
    with pytest.raises(SoundError, match=r"blocks must have one rate_hz, got \[100, 200\]"):
        join_sounds([ramp(0, 2), ramp(1, 2, rate_hz=200)])
