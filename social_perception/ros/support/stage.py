"""What the nodes have in common: life cycle, parameters, diagnostics, errors.

Configure loads (networks into memory), activate subscribes, deactivate unsubscribes, cleanup
releases. A node fills in :meth:`Stage.load`, ``open``, ``close`` and ``unload``, and ``process``.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from builtin_interfaces.msg import Time
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from social_perception.core.clock import duration_text
from social_perception.core.errors import MessageError, SocialPerceptionError
from social_perception.ros.convert import seconds
from social_perception.ros.support.clocks import StampWatch
from social_perception.ros.support.config import NodeConfig
from social_perception.ros.support.health import Health, NodeStatus
from social_perception.ros.support.parameters import Parameters
from social_perception.ros.support.rclpy_errors import as_configuration_error, converted_errors
from social_perception.ros.support.reporting import Reporter
from social_perception.ros.support.resources import DeviceInfo, release_memory
from social_perception.ros.support.topic_input import TopicInput
from social_perception.ros.support.worker import Worker

_THROTTLE_S = 5.0


class Input(Protocol):
    """What a node asks of its input, one topic or several; see :class:`TopicInput`."""

    @property
    def topic(self) -> str: ...
    @property
    def lost(self) -> int: ...
    @property
    def replaced(self) -> int: ...
    def silence_s(self) -> float: ...
    def check(self, limit_s: float) -> str: ...
    def other_publishers(self) -> str: ...
    def close(self) -> None: ...


class Stage(LifecycleNode):
    """A managed node with one input; its failures become a log line and a diagnostic.

    Args:
        name: of the node.
        kinds: configuration dataclasses whose settings become parameters.
        node_options: passed on to rclpy.

    Attributes:
        task: what the node does, in the name of its status on /diagnostics.
        failure: the error of the last transition; None if it succeeded.

    Raises:
        ConfigurationError: a parameter given at start is illegal.
    """

    task = "messages"

    def __init__(self, name: str, kinds: Sequence[type], **node_options: Any) -> None:
        # First, because a node that is refused its parameters is destroyed too.
        self.input: Input | None = None
        self.worker: Worker[Any] | None = None
        self.failure: Exception | None = None
        self._loaded = self._opened = self._has_worked = False
        self._offset_reported = False
        self._others: list[Subscription[Any]] = []
        self._timers_of_ours: list[Timer] = []
        self._stamps = StampWatch()
        super().__init__(name, **node_options)
        self.parameters = Parameters(self, (NodeConfig, *kinds), self.reconfigure)
        self.health = Health(time.monotonic())
        self._reporter = Reporter(
            self,
            self.task,
            self.health,
            lambda: self.parameters[NodeConfig],
            self._status,
            self.device_info,
        )

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
        """Forget what was seen: time has jumped back, or the node was inactive meanwhile."""

    def device_info(self) -> DeviceInfo:
        """What the node computes with, for its reports."""
        return DeviceInfo()

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
            self.guarded(lambda: take(message))

        self.input = TopicInput(self, kind, topic, qos, callback, on_replaced=self.health.received, **about)

    def admit(self, message: Any) -> None:
        """Hand a message of the input over to the thread; a node may hold it back until it is complete."""
        if self.worker is not None:
            self.worker.put(message)

    def listen(self, kind: type, topic: str, qos: Any, callback: Callable[[Any], None]) -> None:
        """Subscribe something beside the input, until the node is deactivated; its failures are reported."""

        def take(message: Any) -> None:
            self.guarded(lambda: callback(message))

        self._others.append(self.create_subscription(kind, topic, take, qos))

    def every(self, period_s: float, work: Callable[[], None], *, steady: bool = True) -> None:
        """Do something again and again until the node is deactivated; its failures are reported.

        A steady timer runs on while a simulation clock stands still.
        """
        clock = Clock(clock_type=ClockType.STEADY_TIME) if steady else None
        timer = self.create_timer(period_s, lambda: self.guarded(work), clock=clock)
        self._timers_of_ours.append(timer)

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

    @property
    def dropped(self) -> int:
        """Messages of the input replaced by newer ones before they were worked on, since activation."""
        in_queue = 0 if self.input is None else self.input.replaced
        return in_queue + (0 if self.worker is None else self.worker.dropped)

    def note_published(self, stamp: Time) -> None:
        """Report the latency of a result, from this header stamp of its image until now."""
        self.health.published(self.now_s() - seconds(stamp))

    def fail(self, text: str) -> None:
        """Report a failure that concerns one message."""
        self.health.failed(text)
        self.get_logger().warning(text, throttle_duration_sec=_THROTTLE_S)

    # The life cycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("configured", self._load, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._attempt("activated", self._open, super().on_activate, state)
        if result == TransitionCallbackReturn.FAILURE:
            self._try(self._close)
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("deactivated", self._close, super().on_deactivate, state, ending=True)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("cleaned up", self._unload, super().on_cleanup, state, ending=True)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        def end() -> None:
            self._close()
            self._unload()

        return self._attempt("shut down", end, super().on_shutdown, state, ending=True)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        # Whatever is left: the node is unconfigured afterwards, and can be configured again.
        self._try(self._close)
        self._try(self._unload)
        self.get_logger().info(f"{self.get_name()} is unconfigured again after the error")
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        self._try(self._close)
        self._try(self._unload)
        super().destroy_node()

    def _attempt(
        self,
        done: str,
        step: Callable[[], None],
        managed: Callable[[LifecycleState], TransitionCallbackReturn],
        state: LifecycleState,
        *,
        ending: bool = False,
    ) -> TransitionCallbackReturn:
        """Do a transition; rclpy alone would turn an exception into an error state without a word.

        What begins can be refused, and the node stays what it was. What ends cannot: half of it is
        done, so that the rest is left to ``on_error``.
        """
        try:
            # Publishers are enabled before the first message comes and disabled after the last.
            result = TransitionCallbackReturn.SUCCESS if ending else managed(state)
            step()
            result = managed(state) if ending else result
        except Exception as raised:
            self.failure = error = as_configuration_error(raised)
            refused = isinstance(error, SocialPerceptionError)
            cause = str(error) if refused else f"{type(error).__name__}: {error}"
            shown = cause if refused else f"\n{traceback.format_exc()}"
            self.get_logger().error(f"{self.get_name()} cannot be {done}: {shown}")
            self.health.transition_failed(f"cannot be {done}: {cause}")
            return (
                TransitionCallbackReturn.FAILURE if refused and not ending else TransitionCallbackReturn.ERROR
            )
        self.failure = None
        self.health.transition_succeeded()
        self.get_logger().info(f"{self.get_name()} is {done}")
        return result

    def _try(self, step: Callable[[], None]) -> None:
        """Do a step of cleaning up that must not keep the next one from being done."""
        try:
            step()
        except Exception:
            self.get_logger().error(traceback.format_exc())

    def _load(self) -> None:
        self._loaded, self._has_worked = True, False
        try:
            self.load()
        except Exception:
            self._unload()
            raise

    def _open(self) -> None:
        self._stamps.forget()
        self.health.restart()
        self._offset_reported = False
        if self._has_worked:
            self.restart()
        self.open()
        self._opened = True

    def _close(self) -> None:
        self._opened = False
        while self._timers_of_ours:
            self.destroy_timer(self._timers_of_ours.pop())
        try:
            self.unsubscribe()
        finally:
            self.close()

    def _unload(self) -> None:
        if not self._loaded:
            return
        self._loaded = False
        try:
            self.unload()
        finally:
            release_memory()

    # One message.

    def _run(self, message: Any) -> None:
        def work() -> None:
            self._note_time(message.header.stamp)
            self.health.processed(self.process(message))

        self.guarded(work)

    def guarded(self, work: Callable[[], None]) -> None:
        """Do some work on one message; its failure is reported."""
        try:
            with converted_errors():
                work()
        except SocialPerceptionError as error:
            self.fail(str(error))
        except Exception as error:
            if not self.context.ok():
                return  # the process ends; a publisher that is gone is no failure
            self.health.failed(f"{type(error).__name__}: {error}")
            self.get_logger().error(traceback.format_exc(), throttle_duration_sec=_THROTTLE_S)

    def _note_time(self, stamp: Time, stamps: StampWatch | None = None) -> None:
        """Compare a stamp with those before it: of the input, or of another sender with its own watch.

        Raises:
            MessageError: the message does not follow those before it, and is dropped.
        """
        stamps = self._stamps if stamps is None else stamps
        jump_s = stamps.note(seconds(stamp), self.now_s(), time.monotonic())
        if stamps.stray:
            raise MessageError(stamps.stray)
        if jump_s:
            text = (
                f"header stamps went {'back' if jump_s < 0.0 else 'forward'} by {duration_text(abs(jump_s))}"
            )
            text += ": starting anew" if jump_s < 0.0 else ""
            self.get_logger().warning(text)
            self.health.warned(text)
        if jump_s < 0.0:
            self.restart()
        self._has_worked = True
        if stamps.problem and not self._offset_reported:
            self._offset_reported = True
            self.get_logger().warning(stamps.problem)

    def now_s(self) -> float:
        """The time in s by the node's clock."""
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def _status(self) -> NodeStatus:
        silence, lost, resting, others = "", 0, "", ""
        if self.input is not None:
            lost, others = self.input.lost, self.input.other_publishers()
            silence = self.input.check(self.parameters[NodeConfig].silent_after_s)
        else:
            resting = "idle: nobody subscribes the results" if self._opened else self._state
        return NodeStatus(
            state=self._state,
            resting=resting,
            silence=silence,
            warnings=(self._stamps.problem, others) if not (silence or resting) else (),
            dropped=self.dropped,
            waiting=self.worker.waiting if self.worker is not None else 0,
            lost=lost,
        )

    @property
    def _state(self) -> str:
        # rclpy tells it to services alone.
        machine = getattr(self, "_state_machine", None)
        if machine is not None:
            return str(machine.current_state[1])
        return "active" if self._opened else "inactive" if self._loaded else "unconfigured"
