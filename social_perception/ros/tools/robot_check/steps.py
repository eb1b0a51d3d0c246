"""The steps of the check; each one tests promises of the package on the running nodes."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus

from social_perception.ros.convert import seconds
from social_perception.ros.nodes.image_publisher import FRAME_ID
from social_perception.ros.support.qos import all_reliable, qos_description
from social_perception.ros.tools.robot_check.camera import COLOR, INFO
from social_perception.ros.tools.robot_check.launched import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    Program,
    Services,
    TimedOut,
    until,
)
from social_perception.ros.tools.robot_check.listener import Listener, summary
from social_perception.ros.tools.robot_check.scene import FACE_M, Scene, write_bag

START_S = 120.0
"""Maximum time in s for the nodes to load on a slow and busy machine."""

_RESPONSE_S = 30.0
_IDLE_S = 5.0
_DISCOVERY_S = 3.0
_SAMPLE_S = 0.05
_SILENCE_S = 1.0
"""Time in s after which the nodes report a camera as silent."""
_MAX_IDLE_CPU = 0.1
_GROWTH_MB, _GROWTH_SHARE = 10.0, 0.03
_DEPTH_TOLERANCE_M = 0.1
_SHOWN = 3000
"""Number of characters of a program's output that are shown after a broken promise."""


@dataclass(slots=True)
class Check:
    """The common data of the steps, and their findings.

    Attributes:
        scene: of the camera.
        folder: for files of the check; the scene is saved in it.
        namespace: of the nodes and of the camera's topics.
        listener: spinning in a thread.
        composed: whether all nodes are in one process.
        rate_hz: images per second.
        listen_s: time for which the topics are observed.
        broken: promises that were not kept.
        services: of the nodes.
    """

    scene: Scene
    folder: Path
    namespace: str
    listener: Listener
    composed: bool
    rate_hz: float
    listen_s: float
    broken: list[str] = field(default_factory=list)
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.services = Services(self.listener, _RESPONSE_S)

    def topic(self, name: str) -> str:
        return f"{self.namespace}/{name}"

    def promise(self, text: str, kept: bool, observed: str) -> None:
        """Print a promise and the observation."""
        print(f"  {'ok    ' if kept else 'BROKEN'} {text}: {observed}", flush=True)
        if not kept:
            self.broken.append(text)

    def within(self, text: str, condition: Callable[[], object], limit_s: float) -> bool:
        """Promise that a condition becomes true within a time."""
        try:
            took_s = until(condition, text, limit_s)
        except TimedOut as error:
            self.promise(text, False, str(error))
            return False
        self.promise(text, True, f"after {took_s:.1f} s")
        return True

    def sees_people(self, since_s: float = 0.0) -> bool:
        """Whether the newest GroupAffect has people, in an image of this stamp or a later one."""
        group = self.listener.last(self.topic("group_affect"))
        known = group is not None and not group.stale and group.group_size > 0
        return known and seconds(group.header.stamp) >= since_s

    def is_stale(self) -> bool:
        """Whether the newest GroupAffect is stale."""
        group = self.listener.last(self.topic("group_affect"))
        return group is not None and group.stale


def note(text: str) -> None:
    print(text, flush=True)


@contextmanager
def launched(check: Check, file: str, **arguments: str) -> Iterator[Program]:
    """A launch file in the namespace of the check; its output is shown if a promise was broken."""
    broken_before = len(check.broken)
    values = {
        "namespace": check.namespace,
        "image_topic": check.topic(f"camera/{COLOR}"),
        "camera_info_topic": check.topic(f"camera/{INFO}"),
        "composed": str(check.composed).lower(),
        **arguments,
    }
    command = [
        "ros2",
        "launch",
        "social_perception",
        file,
        *(f"{key}:={value}" for key, value in values.items()),
    ]
    note(f"$ {' '.join(command)}")
    program = Program(command, check.folder / f"{file}.log")
    try:
        yield program
    finally:
        program.kill()
        if len(check.broken) > broken_before:
            note(f"Last output of {file}:\n{program.log.read_text(errors='replace')[-_SHOWN:]}")


@contextmanager
def camera(check: Check) -> Iterator[Program]:
    """The camera of the check, until it is killed."""
    own = ["--ros-args", "-r", f"__ns:={check.topic('camera')}"]
    scene = [str(check.folder), "--rate", str(check.rate_hz)]
    module = "social_perception.ros.tools.robot_check.camera"
    program = Program([sys.executable, "-m", module, *scene, *own], check.folder / "camera.log")
    try:
        yield program
    except TimedOut:
        note(f"Last output of the camera:\n{program.log.read_text(errors='replace')[-_SHOWN:]}")
        raise
    finally:
        program.kill()


