"""Whatever comes on any topic that a node subscribes: it says so and goes on with the next good message.

The nodes are those of the package with their networks; the messages go to the callbacks that rclpy would
call. An exception out of one of them would end the executor, and with it every node of the process.
"""

from __future__ import annotations

import array
import math

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from social_perception.msg import FaceAffectArray, GroupAffect, SceneAffect, SoundEvent, TrackedFaceArray
from visualization_msgs.msg import MarkerArray

from social_perception.core.types import Box, Track
from social_perception.ros.nodes.affect_dashboard import AffectDashboardNode
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.greeter import GreeterNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support.resources import resident_mb
from test.faults.ros import ros_bad_messages as messages
from test.faults.ros.ros_probe import Probe
from test.ros.fakes import FakeTracking

pytestmark = [pytest.mark.ros]

BAD = {
    Image: messages.bad_images,
    CompressedImage: messages.bad_compressed_images,
    TrackedFaceArray: messages.bad_tracked_faces,
    FaceAffectArray: messages.bad_face_affects,
    GroupAffect: messages.bad_groups,
    CameraInfo: messages.bad_camera_infos,
    SoundEvent: messages.bad_sound_events,
    SceneAffect: messages.bad_scenes,
}
ODD = {
    Image: messages.odd_images,
    TrackedFaceArray: messages.odd_tracked_faces,
    FaceAffectArray: messages.odd_face_affects,
    GroupAffect: messages.odd_groups,
    SoundEvent: messages.odd_sound_events,
}
PATIENT = {"silent_after_s": 1000.0, "diagnostics_period_s": 60.0}


def watched(ros, kind, topic):
    """Somebody who looks, so that a node of a view subscribes what it needs."""
    return ros.node.create_subscription(kind, topic, lambda message: None, 10)


def start_dashboard(ros, monkeypatch):
    node = ros.start(AffectDashboardNode, {**PATIENT, "port": 0, "picture": True})
    monkeypatch.setattr(type(node.dashboard), "wants_image", property(lambda self: True))
    return node


def start_overlay(ros, monkeypatch, **parameters):
    watched(ros, Image, "affect_overlay")
    return ros.start(AffectOverlayNode, {**PATIENT, "reliability": "reliable", **parameters})


def start_markers(ros, monkeypatch):
    watched(ros, MarkerArray, "affect_markers")
    return ros.start(AffectMarkersNode, PATIENT)


def start_tracker(ros, monkeypatch, **parameters):
    given = {"device": "cpu", "reliability": "reliable", "reproducible": True, **parameters}
    return ros.start(FaceTrackerNode, {**PATIENT, **given})


NODES = {
    "face_tracker": start_tracker,
    "face_tracker of compressed images": lambda ros, _: start_tracker(ros, _, image_transport="compressed"),
    "smile_intensity": lambda ros, _: ros.start(
        SmileIntensityNode, {**PATIENT, "device": "cpu", "sound": True}
    ),
    "group_affect": lambda ros, _: ros.start(GroupAffectNode, {**PATIENT, "sound": True}),
    "affect_overlay": start_overlay,
    "affect_overlay of compressed images": lambda ros, _: start_overlay(ros, _, image_transport="compressed"),
    "affect_markers": start_markers,
    "affect_dashboard": start_dashboard,
    "greeter": lambda ros, _: ros.create(GreeterNode),
}

INPUTS = {
    "face_tracker": {"image", "depth", "camera_info"},
    "face_tracker of compressed images": {"image/compressed", "depth", "camera_info"},
    "smile_intensity": {"tracked_faces", "sound_events"},
    "group_affect": {"face_affect", "sound_events"},
    "affect_overlay": {"image", "face_affect", "group_affect"},
    "affect_overlay of compressed images": {"image/compressed", "face_affect", "group_affect"},
    "affect_markers": {"face_affect", "group_affect", "camera_info"},
    "affect_dashboard": {"face_affect", "group_affect", "affect_overlay/compressed"},
    "greeter": {"face_affect", "group_affect", "scene_affect"},
}


@pytest.fixture
def probe(ros, monkeypatch):
    def make(name: str) -> Probe:
        found = Probe(ros, NODES[name](ros, monkeypatch))
        ros.until(lambda: set(found.inputs()) >= INPUTS[name], f"{name} subscribes")
        assert set(found.inputs()) == INPUTS[name], "a subscription that this test does not know"
        return found

    return make


@pytest.mark.parametrize(
    ("name", "topic"), [(name, topic) for name in NODES for topic in sorted(INPUTS[name])]
)
def test_nothing_that_comes_stops_a_node(name, topic, probe, unexpected) -> None:
    given = probe(name)
    kind = given.inputs()[topic].msg_type
    bad = messages.bad_depths if topic == "depth" else BAD[kind]
    for what, message in [*bad(), *ODD.get(kind, list)()]:
        given.give(topic, message)
        assert not unexpected, f"{what}: {unexpected[0]}"


