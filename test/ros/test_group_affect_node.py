from __future__ import annotations

import math

import pytest
from builtin_interfaces.msg import Time
from factories import face
from rosgraph_msgs.msg import Clock

from social_perception.core.types import Box
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from test.ros.messages import face_affects_message, header

RARELY_HZ = 0.1
OFTEN_HZ = 50.0


def faces(*intensities: float, sec: int = 100, nanosec: int = 7, names: str = "abcdefgh") -> FaceAffectArray:
    people = (
        face(name, intensity, box=Box(100 * index, 10, 80, 80))
        for index, (name, intensity) in enumerate(zip(names, intensities))
    )
    return face_affects_message(header(sec, nanosec), *people)


def start(ros, parameters):
    node = ros.start(GroupAffectNode, parameters)
    return (
        node,
        ros.collect(GroupAffectMessage, "group_affect"),
        ros.publisher(FaceAffectArray, "face_affect"),
    )


def test_before_the_first_image_the_group_is_stale_and_unknown(ros) -> None:
    _, found, _ = start(ros, {"publish_rate_hz": OFTEN_HZ})
    ros.until(lambda: found, "a message without any input")
    assert (found[0].group_size, found[0].stale, found[0].header.frame_id) == (0, True, "")
    assert found[0].header.stamp.sec > 1_000_000_000
    assert found[0].level == GroupAffectMessage.LEVEL_UNKNOWN
    assert math.isnan(found[0].intensity)


def test_the_group_is_published_with_the_stamp_of_its_image(ros) -> None:
    _, found, publisher = start(ros, {"publish_rate_hz": OFTEN_HZ})
    publisher.publish(faces(0.0, 1.0, sec=123, nanosec=456))
    message = ros.until(lambda: next((each for each in found if each.group_size), None), "a group")
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (
        123,
        456,
        "camera",
    )
    assert (message.group_size, message.valid_faces, list(message.face_ids)) == (2, 2, ["a", "b"])
    assert message.mean_intensity == pytest.approx(0.5)
    assert message.dispersion == pytest.approx(0.5)
    assert message.smiling_fraction == pytest.approx(0.5)
    assert message.level == GroupAffectMessage.LEVEL_MEDIUM
    assert message.stale is False


def test_an_empty_room_and_a_dead_camera_are_distinguished(ros) -> None:
    _, found, publisher = start(ros, {"publish_rate_hz": OFTEN_HZ, "stale_after_s": 0.5})
    publisher.publish(faces())
    ros.until(lambda: found and not found[-1].stale, "a message that is not stale")
    assert (found[-1].group_size, found[-1].stale) == (0, False)
    publisher.publish(faces(0.5))
    ros.until(lambda: found[-1].group_size == 1, "one person")
    ros.until(lambda: found[-1].stale, "silence makes it stale")
    assert found[-1].group_size == 1
    publisher.publish(faces(0.5, sec=101))
    ros.until(lambda: not found[-1].stale, "a new image ends that")


def test_a_change_of_people_is_published_at_once_and_nothing_else(ros) -> None:
    node, found, publisher = start(ros, {"publish_rate_hz": RARELY_HZ})
    taken = []
    process = node.process
    node.process = lambda message: taken.append(message) or process(message)
    sent = [
        ((), ""),
        ((0.1,), "a"),
        ((0.9,), "a"),
        ((0.9, 0.1), "ab"),
        ((0.1, 0.9), "ba"),
        ((0.9, 0.1), "bc"),
        ((), ""),
    ]
    for count, (intensities, names) in enumerate(sent, start=1):
        publisher.publish(faces(*intensities, sec=100 + count, names=names))
        ros.until(lambda count=count: len(taken) == count, "the message is taken")
    expected = [[], ["a"], ["a", "b"], ["b", "c"], []]
    ros.until(lambda: len(found) >= len(expected), "all changes")
    assert [list(message.face_ids) for message in found] == expected


def test_the_rate_is_kept_without_input_by_the_nodes_clock(ros) -> None:
    """Ten messages per second of simulated time, however fast the machine is."""
    ros_time = ros.node.create_publisher(Clock, "/clock", 10)
    node = ros.start(GroupAffectNode, {"publish_rate_hz": 10.0, "use_sim_time": True})
    found = ros.collect(GroupAffectMessage, "group_affect")
    ros.until(lambda: ros_time.get_subscription_count() > 0)

    def advance(hundredths: int) -> None:
        message = Clock(clock=Time(sec=50 + hundredths // 100, nanosec=hundredths % 100 * 10_000_000))
        ros_time.publish(message)
        ros.until(lambda: node.get_clock().now().to_msg() == message.clock)
        for _ in range(3):
            ros.executor.spin_once(timeout_sec=0.005)

    advance(0)
    del found[:]
    for hundredths in range(1, 101):
        advance(hundredths)
    ros.until(lambda: len(found) >= 9)
    assert 9 <= len(found) <= 11


def test_a_dynamic_change_takes_effect(ros) -> None:
    node, found, publisher = start(ros, {"publish_rate_hz": OFTEN_HZ})
    publisher.publish(faces(0.34))
    ros.until(lambda: found and found[-1].smiling_fraction == 1.0)
    assert ros.set(node, "smiling_level", 3).successful
    publisher.publish(faces(0.34, sec=101))
    ros.until(lambda: found[-1].smiling_fraction == 0.0, "LOW is no smile any more")


def test_stamps_that_go_back_begin_a_new_history(ros) -> None:
    _, found, publisher = start(ros, {"publish_rate_hz": OFTEN_HZ})
    for sec in (100, 101, 102):
        publisher.publish(faces(0.5, sec=sec))
        ros.until(lambda sec=sec: found and found[-1].header.stamp.sec == sec)
    assert found[-1].window == pytest.approx(2.0)
    publisher.publish(faces(0.5, sec=10))
    ros.until(lambda: found[-1].header.stamp.sec == 10)
    assert found[-1].window == 0.0


def test_the_latency_is_that_of_the_pipeline(ros, ages_its_results) -> None:
    node, _, publisher = start(ros, {"publish_rate_hz": OFTEN_HZ, "diagnostics_period_s": 0.1})
    ages_its_results(node, lambda stamp: publisher.publish(faces(1.0, sec=stamp.sec, nanosec=stamp.nanosec)))


def test_an_image_has_one_latency_however_often_its_group_is_published(ros, latencies) -> None:
    node, found, publisher = start(ros, {"publish_rate_hz": OFTEN_HZ, "diagnostics_period_s": 0.1})
    reports = ros.reports(node)
    stamp = ros.stamp(0.0)
    publisher.publish(faces(1.0, sec=stamp.sec, nanosec=stamp.nanosec))
    ros.until(lambda: any(latencies(report) for report in reports()), "a report with a latency")
    count, published = len(reports()), len(found)
    ros.until(lambda: len(reports()) > count + 3, "more reports")
    assert len(found) > published + 3
    assert sum(bool(latencies(report)) for report in reports()) == 1
