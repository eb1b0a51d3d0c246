import weakref

import av
import numpy as np
import pytest

from social_perception.core.errors import SoundError
from social_perception.core.sound import MAX_SOUND_S, Sound
from social_perception.sources.sound import SoundReader, SoundTrack

RATE_HZ = 1000


def blocks(*spans_ms):
    """Blocks of the given times in ms; each sample's value is its time in units of 10 s."""
    return [
        Sound(np.arange(start, end, dtype=np.float32) / 10_000, RATE_HZ, start / 1000)
        for start, end in spans_ms
    ]


def times_ms(sound):
    return np.rint(sound.samples * 10_000).astype(int).tolist()


def test_each_frame_gets_the_sound_since_the_one_before():
    reader = SoundReader(blocks((0, 64), (64, 128), (128, 192)), RATE_HZ)
    sounds = [reader.until(stamp_s) for stamp_s in (0.0, 0.04, 0.08, 0.12, 0.16)]
    assert [len(sound.samples) for sound in sounds] == [0, 40, 40, 40, 40]
    assert [t for sound in sounds for t in times_ms(sound)] == list(range(160))
    assert [sound.start_s for sound in sounds] == pytest.approx([0, 0, 0.04, 0.08, 0.12])


def test_no_more_is_read_than_the_frame_needs():
    read = []
    reader = SoundReader((read.append(each.start_s) or each for each in blocks((0, 64), (64, 99))), RATE_HZ)
    reader.until(0.0)
    reader.until(0.064)
    assert read == [0.0]


@pytest.mark.parametrize(
    ("spans_ms", "expected"),
    [
        ([(0, 40)], [0, 40, 0, 0]),
        ([(100, 200)], [0, 0, 20, 40]),
        ([(0, 10), (30, 200)], [0, 40, 80, 40]),
        ([(0, 10), (90, 200)], [0, 10, 30, 40]),
        ([], [0, 0, 0, 0]),
    ],
    ids=["ends-earlier", "begins-later", "short-gap", "long-gap", "nothing"],
)
def test_missing_sound_shifts_nothing(spans_ms, expected):
    reader = SoundReader(blocks(*spans_ms), RATE_HZ)
    sounds = [reader.until(stamp_s) for stamp_s in (0.0, 0.04, 0.12, 0.16)]
    assert [len(sound.samples) for sound in sounds] == expected
    for sound in sounds:
        measured = np.array(times_ms(sound))
        expected_ms = np.rint(1000 * sound.start_s) + np.arange(len(measured))
        is_known = measured > 0
        assert (measured == expected_ms)[is_known].all()


def test_sound_that_begins_long_before_the_images_is_bounded():
    alive = weakref.WeakSet()
    most = 0

    class Samples(np.ndarray):
        """An array that can be hashed, and so counted."""

        __hash__ = object.__hash__

    def hour():
        nonlocal most
        for second in range(3600):
            samples = np.zeros(RATE_HZ, np.float32).view(Samples)
            alive.add(samples)
            most = max(most, len(alive))
            yield Sound(samples, RATE_HZ, float(second))

    assert SoundReader(hour(), RATE_HZ).until(3600.0).duration_s == MAX_SOUND_S
    assert most <= MAX_SOUND_S + 3


def test_a_frame_that_goes_back_in_time_gets_nothing_twice():
    reader = SoundReader(blocks((0, 100)), RATE_HZ)
    assert len(reader.until(0.06).samples) == 60
    assert len(reader.until(0.02).samples) == 0
    assert len(reader.until(0.08).samples) == 20


def audio(samples, rate_hz=48_000, layout="mono"):
    planes = np.ascontiguousarray(np.atleast_2d(samples), np.float32)
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
    frame.sample_rate = rate_hz
    return frame


def tracked(frames, rate_hz=16_000):
    track = SoundTrack(rate_hz)
    found = [block for frame, time_s in frames for block in track.add(frame, time_s)]
    return found + track.finish()


def spans(found):
    """The times of blocks, without those between blocks that follow one another."""
    merged = []
    for block in found:
        if merged and abs(merged[-1][1] - block.start_s) < 1e-6:
            merged[-1][1] = block.end_s
        else:
            merged.append([block.start_s, block.end_s])
    return [tuple(np.round(span, 4)) for span in merged]


SECOND = np.zeros(48_000)


@pytest.mark.parametrize(
    ("times_s", "expected"),
    [
        ([10.0, 11.0, 12.0], [(10, 13)]),
        ([10.0, None, None], [(10, 13)]),
        ([None, None, None], [(0, 3)]),
        ([10.0, 11.04, 11.98], [(10, 13)]),
        ([10.0, 11.5, 12.5], [(10, 11), (11.5, 13.5)]),
        ([10.0, 10.5, 11.0], [(10, 12)]),
        ([10.0, 3.0, 4.0], [(10, 13)]),
    ],
    ids=["following", "no-times", "none", "jitter", "gap", "overlap", "clock-set-back"],
)
def test_the_clock_of_the_sound_never_goes_back(times_s, expected):
    assert spans(tracked([(audio(SECOND), time_s) for time_s in times_s])) == expected


def test_a_sample_keeps_its_time_through_resampling():
    samples = np.zeros(48_000)
    samples[24_000] = 1.0
    found = tracked([(audio(part), 7.0 + index / 4) for index, part in enumerate(np.split(samples, 4))])
    whole = np.concatenate([block.samples for block in found])
    assert 7.0 + np.argmax(whole) / 16_000 == pytest.approx(7.5)
    assert len(whole) == 16_000


def test_times_of_day_do_not_drift():
    frames = [(audio(SECOND[:480]), None if index else 1.7e9 + 1 / 3) for index in range(6000)]
    assert tracked(frames)[-1].end_s == pytest.approx(1.7e9 + 1 / 3 + 60.0, abs=1e-6)


@pytest.mark.parametrize(
    ("channels", "layout", "expected"),
    [
        ([0.5], "mono", 0.5),
        ([0.5, 0.5], "stereo", 0.5),
        ([0.5, 0.0], "stereo", 0.25),
        ([0.4, 0.4, 0.0, 0.0], "4 channels", 0.2),
        ([2.0], "mono", 1.0),
        ([np.nan], "mono", 0.0),
    ],
    ids=["mono", "stereo", "one-side", "array", "too-loud", "damaged"],
)
def test_the_mean_of_the_channels_is_delivered(channels, layout, expected):
    found = tracked([(audio(np.repeat([channels], 1600, 0).T, 16_000, layout), 0.0)])
    assert found[0].samples[800] == pytest.approx(expected, abs=1e-6)


def test_a_change_of_format_interrupts_nothing():
    found = tracked([(audio(SECOND), 0.0), (audio(SECOND[:44_100], 44_100), 1.0), (audio(SECOND), None)])
    assert spans(found) == [(0, 3)]


@pytest.mark.parametrize("rate_hz", [1, 4_000_000])
def test_a_rate_that_no_device_has_is_refused(rate_hz):
    with pytest.raises(SoundError, match=r"sample rate must be in \[4000, 384000\] Hz, got"):
        SoundTrack(16_000).add(audio(SECOND, rate_hz), 0.0)
