"""The steps of the check; each tries a promise of the package on the running nodes."""

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
from social_perception.ros.tools.robot_check.bag import write_bag
from social_perception.ros.tools.robot_check.camera import COLOR, INFO
from social_perception.ros.tools.robot_check.launched import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    NothingCame,
    Program,
    Services,
    until,
)
from social_perception.ros.tools.robot_check.listener import Listener, summary
from social_perception.ros.tools.robot_check.scene import FACE_M, Scene

START_S = 120.0
"""Time in s that nodes have to load, on a slow and busy machine."""

_ANSWER_S = 30.0
_IDLE_S = 5.0
_MOST_IDLE = 0.1
_GROWTH_MB, _GROWTH_SHARE = 10.0, 0.03
_DEPTH_TOLERANCE_M = 0.1
_SHOWN = 3000
"""Characters of a program's output."""


@dataclass(slots=True)
class Check:
    """What the steps share, and what they found.

    Attributes:
        scene: what the camera shows.
        folder: for files of the check; the scene is saved in it.
        namespace: of the nodes and of the camera's topics.
        listener: spins in a thread.
        composed: whether all nodes are in one process.
        rate_hz: images per second.
        listen_s: how long the topics are listened to.
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
        self.services = Services(self.listener, _ANSWER_S)

    def topic(self, name: str) -> str:
        return f"{self.namespace}/{name}"

    def promise(self, text: str, kept: bool, seen: str) -> None:
        """Print a promise and what was seen of it."""
        print(f"  {'ok    ' if kept else 'BROKEN'} {text}: {seen}", flush=True)
        if not kept:
            self.broken.append(text)

    def within(self, text: str, condition: Callable[[], object], limit_s: float) -> bool:
        """Promise that something happens within a time."""
        try:
            took_s = until(condition, text, limit_s)
        except NothingCame as error:
            self.promise(text, False, str(error))
            return False
        self.promise(text, True, f"after {took_s:.1f} s")
        return True

    def sees_people(self, since_s: float = 0.0) -> bool:
        """Whether the newest GroupAffect tells of people in an image of this stamp or a later one."""
        group = self.listener.last(self.topic("group_affect"))
        known = group is not None and not group.stale and group.group_size > 0
        return known and seconds(group.header.stamp) >= since_s

    def sees_nobody_now(self) -> bool:
        """Whether the newest GroupAffect is out of date, and says so."""
        group = self.listener.last(self.topic("group_affect"))
        return group is not None and group.stale


def note(text: str) -> None:
    print(text, flush=True)


@contextmanager
def launched(check: Check, file: str, **arguments: str) -> Iterator[Program]:
    """A launch file, in the namespace of the check; what it said is shown if a promise broke."""
    broken_before = len(check.broken)
    given = {
        "namespace": check.namespace,
        "image_topic": check.topic(f"camera/{COLOR}"),
        "camera_info_topic": check.topic(f"camera/{INFO}"),
        "composed": str(check.composed).lower(),
        **arguments,
    }
    command = ["ros2", "launch", "social_perception", file, *(f"{key}:={given[key]}" for key in given)]
    note(f"$ {' '.join(command)}")
    program = Program(command, check.folder / f"{file}.log")
    try:
        yield program
    finally:
        program.kill()
        if len(check.broken) > broken_before:
            note(f"What {file} said last:\n{program.log.read_text(errors='replace')[-_SHOWN:]}")


@contextmanager
def camera(check: Check) -> Iterator[Program]:
    """The camera of the check, until it is killed."""
    own = ["--ros-args", "-r", f"__ns:={check.topic('camera')}"]
    scene = [str(check.folder), "--rate", str(check.rate_hz)]
    module = "social_perception.ros.tools.robot_check.camera"
    program = Program([sys.executable, "-m", module, *scene, *own], check.folder / "camera.log")
    try:
        yield program
    except NothingCame:
        note(f"What the camera said last:\n{program.log.read_text(errors='replace')[-_SHOWN:]}")
        raise
    finally:
        program.kill()


def starting(check: Check) -> None:
    """The nodes come up and see the people."""
    ready = until(lambda: check.listener.count(check.topic("group_affect")), "group_affect", START_S)
    note(f"  the first word of group_affect came after {ready:.1f} s")
    # Without people there is nothing more to check.
    seen = until(check.sees_people, "people are seen", START_S)
    check.promise("people are seen", True, f"{seen:.1f} s later")


def topics(check: Check) -> None:
    """Every topic speaks; print what it says."""
    begun_s = time.monotonic()
    time.sleep(check.listen_s)
    for topic, heard in sorted(check.listener.topics.items()):
        said = summary(heard.kind, heard.last) if heard.count else "nothing"
        note(f"  {topic} [{heard.kind}] {heard.count} messages, {heard.rate_hz(begun_s):.1f} Hz: {said}")
    for name in ("tracked_faces", "face_affect", "group_affect", "group_dynamics"):
        heard = check.listener.topics.get(check.topic(name))
        rate_hz = heard.rate_hz(begun_s) if heard else 0.0
        check.promise(f"{name} speaks", rate_hz > 0.0, f"{rate_hz:.1f} Hz")
    faces = check.listener.last(check.topic("face_affect"))
    frame = faces.header.frame_id
    check.promise("the header is the image's", frame == FRAME_ID, f"frame_id {frame}")
    sizes = f"{len(faces.faces)} of {check.scene.people}"
    check.promise("as many people as the library finds", len(faces.faces) == check.scene.people, sizes)


def depth(check: Check) -> None:
    """The people stand where the depth image has them."""
    faces = check.listener.last(check.topic("face_affect")).faces
    far = [face.position.z for face in faces]
    right = [abs(z - FACE_M) < _DEPTH_TOLERANCE_M for z in far if not math.isnan(z)]
    seen = ", ".join(f"{z:.2f} m" for z in far)
    check.promise(f"faces at {FACE_M:g} m are found there", bool(right) and all(right), seen)


def parameters(check: Check) -> None:
    """Parameters change while the nodes run, or are refused with a reason."""
    services, tracker = check.services, check.topic("face_tracker")
    tracked = check.topic("tracked_faces")
    # In one process the crops need no topic; in the end it is again as it was launched.
    for value in (check.composed, not check.composed):
        accepted, reason = services.set_parameter(tracker, "publish_crops", value)
        check.promise(f"publish_crops is set to {value}", accepted, reason or "accepted")

        def takes_effect(value: bool = value) -> bool:
            return bool(check.listener.last(tracked).crops) is value

        check.within("  and it takes effect", takes_effect, _ANSWER_S)
    for name, value in (
        ("min_iou", 7.0),
        ("min_face_px", -5),
        ("detection_threshold", "low"),
        ("device", "cpu"),
    ):
        accepted, reason = services.set_parameter(tracker, name, value)
        check.promise(f"{name} {value} is refused with a reason", not accepted and bool(reason), reason)


def camera_lost(check: Check, program: Program) -> None:
    """A camera that is killed is noticed by who needs to know."""
    tracker = check.topic("face_tracker")
    program.kill()
    check.within("group_affect is stale", check.sees_nobody_now, 10.0)

    def reported() -> bool:
        status = check.listener.status(tracker)
        return status is not None and status.level == DiagnosticStatus.ERROR

    if check.within("/diagnostics tells of an error", reported, 10.0):
        note(f"  {check.listener.status(tracker).message}")


def camera_back(check: Check) -> None:
    """When the camera is back, all goes on by itself."""
    info = check.topic(f"camera/{INFO}")
    before = check.listener.count(info)
    until(lambda: check.listener.count(info) > before, "the camera", START_S)
    first_s = seconds(check.listener.last(info).header.stamp)

    check.within("from its first images on, people are seen", lambda: check.sees_people(first_s), 20.0)

    def well() -> bool:
        status = check.listener.status(check.topic("face_tracker"))
        return status.level != DiagnosticStatus.ERROR

    check.within("/diagnostics tells of no error any more", well, 20.0)


def life_cycle(check: Check, program: Program) -> None:
    """Twice to unconfigured and back: memory returns to its level, and nothing is used meanwhile."""
    nodes = check.services.managed_nodes(check.namespace)
    note(f"  {', '.join(nodes)}")
    note(f"  active: {program.memory_mb():.0f} MB")
    released, loaded = [], []
    for turn in (1, 2):
        _change(check, nodes, DEACTIVATE)
        used_s, begun_s = program.processor_s(), time.monotonic()
        time.sleep(_IDLE_S)
        share = (program.processor_s() - used_s) / (time.monotonic() - begun_s)
        check.promise(
            f"round {turn}: inactive nodes rest", share < _MOST_IDLE, f"{100 * share:.1f} % of a core"
        )
        _change(check, nodes, CLEANUP)
        released.append(program.memory_mb())
        _change(check, nodes, CONFIGURE)
        _change(check, nodes, ACTIVATE)
        since_s = check.listener.get_clock().now().nanoseconds * 1e-9
        again = f"round {turn}: people are seen again"
        check.within(again, functools.partial(check.sees_people, since_s), START_S)
        time.sleep(_IDLE_S)
        loaded.append(program.memory_mb())
        note(f"  round {turn}: cleaned up {released[-1]:.0f} MB, active again {loaded[-1]:.0f} MB")
    for text, (first, second) in (("cleaned up", released), ("active", loaded)):
        grown = second - first
        kept = grown <= _GROWTH_MB + _GROWTH_SHARE * first
        check.promise(f"memory is back at its level ({text})", kept, f"{grown:+.0f} MB from round 1 to 2")


def _change(check: Check, nodes: list[str], transition: int) -> None:
    # Who listens comes first to life and ends last; the order matters only to what is lost on the way.
    for node in nodes:
        done = check.services.change_state(node, transition)
        if not done:
            check.promise(f"transition {transition} of {node}", False, "refused")


def ending(check: Check, program: Program) -> None:
    """Ctrl-C ends all."""
    begun_s = time.monotonic()
    status = program.end()
    check.promise(
        "Ctrl-C ends the launch", status == 0, f"status {status}, {time.monotonic() - begun_s:.1f} s"
    )
    said = program.log.read_text(errors="replace")
    died = [line for line in said.splitlines() if "process has died" in line or "Traceback" in line]
    check.promise("every process ended cleanly", not died, "; ".join(died) or "none died")


def bag(check: Check) -> None:
    """A bag that is played gives the same kind of results, with the stamps that were recorded."""
    # Outside of the namespace: the player begins when somebody listens, and that shall be face_tracker.
    folder, topic = check.folder / "bag", f"{check.namespace}_bag/image_raw"
    count = write_bag(folder, check.scene, topic, check.rate_hz)
    heard = check.listener.topics[check.topic("face_affect")]
    before = heard.count
    with launched(check, "replay.launch.py", source=str(folder), image_topic=topic) as program:
        status = program.wait(START_S + count / check.rate_hz)
        check.promise("the launch ends with the bag", status == 0, f"status {status}")
    came = heard.count - before
    check.promise("what was played was worked on", came > count / 2, f"{came} of {count} images")
    if came:
        check.promise("people are seen in it", len(heard.last.faces) > 0, summary(heard.kind, heard.last))
        note(f"  the last stamp is {seconds(heard.last.header.stamp):.3f} s")
