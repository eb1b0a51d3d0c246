import pytest

from social_perception.core.errors import ModelError
from social_perception.research.benchmarks.report import Comparison, Ratio, Side
from social_perception.research.benchmarks.timing import Candidate, Effort, measure_interleaved


class Clock:
    """Time that only passes when somebody works."""

    def __init__(self):
        self.now_s = 0.0
        self.calls = []

    def __call__(self):
        return self.now_s

    def worker(self, name, *durations_s):
        """A candidate whose calls take these times; the last one again and again."""
        left = list(durations_s)

        def call():
            self.calls.append(name)
            self.now_s += left.pop(0) if len(left) > 1 else left[0]

        return Candidate(name, call)


def test_sides_take_turns_and_the_warm_up_does_not_count():
    clock = Clock()
    sides = measure_interleaved(
        [clock.worker("a", 9.0, 1.0), clock.worker("b", 9.0, 2.0)], Effort(3, 0.0, 100.0), clock
    )
    assert clock.calls == ["a", "b"] * 4
    assert [(side.name, side.seconds, side.calls) for side in sides] == [("a", 1.0, 3), ("b", 2.0, 3)]
    assert [side.per_second for side in sides] == [1.0, 0.5]


def test_a_turn_lasts_its_time_and_the_median_of_the_turns_counts():
    clock = Clock()
    (side,) = measure_interleaved(
        [clock.worker("a", 0.25, 0.25, 0.25, 1.0, 0.5, 2.0)], Effort(3, 0.5, 100.0), clock
    )
    # Turns: two calls of 0.25, then one of 1.0, then one of 0.5.
    assert (side.seconds, side.fastest_s, side.slowest_s, side.calls) == (0.5, 0.25, 1.0, 4)


@pytest.mark.parametrize(
    ("budget_s", "timed", "seconds"),
    [
        (100.0, 3, 3.0),
        (10.9, 1, 3.0),  # the warm-up has left time for one turn
        (8.0, 1, 8.0),  # the warm-up has used it all, and counts
    ],
)
def test_a_side_stops_when_its_budget_is_used(budget_s, timed, seconds):
    clock = Clock()
    (side,) = measure_interleaved([clock.worker("a", 8.0, 3.0)], Effort(3, 0.0, budget_s), clock)
    assert (side.calls, side.seconds) == (timed, seconds)


def test_a_side_that_fails_gives_its_reason_and_the_others_go_on():
    clock = Clock()

    def fail():
        raise ModelError("out of memory")

    broken, good = measure_interleaved(
        [Candidate("a", fail), clock.worker("b", 1.0)], Effort(2, 0.0, 9.0), clock
    )
    assert broken == Side.missing("a", "out of memory")
    assert good.seconds == 1.0


def side(name, seconds):
    return Side(name, seconds, 1.0 / seconds, seconds, seconds, 1)


def test_a_ratio_is_the_quotient_of_its_sides():
    slow, fast = side("slow", 6.0), side("fast", 0.5)
    assert Ratio.of("both", slow, fast, 10.0) == Ratio("both", "slow", "fast", 12.0, 10.0)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_ratio_with_a_side_that_is_missing_is_none(missing):
    sides = [side("slow", 6.0), side("fast", 0.5)]
    sides[missing] = Side.missing(sides[missing].name, "skipped")
    assert Ratio.of("both", *sides).value is None


def test_a_side_is_found_by_its_name():
    sides = (side("slow", 6.0), side("fast", 0.5))
    assert Comparison("cpu", "1 face", 1, sides, ()).side("fast") is sides[1]
