"""Soak and overload: the judges on made-up series, the accounting, and a small real run."""

import dataclasses
import gc

import numpy as np
import pytest

from social_perception.research.benchmarks import streams
from social_perception.research.benchmarks.course import Course, Depth, Flow, IdBook, Step, ends, trend
from social_perception.research.benchmarks.inside import HEAPS, PYTHON, Inside, InsideWatch, look_inside
from social_perception.research.benchmarks.judged_tables import is_broken, judged
from social_perception.research.benchmarks.overload import PROBE_RATES_HZ, find_overload, overload
from social_perception.research.benchmarks.promises import (
    BROKEN,
    KEPT,
    OPEN,
    SOAK_LIMITS,
    judge_overload,
    judge_soak,
)
from social_perception.research.benchmarks.report import Latency, Stream, from_json, to_json, to_line
from social_perception.research.benchmarks.stream import FORGOTTEN_S, NO_ROS, TOPICS, Record, StreamRequest

MS = 1_000_000
SECONDS = 1800
TIMES_S = np.arange(SECONDS, dtype=float)


def memory(growth_mb_per_min=0.0, noise_mb=2.0, name="resident memory", unit="MB"):
    """Half an hour of one process's memory: it fills up in ten minutes, then it wanders and grows."""
    random = np.random.default_rng(0)
    wandering = noise_mb * np.sin(TIMES_S / 97.0) + random.normal(0.0, 0.1, SECONDS)
    filling = 50.0 * np.minimum(1.0, TIMES_S / 600.0)
    return trend(name, unit, TIMES_S, 500.0 + filling + wandering + growth_mb_per_min * TIMES_S / 60.0)


