"""Node greeter: an example of a behaviour tree that greets a smiling group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from std_msgs.msg import String

from social_perception.behaviours.greeting import GreetingPlan, greeting_tree
from social_perception.behaviours.trees import py_trees
from social_perception.ros.support.behaviour_tree import AffectToBlackboard
from social_perception.ros.support.config import GreeterConfig
from social_perception.ros.support.parameters import Parameters
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.runner import run


class GreeterNode(Node):
    """Ticks the tree of :mod:`social_perception.behaviours.greeting` and publishes its greetings.

    Raises:
        ConfigurationError: the initial value of a parameter is invalid.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("greeter", **node_options)
        self.config = Parameters(self, (GreeterConfig,), lambda: None)[GreeterConfig]
        self._publisher = self.create_publisher(String, "greeting", RESULT_QOS)
        namespace = f"{self.get_fully_qualified_name()}/affect"  # all trees of a process share one blackboard
        listen = AffectToBlackboard(clock=self._now_s, namespace=namespace)
        plan = GreetingPlan(
            smile_s=self.config.smile_s,
            smiling_on=self.config.smiling_on,
            smiling_off=self.config.smiling_off,
            absence_s=self.config.absence_s,
            cooldown_s=self.config.cooldown_s,
        )
        root = greeting_tree(listen, self._greet, plan, clock=self._now_s, namespace=namespace)
        self.tree = py_trees.trees.BehaviourTree(root)
        self.tree.setup(node=self)
        self.create_timer(1.0 / self.config.tick_rate_hz, self.tree.tick)
        self.get_logger().info("waiting for a smiling group")

    def destroy_node(self) -> None:
        if hasattr(self, "tree"):
            self.tree.shutdown()
        super().destroy_node()

    def _greet(self) -> None:
        self.get_logger().info(f"greeting the group: {self.config.greeting}")
        self._publisher.publish(String(data=self.config.greeting))

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9


def main(args: Sequence[str] | None = None) -> int:
    return run([GreeterNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
