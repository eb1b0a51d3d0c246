"""Runs nodes as a program: start, wait, end cleanly."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from social_perception.core.errors import SocialPerceptionError
from social_perception.ros.support.config import NodeConfig
from social_perception.ros.support.reporting import LibraryLog
from social_perception.ros.support.stage import Stage

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_THROTTLE_S = 5.0

NodeFactory = Callable[[], Node]


class Running(NamedTuple):
    """Nodes that spin; ``ended`` is set when they do so no more, and ``errors`` says what ended them."""

    nodes: tuple[Node, ...]
    ended: threading.Event
    errors: list[Exception]


class NotStarted(SocialPerceptionError):  # noqa: N818
    """A node could not be configured or activated; it has said why."""


class Crashed(SocialPerceptionError):  # noqa: N818
    """What rclpy or a callback threw has ended the nodes; launch starts the program anew."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM raise KeyboardInterrupt in here, and end the block quietly.

    Those that follow are ignored, to the end of the program: launch passes on a Ctrl-C that the
    terminal has sent already, and the second must not disturb the cleaning up.
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
def running(factories: Sequence[NodeFactory], args: Sequence[str] | None = None) -> Iterator[Running]:
    """Make the nodes, start them and spin them in a thread.

    Yields:
        The nodes, in the order of the factories.

    Raises:
        SocialPerceptionError: a node cannot be made or started.
    """
    # rclpy's own handlers would take the context away while the nodes still work.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    ended = threading.Event()
    errors: list[Exception] = []
    thread = threading.Thread(target=_spin, args=(executor, ended, errors), name="executor", daemon=True)
    nodes: list[Node] = []
    try:
        for factory in factories:
            nodes.append(factory())
            executor.add_node(nodes[-1])
        with LibraryLog(nodes[0]):
            _autostart(nodes)
            thread.start()
            yield Running(tuple(nodes), ended, errors)
    finally:
        executor.shutdown(timeout_sec=5.0)
        if thread.is_alive():
            thread.join(timeout=5.0)
        # The process ends: five searches of torch's objects for memory to return would outlast the
        # five seconds that launch grants.
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


def raise_errors(program: Running) -> None:
    """Say what has ended the nodes, if anything.

    Raises:
        Crashed: they have ended by an exception.
    """
    for error in program.errors:
        raise Crashed(f"the nodes have ended by {type(error).__name__}: {error}") from error


def exit_status(work: Callable[[], None]) -> int:
    """Do a program's work until it ends or Ctrl-C; a failure becomes one line and the status 1."""
    status = 0
    with interruptible():
        try:
            work()
        except NotStarted:
            status = 1
        except SocialPerceptionError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
    return status


def _spin(executor: SingleThreadedExecutor, ended: threading.Event, errors: list[Exception]) -> None:
    """Spin until the end; a callback that raises costs what it was called for, and not the nodes."""
    try:
        while _goes_on(executor, errors):
            pass
    finally:
        ended.set()


def _goes_on(executor: SingleThreadedExecutor, errors: list[Exception]) -> bool:
    """Spin until the end or an exception; return whether the nodes can go on."""
    try:
        executor.spin()
    except ExternalShutdownException:
        return False
    except Exception as error:
        _tell(executor, traceback.format_exc())
        if _is_free(executor):
            return True
        errors.append(error)
    return False


def _tell(executor: SingleThreadedExecutor, text: str) -> None:
    for node in executor.get_nodes()[:1]:
        node.get_logger().error(f"a callback has failed:\n{text}", throttle_duration_sec=_THROTTLE_S)


def _is_free(executor: SingleThreadedExecutor) -> bool:
    """Whether no callback is locked; rclpy leaves one so, and its node deaf, if it cannot take a message."""
    return all(
        executor.can_execute(each)
        for node in executor.get_nodes()
        for each in (*node.subscriptions, *node.services, *node.timers)
    )


def _autostart(nodes: Sequence[Node]) -> None:
    """Configure all, then activate all: who loads fast does not wait in vain for who loads slowly."""
    stages = [node for node in nodes if isinstance(node, Stage) and node.parameters[NodeConfig].autostart]
    for trigger in (Stage.trigger_configure, Stage.trigger_activate):
        for stage in stages:
            if trigger(stage) != TransitionCallbackReturn.SUCCESS:
                raise NotStarted(f"{stage.get_name()} could not be started")
