"""A simulation's clock that never comes, stops, or jumps back."""

from __future__ import annotations

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rosgraph_msgs.msg import Clock
from social_perception.msg import FaceAffectArray, GroupAffect

from social_perception.ros.nodes.group_affect import GroupAffectNode
from test.faults.ros import ros_bad_messages as messages

pytestmark = [pytest.mark.ros]

SIMULATED = {
    "use_sim_time": True,
    "diagnostics_period_s": 0.1,
    "silent_after_s": 0.5,
    "publish_rate_hz": 10.0,
}


class Simulation:
    """A node under a clock that the test drives."""

    def __init__(self, ros, now_s: float = 1000.0) -> None:
        self._ros, self.now_s = ros, now_s
        self.node = ros.start(GroupAffectNode, SIMULATED)
        self.statuses = ros.statuses(self.node)
        self.groups = ros.collect(GroupAffect, "group_affect")
        self._clock = ros.publisher(Clock, "/clock")
        self._faces = ros.publisher(FaceAffectArray, "face_affect")

    def advance(self, by_s: float, *, seen: bool) -> None:
        self.now_s += by_s
        stamp = Time(sec=int(self.now_s), nanosec=round(self.now_s % 1 * 1e9))
        self._clock.publish(Clock(clock=stamp))
        self._ros.until(lambda: self.node.get_clock().now().to_msg() == stamp, "the time is known")
        if seen:
            count = self.node.health.totals.received
            header = messages.header()
            header.stamp = stamp
            self._faces.publish(messages.affects([messages.affect()], header=header))
            self._ros.until(lambda: self.node.health.totals.received > count, "the faces came")

    def reported(self, text: str) -> None:
        self.statuses.clear()

        def said():
            return any(text in each.message and each.level != DiagnosticStatus.OK for each in self.statuses)

        self._ros.until(said, text)

    def fresh(self) -> None:
        """Go on until the group is published for the time that it is, and is not stale."""
        self.groups.clear()

        def published():
            self.advance(0.05, seen=True)
            return any(not each.stale and abs(seconds_of(each) - self.now_s) < 0.5 for each in self.groups)

        self._ros.until(published, "a fresh group")


def seconds_of(message) -> float:
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def test_a_clock_that_never_comes_is_reported(ros, capfd) -> None:
    node = ros.start(GroupAffectNode, SIMULATED)
    statuses = ros.statuses(node)
    said = "use_sim_time is set, but no message was received on /clock for"
    ros.until(lambda: any(said in each.message for each in statuses), said)
    ros.until(lambda: len(statuses) > 15)
    assert capfd.readouterr().err.count(said) == 1, "in the log once"


@pytest.mark.parametrize("jump_s", [-500.0, 500.0])
def test_a_clock_that_stops_or_jumps_is_reported_and_the_group_goes_on(jump_s, ros) -> None:
    simulation = Simulation(ros)
    simulation.fresh()
    simulation.reported("use_sim_time is set, but /clock stands still for")
    simulation.fresh()
    simulation.advance(jump_s, seen=False)
    simulation.reported(f"the node's clock jumped {'back' if jump_s < 0.0 else 'forward'} by")
    simulation.fresh()
    assert simulation.node.health.totals.failed == 0
