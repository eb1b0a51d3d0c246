"""Programs that the check starts, their memory and CPU time, and the services of their nodes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter

from social_perception.core.errors import SocialPerceptionError

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ENDING_S = 30.0

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE


class TimedOut(SocialPerceptionError):  # noqa: N818
    """An expected event did not happen in time."""


def until(condition: Callable[[], Any], what: str, timeout_s: float) -> float:
    """Wait until a condition is true; return the time in s that it took.

    Raises:
        TimedOut: it took longer than ``timeout_s``.
    """
    start_s = time.monotonic()
    while not condition():
        if time.monotonic() - start_s > timeout_s:
            raise TimedOut(f"timed out after {timeout_s:g} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - start_s


class Program:
    """A program in its own process group.

    Args:
        command: with its arguments.
        log: file for its output.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal, as Ctrl-C does, and return the exit status; -SIGKILL if it does not end."""
        if self.running:
            self._process.send_signal(number)
        return self.wait(_ENDING_S)

    def wait(self, timeout_s: float) -> int:
        """Return the exit status; after the timeout, the program and its descendants are killed."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def kill(self) -> None:
        """Kill the program and its descendants with SIGKILL."""
        if self.running:
            for pid in self.descendants():
                _kill(pid)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def descendants(self) -> list[int]:
        """The process ids of its child processes, and of theirs."""
        parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
        found, generation = [], [self._process.pid]
        while generation:
            generation = [pid for pid, parent in parents.items() if parent in generation]
            found += generation
        return found

    def memory_mb(self) -> float:
        """Resident memory of the descendants in MB (1e6 bytes)."""
        page = os.sysconf("SC_PAGE_SIZE") * 1e-6
        return sum(int(_read(pid, "statm").split()[1]) * page for pid in self.descendants())

    def cpu_s(self) -> float:
        """CPU time in s of the descendants."""
        stats = [_read(pid, "stat").rpartition(") ")[2].split() for pid in self.descendants()]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / _TICKS_PER_S


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _read(pid: int, name: str) -> str:
    return Path("/proc", str(pid), name).read_text()


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(") ")[2].split()[1])
    except (OSError, IndexError):
        return 0  # the process has just ended


class Services:
    """Calls services through a node that spins in another thread.

    Args:
        node: owner of the clients.
        timeout_s: maximum time until the response.
    """

    def __init__(self, node: Node, timeout_s: float) -> None:
        self._node, self._timeout_s = node, timeout_s
        self._clients: dict[str, Any] = {}

    def managed_nodes(self, namespace: str) -> list[str]:
        """The full names of the managed nodes of a namespace."""
        ending = "/change_state"
        services = [name for name, _ in self._node.get_service_names_and_types()]
        ours = [name for name in services if name.startswith(namespace + "/") and name.endswith(ending)]
        return sorted(name.removesuffix(ending) for name in ours)

    def change_state(self, node: str, transition: int) -> bool:
        """Request a transition of a node; return whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self._call(ChangeState, f"{node}/change_state", request).success)

    def set_parameter(self, node: str, name: str, value: Any) -> tuple[bool, str]:
        """Set a parameter; return whether it was accepted, and the reason if not."""
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = self._call(SetParameters, f"{node}/set_parameters", request).results[0]
        return bool(result.successful), str(result.reason)

    def _call(self, kind: Any, service: str, request: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self._node.create_client(kind, service)
        client = self._clients[service]
        until(client.service_is_ready, service, self._timeout_s)
        responded = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: responded.set())
        if not responded.wait(self._timeout_s):
            raise TimedOut(f"{service} did not respond within {self._timeout_s:g} s")
        return future.result()