def own_camera(check: Check, topic: str) -> None:
    """The images of the robot's own camera arrive, where it publishes."""
    listener = check.listener
    try:
        until(lambda: listener.get_publishers_info_by_topic(topic), topic, _DISCOVERY_S)
    except TimedOut:
        note(f"  nobody publishes on {topic}: not checked")
        return
    publishers = listener.get_publishers_info_by_topic(topic)
    note(f"  {topic}: {qos_description(publishers[0].qos_profile)}")
    subscription = listener.listen(topic, publishers[0].topic_type, reliable=all_reliable(publishers))
    start_s = time.monotonic()
    time.sleep(check.listen_s)
    listener.destroy_subscription(subscription)
    received = listener.topics[topic]
    if received.last is not None and hasattr(received.last, "encoding"):
        image = received.last
        note(f"  {image.width}x{image.height}, {image.encoding}, frame_id {image.header.frame_id}")
    gap_s = received.longest_gap_s(start_s)
    found = f"{received.rate_hz(start_s):.1f} Hz, longest gap {gap_s:.1f} s"
    check.promise("the images of the camera arrive", gap_s < _SILENCE_S, found)


def starting(check: Check) -> None:
    """The nodes start and detect the people."""
    ready = until(lambda: check.listener.count(check.topic("group_affect")), "group_affect", START_S)
    note(f"  the first message of group_affect after {ready:.1f} s")
    # The following steps need people.
    seen = until(check.sees_people, "people are detected", START_S)
    check.promise("people are detected", True, f"{seen:.1f} s later")


def topics(check: Check) -> None:
    """Every topic has messages; print them."""
    start_s, stale = time.monotonic(), 0
    while time.monotonic() < start_s + check.listen_s:
        stale += check.is_stale()
        time.sleep(_SAMPLE_S)
    check.promise("group_affect is not stale", not stale, f"for {stale * _SAMPLE_S:.1f} s")
    values = {pair.key: pair.value for pair in check.listener.status(check.topic("face_tracker")).values}
    counters = ("received", "dropped", "lost")
    note(f"  face_tracker: {', '.join(f'{name} {values[name]}' for name in counters)}")
    for topic, received in sorted(check.listener.topics.items()):
        text = summary(received.kind, received.last) if received.count else "no message"
        rate_hz = received.rate_hz(start_s)
        note(f"  {topic} [{received.kind}] {received.count} messages, {rate_hz:.1f} Hz: {text}")
    for name in ("tracked_faces", "face_affect", "group_affect", "group_dynamics"):
        found = check.listener.topics.get(check.topic(name))
        rate_hz = found.rate_hz(start_s) if found else 0.0
        check.promise(f"{name} is published", rate_hz > 0.0, f"{rate_hz:.1f} Hz")
    faces = check.listener.last(check.topic("face_affect"))
    frame = faces.header.frame_id
    check.promise("the header is the image's", frame == FRAME_ID, f"frame_id {frame}")
    sizes = f"{len(faces.faces)} of {check.scene.people}"
    check.promise("as many people as the library detects", len(faces.faces) == check.scene.people, sizes)


def depth(check: Check) -> None:
    """The positions of the people are those of the depth image."""
    faces = check.listener.last(check.topic("face_affect")).faces
    far = [face.position.z for face in faces]
    right = [abs(z - FACE_M) < _DEPTH_TOLERANCE_M for z in far if not math.isnan(z)]
    seen = ", ".join(f"{z:.2f} m" for z in far)
    check.promise(f"faces are located at {FACE_M:g} m", bool(right) and all(right), seen)


def parameters(check: Check) -> None:
    """Parameters can be changed at run time, or are rejected with a reason."""
    services, tracker = check.services, check.topic("face_tracker")
    tracked = check.topic("tracked_faces")
    # Within one process, crops need no topic; the last value is that of the launch file.
    for value in (check.composed, not check.composed):
        accepted, reason = services.set_parameter(tracker, "publish_crops", value)
        check.promise(f"publish_crops is set to {value}", accepted, reason or "accepted")

        def takes_effect(value: bool = value) -> bool:
            return bool(check.listener.last(tracked).crops) is value

        check.within("  and it takes effect", takes_effect, _RESPONSE_S)
    for name, refused, rule in (
        ("min_iou", 7.0, "out of range"),
        ("detection_interval", -5, "out of range"),
        ("detection_threshold", "low", "must be of type float"),
        ("device", "cpu", "read-only"),
    ):
        accepted, reason = services.set_parameter(tracker, name, refused)
        check.promise(f"{name} {refused} is rejected: {rule}", not accepted and rule in reason, reason)


