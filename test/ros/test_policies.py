"""The SROS2 policies: sound files, one for each program, and exactly what its nodes do."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from social_perception.core.errors import ConfigurationError
from social_perception.perception.pipeline import make_aggregation
from social_perception.ros.nodes import anonymous_group
from social_perception.ros.nodes.affect_dashboard import AffectDashboardNode
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.anonymous_group import AnonymousGroupNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.image_publisher import ImagePublisher
from social_perception.ros.nodes.scene_affect import SceneAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.nodes.social_perception_all import VIEWS, pipeline
from social_perception.ros.nodes.sound_events import SoundEventsNode
from social_perception.ros.security.policies import (
    CONSUMER,
    PICTURE,
    Names,
    absolute,
    grants,
    load_policy,
    merge,
    resolve_names,
)
from social_perception.ros.support import sound_input
from social_perception.ros.support.messages import FaceAffect, FaceAffectArray, SceneAffect
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "config" / "security" / "policies"
PREFIX = "/social_perception/"
POLICIES = sorted(path.stem for path in FOLDER.glob("*.xml") if path.stem != PICTURE)
NO_NODES_OF_THEIR_OWN = {
    "demo": "shows the nodes on one's own machine",
    "check_robot": "starts the others",
    "make_keystore": "talks to nobody",
    "social-perception": "works without ROS",
}
NEWER_THAN_HUMBLE = "get_type_description"


def policy(*names: str) -> ET.Element:
    return merge(load_policy(FOLDER / f"{name}.xml") for name in names)


def granted(name: str, names: Names, *more: str) -> dict[str, set[str]]:
    """What the enclave of a program may do, by mode."""
    found = grants(resolve_names(policy(name, *more), names))
    assert list(found) == [PREFIX + name]
    return {mode: set(of) for mode, of in found[PREFIX + name].items()}


# The files.

ATTRIBUTES = {
    "policy": {"version"},
    "enclaves": set(),
    "enclave": {"path"},
    "profiles": set(),
    "profile": {"ns", "node"},
    "topics": {"publish", "subscribe"},
    "services": {"reply", "request"},
    "topic": set(),
    "service": set(),
}
CHILDREN = {
    "policy": {"enclaves"},
    "enclaves": {"enclave"},
    "enclave": {"profiles"},
    "profiles": {"profile"},
    "profile": {"topics", "services"},
    "topics": {"topic"},
    "services": {"service"},
    "topic": set(),
    "service": set(),
}
"""The schema of SROS2's policies 0.2.0, as far as we use it: no actions, no metadata, and no DENY."""


@pytest.mark.parametrize("name", [*POLICIES, PICTURE])
def test_a_policy_keeps_to_the_schema(name) -> None:
    root = load_policy(FOLDER / f"{name}.xml")
    assert root.get("version") == "0.2.0"
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN[element.tag]
        if CHILDREN[element.tag]:
            assert len(element), f"{element.tag} is empty"
        else:
            assert re.fullmatch(r"~?/?[a-z_*]+(/[a-z_*]+)*", element.text)
        if element.tag in ("topics", "services"):
            assert list(element.attrib.values()) == ["ALLOW"]
    assert [each.get("path") for each in root.iter("enclave")] == [PREFIX + name.removesuffix(".picture")]


@pytest.mark.parametrize("name", [*POLICIES, PICTURE])
def test_sros2_reads_a_policy_as_we_do(name) -> None:
    sros2 = pytest.importorskip(
        "sros2.policy", reason="sros2 is not installed (apt install ros-$ROS_DISTRO-sros2)"
    )
    from lxml import etree

    theirs = ET.fromstring(etree.tostring(sros2.load_policy(FOLDER / f"{name}.xml")))
    assert grants(resolve_names(theirs, Names())) == grants(resolve_names(policy(name), Names()))


def test_each_program_has_a_policy_and_each_policy_a_program() -> None:
    programs = set(re.findall(r"^install_program\((\S+)", (REPOSITORY / "CMakeLists.txt").read_text(), re.M))
    assert programs >= set(NO_NODES_OF_THEIR_OWN)
    assert set(POLICIES) - {CONSUMER} == programs - set(NO_NODES_OF_THEIR_OWN)


def test_only_ros4hri_has_permissions_for_many_names() -> None:
    with_stars = {name for name in POLICIES if "*" in str(granted(name, Names()))}
    assert with_stars == {"ros4hri", "ros4hri_faces"}


