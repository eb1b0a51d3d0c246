"""What image_publisher stamps its pictures with, and how it waits for answers."""

import threading

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from social_perception.msg import FaceAffectArray

from social_perception.core.errors import SourceError
from social_perception.core.types import Frame
from social_perception.ros.convert import seconds
from social_perception.ros.nodes import image_publisher
from social_perception.ros.nodes.image_publisher import ImagePublisher, Player, stamp_message

STAMP_S = 1_700_000_000.25
PICTURE = np.full((8, 8, 3), 100, np.uint8)


@pytest.fixture
def make(ros):
    """Makes the node in the test's namespace."""
    return lambda **options: ros.add(ImagePublisher(context=ros.context, namespace=ros.namespace, **options))


@pytest.mark.parametrize("clock", [True, False])
def test_recorded_stamps_are_kept_and_shown_on_the_clock(ros, make, clock):
    publisher = make(recorded_stamps=True, clock=clock)
    images = ros.collect(Image, "image")
    clocks = []
    ros.node.create_subscription(Clock, "/clock", clocks.append, 10)
    ros.until(publisher.has_listener, "a listener")
    if clock:
        ros.until(
            lambda: (
                ros.node.count_publishers("/clock") and publisher._clock_publisher.get_subscription_count()
            )
        )
    publisher.publish(Frame(PICTURE, STAMP_S, 0))
    ros.until(lambda: images and (clocks or not clock), "the picture")
    assert seconds(images[0].header.stamp) == STAMP_S
    assert [each.clock for each in clocks] == [images[0].header.stamp] * clock


def test_pictures_are_stamped_now_by_default(ros, make):
    publisher = make()
    images = ros.collect(Image, "image")
    ros.until(publisher.has_listener, "a listener")
    before_s = seconds(ros.stamp(0.0))
    publisher.publish(Frame(PICTURE, STAMP_S, 0))
    ros.until(lambda: images, "the picture")
    assert before_s <= seconds(images[0].header.stamp) <= seconds(ros.stamp(0.0))


class Pictures:
    """A recording of some pictures, a third of a second apart."""

    name, live, rate_hz, frame_count = "pictures", False, 3.0, 4

    def __init__(self):
        self.left = [Frame(PICTURE, STAMP_S + n / 3, n) for n in range(4)]

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Answering:
    """A publisher that notes what happens; pictures are answered from the given one on."""

    def __init__(self, opens=True, answers_from=0):
        self.opens, self.answers_from = opens, answers_from
        self.events, self.warnings = [], []

    def has_listener(self):
        return True

    def warm_up(self, first, stopping, patience_s):
        self.events.append("warm up")
        return self.opens

    def publish(self, frame):
        self.events.append(frame.index)
        self.newest = frame.index

    def await_answer(self, timeout_s):
        self.events.append("answer" if self.newest >= self.answers_from else "none")
        return self.newest >= self.answers_from

    def get_logger(self):
        return self

    def warning(self, text):
        self.warnings.append(text)


def played(publisher):
    player = Player(publisher, Pictures(), "", loop=False, rate_hz=None, lockstep=True)
    player.start()
    assert player.ended.wait(30)
    return player


def test_each_picture_waits_for_the_answer_to_the_one_before():
    publisher = Answering()
    assert played(publisher).error is None
    assert publisher.events == ["warm up", 0, "answer", 1, "answer", 2, "answer", 3, "answer"]


def test_a_picture_without_an_answer_is_reported_and_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(image_publisher, "_ANSWER_S", 0.0)
    publisher = Answering(answers_from=1)
    played(publisher)
    assert [event for event in publisher.events if isinstance(event, int)] == [0, 1, 2, 3]
    assert len(publisher.warnings) == 1
    assert "picture 0 was not answered" in publisher.warnings[0]


def test_without_nodes_the_player_ends_with_one_line():
    error = played(Answering(opens=False)).error
    assert isinstance(error, SourceError)
    assert "nobody answers on face_affect" in str(error)


def test_the_way_is_opened_by_empty_pictures_that_are_stamped_later(ros, make):
    publisher = make(recorded_stamps=True, heed_answers=True)
    images = ros.collect(Image, "image")
    answers = ros.publisher(FaceAffectArray, "face_affect")
    opened = []
    first = Frame(PICTURE, STAMP_S, 0)
    thread = threading.Thread(target=lambda: opened.append(publisher.warm_up(first, threading.Event(), 20.0)))
    thread.start()
    ros.until(lambda: len(images) > 1, "more than one empty picture")
    assert not opened
    stale = FaceAffectArray()
    stale.header.stamp = stamp_message(STAMP_S)
    answers.publish(stale)  # of another picture
    answer = FaceAffectArray(header=images[-1].header)
    answers.publish(answer)
    ros.until(lambda: opened, "the way is open")
    thread.join()
    assert opened == [True]
    assert not any(images[0].data)
    assert seconds(images[0].header.stamp) > STAMP_S + 0.5
