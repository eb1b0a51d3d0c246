"""Runs nodes as a program: starts them, waits, and ends cleanly."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from social_perception.core.errors import INVALID_CONFIGURATION, PERMANENT, SocialPerceptionError
from social_perception.ros.support.config import NodeConfig
from social_perception.ros.support.executor import NodeExecutor, PartExecutor
from social_perception.ros.support.rclpy_errors import converted_argument_errors, converted_errors
from social_perception.ros.support.reporting import LibraryLog
from social_perception.ros.support.resources import keep_freed_memory
from social_perception.ros.support.stage import Stage

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_THROTTLE_S = 5.0

NodeFactory = Callable[[], Node]
AnyNode = TypeVar("AnyNode", bound=Node)


@dataclass(frozen=True, slots=True)
class Running(Generic[AnyNode]):
    """Spinning nodes; ``ended`` is set when they stop, ``errors`` has the exceptions that stopped them."""

    nodes: tuple[AnyNode, ...]
    ended: threading.Event
    errors: list[Exception]


class NotStarted(SocialPerceptionError):  # noqa: N818
    """A node could not be configured or activated; it has logged the reason."""


class Crashed(SocialPerceptionError):  # noqa: N818
    """An exception of rclpy or of a callback has stopped the nodes; launch restarts the program."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM raise KeyboardInterrupt inside the block, and end it quietly.

    All further ones are ignored until the program ends: launch forwards a Ctrl-C that the terminal has
    already sent, and the second one must not interrupt the cleanup.
    """

    def interrupt(*unused: object) -> None:
        for number in _ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDING_SIGNALS}
    with contextlib.suppress(KeyboardInterrupt):
        yield
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def running(
    factories: Sequence[Callable[[], AnyNode]], args: Sequence[str] | None = None
) -> Iterator[Running[AnyNode]]:
    """Construct the nodes, start them and spin them in threads.

    Yields:
        The nodes, in the order of the factories.

    Raises:
        SocialPerceptionError: a node cannot be constructed or started.
    """
    keep_freed_memory()
    # rclpy's own handlers would shut the context down while the nodes are still working.
    with converted_argument_errors():
        rclpy.init(args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO)
    executor = NodeExecutor()
    ended = threading.Event()
    errors: list[Exception] = []
    threads = [
        threading.Thread(target=_spin, args=(each, ended, errors), name=name, daemon=True)
        for name, each in {"executor": executor.frequent, "services": executor}.items()
    ]
    nodes: list[AnyNode] = []
    try:
        for factory in factories:
            with converted_errors():
                nodes.append(factory())
            executor.add_node(nodes[-1])
        with LibraryLog(nodes[0]):
            _autostart(nodes)
            for thread in threads:
                thread.start()
            yield Running(tuple(nodes), ended, errors)
    finally:
        executor.shutdown(timeout_sec=5.0)
        for thread in threads:
            if thread.is_alive():
                thread.join(timeout=5.0)
        # The process ends: searching torch's objects for garbage when each node is destroyed would take
        # longer than the five seconds that launch allows.
        gc.freeze()
        for node in reversed(nodes):
            node.destroy_node()
        rclpy.try_shutdown()


def run(factories: Sequence[NodeFactory], args: Sequence[str] | None = None) -> int:
    """Run the nodes until Ctrl-C; return the exit status."""

    def wait() -> None:
        with running(factories, args) as program:
            program.ended.wait()
            raise_errors(program)

    return exit_status(wait)


def raise_errors(program: Running[AnyNode]) -> None:
    """Raise the exception that has stopped the nodes, if there is one.

    Raises:
        Crashed: an exception has stopped them.
    """
    for error in program.errors:
        raise Crashed(f"the nodes were stopped by {type(error).__name__}: {error}") from error


def exit_status(work: Callable[[], None]) -> int:
    """Run a program until it ends or Ctrl-C; an error becomes a line on stderr.

    Returns:
        0, or 1 after an error, or INVALID_CONFIGURATION if the program would fail again.
    """
    cause: BaseException | None = None
    with interruptible():
        try:
            with converted_errors():
                work()
        except NotStarted as error:
            cause = error.__cause__ or error
        except SocialPerceptionError as error:
            print(f"error: {error}", file=sys.stderr)
            cause = error
    if cause is None:
        return 0
    return INVALID_CONFIGURATION if isinstance(cause, PERMANENT) else 1


def _spin(executor: PartExecutor, ended: threading.Event, errors: list[Exception]) -> None:
    """Spin until the end; an exception in a callback does not stop the nodes."""
    try:
        while _spin_once_more(executor, errors):
            pass
    finally:
        ended.set()


def _spin_once_more(executor: PartExecutor, errors: list[Exception]) -> bool:
    """Spin until the end or an exception; return whether the nodes can continue."""
    try:
        executor.spin()
    except ExternalShutdownException:
        return False
    except Exception as error:
        _log(executor, traceback.format_exc())
        if executor.can_continue():
            return True
        errors.append(error)
    return False


def _log(executor: PartExecutor, text: str) -> None:
    for node in executor.get_nodes()[:1]:
        node.get_logger().error(f"a callback failed:\n{text}", throttle_duration_sec=_THROTTLE_S)


def _autostart(nodes: Sequence[Node]) -> None:
    """Configure all nodes before any is activated, so that none times out while another one still loads."""
    stages = [node for node in nodes if isinstance(node, Stage) and node.parameters[NodeConfig].autostart]
    for trigger in (Stage.trigger_configure, Stage.trigger_activate):
        for stage in stages:
            if trigger(stage) != TransitionCallbackReturn.SUCCESS:
                raise NotStarted(f"{stage.get_name()} could not be started") from stage.failure