def camera_lost(check: Check, program: Program) -> None:
    """The nodes report a camera that is killed."""
    tracker = check.topic("face_tracker")
    program.kill()
    check.within("group_affect is stale", check.is_stale, 10.0)

    def reported() -> bool:
        status = check.listener.status(tracker)
        return status is not None and status.level == DiagnosticStatus.ERROR

    if check.within("/diagnostics has an error", reported, 10.0):
        note(f"  {check.listener.status(tracker).message}")


def camera_back(check: Check) -> None:
    """When the camera is back, the nodes resume automatically."""
    info = check.topic(f"camera/{INFO}")
    before = check.listener.count(info)
    until(lambda: check.listener.count(info) > before, "the camera", START_S)
    first_s = seconds(check.listener.last(info).header.stamp)

    check.within("people are detected from its first images on", lambda: check.sees_people(first_s), 20.0)

    def without_error() -> bool:
        status = check.listener.status(check.topic("face_tracker"))
        return bool(status.level != DiagnosticStatus.ERROR)

    check.within("/diagnostics has no error", without_error, 20.0)


def life_cycle(check: Check, program: Program) -> None:
    """Cleanup and activation, twice: memory returns to its level, and inactive nodes use no CPU time."""
    nodes = check.services.managed_nodes(check.namespace)
    note(f"  {', '.join(nodes)}")
    note(f"  active: {program.memory_mb():.0f} MB")
    released, loaded = [], []
    for turn in (1, 2):
        _change(check, nodes, DEACTIVATE)
        used_s, start_s = program.cpu_s(), time.monotonic()
        time.sleep(_IDLE_S)
        share = (program.cpu_s() - used_s) / (time.monotonic() - start_s)
        check.promise(
            f"round {turn}: inactive nodes are idle", share < _MAX_IDLE_CPU, f"{100 * share:.1f} % of a core"
        )
        _change(check, nodes, CLEANUP)
        released.append(program.memory_mb())
        _change(check, nodes, CONFIGURE)
        _change(check, nodes, ACTIVATE)
        since_s = check.listener.get_clock().now().nanoseconds * 1e-9
        again = f"round {turn}: people are detected again"
        check.within(again, functools.partial(check.sees_people, since_s), START_S)
        time.sleep(_IDLE_S)
        loaded.append(program.memory_mb())
        note(f"  round {turn}: cleaned up {released[-1]:.0f} MB, active again {loaded[-1]:.0f} MB")
    for text, (first, second) in (("cleaned up", released), ("active", loaded)):
        grown = second - first
        kept = grown <= _GROWTH_MB + _GROWTH_SHARE * first
        check.promise(f"memory returns to its level ({text})", kept, f"{grown:+.0f} MB from round 1 to 2")


def _change(check: Check, nodes: list[str], transition: int) -> None:
    # The order of the nodes matters only for messages in transit.
    for node in nodes:
        done = check.services.change_state(node, transition)
        if not done:
            check.promise(f"transition {transition} of {node}", False, "rejected")


def ending(check: Check, program: Program) -> None:
    """Ctrl-C ends all processes."""
    start_s = time.monotonic()
    status = program.end()
    check.promise(
        "Ctrl-C ends the launch", status == 0, f"status {status}, {time.monotonic() - start_s:.1f} s"
    )
    output = program.log.read_text(errors="replace")
    died = [line for line in output.splitlines() if "process has died" in line or "Traceback" in line]
    check.promise("every process ended cleanly", not died, "; ".join(died) or "none failed")


def bag(check: Check) -> None:
    """A played bag gives the same kind of results, with the recorded stamps."""
    # Outside the namespace, so that the listener does not subscribe to the images.
    folder, topic = check.folder / "bag", f"{check.namespace}_bag/image_raw"
    count = write_bag(folder, check.scene, topic, check.rate_hz)
    received = check.listener.topics[check.topic("face_affect")]
    before = received.count
    with launched(check, "replay.launch.py", source=str(folder), image_topic=topic) as program:
        status = program.wait(START_S + count / check.rate_hz)
        check.promise("the launch ends with the bag", status == 0, f"status {status}")
    processed = received.count - before
    check.promise("the bag is processed", processed > count / 2, f"{processed} of {count} images")
    if processed:
        check.promise(
            "people are detected in it", len(received.last.faces) > 0, summary(received.kind, received.last)
        )
        note(f"  the last stamp is {seconds(received.last.header.stamp):.3f} s")
