from __future__ import annotations

import itertools

import pytest

from social_perception.ros.support.matching import MAX_RESULTS, Match, StampMatcher

MS = 1_000_000
FRAME = 40 * MS


def matcher(max_wait_s: float = 1.0, max_bytes: int = 10_000) -> StampMatcher:
    return StampMatcher(max_wait_s, max_bytes)


@pytest.mark.parametrize("first", ["image", "result"])
def test_an_image_and_its_result_match_whichever_comes_first(first: str) -> None:
    matches = matcher()
    steps = [lambda: matches.add_image(7, "image", 1), lambda: matches.add_result(7, "result")]
    if first == "result":
        steps.reverse()
    assert steps[0]() is None
    assert steps[1]() == Match("image", "result")
    assert matches.waiting == 0


def test_stamps_match_to_the_nanosecond() -> None:
    matches = matcher()
    stamp_ns = 1_700_000_000_123_456_789
    assert matches.add_image(stamp_ns, "image", 1) is None
    assert matches.add_result(stamp_ns - 1, "before") is None
    assert matches.add_result(stamp_ns + 1, "after") is None
    assert matches.add_result(stamp_ns, "result") == Match("image", "result")


def test_what_is_older_than_a_match_is_given_up() -> None:
    matches = matcher()
    for number in range(5):
        matches.add_image(number * FRAME, number, 1)
    assert matches.add_result(3 * FRAME, "three") == Match(3, "three")
    assert matches.waiting == 1
    assert matches.add_result(2 * FRAME, "two") is None
    assert matches.add_image(2 * FRAME, "late", 1) is None
    assert matches.add_result(2 * FRAME, "two again") is None
    assert matches.add_result(4 * FRAME, "four") == Match(4, "four")


def test_a_result_without_its_image_is_skipped() -> None:
    matches = matcher()
    matches.add_image(0, "zero", 1)
    assert matches.add_result(FRAME, "one") is None
    assert matches.add_image(2 * FRAME, "two", 1) is None
    assert matches.add_result(2 * FRAME, "result") == Match("two", "result")


def test_an_overdue_image_is_given_out_alone_at_a_reduced_rate() -> None:
    matches = matcher(max_wait_s=0.4)
    matches.add_image(-10 * FRAME, "first", 1)
    matches.add_image(0, 0, 1)
    matches.add_result(0, "zero")
    given = [(number, matches.add_image(number * FRAME, number, 1)) for number in range(1, 40)]
    found = [(number, match) for number, match in given if match is not None]
    shown = [match.image for _, match in found]
    assert shown[0] * FRAME >= 200 * MS
    assert all((later - earlier) * FRAME >= 200 * MS for earlier, later in itertools.pairwise(shown))
    assert len(shown) >= 4
    for number, match in found:
        assert (number - match.image) * FRAME > 400 * MS
        assert match.result is None
        assert match.missing_s == pytest.approx(number * 0.04)
    assert matches.waiting <= 11


def test_a_pipeline_that_skips_images_is_no_dead_pipeline() -> None:
    matches = matcher(max_wait_s=0.4)
    for number in range(100):
        assert matches.add_image(number * FRAME, number, 1) is None
        if number % 5 == 0 and number >= 5:
            match = matches.add_result((number - 5) * FRAME, "result")
            assert match == Match(number - 5, "result")


def test_the_first_images_say_how_long_there_was_nothing() -> None:
    matches = matcher(max_wait_s=0.1)
    given = [(number, matches.add_image(5_000 * MS + number * FRAME, number, 1)) for number in range(20)]
    found = [(number, match) for number, match in given if match is not None]
    assert found
    for number, match in found:
        assert match.missing_s == pytest.approx(number * 0.04)


def test_memory_is_bounded_and_late_results_still_find_an_image() -> None:
    matches = matcher(max_wait_s=10.0, max_bytes=1000)
    latency = 20
    found = []
    for number in range(200):
        matches.add_image(number * FRAME, number, 100)
        assert matches.waiting_bytes <= 1000
        if number >= latency:
            found.append(matches.add_result((number - latency) * FRAME, "result"))
    assert sum(match is not None for match in found) > 20


def test_one_image_larger_than_the_memory_is_kept_alone() -> None:
    matches = matcher(max_bytes=10)
    matches.add_image(0, "zero", 100)
    matches.add_image(FRAME, "one", 100)
    assert matches.waiting == 1
    assert matches.add_result(FRAME, "result") == Match("one", "result")


def test_results_are_bounded() -> None:
    matches = matcher()
    for number in range(MAX_RESULTS + 10):
        matches.add_result(number * FRAME, number)
    assert matches.add_image(9 * FRAME, "old", 1) is None
    assert matches.add_image(10 * FRAME, "kept", 1) == Match("kept", 10)


def test_time_that_jumps_back_begins_anew() -> None:
    matches = matcher()
    matches.add_image(100_000 * MS, "old", 1)
    matches.add_result(100_000 * MS, "old")
    matches.add_image(100_100 * MS, "waits", 1)
    assert matches.add_image(50_000 * MS, "image", 1) is None
    assert matches.waiting == 1
    assert matches.add_result(50_000 * MS, "result") == Match("image", "result")
