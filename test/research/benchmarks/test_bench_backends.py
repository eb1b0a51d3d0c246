"""The processor time of the pipeline with each backend: the scenes, and what is compared."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from social_perception.research.benchmarks import backends
from social_perception.research.benchmarks.backends import SCENES, Scene
from social_perception.research.benchmarks.timing import Effort

COST_S = {"mmod-torch": 0.2, "cascade": 0.05}


@pytest.mark.parametrize(
    ("scene", "name", "shape"),
    [
        (SCENES[0](), "nobody, nothing moves, 1280x720", (720, 1280, 3)),
        (SCENES[2](), "1 person, 1280x720", (720, 1280, 3)),
        (Scene.with_people(3).enlarged(640, 360), "3 people, 640x360", (360, 640, 3)),
        (Scene.with_people(17), "17 people, 2560x720", (720, 2560, 3)),
    ],
)
def test_scenes_have_their_size(scene, name, shape):
    assert scene.name == name
    assert scene.draw(0).shape == shape


def test_only_the_second_empty_room_moves():
    still, moving = SCENES[0](), SCENES[1]()
    assert np.array_equal(still.draw(0), still.draw(1))
    assert not np.array_equal(moving.draw(0), moving.draw(1))


def test_both_backends_process_the_same_images_and_are_compared_with_the_camera(monkeypatch):
    clock, shown = SimpleNamespace(now_s=0.0), {name: [] for name in COST_S}

    def make(config, live):
        name = config.detection.backend

        def process(frame):
            clock.now_s += COST_S[name]
            shown[name].append(int(frame.image[0, 0, 0]))
            return SimpleNamespace(faces=[None] * 2)

        return nullcontext(SimpleNamespace(process=process))

    monkeypatch.setattr(backends, "make_pipeline", make)
    monkeypatch.setattr(backends, "FRAMES", 3)
    monkeypatch.setattr(backends.time, "process_time", lambda: clock.now_s)
    scene = Scene("a", lambda index: np.full((2, 2, 3), index, np.uint8))
    (found,) = backends.compare_backends([lambda: scene], Effort(rounds=2, slice_s=1.0, budget_s=9.0))
    assert shown["mmod-torch"][:6] == shown["cascade"][:6] == [0, 1, 2, 1, 0, 1]
    assert [side.faces for side in found.sides] == [2, 2]
    assert [(ratio.value, ratio.target) for ratio in found.ratios] == [
        (pytest.approx(4.0), None),
        (pytest.approx(20.0), 30.0),
    ]