def delays(last_ms, first_ms=50.0):
    """Half an hour at 30 Hz whose delays go evenly from the first to the last."""
    stamps_ns = np.arange(SECONDS * 30) * (10**9 // 30)
    return ends(stamps_ns, np.linspace(first_ms, last_ms, len(stamps_ns)) * MS, 10)


GOOD_FLOW = Flow(
    100,
    (Step("face_tracker", 97, 60, 37, 3), Step("smile_intensity", 60, 50, 10, 0)),
    0,
    50,
    5.0,
    True,
    "falling behind",
)
GOOD = Course(
    trends=(memory(), memory(name=HEAPS), memory(name=PYTHON, unit="blocks")),
    ends=delays(52.0),
    depths=(Depth("images that wait in face_tracker", 1, 1),),
    reused=0,
    longest_gap_s=1.8,
    disordered=0,
    outdated=0,
    oldest_ms=400.0,
    under_way=2.5,
    flow=GOOD_FLOW,
)


def verdicts(promises):
    return {promise.text: promise.verdict for promise in promises}


@pytest.mark.parametrize("judge", [lambda course: judge_soak(course, SECONDS, 440), judge_overload])
def test_a_good_course_keeps_every_promise(judge):
    assert set(verdicts(judge(GOOD)).values()) == {KEPT}


BAD = [
    ("resident memory flat", {"trends": (memory(1.0),)}),
    ("C library's heaps flat", {"trends": (memory(1.0, name=HEAPS),)}),
    ("Python's memory flat", {"trends": (memory(300.0, name=PYTHON, unit="blocks"),)}),
    ("never comes back", {"reused": 1}),
    ("images that wait", {"depths": (Depth("images that wait in face_tracker", 2, 1),)}),
    ("of the delays", {"ends": delays(60.0)}),
    ("order", {"disordered": 1}),
    ("accounted", {"flow": dataclasses.replace(GOOD_FLOW, sent=101)}),
]


@pytest.mark.parametrize(("text", "change"), BAD, ids=[text for text, _ in BAD])
def test_a_soak_breaks_the_promise_that_does_not_hold_and_no_other(text, change):
    found = verdicts(judge_soak(dataclasses.replace(GOOD, **change), SECONDS, 440))
    assert [name for name, verdict in found.items() if verdict != KEPT] == [
        name for name in found if text in name
    ]
    assert BROKEN in found.values()


BAD_OVERLOAD = [
    ("resident memory flat", {"trends": (memory(60.0),)}),
    ("images that wait", {"depths": (Depth("images that wait in face_tracker", 7, 1),)}),
    ("of the delays", {"ends": delays(500.0)}),
    ("order", {"disordered": 3}),
    ("newest image is taken", {"outdated": 1}),
    ("no queue", {"under_way": 12.0}),
    ("no queue", {"under_way": None}),
    ("older than", {"oldest_ms": 1200.0}),
    ("older than", {"oldest_ms": None}),
    ("accounted", {"flow": dataclasses.replace(GOOD_FLOW, answered=49)}),
    ("warning", {"flow": dataclasses.replace(GOOD_FLOW, warned_after_s=None)}),
    ("warning", {"flow": dataclasses.replace(GOOD_FLOW, warned_at_end=False)}),
]


@pytest.mark.parametrize(("text", "change"), BAD_OVERLOAD)
def test_an_overload_breaks_the_promise_that_does_not_hold_and_no_other(text, change):
    found = verdicts(judge_overload(dataclasses.replace(GOOD, **change)))
    assert [verdict for name, verdict in found.items() if text in name] == [BROKEN]
    assert {verdict for name, verdict in found.items() if text not in name} == {KEPT}


def test_without_ros_there_are_fewer_places_to_wait_and_no_diagnostics():
    flow = Flow(100, (Step("pipeline", 100, 40, 60, 0),), 0, 40)
    found = verdicts(judge_overload(dataclasses.replace(GOOD, flow=flow, under_way=1.9)))
    assert set(found.values()) == {KEPT}
    assert not any("diagnostics" in name for name in found)
    found = verdicts(judge_overload(dataclasses.replace(GOOD, flow=flow, under_way=2.5)))
    assert [verdict for name, verdict in found.items() if "no queue" in name] == [BROKEN]


def test_what_is_no_overload_proves_nothing():
    flow = Flow(60, (Step("face_tracker", 60, 50, 10, 0), Step("smile_intensity", 50, 50, 0, 0)), 0, 50)
    found = verdicts(judge_overload(dataclasses.replace(GOOD, flow=flow)))
    assert [name for name, verdict in found.items() if verdict == OPEN] == [
        "(the stream is an overload: 1.5 images sent per answer)",
        "a warning on /diagnostics, to the end",
    ]
    assert BROKEN not in found.values()


def test_a_run_that_is_too_short_leaves_memory_and_delays_open():
    short = trend("resident memory", "MB", TIMES_S[:30], 500.0 + TIMES_S[:30])
    course = dataclasses.replace(GOOD, trends=(short,), ends=None)
    found = judge_soak(course, SECONDS, 8)
    assert sorted(each.text[:15] for each in found if each.verdict == OPEN) == [
        "95 % of the del",
        "resident memory",
    ]


def test_memory_is_not_judged_before_it_has_settled():
    course = dataclasses.replace(GOOD, trends=(memory(50.0),))
    (promise,) = [each for each in judge_soak(course, 300.0, 8) if "memory" in each.text]
    assert promise.verdict == OPEN


def test_growth_that_cannot_be_told_from_wandering_is_left_open():
    growing = memory(SOAK_LIMITS.memory_mb_per_min * 1.5, noise_mb=15.0)
    assert growing.low < 0.0 < growing.slope_per_min
    course = dataclasses.replace(GOOD, trends=(growing,))
    assert OPEN in verdicts(judge_soak(course, SECONDS, 8)).values()


@pytest.mark.parametrize("growth", [-1.0, 0.0, 0.5, 5.0])
def test_the_interval_holds_the_growth(growth):
    found = memory(growth)
    assert found.low < growth < found.high
    assert found.slope_per_min == pytest.approx(growth, abs=0.3)
    assert found.start == pytest.approx(500.0, abs=3.0)


def test_the_interval_is_wider_where_neighbours_are_alike():
    # The same spread, from one sample to the next or over minutes: only the first averages out.
    random = np.random.default_rng(1)
    restless = random.normal(0.0, 1.0, SECONDS)
    slow = np.repeat(random.normal(0.0, 1.0, SECONDS // 60), 60)
    widths = [
        found.high - found.low for found in (trend("m", "MB", TIMES_S, series) for series in (restless, slow))
    ]
    assert widths[1] > 3 * widths[0]


def test_the_ends_are_the_first_and_the_last_part():
    stamps_ns = np.arange(1000) * 10**7
    first_and_last = np.where(np.arange(1000) < 100, 20, np.where(np.arange(1000) >= 900, 30, 999)) * MS
    found = ends(stamps_ns, first_and_last, 10)
    assert (found.first_p95_ms, found.last_p95_ms, found.ratio) == (20.0, 30.0, 1.5)
    assert ends(stamps_ns[:100], first_and_last[:100], 10) is None
    assert ends(stamps_ns[:0], first_and_last[:0], 10) is None


def test_an_id_may_come_back_until_it_is_forgotten_and_never_after():
    book = IdBook(3.0)
    for second, ids in ((0, ["a", "b"]), (1, ["a"]), (3, ["b"]), (4, ["c"]), (7, ["c", "a"])):
        book.note(second * 1000 * MS, ids)
    assert (len(book), book.reused, book.longest_gap_s) == (3, 1, 6.0)


def test_the_record_notes_order_and_ids():
    record = Record()
    for second, ids in ((1, ["a"]), (2, ["b"]), (9, ["a"]), (8, ["b"])):
        record.sent(second * 1000 * MS)
        record.faces(second * 1000 * MS, second * 1000 * MS + 20 * MS, ids)
    request = StreamRequest(1, 10.0, parts=3)
    course = record.course(request, 10.0, trends=(), depths=(), flow=GOOD_FLOW)
    assert (course.disordered, course.oldest_ms) == (1, 20.0)
    assert course.reused == 2
    assert course.longest_gap_s == 8.0 > FORGOTTEN_S
    # Three answers of 20 ms in ten seconds.
    assert course.under_way == pytest.approx(0.006)


STEPS = (Step("face_tracker", 97, 60, 37, 3), Step("smile_intensity", 60, 50, 10, 0))


@pytest.mark.parametrize(
    ("flow", "unaccounted"),
    [
        (Flow(100, STEPS, 0, 50), 0),
        (Flow(100, STEPS, 4, 46), 0),
        (Flow(101, STEPS, 0, 50), 1),
        (Flow(100, STEPS, 0, 51), 1),
        (Flow(99, STEPS, 0, 51), 2),
        (Flow(100, (STEPS[0], Step("smile_intensity", 58, 48, 10, 0)), 0, 48), 2),
        (Flow(100, (STEPS[0], Step("smile_intensity", 60, 50, 12, 0)), 0, 50), 2),
        (Flow(100, (STEPS[0], Step("smile_intensity", 60, 49, 10, 0, 1)), 0, 49), 1),
    ],
)
def test_every_image_is_accounted_for(flow, unaccounted):
    assert flow.unaccounted == unaccounted


def test_what_failed_is_named_and_breaks_the_promise():
    flow = Flow(100, (STEPS[0], Step("smile_intensity", 60, 45, 10, 0)), 0, 45)
    assert (flow.unaccounted, flow.failed) == (0, 5)
    (promise,) = [
        each
        for each in judge_soak(dataclasses.replace(GOOD, flow=flow), SECONDS, 8)
        if "accounted" in each.text
    ]
    assert promise.verdict == BROKEN
    assert "5 failed" in promise.figure


def played(answered_per_second):
    """A machine that answers so many images a second."""

    def play(request):
        rate = min(request.rate_hz, answered_per_second)
        return Stream(
            "way", request.device, request.people, per_second=rate, unprocessed=1.0 - rate / request.rate_hz,
            seconds=request.seconds,
        )  # fmt: skip

    return play


@pytest.mark.parametrize(
    ("per_second", "rate_hz"), [(12.0, 60.0), (30.0, 60.0), (31.0, 90.0), (70.0, 180.0), (120.0, 240.0)]
)
def test_an_overload_is_at_least_twice_what_can_be_answered(per_second, rate_hz):
    assert find_overload(played(per_second), StreamRequest(2, 9.0)).hz == rate_hz >= 2 * per_second


def test_the_stream_that_is_judged_comes_after_the_probes():
    asked = []

    def play(request):
        asked.append(request)
        return played(40.0)(request)

    assert overload(play, StreamRequest(2, 9.0, parts=3)).per_second == 40.0
    assert [(each.rate_hz, each.parts) for each in asked] == [(60.0, 0), (90.0, 0), (90.0, 3)]
    assert asked[-1].seconds == 9.0


def test_a_machine_that_cannot_be_overloaded_or_played_on_says_why():
    assert f"{PROBE_RATES_HZ[-1]:g} images" in overload(played(1000.0), StreamRequest(2, 9.0)).reason
    broken = Stream("way", "cpu", 2, reason="no such thing")
    assert overload(lambda request: broken, StreamRequest(2, 9.0)).reason == "no such thing"


def stream(course, promises, **about):
    delays = Latency(40.0, 50.0, 60.0, 50)
    return Stream(
        TOPICS, "cpu", 2, 10.0, 100, 50, 5.0, 0.5, 2.0, 9, delays, course=course, promises=promises, **about
    )


def test_a_judged_stream_survives_its_json_and_is_shown():
    course = dataclasses.replace(GOOD, reused=1)
    given = stream(course, judge_soak(course, SECONDS, 9), interrupted=True)
    assert from_json(Stream, to_json(given), "here") == given
    text = "\n".join(judged([given], lambda found: iter(["figures"])))
    figure = "9 ids, 1 reused; the longest gap that an id outlived 1.8 s"
    assert f"| an id that is gone never comes back | {figure} | **broken** |" in text
    assert "**topics**, 2 people, 10.0 images per s, for 10 s, **interrupted**:" in text
    assert "resident memory 500" in text
    assert is_broken(given)
    assert not is_broken(stream(GOOD, judge_soak(GOOD, SECONDS, 9)))


def test_only_long_streams_are_judged(monkeypatch):
    played = dataclasses.replace(stream(GOOD, ()), seconds=float(SECONDS))
    monkeypatch.setattr(streams, "_play", lambda way, request: played)
    (found,) = streams.measure_soak(StreamRequest(2, 9.0, parts=10))
    assert set(verdicts(found.promises).values()) == {KEPT}
    assert not any(each.promises for each in streams.measure([StreamRequest(2, 9.0)], [TOPICS]))


def overloaded():
    """Ten times as much as the machine of any developer answers, for a moment."""
    return StreamRequest(2, 3.0, "cpu", frames=10, warm_up_s=0.5, rate_hz=120.0, parts=3)


def check_flow(found, way):
    assert not found.reason, found.reason
    flow = found.course.flow
    assert (found.way, flow.sent, flow.answered) == (way, found.sent, found.answered)
    assert found.sent > 200
    assert flow.answered > 10
    assert flow.unaccounted == flow.failed == flow.unheard == 0
    assert flow.sent == flow.answered + flow.dropped + flow.lost
    assert found.course.disordered == found.course.reused == 0
    assert all(depth.most <= depth.bound for depth in found.course.depths)
    assert found.course.under_way <= 6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_image_of_an_overload_is_accounted_for_without_ros():
    pytest.importorskip("skimage", reason="the sample needs scikit-image")
    (found,) = streams.measure([overloaded()], [NO_ROS])
    check_flow(found, NO_ROS)
    assert found.course.outdated == 0
    assert found.course.flow.dropped > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.ros
def test_every_image_of_an_overload_is_accounted_for_through_topics():
    pytest.importorskip("rclpy", reason="needs ROS 2")
    pytest.importorskip("social_perception.msg", reason="needs the built messages")
    (found,) = streams.measure([overloaded()], [TOPICS])
    check_flow(found, TOPICS)
    assert [step.name for step in found.course.flow.steps] == ["face_tracker", "smile_intensity"]
    assert found.course.flow.dropped > 0
    assert "dropped" in found.course.flow.warning


def test_what_was_seen_inside_is_followed():
    watch = InsideWatch()
    assert watch.trends() == ()
    for second in range(60):
        watch.add(second, Inside(1000 + second, 50.0))
    blocks, heaps = watch.trends()
    assert (blocks.name, blocks.unit, blocks.slope_per_min) == (
        "Python's memory",
        "blocks",
        pytest.approx(60.0),
    )
    assert (heaps.start, heaps.end, heaps.slope_per_min) == (50.0, 50.0, 0.0)
    watch.add(60, Inside(2000, None))
    assert [each.name for each in watch.trends()] == ["Python's memory"]


def test_to_look_inside_leaves_no_garbage():
    look_inside()
    gc.collect()
    gc.disable()
    try:
        lines = [to_line(Inside(look_inside().blocks, 1.5)) for _ in range(50)]
        assert gc.collect() < 50
    finally:
        gc.enable()
    assert from_json(Inside, lines[0], "here").heap_mb == 1.5
