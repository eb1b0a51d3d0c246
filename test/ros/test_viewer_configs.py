"""The files for rviz and Foxglove name what the nodes publish, and show it the right way up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from rclpy.qos import QoSReliabilityPolicy

from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.image_publisher import FRAME_ID
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support.marker_messages import FACES, GROUP, LABELS

CONFIG = Path(__file__).parents[2] / "config"
CAMERA = "/camera/camera/color/image_raw"

# As in plugins_description.xml of rviz_default_plugins and rviz_common, with what they show.
DISPLAYS = {
    "rviz_default_plugins/Grid": None,
    "rviz_default_plugins/TF": None,
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
}
OTHERS = {
    "rviz_common/Displays",
    "rviz_common/Views",
    *(
        f"rviz_default_plugins/{name}"
        for name in ("Interact", "MoveCamera", "Select", "FocusCamera", "Measure", "TF", "Orbit")
    ),
}
PANELS = {
    "Image": {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"},
    "3D": {"visualization_msgs/msg/MarkerArray"},
    "DiagnosticSummary": {"diagnostic_msgs/msg/DiagnosticArray"},
    "Plot": None,
    "StateTransitions": None,
    "Table": None,
    "RawMessages": None,
}


def type_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


@pytest.fixture
def published(ros):
    """The publishers of the nodes by topic."""
    found = {}
    for kind, options in (
        (AffectMarkersNode, {}),
        (AffectOverlayNode, {}),
        (GroupAffectNode, {}),
        (SmileIntensityNode, {"make": lambda config: object()}),
    ):
        node = ros.create(kind, **options)
        assert node.trigger_configure().name == "SUCCESS"
        found |= {each.topic_name.removeprefix(ros.namespace): each for each in node.publishers}
    return found


@pytest.fixture
def rviz():
    return yaml.safe_load((CONFIG / "group_smile.rviz").read_text())


@pytest.fixture
def foxglove():
    return json.loads((CONFIG / "group_smile_foxglove.json").read_text())


def classes(part) -> set[str]:
    """Every class that a part of the rviz file names."""
    if isinstance(part, dict):
        own = {part["Class"]} if part.get("Class") else set()
        return own.union(*(classes(each) for each in part.values()))
    return set().union(*(classes(each) for each in part)) if isinstance(part, list) else set()


def test_rviz_knows_every_class(rviz) -> None:
    displays = rviz["Visualization Manager"].pop("Displays")
    assert {each["Class"] for each in displays} == set(DISPLAYS)
    assert classes(rviz) == OTHERS


def test_rviz_shows_camera_and_what_the_nodes_publish(rviz, published) -> None:
    topics = {}
    for display in rviz["Visualization Manager"]["Displays"]:
        assert display["Enabled"] is display["Value"] is True
        if DISPLAYS[display["Class"]] is None:
            continue
        topic = display["Topic"]
        topics[topic["Value"]] = display["Class"]
        if topic["Value"] == CAMERA:
            continue
        publisher = published[topic["Value"]]
        assert type_name(publisher.msg_type) == DISPLAYS[display["Class"]]
        offered = publisher.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE
        assert offered or topic["Reliability Policy"] == "Best Effort"
        assert (topic["History Policy"], topic["Durability Policy"]) == ("Keep Last", "Volatile")
        if display["Class"] == "rviz_default_plugins/MarkerArray":
            assert display["Namespaces"] == {FACES: True, GROUP: True, LABELS: True}
    assert topics == {
        CAMERA: "rviz_default_plugins/Image",
        "/affect_overlay": "rviz_default_plugins/Image",
        "/affect_markers": "rviz_default_plugins/MarkerArray",
    }


def test_rviz_stands_in_the_frame_of_the_images(rviz) -> None:
    manager = rviz["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == FRAME_ID
    grid = next(each for each in manager["Displays"] if each["Name"] == "Grid")
    assert (grid["Plane"], grid["Reference Frame"]) == ("XZ", FRAME_ID)
    assert grid["Offset"]["Y"] > 0, "the floor is below the camera"


def seen(eye, target, up, point) -> tuple[float, float]:
    """Where a point is seen, to the right of and above the middle."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return float((point - eye) @ right), float((point - eye) @ np.cross(right, forward))


