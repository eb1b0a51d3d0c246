from __future__ import annotations

import math

import factories
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from social_perception.core.types import SmileLevel
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.support.config import MarkersConfig
from social_perception.ros.support.messages import FaceAffect, FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import image_qos
from social_perception.views.colors import level_color
from test.ros.messages import group_affect_message

UNKNOWN = Point(x=math.nan, y=math.nan, z=math.nan)
FRAME_ID = "camera_color_optical_frame"
WIDTH, HEIGHT = 640, 480


def header(sec: int = 100) -> Header:
    return Header(stamp=Time(sec=sec, nanosec=7), frame_id=FRAME_ID)


def face(name: str = "a", position: Point = UNKNOWN, center=(320, 240), **changes) -> FaceAffect:
    said = {"intensity": 0.5, "level": FaceAffect.LEVEL_MEDIUM, "valid": True, **changes}
    said = {"speaking": math.nan, "laughing": math.nan, **said}
    roi = RegionOfInterest(x_offset=center[0] - 40, y_offset=center[1] - 40, width=80, height=80)
    return FaceAffect(id=name, roi=roi, position=position, **said)


def faces(*people: FaceAffect, sec: int = 100) -> FaceAffectArray:
    return FaceAffectArray(header=header(sec), image_width=WIDTH, image_height=HEIGHT, faces=list(people))


def camera_info(fx: float, cx: float, cy: float, size=(WIDTH, HEIGHT)) -> CameraInfo:
    return CameraInfo(
        header=header(),
        width=size[0],
        height=size[1],
        k=[fx, 0.0, cx, 0.0, fx, cy, 0.0, 0.0, 1.0 if fx else 0.0],
    )


class Scene:
    """What a viewer shows: it follows the markers' actions."""

    def __init__(self, ros) -> None:
        self.arrays = ros.collect(MarkerArray, "affect_markers")

    def shown(self, count: int | None = None):
        shown = {}
        for array in self.arrays[:count]:
            for marker in array.markers:
                if marker.action == Marker.DELETEALL:
                    shown.clear()
                elif marker.action == Marker.DELETE:
                    shown.pop((marker.ns, marker.id))
                else:
                    shown[marker.ns, marker.id] = marker
        return shown

    def of(self, namespace: str) -> list[Marker]:
        return [marker for (ns, _), marker in self.shown().items() if ns == namespace]

    def labels(self) -> dict[str, int]:
        """The number of each person shown."""
        return {marker.text.split("\n")[0]: marker.id for marker in self.of("labels")}


@pytest.fixture
def start(ros):
    def begin(parameters=None):
        node = ros.start(AffectMarkersNode, parameters)
        scene = Scene(ros)
        return node, scene, ros.publisher(FaceAffectArray, "face_affect")

    return begin


@pytest.fixture
def send(ros):
    """Publishes and waits until it is drawn."""

    def publish(scene, publisher, message):
        count = len(scene.arrays)
        publisher.publish(message)
        ros.until(lambda: len(scene.arrays) > count, "markers")
        return scene.arrays[-1]

    return publish


def xyz(marker: Marker) -> tuple[float, float, float]:
    place = marker.pose.position
    return (place.x, place.y, place.z)


def test_with_depth_a_face_is_drawn_where_it_is(start, send) -> None:
    _, scene, publisher = start()
    send(scene, publisher, faces(face(position=Point(x=-0.5, y=0.25, z=2.5))))
    (ball,) = scene.of("faces")
    assert xyz(ball) == (-0.5, 0.25, 2.5)
    assert (ball.type, ball.header) == (Marker.SPHERE, header())
    assert ball.pose.orientation.w == 1.0


def test_without_depth_a_face_is_drawn_on_the_plane_as_the_camera_sees_it(ros, start, send) -> None:
    _, scene, publisher = start({"plane_distance_m": 2.0})
    info = ros.publisher(CameraInfo, "camera_info", image_qos(reliable=False))

    def at_principal_point() -> bool:
        info.publish(camera_info(400.0, 300.0, 200.0))
        send(scene, publisher, faces(face("a", center=(300, 200)), face("b", center=(500, 100))))
        return xyz(scene.of("faces")[0]) == (0.0, 0.0, 2.0)

    ros.until(at_principal_point, "a face at the principal point is straight ahead")
    ahead, aside = scene.of("faces")
    assert xyz(aside) == pytest.approx((1.0, -0.5, 2.0)), "right and up in the image: x grows, y falls"
    assert ahead.scale.x == ahead.scale.y == ahead.scale.z == pytest.approx(80 / 400 * 2.0)


def test_k_is_scaled_to_the_images_size(ros, start, send) -> None:
    _, scene, publisher = start({"plane_distance_m": 2.0})
    info = ros.publisher(CameraInfo, "camera_info", image_qos(reliable=False))

    def drawn() -> float:
        info.publish(camera_info(800.0, 600.0, 400.0, (2 * WIDTH, 2 * HEIGHT)))
        send(scene, publisher, faces(face(center=(500, 200))))
        return xyz(scene.of("faces")[0])

    ros.until(lambda: drawn() == pytest.approx((1.0, 0.0, 2.0)), "the scaled camera")