@pytest.mark.parametrize("name", POLICIES)
def test_nobody_may_change_anything_of_another_node(name) -> None:
    assert granted(name, Names())["request"] == set()


INCLUDING = (
    '<policy xmlns:xi="http://www.w3.org/2001/XInclude"><enclaves><enclave>'
    '<xi:include href="{file}" xpointer="xpointer(/{pointer}/*)"/></enclave></enclaves></policy>'
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<policy>", "cannot be read"),
        ("<profile/>", "is not an SROS2 policy"),
        (INCLUDING.format(file="a.xml", pointer="other"), "matches nothing"),
        (INCLUDING.format(file="gone.xml", pointer="profile"), "gone.xml cannot be read"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(text, complaint, tmp_path) -> None:
    path = tmp_path / "policy.xml"
    path.write_text(text)
    (tmp_path / "a.xml").write_text("<profile/>")
    with pytest.raises(ConfigurationError, match=complaint):
        load_policy(path)


# Names.


@pytest.mark.parametrize(
    ("name", "namespace", "expected"),
    [
        ("image", "/", "/image"),
        ("image", "", "/image"),
        ("image", "robot", "/robot/image"),
        ("eye/image", "/a/b", "/a/b/eye/image"),
        ("/eye/image", "/robot", "/eye/image"),
        ("/", "/robot", "/robot"),
        ("", "", "/"),
    ],
)
def test_names_become_absolute_as_in_ros(name, namespace, expected) -> None:
    assert absolute(name, namespace) == expected


def test_the_names_of_a_robot_are_those_in_its_policy() -> None:
    topics = {"image": "/eye/image", "depth": "eye/depth"}
    names = Names(namespace="/robot", topics=topics, enclaves="/fleet/one")
    (path, allowed), *others = grants(resolve_names(policy("face_tracker"), names)).items()
    assert (path, others) == ("/fleet/one/face_tracker", [])
    read = {"/eye/image", "/robot/eye/depth", "/robot/camera_info", "/robot/image/compressed", "/clock"}
    assert set(allowed["subscribe"]) == read
    assert set(allowed["publish"]) == {
        "/robot/tracked_faces",
        "/robot/face_tracker/transition_event",
        "/diagnostics",
        "/rosout",
        "/parameter_events",
    }
    assert "/robot/face_tracker/change_state" in allowed["reply"]


def test_the_consumer_reads_affect_and_nothing_else() -> None:
    allowed = granted(CONSUMER, Names(namespace="/robot", nodes={CONSUMER: "/planning/planner"}))
    assert allowed["subscribe"] == {
        *(f"/robot/{name}_affect" for name in ("group", "face", "scene")), "/clock",
    }  # fmt: skip
    assert allowed["publish"] == {"/rosout", "/parameter_events"}
    assert {name.rpartition("/")[0] for name in allowed["reply"]} == {"/planning/planner"}


def test_the_picture_is_a_permission_of_its_own() -> None:
    picture = "/affect_overlay/compressed"
    assert picture not in granted("affect_dashboard", Names())["subscribe"]
    assert picture in granted("affect_dashboard", Names(), PICTURE)["subscribe"]


def test_a_process_of_several_nodes_has_what_they_have_together() -> None:
    together = {mode: set() for mode in ("subscribe", "publish", "reply", "request")}
    of_class = {node: name for name, (node, *_) in STAGES.items()}
    for factory in (VIEWS["markers"], *pipeline(sound=True)):
        for mode, of in granted(of_class[getattr(factory, "func", factory)], Names()).items():
            together[mode] |= of
    assert granted("social_perception_all", Names()) == together


# What the nodes do: exactly what they are allowed.


OUTPUTS = {
    AffectOverlayNode: {"affect_overlay": Image, "affect_overlay/compressed": CompressedImage},
    AffectMarkersNode: {"affect_markers": MarkerArray},
}


def watched(ros, node) -> None:
    """Somebody looks, so that the node subscribes."""
    for topic, kind in OUTPUTS[type(node)].items():
        ros.node.create_subscription(kind, topic, lambda message: None, 1)
    ros.until(lambda: node.input is not None, "the node subscribes")


def with_image(ros, node) -> None:
    dashboard = node.dashboard
    node.dashboard = SimpleNamespace(
        wants_image=True, show_stale=dashboard.show_stale, close=dashboard.close
    )  # a browser's wish
    topic = f"{ros.namespace}/affect_overlay/compressed"
    ros.until(lambda: ros.node.count_subscribers(topic) == 1, "the picture is subscribed")


def idle(config):
    return SimpleNamespace(
        close=lambda: None, reset=lambda: None, hear=lambda sound: None, aggregation=make_aggregation(config)
    )


SOUND = {"sound": True}
COMPRESSED = {"image_transport": "compressed"}
STAGES = {
    "face_tracker": (FaceTrackerNode, {"make": idle}, [{}, COMPRESSED], None),
    "smile_intensity": (SmileIntensityNode, {"make": idle}, [{}, SOUND], None),
    "group_affect": (GroupAffectNode, {}, [{}, SOUND], None),
    "sound_events": (SoundEventsNode, {"make": idle}, [{"audio_source": "topic"}], None),
    "anonymous_group": (AnonymousGroupNode, {"make": idle}, [{}, COMPRESSED], None),
    "scene_affect": (SceneAffectNode, {"make": idle}, [{**SOUND, "audio_source": "topic"}, COMPRESSED], None),
    "affect_overlay": (AffectOverlayNode, {}, [{}, COMPRESSED], watched),
    "affect_markers": (AffectMarkersNode, {}, [{}], watched),
    "affect_dashboard": (AffectDashboardNode, {}, [{"port": 0}, {"port": 0, "group_only": True}], None),
}
"""Per program its node, what it is made with, the parameters that decide what it uses, and who uses it."""


def used(ros, node: Node) -> dict[str, set[str]]:
    """The full names of what a node publishes, subscribes, replies to and requests, on the network."""
    ends = {
        "publish": {each.topic_name for each in node.publishers},
        "subscribe": {each.topic_name for each in node.subscriptions},
        "reply": {node.resolve_service_name(each.srv_name) for each in node.services},
    }

    def reported() -> dict[str, set[str]] | None:
        found = on_the_network(node)
        return found if all(names <= found[mode] for mode, names in ends.items()) else None

    return ros.until(reported, f"the network knows {node.get_name()}")


def on_the_network(node: Node) -> dict[str, set[str]]:
    about = node.get_name(), node.get_namespace()
    found = {
        "publish": node.get_publisher_names_and_types_by_node(*about),
        "subscribe": node.get_subscriber_names_and_types_by_node(*about),
        "reply": node.get_service_names_and_types_by_node(*about),
        "request": node.get_client_names_and_types_by_node(*about),
    }
    return {mode: {name for name, _ in names} for mode, names in found.items()}


def run(ros, kind, options, variants, use=None) -> dict[str, set[str]]:
    """What a node uses in all variants together, with a simulation's time."""
    together: dict[str, set[str]] = {}
    for parameters in variants:
        node = ros.start(kind, {**parameters, "use_sim_time": True}, **options)
        if use is not None:
            use(ros, node)
        for mode, names in used(ros, node).items():
            together.setdefault(mode, set()).update(names)
        ros.executor.remove_node(node)
        node.destroy_node()
    return together


def assert_equal(actual, allowed) -> None:
    """Everything that is used is allowed, and everything that is allowed is used."""
    for mode, names in allowed.items():
        forbidden = {
            name for name in actual[mode] if not any(fnmatchcase(name, pattern) for pattern in names)
        }
        unused = {
            pattern for pattern in names if not any(fnmatchcase(name, pattern) for name in actual[mode])
        }
        unused = {name for name in unused if not name.endswith(NEWER_THAN_HUMBLE)}
        assert (forbidden, unused) == (set(), set()), f"in what it may {mode}"


@pytest.mark.parametrize("name", STAGES)
def test_a_node_does_what_it_may_and_nothing_else(name, ros, monkeypatch) -> None:
    # Whether audio_common_msgs is installed or not.
    monkeypatch.setattr(sound_input, "AudioData", Header)
    monkeypatch.setattr(sound_input, "AudioInfo", Header)
    assert_equal(run(ros, *STAGES[name]), granted(name, Names(namespace=ros.namespace)))


def test_the_nodes_in_whose_name_anonymous_group_asks_do_no_more_than_it_may(ros, monkeypatch) -> None:
    seen = []

    class Watched(Node):
        def destroy_node(self) -> None:
            seen.append(used(ros, self))
            super().destroy_node()

    monkeypatch.setattr(anonymous_group, "Node", Watched)
    ros.start(AnonymousGroupNode, make=idle)
    allowed = granted("anonymous_group", Names(namespace=ros.namespace))
    assert len(seen) >= 2
    for each in seen:
        assert all(each[mode] <= allowed[mode] for mode in allowed), each


def test_the_page_with_the_picture_does_what_it_may_and_nothing_else(ros) -> None:
    actual = run(ros, AffectDashboardNode, {}, [{"port": 0, "picture": True, "token": "t" * 32}], with_image)
    allowed = granted("affect_dashboard", Names(namespace=ros.namespace), PICTURE)
    allowed["subscribe"] -= {f"{ros.namespace}/scene_affect"}  # of group_only, which has no picture
    assert_equal(actual, allowed)


def start_plain(ros, kind, **options) -> Node:
    sim_time = [Parameter("use_sim_time", value=True)]
    return ros.add(
        kind(context=ros.context, namespace=ros.namespace, parameter_overrides=sim_time, **options)
    )


def test_the_player_does_what_it_may_and_nothing_else(ros) -> None:
    node = start_plain(ros, ImagePublisher, clock=True, expect_results=True)
    assert_equal(used(ros, node), granted("image_publisher", Names(namespace=ros.namespace)))


def test_the_greeter_does_what_it_may_and_nothing_else(ros) -> None:
    pytest.importorskip("py_trees", reason="needs py_trees")
    from social_perception.ros.nodes.greeter import GreeterNode

    node = start_plain(ros, GreeterNode)
    assert_equal(used(ros, node), granted("greeter", Names(namespace=ros.namespace)))


def test_a_planner_needs_no_more_than_the_consumer_has(ros) -> None:
    def planner(**options) -> Node:
        node = Node("brain", **options)
        node.create_subscription(GroupAffectMessage, "group_affect", lambda message: None, 1)
        node.create_subscription(FaceAffectArray, "face_affect", lambda message: None, 1)
        node.create_subscription(SceneAffect, "scene_affect", lambda message: None, 1)
        return node

    names = Names(namespace=ros.namespace, nodes={CONSUMER: "brain"})
    assert_equal(used(ros, start_plain(ros, planner)), granted(CONSUMER, names))


class TestRos4Hri:
    @pytest.fixture(autouse=True)
    def _messages(self) -> None:
        pytest.importorskip(
            "hri_msgs.msg", reason="hri_msgs is not installed (apt install ros-$ROS_DISTRO-hri-msgs)"
        )

    def names(self, ros) -> Names:
        return Names(namespace=ros.namespace, humans="humans")

    def test_what_is_published_is_what_may_be(self, ros) -> None:
        from social_perception.ros.nodes.ros4hri import Ros4HriNode

        def somebody_comes(ros, node) -> None:
            publisher = ros.publisher(FaceAffectArray, "face_affect")
            known = {"intensity": 0.5, "level": FaceAffect.LEVEL_MEDIUM, "speaking": 0.0}
            face = FaceAffect(id="abcde", valid=True, **known)
            message = FaceAffectArray(image_width=640, image_height=480, faces=[face])

            def there():
                publisher.publish(message)
                return ros.node.count_publishers(
                    f"{ros.namespace}/humans/faces/abcde/facs"
                ) and ros.node.count_publishers(f"{ros.namespace}/humans/voices/abcde/is_speaking")

            ros.until(there, "the topics of the face")

        parameters = {"humans": "humans", "publish_faces": True, "publish_cropped": True}
        actual = run(ros, Ros4HriNode, {}, [parameters], somebody_comes)
        assert_equal(actual, granted("ros4hri", self.names(ros)))

    def test_what_is_read_is_what_may_be(self, ros) -> None:
        from hri_msgs.msg import IdsList

        from social_perception.ros.nodes.ros4hri_faces import Ros4HriFacesNode

        def somebody_comes(ros, node) -> None:
            publisher = ros.publisher(IdsList, "humans/faces/tracked")

            def there():
                publisher.publish(IdsList(ids=["abcde"]))
                return ros.node.count_subscribers(f"{ros.namespace}/humans/faces/abcde/roi")

            ros.until(there, "the topics of the face")

        variants = [
            {"humans": "humans", "crops": crops, **transport}
            for crops in ("cropped", "image")
            for transport in ({}, COMPRESSED)
        ]
        actual = run(ros, Ros4HriFacesNode, {}, variants, somebody_comes)
        assert_equal(actual, granted("ros4hri_faces", self.names(ros)))