REFUSING = {
    "face_tracker": ("image", messages.image, TrackedFaceArray, "tracked_faces"),
    "smile_intensity": (
        "tracked_faces",
        lambda **a: messages.tracked([messages.face()], **a),
        FaceAffectArray,
        "face_affect",
    ),
    "group_affect": (
        "face_affect",
        lambda **a: messages.affects([messages.affect()], **a),
        GroupAffect,
        "group_affect",
    ),
    "affect_markers": (
        "face_affect",
        lambda **a: messages.affects([messages.affect()], **a),
        MarkerArray,
        "affect_markers",
    ),
}


@pytest.mark.parametrize("name", REFUSING)
def test_each_bad_message_is_counted_and_the_next_good_one_is_answered(
    name, ros, probe, capfd, unexpected
) -> None:
    topic, good, kind, output = REFUSING[name]
    given = probe(name)
    answers = ros.collect(kind, output)
    given.give(topic, good())
    ros.until(lambda: answers, "the first answer")
    bad = list(BAD[given.inputs()[topic].msg_type]())
    if name == "face_tracker":
        # More bytes in a row than the pixels need are padding.
        bad = [each for each in bad if each[0] not in ("step too large",)]
    for count, (what, message) in enumerate(bad, start=1):
        given.give(topic, message)
        assert given.node.health.totals.failed == count, f"{what} was taken for good"
        assert not unexpected, f"{what}: {unexpected[0]}"
    answers.clear()
    given.give(topic, good(header=messages.header(101)))

    def answered():
        return [each for each in answers if "101" in str(each)]

    ros.until(answered, "an answer to the next good message")
    values = {pair.key: pair.value for pair in report(ros, given.node).values}
    assert int(values["failed"]) == len(bad)
    warnings = [line for line in capfd.readouterr().err.splitlines() if "[WARN]" in line]
    assert 1 <= len(warnings) <= 4, "the log is not filled with what repeats"


def report(ros, node):
    """What a node says of itself on /diagnostics now."""
    statuses = ros.statuses(node)
    ros.until(lambda: node._reporter.report() or statuses, "a report")
    return statuses[-1]


ONE_FACE = (Track("abcde", Box(4, 6, 20, 24), 0.9),)


@pytest.mark.parametrize(
    ("topic", "bad"), [("depth", messages.bad_depths), ("camera_info", messages.bad_camera_infos)]
)
def test_bad_depth_and_calibration_cost_the_position_alone(topic, bad, ros, unexpected) -> None:
    given = {**PATIENT, "device": "cpu", "reliability": "reliable"}
    probe = Probe(ros, ros.start(FaceTrackerNode, given, make=lambda config: FakeTracking(ONE_FACE)))
    answers = ros.collect(TrackedFaceArray, "tracked_faces")
    depth = messages.image(encoding="16UC1", step=2 * messages.WIDTH)
    depth.data = array.array("B", np.full(messages.WIDTH * messages.HEIGHT, 400, np.uint16).tobytes())
    for what, message in bad():
        probe.give("depth", depth)
        probe.give("camera_info", messages.camera_info())
        message.header.stamp = messages.header().stamp
        probe.node._camera.forget()
        if topic == "camera_info":
            probe.give("depth", depth)
        probe.give(topic, message)
        answers.clear()
        probe.give("image", messages.image())
        (face,) = ros.until(lambda: answers and answers[-1].faces, f"faces after {what}")
        place = (face.position.x, face.position.y, face.position.z)
        assert all(map(math.isnan, place)) or all(map(math.isfinite, place)), what
        assert not unexpected, f"{what}: {unexpected[0]}"
    probe.node._camera.forget()
    probe.give("depth", depth)
    probe.give("camera_info", messages.camera_info())
    answers.clear()
    probe.give("image", messages.image())
    (face,) = ros.until(lambda: answers and answers[-1].faces, "faces after good depth")
    assert face.position.z == pytest.approx(0.4, abs=0.01), "good depth serves again"
    assert probe.node.health.totals.failed == 0, "depth is never what a face depends on"


def test_the_greeter_lets_what_it_believes_grow_old(probe) -> None:
    given = probe("greeter")
    listen = given.node.tree.root.children[0]
    given.give("group_affect", messages.group())
    held = listen._writer._client.get("group")
    given.give("group_affect", messages.group(level=77))
    assert "level of the group must be one of the LEVEL constants, got 77" in listen.feedback_message
    assert listen._writer._client.get("group") == held
    given.give("group_affect", messages.group(smiling_fraction=1.0))
    assert listen._writer._client.get("group").smiling_fraction == 1.0


def test_an_image_of_8k_is_taken_and_sizes_that_are_only_said_take_no_memory(probe) -> None:
    given = probe("face_tracker")
    published = []
    given.node._output.publish = lambda header, faces: published.append(faces)
    width, height = 7680, 4320
    large = messages.image(width=width, height=height, step=3 * width, data=messages.blob(3 * width * height))
    given.give("image", large)
    assert (published[-1].width, published[-1].height) == (width, height)
    del large
    huge = [message for what, message in messages.bad_images() if what.startswith("huge")]
    before_mb = resident_mb()
    for message in huge:
        given.give("image", message)
    assert given.node.health.totals.failed == len(huge) == 4
    assert before_mb is None or resident_mb() < before_mb + 20.0
    given.give("image", messages.image(header=messages.header(101)))
    assert published[-1].width == messages.WIDTH
