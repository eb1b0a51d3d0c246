"""Whatever comes on the topics of ROS4HRI, and from us to its publisher: neither node is stopped by it."""

from __future__ import annotations

import math

import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from social_perception.msg import FaceAffectArray, TrackedFaceArray
from std_msgs.msg import Header

pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not installed (apt install ros-$ROS_DISTRO-hri-msgs)")

from hri_msgs.msg import IdsList, NormalizedRegionOfInterest2D

from social_perception.ros.nodes.ros4hri import Ros4HriNode
from social_perception.ros.nodes.ros4hri_faces import Ros4HriFacesNode
from test.faults.ros import ros_bad_messages as messages
from test.faults.ros.ros_probe import Probe

pytestmark = [pytest.mark.ros]

GIVEN = {"humans": "humans", "silent_after_s": 1000.0, "diagnostics_period_s": 60.0}
LIST, FACE = "humans/faces/tracked", "humans/faces/abcde"


def ids(*names: str, header: Header | None = None) -> IdsList:
    return IdsList(header=header or messages.header(), ids=list(names))


def lists():
    yield "nobody", ids()
    yield "an empty id", ids("")
    yield "the same id twice", ids("abcde", "abcde")
    yield "no name of a topic", ids("0/../..", "a b", "\n", "ä" * 1000)
    yield "an endless id", ids("a" * 100_000)
    yield "100,000 ids", ids(*(f"f{number}" for number in range(100_000)))
    for name, stamp in messages.STAMPS.items():
        yield name, ids("abcde", header=Header(stamp=stamp, frame_id="camera"))


def rois():
    for value in (math.nan, math.inf, -math.inf, -1e38, 1e38):
        yield f"edge {value}", roi(xmin=value, xmax=value)
        yield f"confidence {value}", roi(c=value)
    yield "nothing", NormalizedRegionOfInterest2D()
    yield "a line", roi(xmax=0.1)
    for name, stamp in messages.STAMPS.items():
        yield name, roi(header=Header(stamp=stamp, frame_id="camera"))


def roi(**change) -> NormalizedRegionOfInterest2D:
    given = {"header": messages.header(), "xmin": 0.1, "ymin": 0.1, "xmax": 0.5, "ymax": 0.6, "c": 0.9}
    return NormalizedRegionOfInterest2D(**{**given, **change})


BAD = {
    IdsList: lists,
    NormalizedRegionOfInterest2D: rois,
    Image: lambda: [*messages.bad_images(), *messages.odd_images()],
    CompressedImage: messages.bad_compressed_images,
    CameraInfo: messages.bad_camera_infos,
    FaceAffectArray: lambda: [*messages.bad_face_affects(), *messages.odd_face_affects()],
    TrackedFaceArray: lambda: [*messages.bad_tracked_faces(), *messages.odd_tracked_faces()],
}
NODES = {
    "faces with their own pictures": (Ros4HriFacesNode, {"crops": "cropped"}),
    "faces in images": (Ros4HriFacesNode, {"crops": "image", "reliability": "reliable"}),
    "smiles": (Ros4HriNode, {"publish_cropped": True}),
}
INPUTS = {
    "faces with their own pictures": [
        "humans/faces/tracked",
        f"{FACE}/roi",
        f"{FACE}/cropped",
        "camera_info",
    ],
    "faces in images": [LIST, f"{FACE}/roi", "image"],
    "smiles": ["face_affect", "tracked_faces"],
}


def list_again(probe: Probe, name: str) -> None:
    """Name the one face, so that its topics are there for what comes next."""
    if name == "smiles":
        probe.give("face_affect", messages.affects([messages.affect()]))
    else:
        probe.give(LIST, ids("abcde"))


@pytest.mark.parametrize(("name", "topic"), [(name, topic) for name in NODES for topic in INPUTS[name]])
def test_nothing_that_comes_stops_a_node(name, topic, ros, unexpected) -> None:
    kind, parameters = NODES[name]
    probe = Probe(ros, ros.start(kind, {**GIVEN, **parameters}))
    list_again(probe, name)
    assert set(probe.inputs()) == set(INPUTS[name]), "a subscription that this test does not know"
    for what, message in BAD[probe.inputs()[topic].msg_type]():
        probe.give(topic, message)
        assert not unexpected, f"{what}: {unexpected[0]}"
        list_again(probe, name)
        assert not unexpected, f"after {what}: {unexpected[0]}"
    assert probe.node.trigger_deactivate().name == "SUCCESS"
