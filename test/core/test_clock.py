from __future__ import annotations

import logging

import pytest

from social_perception.core.clock import FrameClock


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
