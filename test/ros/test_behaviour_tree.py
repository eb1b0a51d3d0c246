"""The blackboard fed from topics, and the greeter, on real rclpy; time is that of /clock."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import factories
import py_trees
import pytest
from builtin_interfaces.msg import Time
from factories import face
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from social_perception.behaviours import GroupIsCheerful, GroupIsPresent, Hysteresis, SomeoneSmiles
from social_perception.core.errors import ConfigurationError
from social_perception.core.signals import Signals
from social_perception.core.types import FrameAffect, Scene, SceneAffect, SmileLevel
from social_perception.ros.convert import group_of
from social_perception.ros.nodes.greeter import GreeterNode
from social_perception.ros.support.behaviour_tree import AffectToBlackboard
from social_perception.ros.support.messages import MESSAGES, FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.messages import SceneAffect as SceneAffectMessage
from test.ros.messages import face_affects_message, group_affect_message, header

STEP_MS = 100


def group(smiling_fraction: float, size: int = 4, *, stale: bool = False) -> GroupAffectMessage:
    values = {"smiling_fraction": float(smiling_fraction), "level": SmileLevel.LOW, "synchrony": 0.0}
    return group_affect_message(header(0, 0), factories.group(size, stale=stale, **values))


EMPTY = group(float("nan"), 0)


class Rehearsal:
    """A greeter in simulated time: its messages, and what it says."""

    def __init__(self, ros, **parameters) -> None:
        self._ros, self._now_ms = ros, 50_000
        self._time = ros.node.create_publisher(Clock, "/clock", 10)
        # Two ticks in each step, so that each step has one, however the timers fall.
        parameters = {"tick_rate_hz": 2000 / STEP_MS, "use_sim_time": True, **parameters}
        self.node = ros.create(GreeterNode, parameters)
        self._publisher = ros.publisher(GroupAffectMessage, "group_affect")
        self.said = ros.collect(String, "greeting")
        ros.until(lambda: self._time.get_subscription_count() > 0, "the greeter takes its time from /clock")
        self._published = []
        publish = self.node._publisher.publish
        self.node._publisher.publish = lambda message: self._published.append(message) or publish(message)
        self._advance()

    def play(self, message: GroupAffectMessage | None, seconds: float) -> int:
        """Ten messages per second for so long (None: silence); returns the number of greetings."""
        before = self._greeted()
        for _ in range(round(seconds * 1000 / STEP_MS)):
            if message is not None:
                self._publisher.publish(message)
                listen = self.node.tree.root.children[0]
                held = listen._new.get("group_affect")
                self._ros.until(
                    lambda held=held, listen=listen: listen._new.get("group_affect") is not held, "it came"
                )
            self._advance()
        return self._greeted() - before

    def _advance(self) -> None:
        self._now_ms += STEP_MS
        now = Time(sec=self._now_ms // 1000, nanosec=self._now_ms % 1000 * 1_000_000)
        count = self.node.tree.count
        self._time.publish(Clock(clock=now))
        self._ros.until(lambda: self.node.get_clock().now().to_msg() == now, "the time is known")
        self._ros.until(lambda: self.node.tree.count > count, "the tree is ticked")

    def _greeted(self) -> int:
        """How often it has greeted so far, once all of that was received on the topic."""
        self._ros.until(lambda: len(self.said) == len(self._published), "all greetings are received")
        return len(self.said)


def test_a_group_is_greeted_when_it_smiled_for_a_second_and_only_once(ros) -> None:
    rehearsal = Rehearsal(ros)
    assert rehearsal.play(group(0.0), 1.0) == 0
    assert rehearsal.play(group(1.0), 0.9) == 0
    assert rehearsal.play(group(1.0), 0.4) == 1
    assert rehearsal.said[0].data == rehearsal.node.config.greeting
    assert rehearsal.play(group(1.0), 3.0) == 0


def test_a_smile_that_flickers_is_not_greeted_and_one_between_the_thresholds_holds(ros) -> None:
    rehearsal = Rehearsal(ros)
    assert sum(rehearsal.play(group(1.0), 0.7) + rehearsal.play(group(0.25), 0.2) for _ in range(4)) == 0
    assert sum(rehearsal.play(group(share), 0.1) for share in [0.5, 0.4, 0.5, 0.35] * 4) == 1


@pytest.mark.parametrize("silence", [group(1.0, stale=True), None], ids=["stale", "nothing comes"])
def test_stale_data_is_not_greeted_and_does_not_let_the_group_leave(ros, silence) -> None:
    rehearsal = Rehearsal(ros, absence_s=1.0)
    assert rehearsal.play(group(1.0), 0.5) == 0
    assert rehearsal.play(silence, 0.1) == 0
    if silence is None:
        assert rehearsal.play(silence, 0.3) == 0
        assert rehearsal.play(group(0.0), 0.1) == 0
    assert rehearsal.play(group(1.0), 0.9) == 0, "the second has begun anew"
    assert rehearsal.play(group(1.0), 0.4) == 1
    assert rehearsal.play(silence, 3.0) == 0
    assert rehearsal.play(group(1.0), 2.0) == 0, "it is still the same group"


def test_the_next_group_is_greeted_and_one_that_stays_after_the_cooldown(ros) -> None:
    rehearsal = Rehearsal(ros, absence_s=1.0, cooldown_s=5.0, smile_s=0.5, greeting="Moin")
    assert rehearsal.play(group(1.0), 1.0) == 1
    assert rehearsal.play(EMPTY, 0.5) == 0
    assert rehearsal.play(group(1.0), 1.0) == 0, "gone for a moment"
    assert rehearsal.play(EMPTY, 1.5) == 0
    assert rehearsal.play(group(1.0), 1.0) == 1, "the next group"
    assert rehearsal.play(group(1.0), 4.0) == 0
    assert rehearsal.play(group(1.0), 1.5) == 1, "the cooldown has passed"
    assert {message.data for message in rehearsal.said} == {"Moin"}


@pytest.fixture
def listener(ros):
    """A behaviour that is set up on the tester's node, and the clock it reads."""
    now = {"s": 10.0}
    behaviour = AffectToBlackboard(clock=lambda: now["s"], namespace=ros.namespace)
    behaviour.setup(node=ros.node)
    yield behaviour, {"clock": lambda: now["s"], "namespace": ros.namespace}, now
    behaviour.shutdown()


