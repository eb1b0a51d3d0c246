"""A bag that is replayed to the nodes gives what the library says of it, to the last bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from social_perception.msg import FaceAffectArray, GroupAffect

from social_perception.core.config import DetectionConfig, PipelineConfig
from social_perception.perception.pipeline import make_pipeline
from social_perception.ros.support.messages import MESSAGES
from social_perception.sinks.interfaces import FACES, Interfaces
from social_perception.sources.factory import open_source
from social_perception.sources.sample import SampleSource

rosbag2 = pytest.importorskip("rosbags.rosbag2")

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(400)]

FRAMES = 18
"""At most 0.6 s: the empty pictures that open the way are stamped so much later than the first one."""
# Faces of the sample are larger; the search is short without the small ones.
DETECTION = DetectionConfig(reproducible=True, min_face_px=60, detection_interval=6)
START_NS = 1_700_000_000_123_456_789


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Two people at 30 Hz, with times of day in ns."""
    store = Interfaces()._store
    types = store.types
    path = tmp_path_factory.mktemp("replay") / "bag"
    with SampleSource(people=2) as source, rosbag2.Writer(path, version=9) as writer:
        connection = writer.add_connection("/camera/image_raw", "sensor_msgs/msg/Image", typestore=store)
        for number, frame in zip(range(FRAMES), source):
            image = cv2.resize(frame.image, (640, 360), interpolation=cv2.INTER_AREA)
            sec, nanosec = divmod(START_NS + number * 33_333_333, 10**9)
            header = types["std_msgs/msg/Header"](
                stamp=types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec), frame_id="camera"
            )
            message = types["sensor_msgs/msg/Image"](
                header=header, height=360, width=640, encoding="rgb8", is_bigendian=0, step=1920,
                data=np.ascontiguousarray(image).ravel(),
            )  # fmt: skip
            data = store.serialize_cdr(message, "sensor_msgs/msg/Image")
            writer.write(connection, sec * 10**9 + nanosec, data)
    return path


@pytest.fixture(scope="module")
def expected(bag):
    """The library's results, by the same clock as the messages' stamps."""
    with (
        open_source(str(bag)) as source,
        make_pipeline(PipelineConfig(detection=DETECTION), live=False) as pipeline,
    ):
        return [pipeline.process(frame) for frame in source]


def as_messages(affects):
    """A FaceAffectArray for each image."""
    from rclpy.serialization import deserialize_message

    interfaces = Interfaces()
    assert FACES.endswith("FaceAffectArray")
    return [deserialize_message(interfaces.faces(each, "camera"), FaceAffectArray) for each in affects]


def replay(ros, bag):
    """Play the bag to nodes of their own processes; return what they published of each image."""
    faces: list[FaceAffectArray] = []
    groups: list[GroupAffect] = []
    ros.node.create_subscription(FaceAffectArray, "face_affect", faces.append, 50)
    ros.node.create_subscription(GroupAffect, "group_affect", groups.append, 50)
    given = {"use_sim_time": "true", "reproducible": "true", "reliability": "reliable",
             "min_face_px": DETECTION.min_face_px, "detection_interval": DETECTION.detection_interval,
             "publish_rate_hz": 100.0}  # fmt: skip
    parameters = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    player = ["--source", str(bag), "--clock", "--lockstep", "--wait", "120"]
    with (
        process(ros, "social_perception_all", parameters),
        # What is published before the node knows us would not come here.
        received(ros, "face_affect"),
        process(ros, "image_publisher", [], player) as playing,
    ):
        ros.until(lambda: playing.poll() is not None, "the bag has been played", timeout_s=200)
        assert playing.returncode == 0
        ros.until(lambda: len(of_bag(faces)) == FRAMES, "the results of each image")
    # Time stands still with the last image: the group's last timer was before its answer.
    return of_bag(faces), of_bag(groups)


@contextmanager
def received(ros, topic):
    """Begin when a topic has a publisher that this process knows."""
    name = ros.node.resolve_topic_name(topic)
    ros.until(lambda: ros.node.count_publishers(name), f"a publisher of {topic}", timeout_s=60)
    yield


@contextmanager
def process(ros, program, parameters, options=()):
    command = [sys.executable, "-m", f"social_perception.ros.nodes.{program}", *options]
    command += ["--ros-args", "-r", f"__ns:={ros.namespace}", *parameters]
    running = subprocess.Popen(command)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        try:
            assert running.wait(timeout=30) == 0
        except subprocess.TimeoutExpired:
            running.kill()
            raise


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def of_bag(messages, last_ns=START_NS + (FRAMES - 1) * 33_333_333 + 10**6):
    """The messages on the bag's pictures.

    Those on the empty ones before them are stamped later, and before any picture a group has no frame id.
    """
    return [each for each in messages if each.header.frame_id and stamp_ns(each) <= last_ns]


def content(message, names):
    """A message's faces bit by bit, by the order in which the people appeared."""
    return [
        (
            names.setdefault(face.id, len(names)),
            (face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height),
            np.float32(face.intensity).tobytes(),
            np.asarray(face.probabilities, np.float32).tobytes(),
            (face.level, face.observed_frames, face.valid),
        )
        for face in message.faces
    ]


def all_content(messages):
    names: dict[str, int] = {}
    return [(stamp_ns(each), content(each, names)) for each in messages]


def test_replay_equals_the_library_in_every_bit(ros, bag, expected):
    faces, groups = replay(ros, bag)
    assert all_content(faces) == all_content(as_messages(expected))
    assert any(face.valid for message in faces for face in message.faces)
    by_stamp = dict(zip(map(stamp_ns, faces), (each.group for each in expected)))
    assert len({stamp_ns(each) for each in groups}) >= 2
    for group in groups:
        assert figures(group) == figures(MESSAGES.group_affect(group.header, by_stamp[stamp_ns(group)]))


def figures(group):
    names = ("intensity", "mean_intensity", "dispersion", "smiling_fraction", "trend", "synchrony", "window")
    numbers = [np.float32(getattr(group, name)).tobytes() for name in names]
    return (group.group_size, group.valid_faces, group.level, *numbers, len(group.face_ids))
