from __future__ import annotations

import pytest

from social_perception.ros.support.clocks import ClockWatch, StampWatch


@pytest.mark.parametrize(
    ("stamps", "jumps"),
    [
        ([(100.0, 0.0), (100.1, 0.1), (100.2, 0.2)], [0, 0, 0]),
        ([(100.0, 0.0), (99.6, 0.1)], [0, 0]),  # an older image that came late
        ([(100.0, 0.0), (99.0, 0.1), (99.1, 0.2)], [0, -1.0, 0]),
        ([(100.0, 0.0), (160.0, 0.1), (160.1, 0.2)], [0, 60.0, 0]),
        ([(100.0, 0.0), (160.0, 60.0)], [0, 0]),  # nothing came for a minute
        ([(100.0, 0.0), (100.4, 0.1), (100.8, 0.2)], [0, 0, 0]),  # four times as fast
    ],
)
def test_stamps_that_jump(stamps, jumps) -> None:
    watch = StampWatch()
    assert [watch.note(stamp_s, stamp_s, steady_s) for stamp_s, steady_s in stamps] == pytest.approx(jumps)


NOW_S = 1000.0


@pytest.mark.parametrize(
    ("stamps", "dropped", "jump_s"),
    [
        ([0.0, 0.1, 0.2, 0.2, 0.3], "     ", 0.0),
        ([0.0, 0.2, 0.1, 0.3], "  x ", 0.0),  # it overtook another one
        ([0.0, 0.1, -NOW_S, 0.2, 0.3], "  x  ", 0.0),  # a stamp of zero
        ([0.0, 0.1, 1e9, 0.2, -NOW_S, -NOW_S, 0.3], "  x xx ", 0.0),
        ([0.0, -0.2, -0.1, 0.0, 0.1], " xx  ", 0.0),
        ([0.0, -0.4, -0.3, -0.2, -0.1], " xx  ", -0.2),  # the camera's clock was set back
        ([0.0, -500.0, -499.9, -499.8, -499.7], " xx  ", -499.8),
        ([0.0, 500.0, 500.1, 500.2, 500.3], " xx  ", 500.2),
        ([0.0, -1.0, -0.9], "   ", -1.0),  # fits the clock, too: it was the clock that was wrong
        ([-800.0, -900.0, -899.9], "   ", -100.0),  # none of them fits the clock: a recording
    ],
)
def test_a_stamp_that_strays_is_dropped_until_others_follow_it(stamps, dropped, jump_s) -> None:
    watch = StampWatch()
    said, jumps = "", 0.0
    for number, stamp_s in enumerate(stamps):
        steady_s = 0.1 * number
        jumps += watch.note(NOW_S + stamp_s, NOW_S + steady_s, steady_s)
        said += "x" if watch.stray else " "
    assert (said, jumps) == (dropped, pytest.approx(jump_s))


@pytest.mark.parametrize(
    ("offset_s", "problem"),
    [
        (-9.0, ""),
        (0.4, ""),
        (-12.0, "12.0 s behind the node's clock"),
        (0.6, "0.6 s ahead of the node's"),
        (-1.7e9, "19676 days behind the node's"),
    ],
)
def test_stamps_of_another_clock(offset_s, problem) -> None:
    watch = StampWatch()
    assert watch.problem == ""
    watch.note(1000.0 + offset_s, 1000.0, 5.0)
    assert problem in watch.problem
    assert bool(problem) == bool(watch.problem)
    watch.forget()
    assert watch.problem == ""


@pytest.mark.parametrize(
    ("clock", "simulated", "problems"),
    [
        ([(1000.0, 0.0), (1001.0, 1.0), (1002.3, 2.0)], False, ["", "", ""]),
        ([(1000.0, 0.0), (1031.0, 1.0), (1032.0, 2.0)], False, ["", "forward by 30.0 s", ""]),
        ([(1000.0, 0.0), (941.0, 1.0), (942.0, 2.0)], False, ["", "back by 60.0 s", ""]),
        ([(10.0, 0.0), (13.0, 1.0), (16.0, 2.0)], True, ["", "", ""]),  # three times as fast
        ([(10.0, 0.0), (3.0, 1.0), (4.0, 2.0)], True, ["", "back by 7.0 s", ""]),
        ([(10.0, 0.0), (70.0, 1.0), (71.0, 2.0)], True, ["", "forward by 60.0 s", ""]),
        ([(0.0, 0.0), (5000.0, 1.0), (5001.0, 2.0)], True, ["", "", ""]),  # /clock has begun
        (
            [(0.0, 0.0), (0.0, 1.0), (0.0, 3.0), (1.0, 4.0)],
            True,
            ["", "", "no message was received on /clock for 3.0 s", ""],
        ),
        ([(9.0, 0.0), (9.0, 2.5), (9.1, 3.5)], True, ["", "stands still for 2.5 s", ""]),
    ],
)
def test_a_clock_that_jumps_or_stands_still(clock, simulated, problems) -> None:
    watch = ClockWatch()
    said = [watch.check(now_s, steady_s, simulated=simulated, limit_s=2.0) for now_s, steady_s in clock]
    assert [bool(text) for text in said] == [bool(text) for text in problems]
    assert all(problem in text for problem, text in zip(problems, said))
