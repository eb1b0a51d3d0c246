"""Programs that are killed while they work, under the real launch file, which starts them again.

Not a part of ``make test``, as each start takes seconds: ``pytest test/faults/ros/soak_ros_processes.py``.
"""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass

import pytest

from test.faults.ros.ros_robot import Outside, kill, launched, process_of, until

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch"),
]

STALE_S = 1.0
"""The parameter stale_after_s; a result may be older by what it takes to be made and reported."""


@dataclass(frozen=True)
class Comeback:
    """What a listener sees of a program that is killed.

    Attributes:
        live_s: time from the kill to the first group that is fresh, with everybody known.
        silent_s: longest time without group_affect.
        faceless_s: longest time without face_affect.
        before: the people's ids.
        after: their ids then.
        groups: what was published of the group meanwhile.
    """

    live_s: float
    silent_s: float
    faceless_s: float
    before: set[str]
    after: set[str]

    def __str__(self) -> str:
        return (
            f"live after {self.live_s:.1f} s; no group_affect for {self.silent_s:.1f} s, no face_affect for "
            f"{self.faceless_s:.1f} s; ids {'go on' if self.before == self.after else 'are new'}"
        )


def killed(outside: Outside, program, name: str) -> Comeback:
    before = outside.await_live()
    pid = until(lambda: process_of(program, name), name)
    killed_s = kill(pid)
    until(lambda: process_of(program, name) not in (None, pid), f"{name} is started again")
    # What is reported within a moment may be of images that were taken before.
    live = outside.await_live(killed_s + 1.0)
    for each in outside.groups:
        age_s = each.day_s - each.stamp_s
        assert each.at_s < killed_s or each.stale or age_s < STALE_S + 0.5, (
            f"{age_s:.1f} s old, reported as fresh"
        )
    return Comeback(
        live.at_s - killed_s,
        longest_gap(outside.groups, killed_s),
        longest_gap(outside.faces, killed_s),
        set(before.ids),
        set(live.ids),
    )


def longest_gap(received, since_s: float) -> float:
    times = [each.at_s for each in received if each.at_s > since_s - 0.5]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("composed", "names"),
    [(False, ("group_affect", "smile_intensity", "face_tracker")), (True, ("social_perception_all",))],
)
def test_a_killed_program_is_started_again_and_goes_on(composed, names, ros, tmp_path) -> None:
    outside = Outside(ros.namespace)
    try:
        with launched(ros.namespace, tmp_path, composed=composed) as program:
            outside.await_live()
            for name in names:
                comeback = killed(outside, program, name)
                print(f"\n{name}: {comeback}")
                if name in ("group_affect", "smile_intensity"):
                    assert comeback.before == comeback.after, "who goes on being followed keeps the id"
                else:
                    assert not comeback.before & comeback.after, "an id is never used for another person"
                if name in ("smile_intensity", "face_tracker"):
                    assert comeback.silent_s < 1.0, "group_affect says that it is stale"
    finally:
        outside.close()


def test_without_respawn_what_is_killed_stays_dead(ros, tmp_path) -> None:
    outside = Outside(ros.namespace)
    try:
        with launched(ros.namespace, tmp_path, composed=False, respawn="false") as program:
            outside.await_live()
            killed_s = kill(until(lambda: process_of(program, "face_tracker"), "face_tracker"))
            found = until(
                lambda: [each.at_s for each in outside.groups if each.stale and each.at_s > killed_s], "stale"
            )
            print(f"\nstale {found[0] - killed_s:.2f} s after the kill")
            assert "process has died" in program.log.read_text()
            assert process_of(program, "face_tracker") is None
    finally:
        outside.close()