def rviz_view(view) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eye, target and up of an Orbit view; source: orbit_view_controller.cpp, updateCamera."""
    assert view["Class"] == "rviz_default_plugins/Orbit"
    yaw, pitch = view["Yaw"], view["Pitch"]
    target = np.array([view["Focal Point"][axis] for axis in "XYZ"], float)
    ray = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    return target + view["Distance"] * ray, target, np.array([0.0, 0.0, 1.0])


def foxglove_view(state) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of a 3D panel; source: CameraStateSettings.ts, updateCameras."""
    phi, theta = np.radians(state["phi"]), -np.radians(state["thetaOffset"])
    target = np.array(state["targetOffset"], float)
    ray = np.array([np.sin(phi) * np.sin(theta), -np.sin(phi) * np.cos(theta), np.cos(phi)])
    return target + state["distance"] * ray, target, np.array([0.0, 0.0, 1.0])


def is_right_way_up(view) -> bool:
    """Whether image right is right, image top is above, and the eye is behind the camera."""
    ahead = np.array([0.0, 0.0, 1.5])
    x, y = seen(*view, ahead)
    right_x, _ = seen(*view, ahead + np.array([0.5, 0.0, 0.0]))
    _, above_y = seen(*view, ahead - np.array([0.0, 0.5, 0.0]))
    return right_x > x + 0.4 and above_y > y + 0.4 and view[0][2] < 0.0


def test_both_show_people_the_right_way_up(rviz, foxglove) -> None:
    views = rviz["Visualization Manager"]["Views"]
    assert is_right_way_up(rviz_view(views["Current"]))
    by_name = {each["Name"]: each for each in views["Saved"]}
    assert by_name.keys() == {"Camera", "Robot"}
    assert {**by_name["Camera"], "Name": "Current View"} == views["Current"]
    robot = rviz_view(by_name["Robot"])
    left, _ = seen(*robot, np.array([2.0, 1.0, 1.0]))
    _, above = seen(*robot, np.array([2.0, 0.0, 2.0]))
    assert left < 0 < above, "in a robot's frame x points ahead, y left and z up"
    panel = next(body for name, body in foxglove["configById"].items() if name.startswith("3D!"))
    assert panel["cameraState"]["perspective"] is True
    assert is_right_way_up(foxglove_view(panel["cameraState"]))


def panels_of(layout) -> list[str]:
    if isinstance(layout, str):
        return [layout]
    assert layout["direction"] in ("row", "column")
    assert 0 < layout["splitPercentage"] < 100
    return panels_of(layout["first"]) + panels_of(layout["second"])


def test_foxglove_shows_every_panel_once(foxglove) -> None:
    shown = panels_of(foxglove["layout"])
    assert sorted(shown) == sorted(foxglove["configById"])
    assert {name.split("!")[0] for name in shown} == set(PANELS)


def paths(panel) -> list[str]:
    """All topics and message paths of a panel."""
    found = [each["value"] for each in panel.get("paths", ())]
    found += [panel[key] for key in ("topicPath", "topicToRender") if key in panel]
    if panel.get("imageMode"):
        found.append(panel["imageMode"]["imageTopic"])
    return found + [topic for topic, how in panel.get("topics", {}).items() if how["visible"]]


def test_foxglove_names_only_topics_and_fields_that_exist(foxglove, published) -> None:
    topics = set()
    for name, panel in foxglove["configById"].items():
        assert paths(panel), name
        for path in paths(panel):
            topic, *fields = path.split(".")
            topics.add(topic)
            kind = published[topic].msg_type
            known = kind.get_fields_and_field_types()
            if accepted := PANELS[name.split("!")[0]]:
                assert type_name(kind) in accepted
            for field in fields:
                assert field in known, f"{path}: {type_name(kind)} has no {field}"
            if name.startswith("Plot!"):
                assert re.fullmatch("float|double|u?int[0-9]+", known[fields[0]])
    assert topics == {
        "/affect_markers", "/affect_overlay/compressed", "/diagnostics", "/face_affect", "/group_affect",
    }  # fmt: skip


def test_foxgloves_plots_and_states_are_switched_on(foxglove) -> None:
    for name, panel in foxglove["configById"].items():
        assert all(each["enabled"] is True for each in panel.get("paths", ())), name
        if name.startswith("3D!"):
            frames = {panel["followTf"], *(each["frameId"] for each in panel["layers"].values())}
            assert frames == {FRAME_ID}
