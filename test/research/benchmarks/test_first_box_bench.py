"""Who enters is timed until the pipeline tells of the right place; a fake pipeline decides when."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from social_perception.core.config import PipelineConfig
from social_perception.core.signals import Signals
from social_perception.core.types import FaceAffect, FrameAffect, Smile, Track
from social_perception.research.benchmarks import first_box


class FakePipeline:
    """Tells of the face, moved by so many px, from its second picture on."""

    def __init__(self, scenes, shift_px: float) -> None:
        self._scenes, self._shift_px = scenes, shift_px
        self.resets = self._seen = 0
        self.tracking = SimpleNamespace(reset=self._reset)

    def _reset(self) -> None:
        self.resets += 1
        self._seen = 0

    def process(self, frame) -> FrameAffect:
        scene = self._scenes[-1]
        self._seen += frame.image is scene.image
        faces = ()
        if self._seen > 1:
            track = Track("a", scene.face.moved(self._shift_px, 0.0), 0.9)
            faces = (FaceAffect(track, Signals(Smile.unknown())),)
        return FrameAffect(frame.stamp_s, frame.index, frame.width, frame.height, faces)

    def __enter__(self):
        return self

    def __exit__(self, *unused) -> None:
        pass


@pytest.fixture
def measured(monkeypatch):
    """Runs the measurement with two tries per width and a box this far beside the face."""
    monkeypatch.setattr(first_box, "_TIMEOUT_S", 0.2)
    monkeypatch.setattr(first_box, "_EMPTY_S", (0.1, 0.2))

    def run(shift_px: float):
        scenes = []
        somewhere = first_box._random_scene

        def noted(face_px, random):
            scenes.append(somewhere(face_px, random))
            return scenes[-1]

        monkeypatch.setattr(first_box, "_random_scene", noted)
        pipeline = FakePipeline(scenes, shift_px)
        figures = list(first_box.measure_first_box(lambda config: pipeline, PipelineConfig(), 2))
        return figures, scenes, pipeline

    return run


def test_every_try_is_timed_from_the_first_picture_of_the_face(measured) -> None:
    figures, scenes, pipeline = measured(0.0)
    assert [(each.face_px, each.target_s) for each in figures] == [(45, 1.0), (90, 0.5)]
    for each in figures:
        assert (each.tries, each.found) == (2, 2)
        # The second picture is the one that is reported.
        assert 1 / first_box.RATE_HZ <= each.median_s <= each.longest_s
    assert pipeline.resets == 4
    assert len({scene.face.center for scene in scenes}) == 4


def test_a_box_elsewhere_does_not_count(measured) -> None:
    figures, _, _ = measured(300.0)
    assert [(each.found, each.median_s, each.longest_s) for each in figures] == [(0, None, None)] * 2


def test_scene_shows_the_face_where_it_says() -> None:
    scene = first_box.Scene.with_face(90, (300.0, 400.0))
    assert scene.image.shape == (720, 1280, 3)
    assert scene.face.center == (300.0, 400.0)
    changed = np.argwhere((scene.image != first_box.wall()).any(axis=2))
    top, left = changed.min(axis=0)
    assert left < scene.face.left
    assert top < scene.face.top
