"""What the nodes have in common: life cycle, parameters, diagnostics, errors.

Configure loads (networks into memory), activate subscribes, deactivate unsubscribes, cleanup
releases. A node fills in :meth:`Stage.load`, ``open``, ``close`` and ``unload``, and ``process``.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription

from social_perception.core.errors import SocialPerceptionError
from social_perception.nodes.config import NodeConfig
from social_perception.nodes.health import Health
from social_perception.nodes.messages import seconds
from social_perception.nodes.parameters import Parameters
from social_perception.nodes.topic_input import TopicInput
from social_perception.nodes.worker import Worker

_THROTTLE_S = 5.0
JUMP_BACK_S = 0.5
"""Stamps that go back further than this begin anew: a bag is played again."""


class Stage(LifecycleNode):
    """A managed node with one input; its failures become a log line and a diagnostic.

    Args:
        name: of the node.
        kinds: configuration dataclasses whose settings become parameters.
        node_options: passed on to rclpy.

    Raises:
        ConfigurationError: a parameter given at start is illegal.
    """

    def __init__(self, name: str, kinds: Sequence[type], **node_options: Any) -> None:
        # First, because a node that is refused its parameters is destroyed too.
        self.input: TopicInput | None = None
        self.worker: Worker[Any] | None = None
        self._loaded = False
        self._opened = False
        self._others: list[Subscription] = []
        super().__init__(name, **node_options)
        self.parameters = Parameters(self, (NodeConfig, *kinds), self.reconfigure)
        self.health = Health()
        self._newest_stamp_s = float("-inf")
        self._report_period_s = self.parameters[NodeConfig].diagnostics_period_s
        self._reports = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady, so that a simulation clock that stands still is reported too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self.create_timer(self._report_period_s, self._report, clock=steady)

    # What a node fills in.

    def load(self) -> None:
        """Build what the node works with and its publishers (configure)."""

    def open(self) -> None:
        """Subscribe (activate)."""

    def close(self) -> None:
        """Unsubscribe (deactivate); the base class closes what ``subscribe`` and ``listen`` made."""

    def unload(self) -> None:
        """Release what ``load`` built (cleanup)."""

    def reconfigure(self) -> None:
        """Take over changed parameters."""

    def process(self, message: Any) -> int:
        """Work on one message and publish; return the number of faces."""
        raise NotImplementedError

    def restart(self) -> None:
        """Forget what was seen: time has jumped back."""

    # What a node uses.

    def subscribe(self, kind: type, topic: str, qos: Any, *, in_worker: bool, **about: Any) -> None:
        """Subscribe the node's input; its messages go to ``process``, in a thread if so asked.

        ``about`` is what :class:`TopicInput` wants to know besides.
        """
        take: Callable[[Any], None] = self._run
        if in_worker:
            self.worker = Worker(self._run, self.get_name())
            take = self.admit

        def callback(message: Any) -> None:
            self.health.received()
            take(message)

        self.input = TopicInput(self, kind, topic, qos, callback, **about)

    def admit(self, message: Any) -> None:
        """Hand a message of the input over to the thread; a node may hold it back until it is complete."""
        if self.worker is not None:
            self.worker.put(message)

    def listen(self, kind: type, topic: str, qos: Any, callback: Callable[[Any], None]) -> None:
        """Subscribe something beside the input, until the node is deactivated; its failures are reported."""

        def take(message: Any) -> None:
            self._guarded(lambda: callback(message))

        self._others.append(self.create_subscription(kind, topic, take, qos))

    def unsubscribe(self) -> None:
        """Take back what ``subscribe`` and ``listen`` made; deactivating does it, too."""
        if self.input is not None:
            self.input.close()
            self.input = None
        if self.worker is not None:
            self.worker.stop()
            self.worker = None
        while self._others:
            self.destroy_subscription(self._others.pop())

    def note_published(self, stamp: Time) -> None:
        """Report the latency of a result, from this header stamp of its image until now."""
        self.health.published(self.get_clock().now().nanoseconds * 1e-9 - seconds(stamp))

    def fail(self, text: str) -> None:
        """Report a failure that concerns one message."""
        self.health.failed(text)
        self.get_logger().warning(text, throttle_duration_sec=_THROTTLE_S)

    # The life cycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("configured", self._load, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("activated", self._open, super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._unload()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close()
        self._unload()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close()
        self._unload()
        return super().on_error(state)

    def destroy_node(self) -> None:
        self._close()
        self._unload()
        super().destroy_node()

    def _attempt(
        self,
        done: str,
        step: Callable[[], None],
        managed: Callable[[LifecycleState], TransitionCallbackReturn],
        state: LifecycleState,
    ) -> TransitionCallbackReturn:
        # rclpy turns an exception into an error state without a word: say it here.
        try:
            result = managed(state)
            step()
        except SocialPerceptionError as error:
            self.get_logger().error(f"{self.get_name()} cannot be {done}: {error}")
            self.health.failed(str(error))
            self._close()
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"{self.get_name()} cannot be {done}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self.get_logger().info(f"{self.get_name()} is {done}")
        return result

    def _load(self) -> None:
        self._loaded = True
        try:
            self.load()
        except Exception:
            self._unload()
            raise

    def _open(self) -> None:
        self._newest_stamp_s = float("-inf")
        self.open()
        self._opened = True

    def _close(self) -> None:
        self._opened = False
        self.unsubscribe()
        self.close()

    def _unload(self) -> None:
        if not self._loaded:
            return
        self._loaded = False
        self.unload()
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    # One message.

    def _run(self, message: Any) -> None:
        def work() -> None:
            self._note_time(message.header.stamp)
            self.health.processed(self.process(message))

        self._guarded(work)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SocialPerceptionError as error:
            self.fail(str(error))
        except Exception as error:
            if not self.context.ok():
                return  # the process ends; a publisher that is gone is no failure
            self.health.failed(f"{type(error).__name__}: {error}")
            self.get_logger().error(traceback.format_exc(), throttle_duration_sec=_THROTTLE_S)

    def _note_time(self, stamp: Time) -> None:
        stamp_s = seconds(stamp)
        if stamp_s < self._newest_stamp_s - JUMP_BACK_S:
            self.get_logger().warning(
                f"header stamps went back by {self._newest_stamp_s - stamp_s:.1f} s: starting anew"
            )
            self.restart()
        self._newest_stamp_s = stamp_s

    def _report(self) -> None:
        silence, lost = "", 0
        if self.input is not None:
            lost = self.input.lost
            silence = self.input.check(self.parameters[NodeConfig].silent_after_s)
        dropped = self.worker.dropped if self.worker is not None else 0
        status = self.health.report(
            self.get_fully_qualified_name(),
            self._report_period_s,
            dropped=dropped,
            lost=lost,
            silence=silence,
        )
        if self.input is None and status.message == "running":
            status.message = "idle: nobody subscribes the results" if self._opened else "inactive"
        stamp = self.get_clock().now().to_msg()
        report = DiagnosticArray(status=[status])
        report.header.stamp = stamp
        self._reports.publish(report)
