from __future__ import annotations

import logging
import math

import pytest

from social_perception.core.clock import Follower, FrameClock, RecordingClock


@pytest.mark.parametrize(
    ("stamps_s", "times_s", "epochs"),
    [
        ([1.0, 1.1, 1.2], [1.0, 1.1, 1.2], [0, 0, 0]),
        ([1.0, 1.0], [1.0, 1.0], [0, 0]),
        # A late frame gets the time of the newest one.
        ([1.0, 2.0, 1.5, 2.1], [1.0, 2.0, 2.0, 2.1], [0, 0, 0, 0]),
        # A recording that is played again is another epoch.
        ([1.0, 2.0, 1.4, 1.5, 0.0], [1.0, 2.0, 1.4, 1.5, 0.0], [0, 0, 1, 1, 2]),
        ([-3.0, 1.7e9, -3.0], [-3.0, 1.7e9, -3.0], [0, 0, 1]),
    ],
)
def test_time_never_goes_back_within_an_epoch(stamps_s, times_s, epochs, caplog) -> None:
    clock = FrameClock()
    with caplog.at_level(logging.WARNING):
        assert [(clock.admit(stamp_s), clock.epoch) for stamp_s in stamps_s] == list(zip(times_s, epochs))
    assert len(caplog.messages) == epochs[-1]


def test_a_jump_is_reported_with_its_size(caplog) -> None:
    clock = FrameClock()
    clock.admit(12.0)
    clock.admit(2.0)
    assert caplog.messages == ["the frames' stamps went back by 10.0 s: histories start again"]


def test_a_restart_begins_an_epoch_without_a_warning(caplog) -> None:
    clock = FrameClock()
    clock.restart()
    assert clock.epoch == 0, "nothing was there"
    clock.admit(12.0)
    clock.restart()
    assert (clock.admit(2.0), clock.epoch, caplog.messages) == (2.0, 1, [])


H = 3600.0


def bridged(stamps_s, measured_s=None, **options):
    """The times of a recording at 10 Hz, and the clock."""
    clock = RecordingClock("talk.ts", 10.0, **options)
    second = [math.nan] * len(stamps_s) if measured_s is None else measured_s
    return [clock.admit(stamp_s, at_s) for stamp_s, at_s in zip(stamps_s, second)], clock


@pytest.mark.parametrize(
    ("stamps_s", "times_s", "jumps"),
    [
        ([5.0, 5.1, 5.2], [5.0, 5.1, 5.2], 0),
        ([0.0, 0.1, 1800.1, 1800.2], [0.0, 0.1, 1800.1, 1800.2], 0),  # a pause
        ([0.0, 0.1, 11 * H, 11 * H + 0.1], [0.0, 0.1, 0.2, 0.3], 1),
        ([0.0, 0.1, 1.7e9, 1.7e9 + 0.1], [0.0, 0.1, 0.2, 0.3], 1),
        ([1.7e9, 1.7e9 + 0.1, 0.0, 0.1], [1.7e9, 1.7e9 + 0.1, 1.7e9 + 0.2, 1.7e9 + 0.3], 1),
        ([95443.6, 95443.7, 0.0, 0.1], [95443.6, 95443.7, 95443.8, 95443.9], 1),  # 33 bits at 90 kHz wrap
        ([0.0, 0.1, -H, -H + 0.1], [0.0, 0.1, 0.2, 0.3], 1),
        ([0.8, 0.9, 0.0, 0.1, 0.2], [0.8, 0.9, 1.0, 1.1, 1.2], 1),  # joined files
        # A wrong stamp, or a few, leave no trace.
        ([0.0, 0.1, 1.7e9, 0.3, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4], 1),
        ([0.0, 0.1, -5.0, 0.3, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4], 1),
        ([0.0, 0.1, 2 * H, 2 * H + 0.1, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4], 1),
        ([0.0, 2 * H, 0.2, 2 * H + 0.2, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4], 1),  # two clocks in turn
        # Without a second clock nobody knows the time of a late, repeated or missing stamp.
        ([0.0, 0.2, 0.1, 0.4], [0.0, 0.2, 0.3, 0.4], 0),
        ([0.0, 0.0, 0.0], [0.0, 0.1, 0.2], 0),
        ([math.nan, math.nan, 0.2], [0.0, 0.1, 0.2], 0),
    ],
)
def test_jumps_of_a_recording_are_bridged_and_reported_once(stamps_s, times_s, jumps, caplog) -> None:
    found, _ = bridged(stamps_s)
    assert found == pytest.approx(times_s, abs=1e-6)
    assert len(caplog.messages) == jumps


