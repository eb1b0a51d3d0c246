"""Nodes of one process: results go from node to node as they are, messages to everybody else."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from social_perception.core.errors import MessageError
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support.intra_process import IntraProcess, Stamped
from social_perception.ros.support.messages import FaceAffectArray, TrackedFaceArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from test.ros.fakes import FakeScorer, FakeTracking, estimation

TIMEOUT_S = 10.0
QUICK = {"diagnostics_period_s": 0.1, "silent_after_s": 0.4}
TRACKER = {"reliability": "reliable", "use_depth": False, **QUICK}


def result(value: object) -> Stamped:
    return Stamped(Header(stamp=Time(sec=1)), value)


def test_a_result_arrives_as_it_is_at_the_subscriptions_of_its_topic() -> None:
    topics, found, others = IntraProcess(), [], []
    subscription = topics.subscribe("/faces", found.append, lambda: None)
    topics.subscribe("/others", others.append, lambda: None)
    sent = result(object())
    topics.publish("/faces", sent)
    assert found == [sent]
    assert found[0].value is sent.value
    subscription.close()
    topics.publish("/faces", sent)
    assert (len(found), others) == (1, [])


def test_a_publisher_is_announced_to_those_who_subscribe_its_topic() -> None:
    topics, calls = IntraProcess(), []
    topics.subscribe("/faces", lambda _: None, lambda: calls.append("faces"))
    closed = topics.subscribe("/faces", lambda _: None, lambda: calls.append("closed"))
    closed.close()
    topics.advertise("/others")
    topics.advertise("/faces")
    topics.advertise("/faces")
    topics.withdraw("/faces")
    assert topics.is_advertised("/faces"), "one of two is left"
    topics.withdraw("/faces")
    assert not topics.is_advertised("/faces")
    assert calls == ["faces", "faces"]


def test_closing_waits_for_the_callback_that_runs() -> None:
    topics, running, go_on, events = IntraProcess(), threading.Event(), threading.Event(), []

    def callback(_: Stamped) -> None:
        running.set()
        assert go_on.wait(TIMEOUT_S)
        events.append("called")

    def close() -> None:
        subscription.close()
        events.append("closed")

    subscription = topics.subscribe("/faces", callback, lambda: None)
    threads = [threading.Thread(target=topics.publish, args=("/faces", result(1)))]
    threads[0].start()
    assert running.wait(TIMEOUT_S)
    threads.append(threading.Thread(target=close))
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert events == ["called", "closed"]


class Process:
    """The three nodes in one process, around fakes, with a camera before them."""

    def __init__(self, ros, image_message) -> None:
        self.ros, self.tracking, self.scorer = ros, FakeTracking(), FakeScorer()
        shared = {"intra_process": IntraProcess()}
        self.group = ros.start(GroupAffectNode, {**QUICK, "publish_rate_hz": 50.0}, **shared)
        made = estimation(self.scorer)
        self.smiles = ros.create(SmileIntensityNode, QUICK, make=lambda config: made, **shared)
        self.tracker = ros.create(FaceTrackerNode, TRACKER, make=lambda config: self.tracking, **shared)
        # As the program does it: all are configured before one is activated.
        for node in (self.smiles, self.tracker):
            assert node.trigger_configure().name == "SUCCESS"
        for node in (self.smiles, self.tracker):
            assert node.trigger_activate().name == "SUCCESS"
        self.nodes = (self.tracker, self.smiles, self.group)
        self.groups = ros.collect(GroupAffectMessage, "group_affect")
        self._images, self._message = ros.publisher(Image, "image", 50), image_message

    def see(self, sec: int):
        """Send an image and wait for its group."""
        self.send(sec)
        return self.ros.until(
            lambda: next((each for each in self.groups if each.header.stamp.sec == sec), None), "its group"
        )

    def send(self, sec: int) -> None:
        self._images.publish(self._message(sec=sec))

    def subscribers(self, topic: str) -> int:
        return self.ros.node.count_subscribers(f"{self.ros.namespace}/{topic}")

    @property
    def done(self) -> list[tuple[int, int]]:
        """What each node has received and processed."""
        return [(each.health.totals.received, each.health.totals.processed) for each in self.nodes]


@pytest.fixture
def process(ros, image_message):
    return Process(ros, image_message)


def test_between_the_nodes_there_is_neither_a_subscription_nor_a_message(process, monkeypatch) -> None:
    built = []
    for publisher in (*process.tracker._results, *process.smiles._results):
        monkeypatch.setattr(publisher, "_build", lambda *_: built.append(1))
    groups = [process.see(sec) for sec in (100, 101, 102)]
    assert [group.group_size for group in groups] == [2, 2, 2]
    assert (groups[0].header.frame_id, groups[0].header.stamp.nanosec) == ("camera", 123456789)
    assert [process.subscribers(topic) for topic in ("tracked_faces", "face_affect")] == [0, 0]
    assert built == []
    assert process.done == [(3, 3)] * 3
    for (tracks, crops, _), tracked in zip(process.scorer.calls, process.tracking.results):
        assert tracks is tracked.tracks
        assert crops is tracked.crops


def test_others_get_one_message_of_each_image_and_the_next_node_gets_none(process, ros) -> None:
    faces, tracked = (
        ros.collect(FaceAffectArray, "face_affect"),
        ros.collect(TrackedFaceArray, "tracked_faces"),
    )
    for sec in (100, 101, 102):
        process.see(sec)
    ros.until(lambda: len(faces) == len(tracked) == 3, "messages of all images")
    assert [message.header.stamp.sec for message in faces] == [100, 101, 102]
    assert [face.id for face in faces[0].faces] == ["p0", "p1"]
    assert not tracked[0].crops
    assert process.done == [(3, 3)] * 3


def test_only_the_newest_result_waits_and_every_image_is_accounted_for(process, ros) -> None:
    process.scorer.may_go_on.clear()
    process.send(100)
    ros.until(lambda: process.scorer.calls, "the first one is in work")
    for count, sec in enumerate(range(101, 110), start=2):
        process.send(sec)
        ros.until(lambda count=count: process.smiles.health.totals.received == count, "it is handed over")
    process.scorer.may_go_on.set()
    ros.until(lambda: process.done[1:] == [(10, 2), (2, 2)], "the first and the newest are estimated")
    assert [stamp_s for _, _, stamp_s in process.scorer.calls] == pytest.approx([100.1, 109.1], abs=0.1)
    assert process.smiles.dropped == 8


def test_a_camera_that_stops_is_reported_by_all_and_makes_the_group_stale(process, ros) -> None:
    statuses = ros.statuses(process.smiles)
    ros.set(process.group, "stale_after_s", 0.3)
    assert not process.see(100).stale
    ros.until(lambda: process.groups[-1].stale, "the group is stale")
    silent = f"no tracked faces on {ros.namespace}/tracked_faces for"
    reason = "there is a publisher, but it is silent; check face_tracker"
    ros.until(lambda: any(silent in each.message and reason in each.message for each in statuses))
    process.groups.clear()
    assert not process.see(101).stale
    statuses.clear()
    ros.until(lambda: statuses and silent not in statuses[0].message, "it is over")


def test_a_failure_is_that_of_the_node_whose_work_it_was(process, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise MessageError("invalid smiles")

    process.see(100)
    monkeypatch.setattr(process.group.step, "process", fail)
    process.send(101)
    process.ros.until(lambda: process.group.health.totals.failed == 1, "the failure")
    assert [each.health.totals.failed for each in process.nodes] == [0, 0, 1]
    monkeypatch.undo()
    process.see(102)


def test_an_inactive_receiver_costs_nothing_and_receives_again(process, ros) -> None:
    process.see(100)
    assert process.group.trigger_deactivate().name == "SUCCESS"
    process.send(101)
    ros.until(lambda: process.done[1] == (2, 2), "the smiles of the image")
    assert process.done[2] == (1, 1)
    assert process.group.trigger_activate().name == "SUCCESS"
    process.see(102)
    assert process.done[2] == (1, 1), "since it is active"
    assert process.subscribers("face_affect") == 0


def test_while_a_publisher_is_inactive_the_topic_is_subscribed_instead(process, ros) -> None:
    process.see(100)
    assert process.smiles.trigger_deactivate().name == "SUCCESS"
    other = ros.node.create_publisher(FaceAffectArray, "face_affect", 10)
    ros.until(lambda: other.get_subscription_count() == 1, "the topic is subscribed")
    message = FaceAffectArray(image_width=64, image_height=48)
    message.header.stamp.sec = 101
    other.publish(message)
    ros.until(lambda: any(each.header.stamp.sec == 101 for each in process.groups), "its group")
    assert process.smiles.trigger_activate().name == "SUCCESS"
    ros.until(lambda: other.get_subscription_count() == 0, "the smiles are handed over again")
    process.see(102)
    assert process.done[2] == (3, 3)


def test_two_trackers_of_one_process_are_one_batch(ros, image_message) -> None:
    shared = {"intra_process": IntraProcess()}
    scorer, cameras = FakeScorer(), {"left": FakeTracking(), "right": FakeTracking()}
    smiles = ros.start(
        SmileIntensityNode, {"trackers": list(cameras)}, make=lambda config: estimation(scorer), **shared
    )
    found = {side: ros.collect(FaceAffectArray, f"{side}/face_affect") for side in cameras}
    images = {}
    for side, tracking in cameras.items():
        node = FaceTrackerNode(
            make=lambda config, tracking=tracking: tracking,
            context=ros.context,
            namespace=f"{ros.namespace}/{side}",
            **shared,
        )
        ros.add(node)
        assert [node.trigger_configure().name, node.trigger_activate().name] == ["SUCCESS"] * 2
        images[side] = ros.publisher(Image, f"{side}/image")
        assert ros.node.count_subscribers(f"{ros.namespace}/{side}/tracked_faces") == 0
    scorer.may_go_on.clear()
    for count, (side, sec) in enumerate([("left", 100), ("left", 101), ("right", 101)], start=1):
        images[side].publish(image_message(sec=sec, nanosec=count))
        ros.until(lambda count=count: smiles.health.totals.received == count, "it is handed over")
        ros.until(lambda: scorer.calls, "the first one is in work")
    scorer.may_go_on.set()
    ros.until(lambda: len(found["left"]) == 2 and found["right"], "both are answered")
    assert [[track.id for track in tracks] for tracks, _, _ in scorer.calls] == [
        ["left/p0", "left/p1"],
        ["left/p0", "left/p1", "right/p0", "right/p1"],
    ]
    (message,) = found["right"]
    assert (message.header.stamp.nanosec, [face.id for face in message.faces]) == (3, ["p0", "p1"])
    expected = cameras["right"].results[0].crops.mean(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose([face.intensity for face in message.faces], expected, atol=1e-6)
