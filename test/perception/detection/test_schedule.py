"""Which frames are searched, and that nobody waits for the detector."""

from __future__ import annotations

import os
import sys
import threading
from types import SimpleNamespace

import factories
import numpy as np
import pytest
import torch

from social_perception.core.errors import DetectionError
from social_perception.core.types import NOBODY, Box, Face, Frame, KnownBoxes
from social_perception.perception.detection.schedule import (
    MAX_SLOWDOWN,
    NICENESS,
    BackgroundDetection,
    InlineDetection,
    SearchBudget,
)

IMAGE = np.zeros((4, 4, 3), np.uint8)


def frame(index, level=None):
    """A frame whose brightness changes from one to the next, or has a given level."""
    return factories.frame(index, np.full((4, 4, 3), 37 * index % 251 if level is None else level, np.uint8))


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


class PartwiseDetector:
    """Notes which parts of the search were requested; the parts are numbers."""

    threshold = 0.0

    def __init__(self, count):
        self.count = count
        self.searched = []

    def parts(self, width, height):
        return tuple(
            SimpleNamespace(number=number, scope=number, due_only=False) for number in range(self.count)
        )

    def detect(self, image):
        self.searched.append("all")
        return ()

    def detect_part(self, image, part, known):
        self.known = known
        self.searched.append(part.number)
        return ()


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


