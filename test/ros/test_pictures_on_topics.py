"""No topic of the launch default carries pictures unless somebody asks for them."""

from __future__ import annotations

import importlib
import itertools
import re

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from social_perception.core.types import Box, Smile, SmileLevel, Track
from social_perception.ros.nodes import social_perception_all
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.support.images import encode, image_header
from social_perception.ros.support.messages import FaceAffectArray, TrackedFaceArray
from test.ros.fakes import FakeTracking, estimation

TRACKS = (Track("anna", Box(60, 40, 80, 80), 0.5), Track("berta", Box(200, 60, 70, 70), 0.5))


class FakeScorer:
    def __init__(self, config) -> None:
        self.config = config

    def score(self, tracks, crops, stamp_s):
        return tuple(
            Smile(float(crop.mean()) / 255, SmileLevel.LOW, (0.1, 0.7, 0.1, 0.1), 9, True) for crop in crops
        )


FAKES = {
    "FaceTrackerNode": lambda config: FakeTracking(TRACKS),
    "SmileIntensityNode": lambda config: estimation(FakeScorer(config.smile)),
}


@pytest.fixture
def launched(ros):
    """The nodes of the launch default; only the networks are fakes."""

    def start(parameters=None):
        nodes = []
        for factory in (AffectMarkersNode, AffectOverlayNode, *social_perception_all.pipeline()):
            name = getattr(factory, "func", factory).__name__
            make = {"make": FAKES[name]} if name in FAKES else {}
            own = (parameters or {}).get(name, {})
            fixed = {"reliability": "reliable"} if name in {"FaceTrackerNode", "AffectOverlayNode"} else {}
            nodes.append(ros.start(factory, {**fixed, **own}, **make))
        return nodes

    return start


def message_of(name: str) -> type:
    package, _, kind = name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


def can_carry_pictures(kind: type) -> bool:
    """Whether a message has room for as many bytes as somebody wants; texts are no pictures."""
    for field in kind.get_fields_and_field_types().values():
        element = re.sub(r"^sequence<([^,>]+).*>$|\[\d*\]$", r"\1", field)
        if field.startswith("sequence<") and element in {"uint8", "int8", "octet", "byte", "char"}:
            return True
        if "/" in element and can_carry_pictures(message_of(element.replace("/", "/msg/"))):
            return True
    return False


@pytest.mark.parametrize(
    ("kind", "expected"), [(Image, True), (TrackedFaceArray, True), (FaceAffectArray, False)]
)
def test_what_can_carry_pictures_is_seen(kind: type, expected: bool) -> None:
    assert can_carry_pictures(kind) is expected


def published(ros, nodes) -> dict[str, str]:
    """Type by name of all that the nodes publish."""
    return {
        topic.removeprefix(f"{ros.namespace}/"): kind
        for node in nodes
        for topic, kinds in node.get_publisher_names_and_types_by_node(node.get_name(), ros.namespace)
        for kind in kinds
    }


def photo(sec: int) -> Image:
    pixels = np.random.default_rng(sec).integers(60, 200, (240, 320, 3), np.uint8)
    return encode(pixels, image_header(Time(sec=sec), "camera"))


def film(ros, condition, what: str) -> None:
    """Publish images until the condition holds: who listens is not known from one to the other at once."""
    images, seconds = ros.publisher(Image, "image"), itertools.count(1)
    ros.until(lambda: images.publish(photo(next(seconds))) or condition(), what)


def test_the_default_publishes_no_picture(ros, launched) -> None:
    nodes = launched()
    able = {topic for topic, kind in published(ros, nodes).items() if can_carry_pictures(message_of(kind))}
    # Markers have room for meshes and textures, parameters for bytes.
    assert able == {
        *("affect_overlay", "affect_overlay/compressed", "tracked_faces"),
        *("affect_markers", "/parameter_events"),
    }
    assert not any(setting.type is bytes for node in nodes for setting in node.parameters._settings.values())
    marked = ros.collect(MarkerArray, "affect_markers")
    tracked, faces = (
        ros.collect(TrackedFaceArray, "tracked_faces"),
        ros.collect(FaceAffectArray, "face_affect"),
    )
    # affect_markers listens once it has seen that somebody looks.
    film(ros, lambda: faces and tracked and any(each.markers for each in marked), "smiles and markers")
    assert [face.valid for face in faces[0].faces] == [True, True], "and yet they were scored, by their crops"
    assert 0.2 < faces[0].faces[0].intensity < 0.8
    assert all(message.faces and not message.crops for message in tracked)
    for marker in (marker for each in marked for marker in each.markers):
        assert (len(marker.texture.data), len(marker.mesh_file.data)) == (0, 0)
    (overlay,) = [node for node in nodes if node.get_name() == "affect_overlay"]
    assert overlay.input is None, "nobody looks: not even the camera is subscribed"


@pytest.mark.parametrize("kind", [Image, CompressedImage])
def test_the_overlay_says_once_that_somebody_looks(kind, ros, launched, capfd) -> None:
    launched()
    topic = "affect_overlay" if kind is Image else "affect_overlay/compressed"
    line = f"images are published on {ros.namespace}/affect_overlay, which has a subscriber"
    assert line not in capfd.readouterr().err
    for _ in range(2):
        subscription = ros.node.create_subscription(kind, topic, lambda message: None, 1)
        ros.until(lambda: "affect_overlay" in viewers(ros), "it subscribes the camera")
        ros.node.destroy_subscription(subscription)
        ros.until(lambda: "affect_overlay" not in viewers(ros), "and ends with who looked")
    assert capfd.readouterr().err.count(line) == 1


def viewers(ros) -> list[str]:
    return [each.node_name for each in ros.node.get_subscriptions_info_by_topic(f"{ros.namespace}/image")]


def test_enabled_crops_are_announced(ros, launched, capfd) -> None:
    launched({"FaceTrackerNode": {"publish_crops": True}})
    line = f"face images are published on {ros.namespace}/tracked_faces because publish_crops is true"
    assert capfd.readouterr().err.count(line) == 1
    tracked = ros.collect(TrackedFaceArray, "tracked_faces")
    film(ros, lambda: tracked, "the faces")
    assert len(tracked[0].crops) == 2 * 96 * 96 * 3