def test_topics_reach_the_conditions_with_the_time_of_receipt(ros, listener) -> None:
    behaviour, options, now = listener
    present = GroupIsPresent(min_size=3, **options)
    broad = SomeoneSmiles(SmileLevel.HIGH, on_dwell_s=0.0, **options)
    tree = py_trees.composites.Parallel("all", policy=py_trees.common.ParallelPolicy.SuccessOnAll())
    cheerful = GroupIsCheerful(hysteresis=Hysteresis(0.4, 0.2), **options)
    tree.add_children([behaviour, present, broad, cheerful])
    tree.tick_once()
    assert [child.status.name for child in tree.children] == ["SUCCESS", *["FAILURE"] * 3]
    faces = face_affects_message(header(), face("eva", 0.9))
    ros.publisher(FaceAffectArray, "face_affect").publish(faces)
    ros.publisher(GroupAffectMessage, "group_affect").publish(group(1.0, size=3))
    scene = Scene(0.0, Signals(SceneAffect((0.1, 0.2, 0.7), 0.6, False)))
    ros.publisher(SceneAffectMessage, "scene_affect").publish(MESSAGES.scene_affect(header(), scene))
    ros.until(lambda: len(behaviour._new) == 3, "the messages")
    tree.tick_once()
    assert [child.status.name for child in tree.children] == ["SUCCESS"] * 4
    assert "eva" in broad.feedback_message
    now["s"] += 0.9
    tree.tick_once()
    assert behaviour.feedback_message == "no new results"
    assert present.status.name == "SUCCESS"
    now["s"] += 0.2
    tree.tick_once()
    assert [child.status.name for child in tree.children] == ["SUCCESS", *["FAILURE"] * 3]
    assert "stale" in present.feedback_message


def test_after_shutdown_nothing_is_subscribed(ros, listener) -> None:
    behaviour, _, _ = listener
    topic = f"{ros.namespace}/group_affect"
    ros.until(lambda: ros.node.count_subscribers(topic) == 1)
    behaviour.shutdown()
    ros.until(lambda: ros.node.count_subscribers(topic) == 0)


def test_a_setup_without_a_node_says_what_is_missing() -> None:
    with pytest.raises(KeyError, match="needs a node"):
        AffectToBlackboard().setup()


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [({"cooldown_s": -1.0}, "cooldown_s"), ({"smiling_off": 0.7}, "off must not be above on")],
)
def test_the_greeter_refuses_what_is_illegal(ros, parameters, problem) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ros.create(GreeterNode, parameters)


def test_the_pages_python_runs(ros) -> None:
    """The pieces of docs/behaviour_trees.md one after the other, with what they take as given."""
    page = Path(__file__).parents[2] / "docs" / "behaviour_trees.md"
    pieces = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)
    affect = FrameAffect(1.0, 0, 640, 480, (), group_of(group(1.0)))
    names = {"node": ros.node, "affect": affect}
    exec("\n".join(pieces), names)
    assert len(pieces) == 4
    names["tree"].tick()
    assert [child.status.name for child in names["tree"].root.children] == ["SUCCESS", "FAILURE"]
    in_tune = names["GroupIsInTune"]()
    in_tune.tick_once()
    assert in_tune.feedback_message == "synchrony 0.00: no"
    names["tree"].shutdown()


def test_the_program_starts_and_ends_cleanly() -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "social_perception.ros.nodes.greeter"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as program:
        try:
            assert "waiting for a smiling group" in program.stderr.readline()
            program.send_signal(signal.SIGINT)
            assert program.wait(60) == 0
            assert "Traceback" not in program.stderr.read()
        finally:
            program.kill()
