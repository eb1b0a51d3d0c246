"""A recording holds, byte for byte, what the nodes publish.

But for the bytes that align fields, which the middleware leaves as they were in memory: both sides are
read and written anew by one serializer.
"""

import json
import math

import pytest
from rclpy.serialization import serialize_message

from social_perception.core.signals import Signals
from social_perception.core.types import (
    Box,
    FaceAffect,
    FrameAffect,
    GroupAffect,
    GroupDynamics,
    PairDynamics,
    Position,
    Smile,
    SmileLevel,
    Track,
)
from social_perception.ros.convert import nanoseconds_of
from social_perception.ros.support import messages
from social_perception.ros.support.images import image_header
from social_perception.sinks.interfaces import DYNAMICS, FACES, GROUP, Interfaces

pytest.importorskip("rosbags")

NAN = math.nan
STAMP_S = 1_700_000_000.123456
FRAME_ID = "camera"


@pytest.fixture(scope="module")
def interfaces():
    return Interfaces()


@pytest.fixture(scope="module")
def same(interfaces):
    """Whether what was recorded is what rclpy sends."""

    def compare(recorded, published, kind):
        sent = serialize_message(published)
        store = interfaces._store
        anew = bytes(store.serialize_cdr(store.deserialize_cdr(sent, kind), kind))
        return len(sent) == len(recorded) and anew == recorded

    return compare


def header():
    from builtin_interfaces.msg import Time

    sec, nanosec = divmod(nanoseconds_of(STAMP_S), 10**9)
    return image_header(Time(sec=sec, nanosec=nanosec), FRAME_ID)


FACES_SEEN = (
    FaceAffect(
        Track("anna", Box(10.5, 5.5, 20.2, 21.7), 0.9, position=Position(0.1, -0.2, 1.5)),
        Signals(Smile(0.3333333, SmileLevel.LOW, (0.2, 0.5, 0.2, 0.1), 12, True)),
    ),
    FaceAffect(Track("bé", Box(-8.0, 30.0, 20.0, 40.0), 0.0, visible=False), Signals(Smile.unknown(3))),
    FaceAffect(Track("gone", Box(-50.0, 0.0, 20.0, 20.0), 0.0, visible=False), Signals(Smile.unknown())),
    FaceAffect(
        Track("cem", Box(60.4, 0.0, 20.0, 20.0), 1.0),
        Signals(Smile(1.0, SmileLevel.HIGH, (0.0, 0.0, 0.0, 1.0), 10**6, True)),
    ),
)


@pytest.mark.parametrize("faces", [FACES_SEEN, FACES_SEEN[:1], ()], ids=["four", "one", "none"])
def test_faces(interfaces, same, faces):
    affect = FrameAffect(STAMP_S, 0, 64, 48, faces)
    published = messages.MESSAGES.face_affects(header(), affect)
    recorded = interfaces.faces(affect, FRAME_ID)
    assert same(recorded, published, FACES)


@pytest.mark.parametrize("ids", [(), ("anna",), ("anna", "bé", "cem")])
@pytest.mark.parametrize("value", [0.1, NAN])
def test_group(interfaces, same, ids, value):
    group = GroupAffect(
        1.0, len(ids), 0, value, 0.2, value, 0.4, SmileLevel.UNKNOWN, -value, value, 2.5, ids, bool(ids)
    )
    published = messages.MESSAGES.group_affect(header(), group)
    assert same(interfaces.group(group, STAMP_S, FRAME_ID), published, GROUP)


@pytest.mark.parametrize("pairs", [(), (PairDynamics("anna", "bé", 0.7, -0.3, NAN),) * 3])
def test_dynamics(interfaces, same, pairs):
    dynamics = GroupDynamics(1.0, ("anna", "bé"), pairs, 0.3, 30.0, False, ("bé", "anna"), (0.0, 0.5))
    published = messages.MESSAGES.group_dynamics(header(), dynamics)
    assert same(interfaces.dynamics(dynamics, STAMP_S, FRAME_ID), published, DYNAMICS)


@pytest.mark.parametrize("kind", [FACES, GROUP, DYNAMICS])
def test_definitions_are_those_that_were_built(interfaces, kind):
    built = hash_file(kind)
    if not built:
        pytest.skip("this distribution of ROS 2 has no type hashes")
    assert interfaces.type_hash(kind) == built


def hash_file(kind):
    from ament_index_python.packages import get_package_share_directory

    name = kind.rpartition("/")[2]
    path = f"{get_package_share_directory('social_perception')}/msg/{name}.json"
    try:
        with open(path, encoding="utf-8") as file:
            hashes = json.load(file)["type_hashes"]
    except FileNotFoundError:  # up to Humble
        return ""
    return next(each["hash_string"] for each in hashes if each["type_name"] == kind)
