from __future__ import annotations

import xml.dom.minidom
from pathlib import Path

import pytest
from rclpy.qos import qos_profile_system_default
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image

from social_perception.ros.support import transport
from social_perception.ros.support.qos import RESULT_QOS, image_qos
from social_perception.ros.support.topic_input import Losses, TopicInput

CHOICES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")


class Log:
    def __init__(self) -> None:
        self.lines = []

    def warning(self, text: str) -> None:
        self.lines.append(text)

    info = warning


@pytest.fixture
def log(ros, monkeypatch):
    log = Log()
    monkeypatch.setattr(ros.node, "get_logger", lambda: log)
    return log


def subscribe(ros, callback=lambda message: None, **arguments):
    qos = image_qos(reliable=False)
    return TopicInput(
        ros.node, Image, "image", qos, callback, noun="images", origin="the camera", **arguments
    )


def test_the_system_default_qos_is_compatible_with_images_and_results(ros, image_message) -> None:
    taken, results = [], []
    subscribe(ros, taken.append, reliable_qos=image_qos(reliable=True))
    camera = ros.publisher(Image, "image", qos_profile_system_default)
    ros.until(lambda: camera.publish(image_message()) or taken, "an image of the system's default QoS")
    ros.node.create_subscription(Image, "result", results.append, qos_profile_system_default)
    publisher = ros.publisher(Image, "result", RESULT_QOS)
    ros.until(lambda: publisher.publish(image_message()) or results, "a result")


def test_reliable_publishers_are_followed_and_others_are_not_shut_out(ros, image_message) -> None:
    taken = []
    topic = subscribe(ros, taken.append, reliable_qos=image_qos(reliable=True))

    def reliability():
        topic.check(60.0)
        found = ros.node.get_subscriptions_info_by_topic(topic.topic)
        assert len(found) <= 1, "two subscriptions of one topic in a process"
        return found[0].qos_profile.reliability.name if found else "none, for a moment"

    assert reliability() == "BEST_EFFORT"
    reliable = ros.publisher(Image, "image")
    ros.until(lambda: reliability() == "RELIABLE", "the reliable publisher is followed")
    reliable.publish(image_message())
    ros.until(lambda: taken, "its image")
    other = ros.node.create_publisher(Image, "image", image_qos(reliable=False))
    ros.until(lambda: reliability() == "BEST_EFFORT", "the publisher that needs it is followed")
    taken.clear()
    ros.until(lambda: other.get_subscription_count() > 0)
    other.publish(image_message())
    ros.until(lambda: taken, "the best-effort publisher's image")


def test_a_camera_that_goes_and_returns_changes_nothing(ros) -> None:
    camera = ros.node.create_publisher(Image, "image", 1)
    ros.until(lambda: ros.node.count_publishers("image") == 1, "the publisher is known")
    topic = subscribe(ros, reliable_qos=image_qos(reliable=True))
    before = topic._subscription
    ros.node.destroy_publisher(camera)
    ros.until(lambda: not ros.node.get_publishers_info_by_topic(topic.topic), "the camera is gone")
    topic.check(60.0)
    ros.node.create_publisher(Image, "image", 1)
    ros.until(lambda: ros.node.get_publishers_info_by_topic(topic.topic), "it is there again")
    topic.check(60.0)
    assert topic._subscription is before


def test_reliable_publishers_that_are_known_are_followed_from_the_start(ros) -> None:
    ros.node.create_publisher(Image, "image", image_qos(reliable=True))
    ros.until(lambda: ros.node.count_publishers("image") == 1, "the publisher is known")
    topic = subscribe(ros, reliable_qos=image_qos(reliable=True))
    (info,) = ros.node.get_subscriptions_info_by_topic(topic.topic)
    assert info.qos_profile.reliability.name == "RELIABLE"


def test_without_a_reliable_profile_nothing_is_followed(ros) -> None:
    topic = subscribe(ros)
    ros.publisher(Image, "image")
    topic.check(60.0)
    (info,) = ros.node.get_subscriptions_info_by_topic(topic.topic)
    assert info.qos_profile.reliability.name == "BEST_EFFORT"


def test_heavy_loss_is_reported_once_with_the_remedy(ros, log) -> None:
    topic = subscribe(ros)
    topic._taken = 60
    topic._losses.report(25)
    topic.check(60.0)
    assert not log.lines
    for _ in range(2):
        topic._losses.report(20)
        topic.check(60.0)
    (line,) = log.lines
    assert "many images" in line
    assert transport.PROFILE in line
    assert topic.lost == 65


def test_a_silence_that_is_loss_says_so_until_a_message_comes(ros, log, image_message) -> None:
    taken = []
    topic = subscribe(ros, taken.append, parameter="reliability")
    publisher = ros.publisher(Image, "image")
    topic._losses.report(7)
    ros.until(lambda: "they are lost on the way, the last 7: start the publisher" in topic.check(0.05))
    assert "or set the parameter reliability to reliable" in topic.check(0.05)
    publisher.publish(image_message())
    ros.until(lambda: taken)
    ros.until(lambda: "there is a publisher, but it is silent" in topic.check(0.05))


