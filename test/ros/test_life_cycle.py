"""What every node does alike through its life cycle: nothing is left over, errors are reported and fixed."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from std_msgs.msg import Header

from social_perception.core.errors import ModelError, SourceError
from social_perception.ros.nodes.affect_dashboard import AffectDashboardNode
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.nodes.sound_events import SoundEventsNode
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.resources import resident_mb
from social_perception.ros.support.stage import Stage


def no_microphone(*unused, **options):
    raise SourceError("no microphone")


KINDS = {
    FaceTrackerNode: {"backend": "mmod-torch", "device": "cpu"},
    SmileIntensityNode: {"device": "cpu", "sound": True},
    GroupAffectNode: {"sound": True},
    functools.partial(SoundEventsNode, open_microphone=no_microphone): {},
    AffectOverlayNode: {},
    AffectMarkersNode: {},
    AffectDashboardNode: {"port": 0},
}
QUICK = {"diagnostics_period_s": 0.1}


class Fragile(Stage):
    """A node whose steps fail as asked."""

    task = "tests"

    def __init__(self, **options) -> None:
        self.failing: dict[str, Exception] = {}
        self.done: list[str] = []
        super().__init__("fragile", (), **options)

    def _step(self, name: str) -> None:
        self.done.append(name)
        if name in self.failing:
            raise self.failing[name]

    def load(self) -> None:
        self.publisher = self.create_lifecycle_publisher(Header, "out", 1)
        self._step("load")

    def open(self) -> None:
        self.subscribe(Header, "in", 1, noun="headers", origin="the test", in_worker=True)
        self._step("open")

    def close(self) -> None:
        self._step("close")

    def unload(self) -> None:
        self.destroy_lifecycle_publisher(self.publisher)
        self._step("unload")


def state_of(ros, node) -> int:
    """As ros2 lifecycle get asks for it."""
    client = ros.node.create_client(GetState, f"{node.get_name()}/get_state")
    ros.until(client.service_is_ready)
    answer = client.call_async(GetState.Request())
    ros.until(answer.done)
    return answer.result().current_state.id


def threads() -> set[str]:
    return {each.name for each in threading.enumerate()}


def inputs(node) -> set[str]:
    """What a node subscribes beside what rclpy subscribes itself."""
    return {each.topic_name for each in node.subscriptions} - {"/parameter_events", "/clock"}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_runs_on_in_an_inactive_node(kind, ros) -> None:
    before = threads()
    node = ros.create(kind, KINDS[kind])
    timers, publishers = len([*node.timers]), len([*node.publishers])
    for _ in range(2):
        assert node.trigger_configure().name == "SUCCESS"
        assert node.trigger_activate().name == "SUCCESS"
        assert node.trigger_deactivate().name == "SUCCESS"
        assert (len([*node.timers]), inputs(node)) == (timers, set()), "only the reports go on"
        if kind not in (FaceTrackerNode, AffectDashboardNode):  # their detector and server stay loaded
            assert threads() == before
        assert node.trigger_cleanup().name == "SUCCESS"
        assert threads() == before
        assert len([*node.publishers]) == publishers
    assert timers == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_shut_down_node_leaves_nothing(kind, ros) -> None:
    before = threads()
    node = ros.start(kind, KINDS[kind])
    assert node.trigger_shutdown().name == "SUCCESS"
    assert state_of(ros, node) == State.PRIMARY_STATE_FINALIZED
    assert (threads(), inputs(node)) == (before, set())


@pytest.mark.parametrize(
    ("error", "cause"),
    [(ModelError("weights.dat is missing"), "weights.dat is missing"), (OSError("bug"), "OSError: bug")],
)
@pytest.mark.parametrize(
    ("step", "verb", "refused_in"),
    [
        ("load", "configured", State.PRIMARY_STATE_UNCONFIGURED),
        ("open", "activated", State.PRIMARY_STATE_INACTIVE),
        ("close", "deactivated", None),
        ("unload", "cleaned up", None),
    ],
)
def test_a_failing_step_is_reported_and_the_node_works_again(
    step, verb, refused_in, error, cause, ros, capfd
) -> None:
    node = ros.create(Fragile, QUICK)
    statuses = ros.statuses(node)
    triggers = {
        "load": node.trigger_configure,
        "open": node.trigger_activate,
        "close": node.trigger_deactivate,
        "unload": node.trigger_cleanup,
    }
    node.failing[step] = error
    for name, trigger in triggers.items():
        result = trigger().name
        if name == step:
            break
        assert result == "SUCCESS"
    refused = refused_in is not None and isinstance(error, ModelError)
    assert result == ("FAILURE" if refused else "ERROR")
    assert state_of(ros, node) == (refused_in if refused else State.PRIMARY_STATE_UNCONFIGURED)
    ros.until(
        lambda: any(
            status.level == DiagnosticStatus.ERROR and status.message == f"cannot be {verb}: {cause}"
            for status in statuses
        ),
        "the cause on /diagnostics",
    )
    assert f"fragile cannot be {verb}" in capfd.readouterr().err
    assert (inputs(node), node.worker) == (set(), None)
    node.failing.clear()
    if state_of(ros, node) == State.PRIMARY_STATE_UNCONFIGURED:
        assert node.trigger_configure().name == "SUCCESS"
    assert not node.publisher.is_activated
    assert node.trigger_activate().name == "SUCCESS"
    assert node.publisher.is_activated
    statuses.clear()
    ros.until(lambda: statuses and statuses[-1].level == DiagnosticStatus.OK, "the error is over")
    last_error = {pair.key: pair.value for pair in statuses[-1].values}["last error"]
    assert last_error == f"cannot be {verb}: {cause}"


def test_a_node_that_cannot_be_cleaned_up_is_left_by_all_steps(ros) -> None:
    node = ros.start(Fragile)
    node.failing = {"close": OSError("bug"), "unload": OSError("bug")}
    assert node.trigger_deactivate().name == "ERROR"
    assert state_of(ros, node) == State.PRIMARY_STATE_UNCONFIGURED
    assert node.done[-3:] == ["close", "close", "unload"], "on_error goes on where one step fails"


def test_a_transition_that_is_not_possible_is_refused_without_harm(ros) -> None:
    node = ros.create(Fragile)
    assert node.trigger_activate().name == "ERROR"
    assert state_of(ros, node) == State.PRIMARY_STATE_UNCONFIGURED
    assert node.done == []


@pytest.mark.parametrize(("set_up", "reported"), [([], "unconfigured"), (["configure"], "inactive")])
def test_a_node_that_waits_is_no_problem(set_up, reported, ros) -> None:
    node = ros.create(Fragile, QUICK)
    for name in set_up:
        getattr(node, f"trigger_{name}")()
    statuses = ros.statuses(node)
    ros.until(lambda: statuses)
    assert (statuses[-1].level, statuses[-1].message) == (DiagnosticStatus.OK, reported)
    assert {pair.key: pair.value for pair in statuses[-1].values}["state"] == reported


def test_missing_weights_can_be_put_right_while_the_node_waits(ros, tmp_path) -> None:
    from social_perception.perception.smile.networks import SmileNetwork
    from social_perception.perception.smile.weights import save_network

    weights = tmp_path / "smile.safetensors"
    node = ros.create(SmileIntensityNode, {"model": str(weights), "device": "cpu", **QUICK})
    statuses = ros.statuses(node)
    assert node.trigger_configure().name == "FAILURE"
    ros.until(lambda: statuses and str(weights) in statuses[-1].message)
    assert statuses[-1].level == DiagnosticStatus.ERROR
    assert state_of(ros, node) == State.PRIMARY_STATE_UNCONFIGURED
    save_network(SmileNetwork(), weights, {})
    assert node.trigger_configure().name == "SUCCESS"
    assert node.trigger_activate().name == "SUCCESS"
    values = {}

    def reports_its_network():
        values.update({pair.key: pair.value for pair in statuses[-1].values})
        return values["state"] == "active" and values["precision"] in ("float32", "bfloat16")

    ros.until(reports_its_network)
    assert (values["device"], statuses[-1].hardware_id) == ("cpu", "cpu")
    assert float(values["memory of the process (MB)"]) > 20.0


def test_a_node_that_is_activated_again_begins_anew(ros) -> None:
    node = ros.start(GroupAffectNode, {"publish_rate_hz": 50.0})
    found = ros.collect(GroupAffectMessage, "group_affect")
    header = Header(stamp=ros.stamp(0.0), frame_id="camera")
    message = FaceAffectArray(header=header, image_width=64, image_height=48)
    ros.publisher(FaceAffectArray, "face_affect").publish(message)
    ros.until(lambda: any(each.header.frame_id == "camera" for each in found), "the group of the image")
    assert node.trigger_deactivate().name == "SUCCESS"
    assert node.trigger_activate().name == "SUCCESS"
    # What was seen before is not reported as news.
    ros.until(lambda: found[-1].header.frame_id == "", "the group of nobody")


def test_what_is_done_again_and_again_is_guarded(ros) -> None:
    node = ros.start(Fragile, {"silent_after_s": 60.0, **QUICK})
    statuses, calls = ros.statuses(node), []

    def work() -> None:
        calls.append(1)
        raise ModelError("the clockwork is broken")

    node.every(0.02, work)
    ros.until(lambda: any(status.message == "the clockwork is broken" for status in statuses))
    node.trigger_deactivate()
    count = len(calls)
    ros.until(lambda: statuses and statuses[-1].message == "inactive")
    assert len(calls) == count > 1


@pytest.mark.skipif(resident_mb() is None, reason="the system does not tell a process's memory")
@pytest.mark.parametrize("kind", [FaceTrackerNode, SmileIntensityNode])
def test_cleanup_returns_the_memory(kind, ros) -> None:
    kept: list[weakref.ref] = []

    class Heavy:
        """Stands for weights of a size that counts."""

        def __init__(self, config) -> None:
            self.weights = np.ones(5_000_000)  # 40 MB
            kept.append(weakref.ref(self))

        def close(self) -> None: ...

    node = ros.create(kind, make=Heavy)
    levels_mb = []
    for _ in range(5):
        assert node.trigger_configure().name == "SUCCESS"
        assert node.trigger_activate().name == "SUCCESS"
        assert node.trigger_deactivate().name == "SUCCESS"
        assert node.trigger_cleanup().name == "SUCCESS"
        assert kept[-1]() is None
        levels_mb.append(resident_mb())
    assert max(levels_mb[1:]) - levels_mb[0] < 20.0, levels_mb


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do it by themselves")
def test_freed_memory_is_given_back_to_the_system() -> None:
    # Many small blocks, with a few that stay above them, are what the C library keeps.
    code = (
        "from social_perception.ros.support.resources import release_memory, resident_mb\n"
        "before = resident_mb()\n"
        "blocks = [bytearray(8000) for _ in range(10000)]\n"
        "last = blocks[-1]\n"
        "del blocks\n"
        "kept = resident_mb()\n"
        "release_memory()\n"
        "print(before, kept, resident_mb())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, kept, after = (float(each) for each in done.stdout.split())
    assert kept - before > 60.0, "without it, the memory stays with the process"
    assert after - before < 20.0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other rules")
def test_the_memory_of_an_image_is_used_again_for_the_next_one() -> None:
    code = (
        "import resource\n"
        "import numpy as np\n"
        "from social_perception.ros.support.resources import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(10):\n"
        "        images = [np.ones((720, 1280, 3), np.uint8) for _ in range(4)]\n"
        "        del images\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "mapped = faults()\n"
        "keep_freed_memory()\n"
        "faults()\n"
        "print(mapped, faults())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mapped, kept = (int(each) for each in done.stdout.split())
    assert kept < mapped / 10
