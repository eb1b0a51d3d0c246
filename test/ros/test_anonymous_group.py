"""The group without its people: the same values as the three nodes', and nothing else in the graph."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import yaml
from sensor_msgs.msg import Image

from social_perception.core.config import DetectionConfig, GroupConfig, SmileConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import Box, Track
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.perception.pipeline import GroupAggregation, Pipeline
from social_perception.ros.nodes.anonymous_group import AnonymousGroupNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support.intra_process import IntraProcess
from social_perception.ros.support.messages import FaceAffectArray, TrackedFaceArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from test.ros.fakes import FakeScorer, FakeTracking, estimation

SURELY = {"reliability": "reliable", "use_depth": False, "publish_rate_hz": 50.0}
VALUES = ("intensity", "mean_intensity", "dispersion", "smiling_fraction", "trend", "synchrony")


def people(count: int) -> tuple[Track, ...]:
    return tuple(Track(f"p{i}", Box(10.0 * i, 5.0, 9.0, 12.0), 0.5) for i in range(count))


class FakePipeline(Pipeline):
    def __init__(self, count: int) -> None:
        super().__init__(
            FakeTracking(people(count)),
            estimation(FakeScorer()),
            GroupAggregation(GroupAggregator(GroupConfig()), {}),
        )
        self.closed = False

    def close(self) -> None:
        self.closed = True


def start(ros, count=3, parameters=None):
    pipeline = FakePipeline(count)
    node = ros.start(AnonymousGroupNode, {**SURELY, **(parameters or {})}, make=lambda config: pipeline)
    return node, pipeline, ros.collect(GroupAffectMessage, "group_affect")


def group_of(ros, found, sec):
    return ros.until(lambda: next((each for each in found if each.header.stamp.sec == sec), None))


@pytest.mark.parametrize(
    ("count", "least", "reported"), [(0, 1, False), (1, 1, True), (1, 2, False), (2, 2, True), (3, 4, False)]
)
def test_values_of_fewer_than_min_group_size_are_withheld(count, least, reported, ros, image_message) -> None:
    _, _, found = start(ros, count, {"min_group_size": least})
    ros.publisher(Image, "image").publish(image_message(sec=7))
    group = group_of(ros, found, 7)
    assert (group.group_size, group.valid_faces, list(group.face_ids)) == (count, count, [])
    assert math.isfinite(group.mean_intensity) is reported
    assert (group.level != GroupAffectMessage.LEVEL_UNKNOWN) is reported
    assert reported or all(math.isnan(getattr(group, name)) for name in VALUES)


def test_by_default_a_single_person_is_only_counted(ros, image_message) -> None:
    _, _, found = start(ros, 1)
    ros.publisher(Image, "image").publish(image_message(sec=7))
    group = group_of(ros, found, 7)
    assert group.group_size == 1
    assert math.isnan(group.intensity)


def test_the_graph_has_the_group_and_nothing_about_people(ros, image_message) -> None:
    node, _, found = start(ros)
    ros.publisher(Image, "image").publish(image_message(sec=7))
    group_of(ros, found, 7)
    published = node.get_publisher_names_and_types_by_node("group_affect", ros.namespace)
    own = f"{ros.namespace}/group_affect"
    assert {name for name, _ in published} == {
        own, "/diagnostics", "/rosout", "/parameter_events", f"{own}/transition_event",
    }  # fmt: skip
    # In other namespaces there may be nodes of other tests.
    nodes = {name for name, space in ros.node.get_node_names_and_namespaces() if space == ros.namespace}
    assert "group_affect" in nodes
    assert not nodes & {"face_tracker", "smile_intensity"}


def test_diagnostics_tell_counts_only(ros, image_message) -> None:
    node, _, found = start(ros, 3, {"diagnostics_period_s": 0.1})
    reports = ros.reports(node)
    ros.publisher(Image, "image").publish(image_message(sec=7))
    group_of(ros, found, 7)
    report = ros.until(lambda: next((each for each in reports() if each["faces"] == "3"), None))
    assert not {"p0", "p1", "p2"} & set(" ".join(report.values()).split())
    # Whoever adds to this has looked whether it is about people.
    assert set(report) <= {
        "state", "input rate (Hz)", "output rate (Hz)", "latency median (ms)", "latency p95 (ms)",
        "latency max (ms)", "received", "processed", "failed", "waiting", "dropped", "lost", "faces",
        "detection interval (frames)", "device", "precision", "memory of the process (MB)",
        "memory on the GPU (MB)", "last error", "last error time",
    }  # fmt: skip


def test_parameters_change_while_it_runs(ros, image_message) -> None:
    node, pipeline, found = start(ros)
    publisher = ros.publisher(Image, "image")
    assert ros.set(node, "detection_interval", 5).successful
    assert not ros.set(node, "min_group_size", 1).successful, "the promise holds until the node is made anew"
    publisher.publish(image_message(sec=7))
    group_of(ros, found, 7)
    assert [each.detection.detection_interval for each in pipeline.tracking.configs] == [5]


def test_the_life_cycle_frees_the_pipeline_and_can_be_walked_again(ros) -> None:
    made = []
    node = ros.start(AnonymousGroupNode, SURELY, make=lambda config: made.append(FakePipeline(1)) or made[-1])
    assert [node.trigger_deactivate().name, node.trigger_cleanup().name] == ["SUCCESS"] * 2
    assert made[0].closed
    assert [node.trigger_configure().name, node.trigger_activate().name] == ["SUCCESS"] * 2
    ros.collect(GroupAffectMessage, "group_affect")


def robots_file(tmp_path, **settings):
    path = tmp_path / "robot.yaml"
    path.write_text(
        yaml.safe_dump({f"/**/{name}": {"ros__parameters": each} for name, each in settings.items()})
    )
    return ["--ros-args", "--params-file", str(path)]


def made_with(ros, arguments):
    """A node as its program makes it with a robot's file."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(args=arguments, context=context)
    try:
        node = AnonymousGroupNode(context=context, namespace=ros.namespace)
        settings = (
            node.parameters[DetectionConfig],
            node.parameters[SmileConfig],
            node.parameters[GroupConfig],
        )
        node.destroy_node()
        return settings
    finally:
        context.try_shutdown()