@pytest.mark.parametrize(
    ("count", "known", "levels", "expected"),
    [
        (0, NOBODY, [80] * 45, [0, 40]),
        (0, NOBODY, [80, 81, 82] * 15, [0, 40]),  # noise
        (0, NOBODY, [80] * 25 + [90] * 20, [0, 30]),
        (0, NOBODY, range(0, 225, 5), [0, 10, 20, 30, 40]),
        (0, KnownBoxes((Box(1, 1, 2, 2),)), [80] * 45, [0, 10, 20, 30, 40]),
        (2, NOBODY, [80] * 45, [0, 0, 20, 40]),
    ],
)
def test_an_empty_room_is_searched_less_often_until_something_moves(count, known, levels, expected):
    detector = PartwiseDetector(count) if count else GatedDetector()
    if not count:
        detector.gate.set()
    schedule = InlineDetection(detector, 10)
    searched = [
        found.frame_index
        for index, level in enumerate(levels)
        for found in schedule.update(frame(index, level), known)
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
            assert schedule.searched_index == 0
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


@pytest.mark.parametrize(
    ("count", "interval", "expected"),
    [
        (0, 10, {0: ["all"], 10: ["all"], 20: ["all"]}),
        (2, 10, {0: [0, 1], 5: [0], 10: [1], 15: [0], 20: [1]}),
        (3, 10, {0: [0, 1, 2], 5: [0], 10: [1], 15: [0], 20: [2], 25: [0], 30: [1]}),
        (3, 5, {0: [0, 1, 2], 3: [0], 5: [1], 8: [0], 10: [2], 13: [0]}),
        (3, 1, {0: [0, 1, 2], 1: [0], 2: [1], 3: [0], 4: [2], 5: [0]}),
    ],
)
def test_parts_take_turns_after_a_first_full_search(count, interval, expected):
    detector = PartwiseDetector(count)
    schedule = InlineDetection(detector, interval)
    seen = {}
    for index in range(max(expected) + 1):
        found = schedule.update(frame(index))
        if found:
            seen[index] = detector.searched[-len(found) :]
            assert [item.scope for item in found] == [None if part == "all" else part for part in seen[index]]
    assert seen == expected


@pytest.mark.parametrize("change", ["size", "restart"])
def test_another_video_is_searched_fully_at_once(change):
    detector = PartwiseDetector(3)
    schedule = InlineDetection(detector, 10)
    for index in range(30):
        schedule.update(frame(index))
    image = np.zeros((6, 8, 3), np.uint8) if change == "size" else IMAGE
    index = 30 if change == "size" else 0
    assert [item.scope for item in schedule.update(Frame(image, 1.0, index))] == [0, 1, 2]


@pytest.mark.parametrize("kind", [InlineDetection, BackgroundDetection])
def test_a_restart_searches_the_next_frame_for_everything(kind):
    detector = PartwiseDetector(2)
    schedule = kind(detector, 10**9)
    try:
        drain(schedule, 0)
        schedule.restart()
        found, _ = drain(schedule, 5)
        assert found[0].frame_index >= 5
        assert found[0].scope == 0
    finally:
        schedule.close()


def test_what_was_running_at_a_restart_is_dropped():
    detector = GatedDetector()
    schedule = BackgroundDetection(detector, 5)
    try:
        schedule.update(frame(10**9))
        assert detector.started.acquire(timeout=10)
        schedule.restart()
        detector.gate.set()
        found, _ = drain(schedule, 0)
        assert found[0].frame_index < 10**9
    finally:
        detector.gate.set()
        schedule.close()


def test_in_the_background_one_part_is_searched_at_a_time_on_the_newest_frame():
    detector = PartwiseDetector(3)
    schedule = BackgroundDetection(detector, 10)
    try:
        index, found = 0, []
        while len(found) < 7:
            answers, index = drain(schedule, index)
            assert len(answers) == 1
            found += answers
            index += 1
        assert [item.scope for item in found] == [0, 1, 2, 0, 1, 0, 2]
        frames = [item.frame_index for item in found]
        assert frames == sorted(set(frames))
    finally:
        schedule.close()


class ThreadWatcher:
    """Notes in which circumstances it searches."""

    threshold = 0.0

    def detect(self, image):
        thread = threading.get_native_id()
        self.priority = os.getpriority(os.PRIO_PROCESS, thread)
        self.torch_threads = torch.get_num_threads()
        return ()


def in_new_thread(function):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    thread.join()
    return answers[0]


@pytest.mark.parametrize(("before", "expected"), [(1, 1), (4, 2)])
def test_the_background_gives_way_and_leaves_others_as_they_are(before, expected):
    usual = torch.get_num_threads()
    torch.set_num_threads(before)
    detector = ThreadWatcher()
    schedule = BackgroundDetection(detector, 1)
    try:
        drain(schedule, 0)
        assert detector.torch_threads == expected
        assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == before
        if sys.platform == "linux":
            mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            assert detector.priority == min(19, mine + NICENESS)
    finally:
        schedule.close()
        torch.set_num_threads(usual)


class Process:
    """A process of a camera of 30 Hz whose clocks advance with its work."""

    def __init__(self, budget: SearchBudget, other_s: float, search_s: float) -> None:
        self.detector = PartwiseDetector(0)
        self.schedule = InlineDetection(self.detector, budget.interval)
        self.budget, self.other_s, self.search_s = budget, other_s, search_s
        self.frames, self.cpu_s = 0, 0.0

    def run(self, seconds: float) -> float:
        """Process frames; return the usage in cores in the second half of the time."""
        frames = round(30 * seconds)
        for count in range(frames):
            if count == frames // 2:
                half_s = self.cpu_s
            searches = len(self.detector.searched)
            self.schedule.update(frame(self.frames))
            self.cpu_s += self.other_s + self.search_s * (len(self.detector.searched) - searches)
            self.frames += 1
            self.budget.note(self.frames / 30, self.cpu_s)
            self.schedule.interval = self.budget.interval
        return (self.cpu_s - half_s) / (seconds / 2)


@pytest.mark.parametrize(
    ("cores", "intervals", "usage"),
    [
        (0.0, (10, 10), (0.57, 0.63)),
        (0.7, (10, 10), (0.57, 0.63)),
        (0.45, (19, 22), (0.42, 0.46)),
        (0.1, (60, 60), (0.34, 0.36)),  # what remains is not for the search to save
    ],
)
def test_a_processor_budget_lengthens_the_interval(cores, intervals, usage, caplog):
    # Without a budget, 0.3 cores for the searches and 0.3 for the rest.
    budget = SearchBudget(10, cores)
    process = Process(budget, other_s=0.01, search_s=0.1)
    assert usage[0] <= process.run(120.0) <= usage[1]
    assert intervals[0] <= budget.interval <= intervals[1]
    slowed = intervals[0] > 10
    assert bool(budget.problem) == slowed
    assert (f"searched every {budget.interval} instead of 10 frames" in budget.problem) == slowed
    assert len(caplog.records) == slowed, "one warning, however often the interval changes"


def test_the_interval_is_shortened_when_the_load_ends_or_the_budget_grows():
    budget = SearchBudget(10, 0.45)
    process = Process(budget, other_s=0.01, search_s=0.1)
    process.run(60.0)
    assert budget.interval > 15
    process.other_s = 0.0
    process.run(60.0)
    assert (budget.interval, budget.problem) == (10, "")
    process.other_s = 0.03
    process.run(60.0)
    assert budget.interval == 10 * MAX_SLOWDOWN
    budget.cores = 0.0
    process.run(10.0)
    assert (budget.interval, budget.problem) == (10, "")


def test_time_without_frames_does_not_count_as_overload():
    budget = SearchBudget(10, 0.45)
    for now_s, cpu_s in [(0.0, 50.0), (1000.0, 60.0), (1001.0, 60.9), (1001.5, 61.0)]:
        budget.note(now_s, cpu_s)
        assert budget.interval == 10
    budget.note(1002.5, 61.9)
    assert budget.interval > 10
