"""The stamps of image_publisher, and how it waits for results."""

import threading

import numpy as np
import pytest
from PIL import Image as PillowImage
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from social_perception.msg import FaceAffectArray

from social_perception.core.errors import SourceError
from social_perception.core.types import Frame
from social_perception.ros.convert import seconds
from social_perception.ros.nodes import image_publisher
from social_perception.ros.nodes.image_publisher import ImagePublisher, Player, stamp_message

STAMP_S = 1_700_000_000.25
IMAGE = np.full((8, 8, 3), 100, np.uint8)


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
    ros.until(publisher.has_subscriber, "a subscriber")
    if clock:
        ros.until(
            lambda: (
                ros.node.count_publishers("/clock") and publisher._clock_publisher.get_subscription_count()
            )
        )
    publisher.publish(Frame(IMAGE, STAMP_S, 0))
    ros.until(lambda: images and (clocks or not clock), "the image")
    assert seconds(images[0].header.stamp) == STAMP_S
    assert [each.clock for each in clocks] == [images[0].header.stamp] * clock


def test_images_are_stamped_now_by_default(ros, make):
    publisher = make()
    images = ros.collect(Image, "image")
    ros.until(publisher.has_subscriber, "a subscriber")
    before_s = seconds(ros.stamp(0.0))
    publisher.publish(Frame(IMAGE, STAMP_S, 0))
    ros.until(lambda: images, "the image")
    assert before_s <= seconds(images[0].header.stamp) <= seconds(ros.stamp(0.0))


def test_an_expected_subscriber_is_waited_for_among_others(ros, make):
    tracker = ros.node.get_name()
    publisher, other = make(expected=tracker), make(expected="face_tracker")
    ros.collect(Image, "image")
    ros.until(publisher.has_subscriber, "a subscriber of that name")
    ros.until(lambda: other._publisher.get_subscription_count() > 0, "a subscriber")
    assert not other.has_subscriber()


class Recording:
    """A recording of some images, a third of a second apart."""

    name, live, rate_hz, frame_count = "recording", False, 3.0, 4
    unread = 2

    def __init__(self):
        self.left = [Frame(IMAGE, STAMP_S + n / 3, n) for n in range(4)]

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Answering:
    """A publisher that notes what happens; images have results from the given one on."""

    def __init__(self, opens=True, results_from=0):
        self.opens, self.results_from = opens, results_from
        self.events, self.warnings = [], []

    def has_subscriber(self):
        return True

    def warm_up(self, first, stopping, wait_s):
        self.events.append("warm up")
        return self.opens

    def publish(self, frame):
        self.events.append(frame.index)
        self.newest = frame.index

    def wait_for_result(self, timeout_s):
        self.events.append("result" if self.newest >= self.results_from else "none")
        return self.newest >= self.results_from

    def get_logger(self):
        return self

    def warning(self, text):
        self.warnings.append(text)


def played(publisher):
    player = Player(publisher, Recording(), "", loop=False, rate_hz=None, lockstep=True)
    player.start()
    assert player.ended.wait(30)
    return player


def test_each_image_waits_for_the_result_of_the_one_before():
    publisher = Answering()
    player = played(publisher)
    assert player.error is None
    assert player.unread == 2
    assert publisher.events == ["warm up", 0, "result", 1, "result", 2, "result", 3, "result"]


def test_a_missing_result_is_reported_and_the_next_image_sent(monkeypatch):
    monkeypatch.setattr(image_publisher, "_RESULT_TIMEOUT_S", 0.0)
    publisher = Answering(results_from=1)
    played(publisher)
    assert [event for event in publisher.events if isinstance(event, int)] == [0, 1, 2, 3]
    assert len(publisher.warnings) == 1
    assert "no result for image 0" in publisher.warnings[0]


def test_without_nodes_the_player_ends_with_one_line():
    error = played(Answering(opens=False)).error
    assert isinstance(error, SourceError)
    assert "no results are received on face_affect" in str(error)


def test_empty_images_with_later_stamps_are_sent_until_a_result_is_received(ros, make):
    publisher = make(recorded_stamps=True, expect_results=True)
    images = ros.collect(Image, "image")
    results = ros.publisher(FaceAffectArray, "face_affect")
    opened = []
    first = Frame(IMAGE, STAMP_S, 0)
    thread = threading.Thread(target=lambda: opened.append(publisher.warm_up(first, threading.Event(), 20.0)))
    thread.start()
    ros.until(lambda: len(images) > 1, "more than one empty image")
    assert not opened
    stale = FaceAffectArray()
    stale.header.stamp = stamp_message(STAMP_S)
    results.publish(stale)  # of another image
    result = FaceAffectArray(header=images[-1].header)
    results.publish(result)
    ros.until(lambda: opened, "the way is open")
    thread.join()
    assert opened == [True]
    assert not any(images[0].data)
    assert seconds(images[0].header.stamp) > STAMP_S + 0.5


def test_images_that_cannot_be_read_end_the_program_with_status_1(tmp_path, capfd):
    PillowImage.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_text("words")
    assert image_publisher.main(["--source", str(tmp_path), "--wait", "0", "--rate", "100"]) == 1
    error = capfd.readouterr().err
    assert "1 of 2 images were skipped: 2.png is not an image that can be read" in error
    assert f"error: 1 images of {tmp_path} were skipped" in error
