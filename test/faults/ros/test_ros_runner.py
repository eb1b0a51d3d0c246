"""Exceptions that no node has caught: the program goes on where rclpy can, and else ends and says so."""

from __future__ import annotations

import numpy as np
import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.serialization import serialize_message
from social_perception.msg import FaceAffectArray, GroupAffect
from std_msgs.msg import String

from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.support import runner
from test.faults.ros import ros_bad_messages as messages

pytestmark = [pytest.mark.ros]


class Careless(Node):
    """Raises on request, and answers all else."""

    def __init__(self, namespace: str) -> None:
        super().__init__("careless", namespace=namespace)
        self._answers = self.create_publisher(String, "answer", 10)
        self.subscription = self.create_subscription(String, "question", self._on_question, 10)

    def _on_question(self, message: String) -> None:
        if message.data == "bug":
            raise RuntimeError("a bug")
        self._answers.publish(message)


def ask(publisher, ros, answers, text: str) -> None:
    publisher.publish(String(data=text))
    ros.until(lambda: any(each.data == text for each in answers), f"an answer to {text}")


def test_a_callback_that_raises_costs_its_message(ros, capfd) -> None:
    with runner.running([lambda: Careless(ros.namespace)]) as program:
        answers = ros.collect(String, "answer")
        publisher = ros.publisher(String, "question")
        ask(publisher, ros, answers, "before")
        for number in range(3):
            publisher.publish(String(data="bug"))
            ask(publisher, ros, answers, f"after {number}")
        assert not program.ended.is_set()
    said = capfd.readouterr().err
    assert "RuntimeError: a bug" in said
    assert said.count("a callback failed") == 1, "the log is not filled with what repeats"


def test_a_message_that_rclpy_cannot_take_ends_the_program_with_the_reason(ros, capfd) -> None:
    class Deaf(Careless):
        def __init__(self) -> None:
            super().__init__(ros.namespace)
            # As with middlewares that raise on bytes that are no message.
            self.subscription.msg_type = property

    def wait() -> None:
        with runner.running([Deaf]) as program:
            publisher = ros.publisher(String, "question")
            publisher.publish(String(data="anything"))
            ros.until(program.ended.is_set, "the end")
            runner.raise_errors(program)

    assert runner.exit_status(wait) == 1
    assert "error: the nodes were stopped by" in capfd.readouterr().err


def test_a_parameter_of_no_type_leaves_the_node_as_it_is(ros) -> None:
    with runner.running([lambda: GroupAffectNode(namespace=ros.namespace)]) as program:
        client = ros.node.create_client(SetParameters, "group_affect/set_parameters")
        ros.until(client.service_is_ready, "the parameters' service")

        def set_to(value: ParameterValue):
            requested = [Parameter(name="window_s", value=value)]
            return client.call_async(SetParameters.Request(parameters=requested))

        unanswered = set_to(ParameterValue(type=200))
        answer = set_to(ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=7.0))
        ros.until(answer.done, "an answer to the next question")
        assert answer.result().results[0].successful
        assert program.nodes[0].get_parameter("window_s").value == 7.0
        assert not unanswered.done(), "rclpy raises before it can answer"
        assert not program.ended.is_set()


def wrong_bytes() -> list[bytes]:
    """What is left of a message on a bad line: cut off, nothing, invalid lengths of lists, noise."""
    good = serialize_message(messages.affects([messages.affect(valid=False, level=0)]))
    random = np.random.default_rng(1)
    found = [good[: len(good) // 2], good[:4], b"\x00", good[:4] + b"\xff" * 200]
    for _ in range(60):
        noisy = bytearray(good)
        for _ in range(random.integers(1, 9)):
            noisy[random.integers(4, len(noisy))] = random.integers(256)
        found.append(bytes(noisy))
    return found


def test_bytes_that_are_no_message_stop_nothing(ros) -> None:
    with runner.running([lambda: GroupAffectNode(namespace=ros.namespace)]) as program:
        groups = ros.collect(GroupAffect, "group_affect")
        publisher = ros.publisher(FaceAffectArray, "face_affect")
        for number, data in enumerate(wrong_bytes()):
            publisher.publish(data)
            if number % 8 == 0:
                ros.executor.spin_once(timeout_sec=0.02)
        header = messages.header()
        header.stamp = ros.node.get_clock().now().to_msg()

        def answered():
            publisher.publish(messages.affects([messages.affect(id="somebody")], header=header))
            return any(each.face_ids == ["somebody"] for each in groups)

        ros.until(answered, "an answer to the next good message")
        assert not program.ended.is_set()
