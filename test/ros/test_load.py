from __future__ import annotations

import pytest

from social_perception.ros.support.load import Limits, Load, LoadWatch


@pytest.mark.parametrize(
    ("load", "limits", "problem"),
    [
        (Load(30, 9), Limits(), ""),
        (Load(30, 10), Limits(), "falling behind: 10 of the last 30 messages were dropped"),
        (Load(30, 10), Limits(dropped_share=0.5), ""),
        (Load(30, 30), Limits(dropped_share=1.0), ""),
        (Load(4, 4), Limits(), ""),
        (Load(10, 0, 20), Limits(), "falling behind: 20 of the last 30 messages were lost on the way"),
        (Load(10, 0, 4), Limits(), ""),
        (Load(30, 0, 0, (0.1, 1.4, 1.5)), Limits(), "falling behind: results are 1.4 s old"),
        (Load(30, 0, 0, (0.1, 0.2, 9.0)), Limits(), ""),
        (Load(30, 0, 0, (0.1, 0.2, 0.3)), Limits(age_s=0.15), "falling behind: results are 0.2 s old"),
        (
            Load(30, 20, 0, (2.0,)),
            Limits(),
            "falling behind: 20 of the last 30 messages were dropped and results are 2.0 s old",
        ),
        (Load(0), Limits(), ""),
    ],
)
def test_what_falls_behind_is_reported(load: Load, limits: Limits, problem: str) -> None:
    watch = LoadWatch()
    watch.add(100.0, load)
    assert watch.problem(100.0, limits) == problem


def test_the_last_seconds_count_together() -> None:
    watch = LoadWatch()
    watch.add(10.0, Load(30, 30))
    for now_s in (11.0, 12.0, 13.0, 14.0):
        watch.add(now_s, Load(30))
        assert watch.problem(now_s, Limits()) == "" or now_s < 13.0
    watch.add(15.0, Load(30, 9))
    assert watch.problem(15.0, Limits(dropped_share=0.05)).startswith("falling behind")
    assert "9 of the last 150" in watch.problem(15.0, Limits(dropped_share=0.05))


def test_how_long_it_has_lasted_is_reported_and_forgotten() -> None:
    watch = LoadWatch()
    for now_s in (1.0, 2.0, 3.0):
        watch.add(now_s, Load(10, 8))
        said = watch.problem(now_s, Limits())
    assert said == "falling behind for 2 s: 24 of the last 30 messages were dropped"
    watch.forget()
    watch.add(4.0, Load(10, 8))
    assert watch.problem(4.0, Limits()) == "falling behind: 8 of the last 10 messages were dropped"
