"""The launched nodes with security, for real: who has an enclave does what it may, and nobody else anything.

Needs sros2, and a middleware that was built with DDS security.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="needs ros2 launch")
pytest.importorskip("social_perception.msg", reason="needs the messages: build the package and source it")

LAUNCH = Path(__file__).parents[2] / "launch" / "group_smile.launch.py"
PEER = Path(__file__).with_name("secured_peer.py")
NAMESPACE, IMAGES = "/secured", "/secured_camera/image_raw"
TIMEOUT_S = 90.0
ENOUGH = 30
"""Messages of group_affect, at 10 Hz, in which others would have received something, too."""

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch"),
]


def environment(**others: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ROS_SECURITY_")}
    return {**plain, "PYTHONUNBUFFERED": "1", **others}


@pytest.fixture(scope="module")
def keystore(tmp_path_factory) -> Path:
    pytest.importorskip("sros2", reason="sros2 is not installed (apt install ros-$ROS_DISTRO-sros2)")
    from social_perception.ros.security import make_keystore

    folder = tmp_path_factory.mktemp("security") / "keys"
    names = ["--namespace", NAMESPACE, "--image-topic", IMAGES, "--domain-id", os.environ["ROS_DOMAIN_ID"]]
    assert make_keystore.main([str(folder), *names]) == 0
    return folder


@pytest.fixture(scope="module")
def secured(keystore) -> dict[str, str]:
    """The environment of who may take part; skips where the middleware knows no security."""
    given = environment(
        ROS_SECURITY_ENABLE="true", ROS_SECURITY_STRATEGY="Enforce", ROS_SECURITY_KEYSTORE=str(keystore)
    )
    code = f"import rclpy; rclpy.init(); rclpy.create_node('consumer', namespace={NAMESPACE!r})"
    command = [sys.executable, "-c", code]
    override = {"ROS_SECURITY_ENCLAVE_OVERRIDE": "/social_perception/consumer"}
    run = subprocess.run(command, env={**given, **override}, capture_output=True, text=True, check=False)
    if run.returncode:
        reported = run.stderr.strip().splitlines()[-1]
        pytest.skip(f"the middleware is built without DDS security: {reported}")
    return given


class Program:
    """A process; its output is kept, and with it its children end."""

    def __init__(self, *command: str, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.output = ""
        self.state: dict = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._process.stdout as lines:
            for line in lines:
                self.output += line
                if line.startswith("{"):
                    self.state = json.loads(line)

    def wait(self) -> int:
        status = self._process.wait(TIMEOUT_S)
        self._reader.join(20.0)
        return status

    def end(self) -> None:
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(20.0)
        self._reader.join(20.0)


def until(condition, what: str) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {TIMEOUT_S:g} s for: {what}"
        time.sleep(0.1)


def enclave(name: str) -> list[str]:
    return ["--ros-args", "--enclave", f"/social_perception/{name}"]


def peer(name: str, env: dict[str, str], *arguments: str) -> Program:
    return Program(sys.executable, str(PEER), NAMESPACE, IMAGES, name, *arguments, env=env)


@pytest.fixture(scope="module", params=["true", "false"], ids=["composed", "separate"])
def network(request, keystore, secured) -> Iterator[tuple[Program, Program, Program]]:
    """The nodes with their enclaves on the sample, the planner with its own, and a stranger without."""
    given = {
        "security": "true",
        "keystore": str(keystore),
        "namespace": NAMESPACE,
        "image_topic": IMAGES,
        "composed": request.param,
        "device": "cpu",
    }
    arguments = [f"{name}:={value}" for name, value in given.items()]
    play = ["image_publisher", "--source", "sample", "--loop", "--wait", "60", "--topic", IMAGES]
    place = ["-r", f"__ns:={NAMESPACE}"]
    with contextlib.ExitStack() as running:

        def start(program: Program) -> Program:
            running.callback(program.end)
            return program

        # Without security in its own environment: the launch argument alone must do.
        nodes = start(Program("ros2", "launch", str(LAUNCH), *arguments, env=environment()))
        module = f"social_perception.ros.nodes.{play[0]}"
        start(Program(sys.executable, "-m", module, *play[1:], *enclave(play[0]), *place, env=secured))
        planner = start(peer("consumer", secured, *enclave("consumer")))
        stranger = start(peer("stranger", environment()))
        until(lambda: planner.state.get("people"), f"people of the sample; {nodes.output[-3000:]}")
        until(lambda: stranger.state, "the stranger listens")
        before = planner.state["group"]
        until(lambda: planner.state["group"] >= before + ENOUGH, "more of the group")
        yield nodes, planner, stranger


def test_the_planner_hears_the_group_and_the_people(network) -> None:
    _, planner, _ = network
    assert planner.state["group"] >= ENOUGH
    assert planner.state["people"] > 0


def test_the_planner_sees_no_image(network) -> None:
    _, planner, _ = network
    assert planner.state["images"] == 0
    assert [each for each in planner.state["refused"] if each.startswith("read images")]


def test_the_planner_cannot_say_how_the_group_feels(network) -> None:
    _, planner, _ = network
    assert [each for each in planner.state["refused"] if each.startswith("write group_affect")]


def test_a_stranger_neither_receives_nor_sees_nor_sends(network) -> None:
    _, planner, stranger = network
    assert stranger.state["refused"] == [], "nothing keeps it from trying"
    received = {name: stranger.state[name] for name in ("group", "people", "images")}
    assert received == {"group": 0, "people": 0, "images": 0}
    assert stranger.state["others"] == []
    assert stranger.state["forged"] > 0, "it hears itself"
    assert planner.state["forged"] == 0


def test_the_nodes_say_nothing_of_refused_topics(network) -> None:
    nodes, _, _ = network
    assert "cannot be" not in nodes.output
    assert "Traceback" not in nodes.output


def test_who_asks_for_security_without_an_enclave_does_not_start(secured) -> None:
    nobody = peer("nobody", secured, *enclave("nobody"))
    assert nobody.wait() != 0
    assert "SECURITY ERROR" in nobody.output