def test_light_loss_is_only_counted(ros, log) -> None:
    topic = subscribe(ros)
    topic._taken = 1000
    topic._losses.report(40)
    topic.check(60.0)
    assert (topic.lost, log.lines) == (40, [])


@pytest.mark.parametrize(
    ("arrivals", "several", "count"),
    [
        ([1, 2, 3], False, 0),
        ([7, 8, 10, 14], False, 4),
        ([7, 20, 2, 4], False, 13),  # a publisher that began anew
        ([7, 7, 3, 3], False, 0),
        ([7, 100, 8, 101], True, 0),
        ([None, None], False, 0),
    ],
)
@pytest.mark.parametrize("reliable", [True, False])
def test_gaps_in_the_numbers_are_losses(arrivals, several, count, reliable) -> None:
    losses = Losses(lambda: several)
    for number in arrivals:
        losses.receive(number, reliable=reliable)
    losses.settle()
    assert (losses.lost, losses.replaced) == ((0, count) if reliable else (count, 0))


@pytest.mark.parametrize(
    ("steps", "lost", "replaced"),
    [
        ([1, "lost 2", 4], 2, 0),
        ([1, 4, "lost 2"], 2, 0),  # reported just after the message behind the gap
        ([1, "lost 2", 6], 2, 2),
        ([1, 6, "lost 1", "lost 2", 7], 3, 1),
        ([1, "lost 1", "settle", "lost 1", "settle", 4], 2, 0),  # all are lost for a while
        ([1, "lost 2", "subscribe", 9, 11], 0, 1),
        ([1, 4, "settle", "lost 2"], 0, 2),  # too late to be understood
        (["lost 5", None, "lost 2", None], 7, 0),  # without numbers
    ],
)
def test_gaps_of_a_reliable_subscription_are_lost_where_the_middleware_says_so(steps, lost, replaced) -> None:
    losses = Losses(lambda: False)
    for step in steps:
        if step == "settle":
            losses.settle()
        elif step == "subscribe":
            losses.forget_number()
        elif isinstance(step, str):
            losses.report(int(step.removeprefix("lost ")))
        else:
            losses.receive(step, reliable=True)
    losses.settle()
    assert (losses.lost, losses.replaced) == (lost, replaced)


@pytest.mark.parametrize("reliable", [True, False])
def test_images_that_were_replaced_before_they_were_taken_are_counted(ros, image_message, reliable) -> None:
    taken, reported = [], []
    topic = TopicInput(
        ros.node,
        Image,
        "image",
        image_qos(reliable=reliable),
        taken.append,
        noun="images",
        origin="the camera",
        on_replaced=reported.append,
    )
    publisher = ros.publisher(Image, "image")
    publisher.publish(image_message(sec=0))
    ros.until(lambda: taken, "the first image")
    for number in range(1, 9):
        publisher.publish(image_message(sec=number))
    ros.until(lambda: taken[-1].header.stamp.sec == 8, "the newest image")
    # Cyclone DDS does not number its messages, and up to Humble rclpy does not tell the numbers.
    numbered = hasattr(Subscription, "CallbackType") and "fastrtps" in get_rmw_implementation_identifier()
    missing = 9 - len(taken) if numbered else 0
    topic.check(60.0)
    assert (topic.replaced, topic.lost) == ((missing, 0) if reliable else (0, missing))
    assert sum(reported) == topic.replaced


def test_silence_and_its_end_are_each_reported_once(ros, log, image_message) -> None:
    taken = []
    topic = subscribe(ros, taken.append)
    ros.until(lambda: topic.check(0.05))
    assert topic.check(0.05)
    assert len(log.lines) == 1
    assert "nobody publishes there; check the camera" in log.lines[0]
    publisher = ros.publisher(Image, "image")
    publisher.publish(image_message())
    ros.until(lambda: taken)
    assert len(log.lines) == 2
    assert "come again" in log.lines[1]
    assert topic.check(60.0) == ""


def test_the_profile_is_taken_unless_the_user_chose_one(monkeypatch, tmp_path) -> None:
    profile = tmp_path / "profile.xml"
    monkeypatch.setattr(transport, "profile_path", lambda: profile)
    environment: dict[str, str] = {}
    monkeypatch.setattr(transport.os, "environ", environment)
    transport.prefer_large_images()
    assert environment == {CHOICES[0]: str(profile)}
    for name in CHOICES:
        environment.clear()
        environment[name] = "the user's"
        transport.prefer_large_images()
        assert environment == {name: "the user's"}


def test_the_profile_is_well_formed() -> None:
    path = Path(__file__).parents[2] / transport.PROFILE
    kinds = [each.firstChild.data for each in xml.dom.minidom.parse(str(path)).getElementsByTagName("type")]
    assert kinds == ["SHM", "UDPv4"]
