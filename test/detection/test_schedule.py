"""Which frames are searched, and that nobody waits for the detector."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from social_perception.core.errors import DetectionError
from social_perception.core.types import Box, Face, Frame
from social_perception.detection.schedule import BackgroundDetection, InlineDetection

IMAGE = np.zeros((4, 4, 3), np.uint8)


def frame(index):
    return Frame(IMAGE, index / 30, index)


class GatedDetector:
    """Holds each detection until the test opens the gate."""

    def __init__(self, error=None):
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)
        self.error = error

    def detect(self, image):
        self.started.release()
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return (Face(Box(0, 0, 2, 2), 1.0),)


def drain(schedule, index):
    """Update with further frames until the running detection has arrived."""
    for later in range(index, index + 100_000):
        found = schedule.update(frame(later))
        if found:
            return found, later
    raise AssertionError("the detection never arrived")


@pytest.mark.parametrize(("interval", "expected"), [(1, [0, 1, 2, 3]), (3, [0, 3, 6, 9]), (10, [0, 10, 20])])
def test_inline_searches_every_nth_frame(interval, expected):
    detector = GatedDetector()
    detector.gate.set()
    schedule = InlineDetection(detector, interval)
    searched = [
        found.frame_index for index in range(expected[-1] + 1) for found in schedule.update(frame(index))
    ]
    assert searched == expected


def test_frames_pass_while_a_detection_runs_and_its_index_is_kept():
    detector = GatedDetector()
    schedule = BackgroundDetection(detector, 5)
    try:
        assert schedule.update(frame(0)) == ()
        assert detector.started.acquire(timeout=10)
        for index in range(1, 50):
            assert schedule.update(frame(index)) == ()
        assert not detector.started.acquire(blocking=False), "one detection at a time"
        detector.gate.set()
        found, _ = drain(schedule, 50)
        assert [item.frame_index for item in found] == [0]
    finally:
        detector.gate.set()
        schedule.close()


def test_the_newest_frame_is_searched_next():
    detector = GatedDetector()
    detector.gate.set()
    schedule = BackgroundDetection(detector, 5)
    try:
        schedule.update(frame(0))
        _, first_free = drain(schedule, 40)
        found, _ = drain(schedule, first_free + 1)
        assert found[0].frame_index >= 40
    finally:
        schedule.close()


def test_a_failed_detection_is_reported_and_the_next_one_runs():
    detector = GatedDetector(DetectionError("out of memory"))
    detector.gate.set()
    schedule = BackgroundDetection(detector, 1)
    try:
        with pytest.raises(DetectionError, match="out of memory"):
            drain(schedule, 0)
        detector.error = None
        found, _ = drain(schedule, 200_000)
        assert found[0].faces
    finally:
        schedule.close()


def test_closing_waits_and_starts_nothing_new():
    detector = GatedDetector()
    detector.gate.set()
    schedule = BackgroundDetection(detector, 1)
    schedule.close()
    assert schedule.update(frame(0)) == ()
