"""The listener hears the same whatever the blocks and rates; speech itself is measured by ``evaluate``."""

import math

import numpy as np
import pytest

from social_perception.core.sound import Sound

listener = pytest.importorskip("social_perception.perception.hearing.listener")
pytest.importorskip("onnxruntime")
pytest.importorskip("silero_vad")

START_S = 1_700_000_000.0


def babble(seconds=4.0, rate_hz=16_000):
    """Silence, then a vowel of formants at 140 Hz whose loudness has the rhythm of syllables."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    wave = sum(
        np.sin(2 * np.pi * 140 * n * time_s) / (1 + ((140 * n - 600) / 250) ** 2) for n in range(1, 20)
    )
    loudness = np.maximum(0.0, np.sin(2 * np.pi * 4 * time_s)) * (time_s > 1.0)
    return np.float32(0.2 * wave * loudness)


def listen(samples, block, rate_hz=16_000, start_s=START_S):
    ear = listener.Listener()
    return [
        event
        for first in range(0, len(samples), block)
        for event in ear.listen(
            Sound(samples[first : first + block], rate_hz, start_s + first / rate_hz)
        )
    ]  # fmt: skip


@pytest.mark.parametrize("block", [160, 700, 1600, 48_000])
def test_events_do_not_depend_on_the_blocks(block):
    events, whole = listen(babble(), block), listen(babble(), 10**6)
    assert [event.stamp_s for event in events] == pytest.approx(START_S + np.arange(1, 41) / 10, abs=1e-6)
    assert [event.speech for event in events] == pytest.approx([event.speech for event in whole], abs=1e-4)
    assert [event.laughter for event in events] == pytest.approx(
        [event.laughter for event in whole], abs=1e-3
    )
    assert [event.level_dbfs for event in events] == [event.level_dbfs for event in whole]
    assert max(event.speech for event in events) > 0.5 > max(event.speech for event in events[:9])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_the_rate_changes_little(rate_hz):
    reference = listen(babble(), 1600)
    events = listen(babble(rate_hz=rate_hz), rate_hz // 10, rate_hz)
    assert len(events) >= len(reference) - 1
    difference = [abs(a.speech - b.speech) for a, b in zip(events, reference)]
    assert np.mean(difference) < 0.1


def test_after_a_jump_nothing_is_left_of_the_sound_before():
    ear = listener.Listener()
    ear.listen(Sound(babble(2.05), 16_000, START_S))
    for later_s in (5.0, -50.0):
        after = ear.listen(Sound(babble(), 16_000, START_S + later_s))
        fresh = listener.Listener().listen(Sound(babble(), 16_000, START_S + later_s))
        for name in ("speech", "laughter"):
            assert [getattr(each, name) for each in after] == [getattr(each, name) for each in fresh]
        assert after[0].stamp_s == pytest.approx(START_S + later_s + 0.1)


def test_jitter_and_empty_blocks_are_no_jump():
    ear = listener.Listener()
    first = ear.listen(Sound(babble(1.05), 16_000, START_S))
    assert ear.listen(Sound.empty(16_000, START_S + 99)) == ()
    (second,) = ear.listen(Sound(np.zeros(960, np.float32), 16_000, START_S + 1.1))
    assert second.stamp_s - first[-1].stamp_s == pytest.approx(0.1)
    assert second.level_dbfs > -120.0, "the half of it is from the block before"


def test_silence_is_neither_speech_nor_laughter():
    events = listen(np.zeros(16_000, np.float32), 1600)
    assert all(event.speech < 0.1 and event.laughter < 0.1 for event in events)
    for event in listen(np.ones(16_000, np.float32), 1600):
        assert math.isfinite(event.speech)
        assert 0.0 <= event.laughter <= 1.0


def laugh(bursts=8, per_second=6.0, pitch_hz=260.0):
    """Short vowels with breath between them, whose pitch falls."""
    random, parts = np.random.default_rng(1), []
    time_s = np.arange(int(16_000 / per_second)) / 16_000
    voiced = time_s < 0.55 / per_second
    for index in range(bursts):
        pitches_hz = pitch_hz * (1 - 0.03 * index) * (1.15 - 0.3 * time_s * per_second)
        phase = 2 * np.pi * np.cumsum(pitches_hz) / 16_000
        vowel = sum(
            np.sin(n * phase) * loudness * np.exp(-(((n * pitch_hz - formant_hz) / width_hz) ** 2))
            for n in range(1, 18)
            for formant_hz, width_hz, loudness in ((700, 300, 1.0), (1300, 300, 0.6), (2600, 400, 0.2))
        )
        vowel *= voiced * np.sin(np.pi * np.clip(time_s * per_second / 0.55, 0, 1)) ** 0.6
        breath = 0.1 * random.normal(size=len(time_s)) * np.where(voiced, 0.3, 1.0)
        parts.append(0.12 * (vowel + breath) * 0.95**index)
    return np.float32(np.clip(np.concatenate(parts), -1, 1))


def test_laughter_differs_from_syllables_and_noise():
    silence = np.zeros(8_000, np.float32)
    noise = np.random.default_rng(1).normal(0, 0.05, 32_000).astype(np.float32)
    laughter, *others = (
        max(event.laughter for event in listen(np.concatenate([silence, each, silence]), 1600))
        for each in (laugh(), babble(3.0), noise)
    )
    assert laughter > 0.5 > max(others)
