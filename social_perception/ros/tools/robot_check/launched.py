"""Programs that the check starts, their memory and processor time, and the services of their nodes."""

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


class NothingCame(SocialPerceptionError):  # noqa: N818
    """What the check waited for did not happen."""


def until(condition: Callable[[], Any], what: str, timeout_s: float) -> float:
    """Wait until a condition holds; return the time in s that it took.

    Raises:
        NothingCame: it took longer than ``timeout_s``.
    """
    begun_s = time.monotonic()
    while not condition():
        if time.monotonic() - begun_s > timeout_s:
            raise NothingCame(f"waited {timeout_s:g} s in vain for: {what}")
        time.sleep(0.02)
    return time.monotonic() - begun_s


class Program:
    """A program in a process group of its own; what it says goes to a file.

    Args:
        command: with its arguments.
        log: file for what it says.
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
        """Return the exit status; it is killed with all it has started if it does not end by itself."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def kill(self) -> None:
        """Kill it and all that it has started, without a chance to say good-bye."""
        if self.running:
            for pid in self.offspring():
                _kill(pid)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def offspring(self) -> list[int]:
        """The processes that it has started, and theirs."""
        parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
        found, generation = [], [self._process.pid]
        while generation:
            generation = [pid for pid, parent in parents.items() if parent in generation]
            found += generation
        return found

    def memory_mb(self) -> float:
        """Resident memory of the processes that it has started, in MB (1e6 bytes)."""
        page = os.sysconf("SC_PAGE_SIZE") * 1e-6
        return sum(int(_read(pid, "statm").split()[1]) * page for pid in self.offspring())

    def processor_s(self) -> float:
        """Processor time in s that the processes it has started have used."""
        stats = [_read(pid, "stat").rpartition(") ")[2].split() for pid in self.offspring()]
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
        return 0  # it has just ended


class Services:
    """Calls services with a node that spins elsewhere.

    Args:
        node: that calls.
        timeout_s: longest time for an answer.
    """

    def __init__(self, node: Node, timeout_s: float) -> None:
        self._node, self._timeout_s = node, timeout_s
        self._clients: dict[str, Any] = {}

    def managed_nodes(self, namespace: str) -> list[str]:
        """The nodes of a namespace that have a life cycle, by their full names."""
        ending = "/change_state"
        services = [name for name, _ in self._node.get_service_names_and_types()]
        ours = [name for name in services if name.startswith(namespace + "/") and name.endswith(ending)]
        return sorted(name.removesuffix(ending) for name in ours)

    def change_state(self, node: str, transition: int) -> bool:
        """Ask a node for a transition; return whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self._call(ChangeState, f"{node}/change_state", request).success)

    def set_parameter(self, node: str, name: str, value: Any) -> tuple[bool, str]:
        """Set a parameter; return whether that was accepted, and the reason if not."""
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = self._call(SetParameters, f"{node}/set_parameters", request).results[0]
        return bool(result.successful), str(result.reason)

    def _call(self, kind: Any, service: str, request: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self._node.create_client(kind, service)
        client = self._clients[service]
        until(client.service_is_ready, service, self._timeout_s)
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(self._timeout_s):
            raise NothingCame(f"{service} did not answer within {self._timeout_s:g} s")
        return future.result()