def test_before_camera_info_the_field_of_view_is_that_of_the_parameter(start, send) -> None:
    _, scene, publisher = start({"horizontal_fov_deg": 90.0, "plane_distance_m": 1.0})
    send(scene, publisher, faces(face(center=(WIDTH - 40, HEIGHT // 2))))
    (ball,) = scene.of("faces")
    assert xyz(ball) == pytest.approx((280 / 320, 0.0, 1.0))


@pytest.mark.parametrize("bad", [camera_info(0.0, 0.0, 0.0), camera_info(math.nan, 300.0, 200.0)])
def test_a_camera_info_that_cannot_be_is_reported_once_and_left_aside(bad, ros, start, send) -> None:
    node, scene, publisher = start({"diagnostics_period_s": 0.1})
    failures = []
    node.fail = failures.append
    info = ros.publisher(CameraInfo, "camera_info", image_qos(reliable=False))

    def publish() -> list[str]:
        info.publish(bad)
        return failures

    ros.until(publish, "the report")
    assert "K of camera_info" in failures[0]
    for sec in (100, 101, 102):
        info.publish(bad)
        send(scene, publisher, faces(face(), sec=sec))
    assert len(failures) == 1
    assert xyz(scene.of("faces")[0]) == pytest.approx((0.0, 0.0, MarkersConfig().plane_distance_m))


def test_texts_say_who_smiles_how_much_and_stand_above(start, send) -> None:
    _, scene, publisher = start({"text_height_m": 0.1})
    send(scene, publisher, faces(face("p3", intensity=0.83, level=FaceAffect.LEVEL_HIGH)))
    (label,), (ball,), (above,) = scene.of("labels"), scene.of("faces"), scene.of("group")
    assert label.text == "p3\nHigh 0.83"
    assert {label.type, above.type} == {Marker.TEXT_VIEW_FACING}
    assert label.scale.z == above.scale.z == pytest.approx(0.1)
    assert above.pose.position.y < label.pose.position.y < ball.pose.position.y - ball.scale.y / 2


@pytest.mark.parametrize(
    ("changes", "level", "opaque"),
    [
        ({"level": FaceAffect.LEVEL_NEUTRAL}, SmileLevel.NEUTRAL, True),
        ({"level": FaceAffect.LEVEL_HIGH}, SmileLevel.HIGH, True),
        ({"level": FaceAffect.LEVEL_HIGH, "valid": False}, SmileLevel.UNKNOWN, False),
        (
            {"level": FaceAffect.LEVEL_UNKNOWN, "intensity": math.nan, "valid": False},
            SmileLevel.UNKNOWN,
            False,
        ),
    ],
)
def test_the_colour_is_that_of_the_level(changes, level, opaque, start, send) -> None:
    _, scene, publisher = start()
    send(scene, publisher, faces(face(**changes)))
    color = scene.of("faces")[0].color
    assert [round(255 * each) for each in (color.r, color.g, color.b)] == list(level_color(level))
    assert (color.a == 1.0) is opaque


def test_who_leaves_is_taken_away_and_numbers_stay_with_their_people(start, send) -> None:
    _, scene, publisher = start()
    send(scene, publisher, faces(face("a"), face("b")))
    before = scene.labels()
    last = send(scene, publisher, faces(face("b"), face("c")))
    removed = {(each.ns, each.id) for each in last.markers if each.action == Marker.DELETE}
    assert removed == {("faces", before["a"]), ("labels", before["a"])}
    after = scene.labels()
    assert after.keys() == {"b", "c"}
    assert after["b"] == before["b"]
    assert after["c"] not in before.values(), "a number is not given twice"
    send(scene, publisher, faces(face("a"), face("b"), face("c")))
    assert scene.labels() == {**after, "a": scene.labels()["a"]}
    assert len(set(scene.labels().values())) == 3
    send(scene, publisher, faces())
    assert {ns for ns, _ in scene.shown()} == {"group"}


def test_markers_vanish_by_themselves_when_the_node_is_killed(start, send) -> None:
    _, scene, publisher = start({"marker_lifetime_s": 1.25})
    markers = send(scene, publisher, faces(face())).markers
    drawn = [each for each in markers if each.action == Marker.ADD]
    assert len(drawn) == 3
    assert {(each.lifetime.sec, each.lifetime.nanosec) for each in drawn} == {(1, 250_000_000)}


def test_the_first_markers_take_away_what_an_earlier_run_left(start, send) -> None:
    _, scene, publisher = start()
    first = send(scene, publisher, faces(face()))
    second = send(scene, publisher, faces(face(), sec=101))
    assert first.markers[0].action == Marker.DELETEALL
    assert all(each.action == Marker.ADD for each in [*first.markers[1:], *second.markers])
    names = [(each.ns, each.id) for each in first.markers]
    assert len(set(names)) == len(names), "rviz complains of two markers with one name in an array"


def test_when_stamps_go_back_everything_is_drawn_anew(start, send) -> None:
    _, scene, publisher = start()
    send(scene, publisher, faces(face("a"), sec=100))
    again = send(scene, publisher, faces(face("a"), sec=10))
    assert again.markers[0].action == Marker.DELETEALL
    assert scene.labels().keys() == {"a"}


def test_deactivating_takes_everything_away(ros, start, send) -> None:
    node, scene, publisher = start()
    send(scene, publisher, faces(face()))
    assert node.trigger_deactivate().name == "SUCCESS"
    ros.until(lambda: not scene.shown(), "an empty view")
    assert node.input is None
    assert node.trigger_activate().name == "SUCCESS"
    ros.until(lambda: node.input is not None)
    send(scene, ros.publisher(FaceAffectArray, "face_affect"), faces(face()))
    assert len(scene.shown()) == 3
    assert node.trigger_deactivate().name == "SUCCESS"
    assert node.trigger_cleanup().name == "SUCCESS"


def test_a_node_that_ends_leaves_nothing_behind(ros, start, send) -> None:
    node, scene, publisher = start()
    send(scene, publisher, faces(face()))
    ros.executor.remove_node(node)
    node.destroy_node()
    ros.until(lambda: not scene.shown(), "an empty view")


def test_nothing_is_subscribed_while_nobody_listens(ros) -> None:
    node = ros.start(AffectMarkersNode, {"diagnostics_period_s": 0.1})
    reported = ros.reports(node)
    topics = ("face_affect", "group_affect", "camera_info")
    ros.until(lambda: len(reported()) > 3, "a while")
    assert [ros.node.count_subscribers(topic) for topic in topics] == [0, 0, 0]
    found = []
    listener = ros.node.create_subscription(MarkerArray, "affect_markers", found.append, 10)
    ros.until(lambda: all(ros.node.count_subscribers(topic) == 1 for topic in topics), "it listens")
    ros.node.destroy_subscription(listener)
    ros.until(lambda: not any(ros.node.count_subscribers(topic) for topic in topics), "it listens no more")


def group(sec: int = 100, *, stale: bool = False) -> GroupAffectMessage:
    values = {"smiling_fraction": 1.0, "trend": math.nan, "stale": stale}
    return group_affect_message(header(sec), factories.group(1, **values))


def test_the_groups_text_is_the_newest_and_says_when_there_are_no_images(ros, start, send) -> None:
    _, scene, publisher = start()
    groups = ros.publisher(GroupAffectMessage, "group_affect")
    send(scene, publisher, faces(face(position=Point(x=0.5, y=0.0, z=2.0))))
    assert scene.of("group")[0].text == "group: waiting"

    def text_after(message: GroupAffectMessage) -> str:
        groups.publish(message)
        send(scene, publisher, faces(face(position=Point(x=0.5, y=0.0, z=2.0))))
        return scene.of("group")[0].text

    ros.until(lambda: text_after(group()).startswith("group of 1   Medium 0.50\n"), "the group's figures")
    place = xyz(scene.of("group")[0])
    assert place[0] == pytest.approx(0.5)
    count = len(scene.arrays)
    groups.publish(group(stale=True))
    ros.until(lambda: len(scene.arrays) > count, "the text without a new image")
    (marker,) = scene.arrays[-1].markers
    assert (marker.ns, marker.text, marker.header) == ("group", "group: no images", header())
    assert marker.pose.position.y < 0.0
    assert marker.color.a < 1.0


def test_a_group_before_the_first_image_is_not_drawn(ros, start, send) -> None:
    node, scene, publisher = start()
    taken, failures = [], []
    node.health.failed = failures.append
    follow = node._on_group
    node.unsubscribe()
    node._on_group = lambda message: (taken.append(message), follow(message))
    ros.until(lambda: node.input is not None)
    groups = ros.publisher(GroupAffectMessage, "group_affect")
    groups.publish(group(stale=True))
    ros.until(lambda: taken, "the message is taken")
    send(scene, publisher, faces(face()))
    assert len(scene.arrays) == 1
    assert not failures


def test_images_without_a_frame_id_are_reported(ros, start, send) -> None:
    node, scene, publisher = start()
    failures = []
    node.fail = failures.append
    message = faces(face())
    message.header.frame_id = ""
    publisher.publish(message)
    ros.until(lambda: failures, "the report")
    assert "frame_id" in failures[0]
    send(scene, publisher, faces(face(), sec=101))
    assert len(scene.arrays) == 1


def test_parameters_change_what_is_drawn_at_once(ros, start, send) -> None:
    node, scene, publisher = start()
    send(scene, publisher, faces(face()))
    assert ros.set(node, "plane_distance_m", 4.0).successful
    send(scene, publisher, faces(face(), sec=101))
    assert xyz(scene.of("faces")[0])[2] == 4.0


def test_the_latency_is_that_of_the_pipeline(ros, start, ages_its_results) -> None:
    node, _, publisher = start({"diagnostics_period_s": 0.1})

    def publish(stamp: Time) -> None:
        message = faces(face())
        message.header.stamp = stamp
        publisher.publish(message)

    ages_its_results(node, publish)
