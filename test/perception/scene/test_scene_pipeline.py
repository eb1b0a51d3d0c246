"""The pipeline of the scene: which images are used, with which sound, and what starts it anew."""

from __future__ import annotations

import numpy as np
import pytest

from social_perception.core.config import SceneConfig
from social_perception.core.sound import Sound
from social_perception.core.types import Frame, SceneAffect
from social_perception.perception.scene.pipeline import Pace, ScenePipeline
from social_perception.perception.scene.reduction import LONG_SIDE_PX


class Estimator:
    def __init__(self) -> None:
        self.images, self.sounds, self.resets = [], [], 0

    def process(self, image, sound):
        self.images.append(image)
        self.sounds.append(None if sound is None else len(sound.samples))
        return SceneAffect((0.2, 0.3, 0.5), 0.3, sound is not None)

    def reset(self) -> None:
        self.resets += 1


def sound(end_s, count=1600):
    return Sound(np.zeros(count, np.float32), 16000, end_s - count / 16000)


def frame(stamp_s, index=0, received=None, size=(18, 32)):
    return Frame(np.zeros((*size, 3), np.uint8), stamp_s, index, received)


@pytest.mark.parametrize(
    ("stamps_s", "admitted"),
    [
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 0.2, 0.4]),
        ([0.0, 1 / 30, 0.1999, 0.4, 0.6], [0.0, 0.1999, 0.4, 0.6]),  # stamps are rounded
        ([0.0, 0.25, 0.4, 0.6], [0.0, 0.25, 0.4, 0.6]),  # a late image does not lower the rate
        ([0.0, 3.0, 3.1, 3.2], [0.0, 3.0, 3.2]),
        ([9.0, 8.9, 2.0, 2.1, 2.2], [9.0, 2.0, 2.2]),  # a recording begins again
    ],
)
def test_images_come_at_the_rate_at_most(stamps_s, admitted) -> None:
    pace = Pace(5.0)
    assert [each for each in stamps_s if pace.admits(each)] == admitted


def test_the_network_sees_images_of_the_size_that_it_was_trained_on() -> None:
    assert SceneConfig().scene_image_px == LONG_SIDE_PX


@pytest.mark.parametrize("px", [48, LONG_SIDE_PX])
def test_an_image_is_reduced_and_its_frame_kept(px) -> None:
    estimator = Estimator()
    result = ScenePipeline(estimator, SceneConfig(scene_image_px=px)).process(frame(1.0, 7, size=(720, 1280)))
    assert max(estimator.images[0].shape[:2]) == px
    assert (result.stamp_s, result.index, result.width, result.height) == (1.0, 7, 1280, 720)
    assert (result.faces, result.group) == ((), None)
    assert result.scene[SceneAffect].valence == 0.3


def test_sound_of_images_that_are_not_due_is_not_lost() -> None:
    estimator = Estimator()
    pipeline = ScenePipeline(estimator, SceneConfig())
    times_s = [0.1, 0.2, 0.3, 0.4]
    results = [pipeline.process(frame(each, received=sound(each))) for each in times_s]
    assert [each is None for each in results] == [False, True, False, True]
    assert estimator.sounds == [1600, 3200]


def test_sound_that_pauses_is_empty_and_then_none() -> None:
    estimator = Estimator()
    pipeline = ScenePipeline(estimator, SceneConfig())
    pipeline.hear(sound(1.0))
    for stamp_s in (1.0, 1.5, 2.5):
        pipeline.estimate(frame(stamp_s))
    assert estimator.sounds == [1600, 0, None]


def test_stamps_that_go_back_start_the_estimator_anew() -> None:
    estimator = Estimator()
    pipeline = ScenePipeline(estimator, SceneConfig())
    assert pipeline.estimate(frame(9.0)).epoch == 0
    assert estimator.resets == 0
    assert pipeline.estimate(frame(2.0)).epoch == 1
    assert estimator.resets == 1


def test_without_images_the_last_values_are_stale() -> None:
    pipeline = ScenePipeline(Estimator(), SceneConfig())
    assert pipeline.without_images(None, 2.0).scene.stale
    last = pipeline.estimate(frame(1.0))
    stale = pipeline.without_images(last, 2.0)
    assert stale.scene.stale
    assert stale.scene[SceneAffect] == last.scene[SceneAffect]
