"""Who smiles with whom, as group_affect publishes it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from factories import face

from social_perception.core.types import GroupDynamics, PairDynamics
from social_perception.ros.convert import dynamics_of
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupDynamics as GroupDynamicsMessage
from test.ros.messages import face_affects_message, group_dynamics_message, header

OFTEN_HZ = 10.0
PARAMETERS = {"dynamics_rate_hz": OFTEN_HZ, "dynamics_window_s": 12.0, "stale_after_s": 60.0}


def start(ros, **parameters):
    node = ros.start(GroupAffectNode, {**PARAMETERS, **parameters})
    return (
        node,
        ros.collect(GroupDynamicsMessage, "group_dynamics"),
        ros.publisher(FaceAffectArray, "face_affect", 1000),
    )


def faces(stamp_s: float, intensities: dict[str, float]) -> FaceAffectArray:
    people = (face(name, intensity) for name, intensity in intensities.items())
    return face_affects_message(header(int(stamp_s), round(stamp_s % 1 * 1e9)), *people)


def play(ros, node, publisher, begin_s: float, lag_s: float, frames: int = 200) -> float:
    """Send 15 images per second of two people, of whom bob follows ann; the last stamp in s."""
    taken = []
    process = node.process
    node.process = lambda message: taken.append(message) or process(message)
    stamps_s = begin_s + np.arange(frames) / 15
    for count, stamp_s in enumerate(stamps_s, start=1):
        smiles = {name: 0.5 + 0.4 * np.sin(stamp_s - lag) for name, lag in (("bob", lag_s), ("ann", 0.0))}
        publisher.publish(faces(stamp_s, smiles))
        ros.until(lambda count=count: len(taken) == count, "the image is taken")
    node.process = process
    return float(stamps_s[-1])


def test_nothing_is_lost_on_the_way_through_the_message() -> None:
    pairs = (PairDynamics("ann", "bob", 0.75, -0.5, 0.25), PairDynamics("ann", "cid", *[math.nan] * 3))
    dynamics = GroupDynamics(
        12.5, ("ann", "bob", "cid"), pairs, -0.125, 20.5, True, ("cid", "ann"), (0.0, 0.25)
    )
    head = header(12, 500_000_000)
    message = group_dynamics_message(head, dynamics)
    assert (message.header, message.pairs[0].lag) == (head, -0.5)
    assert repr(dynamics_of(message)) == repr(dynamics)  # NaN equals nothing


def test_before_the_first_image_the_dynamics_are_stale_and_empty(ros) -> None:
    _, found, _ = start(ros)
    message = ros.until(lambda: found[-1] if found else None, "a message without any input")
    assert (message.stale, list(message.face_ids), list(message.pairs), message.window) == (True, [], [], 0.0)
    assert message.header.frame_id == ""
    assert message.header.stamp.sec > 1_000_000_000
    assert math.isnan(message.synchrony)


def test_who_follows_whom_and_by_how_much(ros) -> None:
    node, found, publisher = start(ros)
    last_s = play(ros, node, publisher, 100.0, lag_s=0.7)
    message = ros.until(
        lambda: found[-1] if found and found[-1].header.stamp.sec >= int(last_s) else None,
        "the dynamics of the last image",
    )
    assert (message.header.frame_id, message.stale) == ("camera", False)
    assert list(message.face_ids) == ["ann", "bob"]
    (pair,) = message.pairs
    assert (pair.first, pair.second) == ("ann", "bob")
    assert pair.lag == pytest.approx(0.7, abs=0.01)
    assert pair.correlation > 0.99
    assert pair.zero_lag_correlation == pytest.approx(math.cos(0.7), abs=0.06)
    assert message.synchrony == pytest.approx(pair.zero_lag_correlation)
    assert message.window == pytest.approx(12.0, abs=0.1)


def test_silence_makes_the_dynamics_stale_and_an_image_ends_that(ros) -> None:
    _, found, publisher = start(ros, stale_after_s=0.5)
    publisher.publish(faces(100.0, {"ann": 0.5}))
    ros.until(lambda: found and not found[-1].stale, "dynamics of now")
    ros.until(lambda: found[-1].stale, "silence")
    assert list(found[-1].face_ids) == ["ann"]
    publisher.publish(faces(101.0, {}))
    ros.until(lambda: not found[-1].stale, "an empty room")
    assert list(found[-1].face_ids) == []


def test_a_bag_that_is_played_again_begins_anew(ros) -> None:
    node, found, publisher = start(ros)
    play(ros, node, publisher, 100.0, lag_s=0.7, frames=30)
    play(ros, node, publisher, 50.0, lag_s=0.7, frames=30)
    message = ros.until(lambda: next((each for each in found if 51 <= each.header.stamp.sec < 60), None))
    assert message.window < 2.1


def test_a_dynamic_change_takes_effect(ros) -> None:
    node, found, publisher = start(ros)
    play(ros, node, publisher, 100.0, lag_s=0.7)
    ros.until(lambda: found and found[-1].window > 10.0)
    assert ros.set(node, "dynamics_window_s", 5.0).successful
    publisher.publish(faces(114.0, {"ann": 0.5, "bob": 0.5}))
    ros.until(lambda: found[-1].window <= 5.0, "the shorter window")


def test_the_rate_is_one_hertz_by_default(ros) -> None:
    assert ros.create(GroupAffectNode).get_parameter("dynamics_rate_hz").value == 1.0


def test_an_inactive_node_publishes_no_dynamics(ros) -> None:
    node, found, _ = start(ros)
    ros.until(lambda: found)
    assert node.trigger_deactivate().name == "SUCCESS"
    assert node._timers_of_ours == []
    assert node.trigger_activate().name == "SUCCESS"
    count = len(found)
    ros.until(lambda: len(found) > count, "dynamics again")
    assert node.trigger_deactivate().name == "SUCCESS"
    assert node.trigger_cleanup().name == "SUCCESS"