def test_a_robots_file_means_the_same_nodes_as_ever(ros, tmp_path) -> None:
    arguments = robots_file(
        tmp_path,
        face_tracker={"min_face_px": 80, "device": "cpu"},
        smile_intensity={"warmup_frames": 9, "precision": "int8"},
        group_affect={"window_s": 9.0, "detection_interval": 4},
    )
    detection, smile, group = made_with(ros, arguments)
    assert (detection.min_face_px, detection.detection_interval, detection.device) == (80, 4, "cpu")
    assert (smile.warmup_frames, smile.device, smile.precision) == (9, "cpu", "int8")
    assert detection.precision == DetectionConfig().precision, "int8 is of the smile network alone"
    assert group.window_s == 9.0


def test_a_file_that_says_two_things_of_one_parameter_is_refused(ros, tmp_path) -> None:
    two = {"face_tracker": {"device": "cuda"}, "smile_intensity": {"device": "cpu"}}
    with pytest.raises(
        ConfigurationError, match="device is cuda for face_tracker and cpu for smile_intensity"
    ):
        made_with(ros, robots_file(tmp_path, **two))
    _, smile, _ = made_with(ros, robots_file(tmp_path, **two, group_affect={"device": "cpu"}))
    assert smile.device == "cpu"


FRAMES = 9
SMILES = {"device": "cpu", "warmup_frames": 3}
REAL = {
    "reliability": "reliable",
    "use_depth": False,
    "reproducible": True,
    "min_face_px": 60,
    "device": "cpu",
}


@pytest.mark.slow
def test_the_group_equals_that_of_three_nodes_in_one_process_in_every_bit(ros) -> None:
    """Real networks on real faces; the three nodes' other topics are subscribed, too."""
    from builtin_interfaces.msg import Time

    from social_perception.ros.support.images import encode, image_header
    from social_perception.sources.sample import SampleSource

    shared, often = IntraProcess(), {"publish_rate_hz": 50.0}
    ros.start(GroupAffectNode, often, intra_process=shared)
    normal = ros.collect(GroupAffectMessage, "group_affect")
    ros.start(SmileIntensityNode, SMILES, intra_process=shared)
    ros.start(FaceTrackerNode, REAL, intra_process=shared)
    faces, tracked = (
        ros.collect(FaceAffectArray, "face_affect"),
        ros.collect(TrackedFaceArray, "tracked_faces"),
    )
    inside = f"{ros.namespace}/inside"
    hidden = AnonymousGroupNode(
        context=ros.context, namespace=inside, parameter_overrides=_parameters({**REAL, **SMILES, **often})
    )
    ros.add(hidden)
    assert [hidden.trigger_configure().name, hidden.trigger_activate().name] == ["SUCCESS"] * 2
    anonymous = ros.collect(GroupAffectMessage, f"{inside}/group_affect")
    sides = [(ros.publisher(Image, "image"), normal), (ros.publisher(Image, f"{inside}/image"), anonymous)]
    compared = 0
    with SampleSource(people=3) as source:
        for number, frame in zip(range(FRAMES), source):
            picture = cv2.resize(frame.image, (640, 360), interpolation=cv2.INTER_AREA)
            message = encode(picture, image_header(Time(sec=1000, nanosec=number * 33_333_333), "camera"))
            said = [_answer(ros, *side, message) for side in sides]
            compared += said[0].valid_faces >= 2
            assert _figures(said[1]) == _figures(said[0]), f"image {number}"
            assert list(said[1].face_ids) == []
    assert compared >= FRAMES // 2, "there was something to compare"
    assert faces[-1].faces
    assert tracked[-1].faces
    assert all(not message.crops for message in tracked), "no picture has left the process"


def _parameters(given):
    from rclpy.parameter import Parameter

    return [Parameter(name, value=value) for name, value in given.items()]


def _answer(ros, publisher, found, message):
    publisher.publish(message)
    return ros.until(
        lambda: next((each for each in reversed(found) if each.header == message.header), None),
        "the group of the image",
        60.0,
    )


def _figures(group):
    """All but the ids, in bits; of fewer than two people there is only their number."""
    values = [np.float32(getattr(group, name)).tobytes() for name in (*VALUES, "window")]
    few = group.valid_faces < 2
    return (group.group_size, group.valid_faces, group.stale, *([] if few else [group.level, *values]))
