"""The nodes as programs: they start, say what is wrong, and end cleanly."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from social_perception.core.errors import INVALID_CONFIGURATION as INVALID
from social_perception.core.sound import Sound
from social_perception.ros.support.runner import interruptible
from social_perception.ros.tools.demo import SoundOfFrames
from social_perception.sources import portrait

TIMEOUT_S = 60.0


class Program:
    """A node in a process of its own; its output is read as it comes."""

    def __init__(self, name: str, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        package = "tools" if name == "demo" else "nodes"
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"social_perception.ros.{package}.{name}", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        self.output = ""
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            with self._grown:
                self.output += line
                self._grown.notify()

    def await_output(self, text: str) -> None:
        with self._grown:
            assert self._grown.wait_for(lambda: text in self.output, TIMEOUT_S), self.output

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        status = self._process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return status

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        self._process.stdout.close()


@pytest.fixture
def run():
    programs = []

    def start(*arguments: str) -> Program:
        programs.append(Program(*arguments))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_cleanly_on_a_signal(number, run) -> None:
    program = run("group_affect")
    program.await_output("group_affect is activated")
    program.signal(number)
    assert program.end() == 0, program.output
    assert "Traceback" not in program.output


@pytest.fixture
def _handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_disturb_the_cleaning_up(number) -> None:
    cleaned_up = False
    with interruptible():
        try:
            signal.raise_signal(number)
            pytest.fail("the signal did not interrupt")
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            cleaned_up = True
    assert cleaned_up


@pytest.mark.parametrize(
    ("arguments", "problem", "status"),
    [
        ("group_affect -p window_s:=999.0", r"error: window_s must be in \[0.5, 120\], got 999.0", INVALID),
        ("group_affect -p window_s:=long", "error: window_s must be of type float, got 'long'", INVALID),
        ("group_affect -p window_s:", "error: the arguments for ROS are .*window_s:", INVALID),
        (
            "image_publisher -r image:=no+topic",
            "error: the arguments for ROS are .*no.topic",
            INVALID,
        ),
        (
            "social_perception_all --params-file /nowhere.yaml",
            "error: .*/nowhere.yaml",
            INVALID,
        ),
        ("smile_intensity -p model:=/nowhere.safetensors", "cannot be configured: .*/nowhere", INVALID),
        ("face_tracker -p backend:=magic", "error: .*backend must be one of .*magic", INVALID),
        (
            "face_tracker -r image:=/eye -r camera_info:=/eye",
            "cannot be activated: topic /eye is used for .* and for another type: remap one of them",
            INVALID,
        ),
        ("image_publisher --source /nowhere.mp4", "error: /nowhere.mp4 does not exist", 1),
        ("demo --source /nowhere.mp4", "error: /nowhere.mp4 does not exist", 1),
    ],
)
def test_what_is_wrong_is_reported_in_a_line(arguments, problem, status, run) -> None:
    program = run(*re.sub(" (?=-[pr]|--params)", " --ros-args ", arguments, count=1).split())
    assert program.end() == status, program.output
    assert re.search(problem, program.output), program.output
    assert "Traceback" not in program.output


def test_without_autostart_a_node_waits_for_its_manager(run, ros) -> None:
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    program = run("group_affect", "--ros-args", "-p", "autostart:=false", "-r", f"__ns:={ros.namespace}")
    client = ros.node.create_client(ChangeState, "group_affect/change_state")
    ros.until(client.service_is_ready, "the node's services", TIMEOUT_S)
    assert "configured" not in program.output
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = client.call_async(request)
        ros.until(answer.done)
        assert answer.result().success
    program.await_output("group_affect is activated")
    program.signal(signal.SIGINT)
    assert program.end() == 0


def test_image_publisher_plays_a_folder_to_its_end(run, ros, tmp_path, picture) -> None:
    from PIL import Image as PillowImage
    from sensor_msgs.msg import Image

    from social_perception.ros.support.images import decode

    for index in range(3):
        PillowImage.fromarray(picture).save(tmp_path / f"{index}.png")
    found = []
    ros.node.create_subscription(Image, "camera", found.append, 10)
    program = run(
        "image_publisher", "--source", str(tmp_path), "--topic", "camera", "--rate", "5",
        "--ros-args", "-r", f"__ns:={ros.namespace}",
    )  # fmt: skip
    ros.until(lambda: len(found) == 3, "three pictures", TIMEOUT_S)
    assert program.end() == 0, program.output
    assert (decode(found[0]) == picture).all()
    stamps = [message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 for message in found]
    assert stamps == sorted(stamps)
    assert stamps[2] - stamps[0] >= 0.35


def test_the_demo_reports_who_speaks_in_the_sample(run) -> None:
    program = run("demo", "--source", "sample", "--sound")
    program.await_output("people speaking 1")
    program.signal(signal.SIGINT)
    assert program.end() == 0, program.output
    assert "Traceback" not in program.output


def test_the_demo_reports_a_source_without_sound(run) -> None:
    program = run("demo", "--source", str(Path(portrait.__file__).with_name("portrait.png")), "--sound")
    program.await_output("portrait.png has no sound: nobody is reported to speak or to laugh")


def test_the_sound_of_frames_has_no_gap_until_the_source_jumps() -> None:
    sound = SoundOfFrames()
    for index, shift_s in enumerate([50.0, 50.004, 49.99, 50.01]):
        sound.put(Sound(np.full(160, 0.1, np.float32), 16_000, index / 100), shift_s)
    joined = sound.until(60.0)
    assert (joined.start_s, len(joined.samples), joined.samples.min()) == (50.0, 640, np.float32(0.1))
    assert not len(sound.until(60.0).samples)
    sound.put(Sound(np.ones(160, np.float32), 16_000, 0.0), 51.0)
    assert sound.until(60.0).start_s == 51.0