@pytest.mark.parametrize(
    ("stamps_s", "measured_s", "times_s"),
    [
        # A pause that the recorder knows of too, or not.
        ([0.0, 0.1, 60.0], [9.0, 9.1, 69.0], [0.0, 0.1, 60.0]),
        ([0.0, 0.1, 60.0, 60.1], [9.0, 9.1, 9.3, 9.4], [0.0, 0.1, 0.3, 0.4]),
        # Both clocks were set.
        ([0.0, 0.1, 2 * H], [9.0, 9.1, 2 * H], [0.0, 0.1, 0.2]),
        # A slow simulation, and a recording that was played ten times as fast.
        ([0.0, 0.1, 0.2], [0.0, 100.0, 200.0], [0.0, 0.1, 0.2]),
        ([0.0, 50.0, 100.0], [0.0, 5.0, 10.0], [0.0, 50.0, 100.0]),
        # Late images have the time of the newest one.
        ([0.0, 0.2, 0.1, 0.2, 0.3], [0.0, 0.2, 0.25, 0.26, 0.3], [0.0, 0.2, 0.2, 0.2, 0.3]),
        ([0.0, math.nan, 0.5], [0.0, 0.2, 0.5], [0.0, 0.2, 0.5]),
        # The recorder's times are all the same: they say nothing.
        ([0.0, 60.0, 60.1], [9.0, 9.0, 9.0], [0.0, 60.0, 60.1]),
    ],
)
def test_the_recorder_s_clock_measures_what_the_stamps_do_not(stamps_s, measured_s, times_s) -> None:
    assert bridged(stamps_s, measured_s)[0] == pytest.approx(times_s, abs=1e-6)


def test_jumps_are_reported_with_place_and_size_and_not_without_end(caplog) -> None:
    bridged([0.0, 0.1, 40_000.0, 40_000.1, -50.0, *(n * 5000.0 for n in range(1, 100))])
    talk = "talk.ts: after 0.{}00 s the stamps jump {} by {}; the jump is bridged"
    assert caplog.messages == [
        talk.format(1, "forward", "39999.8 s (11.1 h)"),
        talk.format(3, "back", "40050.2 s (11.1 h)"),
        talk.format(4, "forward", "5049.9 s (1.4 h)") + ", further ones are not reported",
    ]


@pytest.mark.parametrize(
    ("first_s", "time_s"), [(0.0, 0.0), (-1e-9, 0.0), (2.0, 2.0), (1e6, 0.0), (-1e6, 0.0)]
)
def test_a_file_begins_near_0(first_s, time_s) -> None:
    (found, later), _ = bridged([first_s, first_s + 0.1], begins_at_0=True)
    assert math.copysign(1.0, found) == 1.0
    assert (found, later) == pytest.approx((time_s, time_s + 0.1))


@pytest.mark.parametrize(
    ("images_s", "sound_s", "times_s"),
    [
        ([0.0, 1.0, 2.0], [0.0, 1.0], [0.0, 1.0]),
        ([0.0, 1.0], [30.0, 31.0], [30.0, 31.0]),  # begins late
        # Both jump, the sound by 0.5 s less: it stays with the images.
        ([0.0, 1.0, 9000.0, 9001.0], [0.0, 1.0, 8999.5, 9000.5], [0.0, 1.0, 1.5, 2.5]),
        # The sound has jumped before the images have.
        ([0.0, 1.0], [0.0, 1.0, 9000.0], [0.0, 1.0, None]),
        # Only the images have jumped.
        ([0.0, 1.0, 9000.0, 9001.0], [0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]),
        # Only the sound has: a pause, or a clock that was set.
        ([*map(float, range(20))], [0.0, 1.0, 15.0], [0.0, 1.0, 15.0]),
        ([*map(float, range(20))], [0.0, 1.0, 9000.0], [0.0, 1.0, 2.0]),
        ([*map(float, range(20))], [5.0, 6.0, 0.0], [5.0, 6.0, 7.0]),
    ],
)
def test_sound_follows_the_jumps_of_the_images(images_s, sound_s, times_s) -> None:
    clock = RecordingClock("talk.ts", 1.0, max_pause_s=10.0)
    for stamp_s in images_s:
        clock.admit(stamp_s)
    follower = Follower(clock)
    found = [follower.admit(stamp_s, 1.0) for stamp_s in sound_s]
    assert found == [None if time_s is None else pytest.approx(time_s) for time_s in times_s]
