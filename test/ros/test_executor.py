"""The executor of the nodes: two threads, one callback at a time, and no entity that nobody waits for."""

from __future__ import annotations

import time

from rcl_interfaces.srv import ListParameters
from rclpy.node import Node
from std_msgs.msg import String

from social_perception.ros.support import runner

SERVICE_CALLS = 30


class Busy(Node):
    """Counts callbacks that begin while another one runs; each takes a while."""

    def __init__(self, namespace: str) -> None:
        super().__init__("busy", namespace=namespace)
        self.overlaps = self.received = 0
        self._is_busy = False
        self.create_subscription(String, "question", self._on_question, 10)
        self.create_service(ListParameters, "call", self._on_call)

    def _on_question(self, message: String) -> None:
        self.received += 1
        self._work()

    def _on_call(
        self, request: ListParameters.Request, response: ListParameters.Response
    ) -> ListParameters.Response:
        self._work()
        return response

    def _work(self) -> None:
        self.overlaps += self._is_busy
        self._is_busy = True
        time.sleep(0.002)
        self._is_busy = False


def test_services_and_messages_are_answered_in_turns(ros) -> None:
    with runner.running([lambda: Busy(ros.namespace)]) as program:
        (node,) = program.nodes
        publisher = ros.publisher(String, "question")
        ros.node.create_timer(0.001, lambda: publisher.publish(String()))
        client = ros.node.create_client(ListParameters, "call")
        ros.until(client.service_is_ready, "the service")
        for _ in range(SERVICE_CALLS):
            received, answer = node.received, client.call_async(ListParameters.Request())
            ros.until(lambda answer=answer: answer.done(), "the answer of the service")
            ros.until(lambda received=received: node.received > received, "the next message")
        assert node.overlaps == 0


def test_each_entity_is_waited_for_once_and_services_apart_from_messages(ros) -> None:
    with runner.running([lambda: Busy(ros.namespace)]) as program:
        (node,) = program.nodes
        rare, frequent = (each.get_nodes()[0] for each in (node.executor, node.executor.frequent))
        for name in ("services", "clients", "guards"):
            assert not list(getattr(frequent, name))
            assert list(getattr(rare, name)) == list(getattr(node, name))
        for name in ("subscriptions", "timers"):
            assert not list(getattr(rare, name))
            assert list(getattr(frequent, name)) == list(getattr(node, name))
        events = [event for each in node.subscriptions for event in each.event_handlers]
        assert frequent.waitables == events, "Fast DDS reports messages among the events"
        assert sorted(map(id, [*rare.waitables, *events])) == sorted(map(id, node.waitables))
