import numpy as np
import pytest

from social_perception.core.sound import Sound
from social_perception.core.types import Frame
from social_perception.sources import pacing
from social_perception.sources.pacing import PacedSource
from social_perception.sources.source import Source

IMAGE = np.zeros((4, 4, 3), np.uint8)


class Clock:
    """A clock that only sleeping and working move."""

    def __init__(self):
        self.now_s = 1000.0

    def monotonic(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


class Recorded(Source):
    """Ten frames a second, each with the sound before it, that may take time to decode."""

    name, live, rate_hz, frame_count, sound_rate_hz = "recorded", False, 10.0, 30, 1000

    def __init__(self, clock, decoding_s=0.0):
        self.clock, self.decoding_s = clock, decoding_s
        self.frames = iter([self.frame(index) for index in range(30)])
        self.closed = False

    def frame(self, index):
        stamp_s = 5.0 + index / 10
        samples = np.arange(100 * index, 100 * (index + 1), dtype=np.float32) / 10_000
        return Frame(IMAGE, stamp_s, index, Sound(samples, self.sound_rate_hz, stamp_s - 0.1))

    def __next__(self):
        self.clock.now_s += self.decoding_s
        return next(self.frames)

    def close(self):
        self.closed = True


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(pacing, "time", made)
    return made


def play(clock, working_s, decoding_s=0.0):
    """When each frame was delivered, and the frames, to somebody who works on each for some time."""
    delivered = []
    with PacedSource(Recorded(clock, decoding_s)) as source:
        for frame in source:
            delivered.append((clock.now_s - 1000.0, frame))
            clock.now_s += working_s
    return delivered


def test_a_fast_consumer_gets_every_frame_at_its_time(clock):
    delivered = play(clock, working_s=0.01)
    assert [when_s for when_s, _ in delivered] == pytest.approx([n / 10 for n in range(30)])
    assert [frame.index for _, frame in delivered] == list(range(30))


def test_a_slow_consumer_misses_frames_and_keeps_the_pace(clock):
    delivered = play(clock, working_s=0.35)
    assert 8 <= len(delivered) <= 10
    for when_s, frame in delivered[:-1]:
        assert when_s - (frame.stamp_s - 5.0) <= 0.1 + 1e-6
    assert [frame.index for _, frame in delivered] == list(range(len(delivered)))


def test_a_source_that_cannot_keep_the_pace_is_shown_late_rather_than_never(clock):
    delivered = play(clock, working_s=0.0, decoding_s=0.3)
    assert len(delivered) >= 3


@pytest.mark.parametrize(("working_s", "decoding_s"), [(0.01, 0.0), (0.35, 0.0), (0.0, 0.3)])
def test_no_sound_is_lost_with_the_frames_that_are_dropped(clock, working_s, decoding_s):
    frames = [frame for _, frame in play(clock, working_s, decoding_s)]
    samples = np.concatenate([frame.sound.samples for frame in frames])
    assert np.rint(samples * 10_000).tolist() == list(range(3000))
    for frame in frames:
        assert frame.sound.end_s == pytest.approx(frame.stamp_s)


def test_the_inner_source_is_closed(clock):
    inner = Recorded(clock)
    with PacedSource(inner) as source:
        assert (source.live, source.name, source.rate_hz) == (True, "recorded", 10.0)
        assert source.sound_rate_hz == 1000
    assert inner.closed
