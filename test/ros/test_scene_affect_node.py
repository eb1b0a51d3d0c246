"""The node scene_affect: what it publishes of images and sound, and what it does not touch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sensor_msgs.msg import Image

from social_perception.core.errors import SourceError
from social_perception.core.types import SceneAffect
from social_perception.perception.scene.pipeline import ScenePipeline
from social_perception.ros.convert import scene_of
from social_perception.ros.nodes import scene_affect
from social_perception.ros.nodes.scene_affect import SceneAffectNode
from social_perception.ros.support.messages import SceneAffect as SceneAffectMessage
from test.ros.test_sound_events_node import FakeMicrophone, block

PATIENT = {"reliability": "reliable", "stale_after_s": 60.0}


class FakeEstimator:
    """The valence is the loudest sample, where there is sound."""

    def __init__(self) -> None:
        self.images, self.resets = [], 0

    def process(self, image, sound):
        self.images.append(image)
        loud = 0.0 if sound is None or not len(sound.samples) else float(np.abs(sound.samples).max())
        return SceneAffect((0.2, 0.3, 0.5), loud, sound is not None)

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def estimator():
    return FakeEstimator()


class EveryImage(ScenePipeline):
    def is_due(self, time_s):
        return True


def start(ros, estimator, parameters=None, kind=ScenePipeline, **options):
    def make(config):
        return kind(estimator, config.scene)

    node = ros.start(SceneAffectNode, {**PATIENT, **(parameters or {})}, make=make, **options)
    return node, ros.collect(SceneAffectMessage, "scene_affect")


def of_stamp(ros, found, sec):
    return ros.until(lambda: next((each for each in found if each.header.stamp.sec == sec), None))


def test_an_image_becomes_a_message_with_its_header(ros, estimator, image_message) -> None:
    _, found = start(ros, estimator)
    ros.publisher(Image, "image").publish(image_message(sec=7))
    message = of_stamp(ros, found, 7)
    assert message.header == image_message(sec=7).header
    assert list(message.probabilities) == pytest.approx([0.2, 0.3, 0.5])
    assert (message.valence, message.with_sound, message.stale) == (0.0, False, False)


def test_images_are_reduced_before_they_are_used(ros, estimator) -> None:
    _, found = start(ros, estimator, {"scene_image_px": 96})
    large = Image(width=1280, height=720, encoding="rgb8", step=3840, data=bytes(1280 * 720 * 3))
    large.header.stamp.sec = 7
    ros.publisher(Image, "image").publish(large)
    of_stamp(ros, found, 7)
    assert estimator.images[0].shape == (54, 96, 3)


def test_images_that_are_not_due_are_dropped_before_they_are_converted(
    ros, estimator, image_message, monkeypatch
) -> None:
    decoded, time_s = [], [100.0]
    monkeypatch.setattr(
        scene_affect, "decode", lambda message: decoded.append(message) or np.zeros((9, 16, 3), np.uint8)
    )
    monkeypatch.setattr(SceneAffectNode, "now_s", lambda node: time_s[0])
    node, found = start(ros, estimator, {"scene_rate_hz": 5.0})
    publisher = ros.publisher(Image, "image")
    for count in range(12):  # 30 Hz for 0.4 s
        time_s[0] = 100.0 + count / 30
        publisher.publish(image_message(sec=10 + count))
        ros.until(lambda count=count: node.health.totals.received == count + 1, "the image")
        ros.until(lambda count=count: len(found) == 1 + (count >= 6), "the result of each due image")
    assert len(found) == 2
    assert [each.header.stamp.sec for each in decoded] == [10, 16]


@pytest.mark.parametrize("seen", [False, True])
def test_without_images_a_stale_message_is_published(seen, ros, estimator, image_message) -> None:
    _, found = start(ros, estimator, {"stale_after_s": 0.3, "scene_rate_hz": 20.0})
    if seen:
        ros.publisher(Image, "image").publish(image_message(sec=7))
        of_stamp(ros, found, 7)
    stale = ros.until(lambda: next((each for each in found if each.stale), None), "a stale message")
    assert math.isnan(stale.valence) is not seen
    assert (stale.header.stamp.sec == 7) is seen


def test_the_sound_up_to_an_image_is_used_once(ros, estimator, image_message) -> None:
    microphone = FakeMicrophone()
    node, found = start(
        ros, estimator, {"sound": True}, EveryImage, open_microphone=lambda *a, **b: microphone
    )
    publisher = ros.publisher(Image, "image")
    microphone.blocks.append(block(7.0, loudness=0.5))
    ros.until(lambda: not microphone.blocks, "the sound")
    publisher.publish(image_message(sec=7))
    first = scene_of(of_stamp(ros, found, 7))[SceneAffect]
    assert (first.valence, first.with_sound) == (0.5, True)
    publisher.publish(image_message(sec=8))  # a second later there is none
    second = scene_of(of_stamp(ros, found, 8))[SceneAffect]
    assert (second.valence, second.with_sound) == (0.0, False)
    node.trigger_deactivate()
    assert microphone.is_closed


def test_stamps_that_go_back_begin_anew(ros, estimator, image_message) -> None:
    _, found = start(ros, estimator, kind=EveryImage)
    publisher = ros.publisher(Image, "image")
    publisher.publish(image_message(sec=100))
    of_stamp(ros, found, 100)
    before = estimator.resets
    for sec in (50, 51, 52):  # the first two that are older count as strays
        publisher.publish(image_message(sec=sec))
        ros.until(lambda sec=sec: estimator.resets > before or sec < 52, "a reset")
    of_stamp(ros, found, 52)


def test_missing_sound_is_one_warning_and_the_images_are_used(ros, estimator, image_message) -> None:
    def open_microphone(*unused, **options):
        raise SourceError("no microphone")

    parameters = {"sound": True, "diagnostics_period_s": 0.2}
    node, found = start(ros, estimator, parameters, EveryImage, open_microphone=open_microphone)
    statuses = ros.statuses(node)
    publisher = ros.publisher(Image, "image")
    publisher.publish(image_message(sec=7))
    assert not of_stamp(ros, found, 7).with_sound
    status = ros.until(lambda: next((each for each in statuses if "no microphone" in each.message), None))
    assert status.message.count("no microphone") == 1
