"""The figures of scene networks, on scenes whose figures are known."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch

from social_perception.perception.scene.network import SceneNetwork
from social_perception.perception.scene.weights import save_scene_network
from social_perception.research.evaluation import scene_recordings, scenes, targets
from social_perception.research.evaluation.scene_recordings import Recording, Recordings, ordered
from social_perception.research.evaluation.scenes import Candidate, Predicted, class_f1, confusion, f1
from social_perception.research.training import laughter_sounds
from social_perception.research.training.scene_material import (
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    Cutouts,
    EmotionalSounds,
    Material,
)
from social_perception.research.training.scene_plans import Kind, Plan, SoundKind
from social_perception.research.training.scene_synthesis import Scene


def scene(seed: int, size: tuple[int, int] = (24, 32), sound: SoundKind = SoundKind.BURSTS) -> Scene:
    draw = np.random.default_rng(seed)
    plan = Plan(Kind.GROUP, NEUTRAL, sound, NEUTRAL)
    images = draw.integers(0, 256, (2, *size), np.uint8)
    return Scene(
        plan, images, np.zeros((2, 3, 6, 8), np.float32), draw.normal(size=(300, 64)).astype(np.float32), ()
    )


def candidate(modalities: str = "fusion") -> Candidate:
    torch.manual_seed(0)
    return Candidate("own", SceneNetwork().eval(), modalities)


def predicted(labels: list[tuple[Plan, int]]) -> Predicted:
    probabilities = np.full((len(labels), 3), 0.1)
    probabilities[np.arange(len(labels)), [found for _, found in labels]] = 0.8
    return Predicted([plan for plan, _ in labels], probabilities)


@pytest.mark.parametrize("sizes", [[(24, 32)] * 25, [(24, 32), (32, 24)] * 3])
def test_scenes_keep_their_order_whatever_their_size(sizes) -> None:
    shown = [scene(seed, size) for seed, size in enumerate(sizes)]
    together = candidate().predict(shown)
    single = np.concatenate([candidate().predict([each]) for each in shown])
    assert together == pytest.approx(single, abs=1e-5)
    assert together.sum(axis=1) == pytest.approx(np.ones(len(shown)))


@pytest.mark.parametrize(("modalities", "seen", "same"), [("images", "mel", True), ("sound", "images", True)])
def test_a_network_of_one_modality_is_tested_without_the_other(modalities, seen, same) -> None:
    first, second = scene(1), scene(2)
    kept = {"mel": first.mel, "images": first.images, seen: getattr(second, seen)}
    mixed = Scene(first.plan, kept["images"], first.places, kept["mel"], ())
    found = candidate(modalities).predict([first, mixed])
    assert np.allclose(found[0], found[1], atol=1e-6) is same
    found = candidate().predict([first, mixed])
    assert not np.allclose(found[0], found[1], atol=1e-6)


def test_a_file_says_what_its_network_uses(tmp_path) -> None:
    save_scene_network(SceneNetwork(), tmp_path / "one.safetensors", {"modalities": "sound"})
    read = Candidate.read(str(tmp_path / "one.safetensors"))
    assert (read.name, read.modalities) == ("one", "sound")
    shipped = Candidate.read("")
    assert (shipped.name, shipped.modalities) == ("shipped", "fusion")


def test_the_first_network_is_also_measured_without_sound_and_without_images() -> None:
    both, images = candidate(), candidate("images")
    assert [each.modalities for each in scenes.with_parts([both, images])] == [
        "fusion", "sound", "images", "images"
    ]  # fmt: skip
    assert scenes.with_parts([images, both]) == [images, both]


def test_f1_is_the_mean_over_the_classes() -> None:
    truth, found = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 0])
    assert confusion(truth, found).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    each = [class_f1(place, truth, found) for place in range(3)]
    assert each == pytest.approx([0.5, 0.8, 2 / 3])
    assert f1(truth, found) == pytest.approx(np.mean(each))


def test_measures_take_the_scenes_they_name() -> None:
    group = [(Plan(Kind.GROUP, e, SoundKind.BURSTS, e), e) for e in range(3)]
    rest = [
        (Plan(Kind.GROUP, NEUTRAL, SoundKind.BURSTS, POSITIVE), POSITIVE),
        (Plan(Kind.GROUP, NEUTRAL, SoundKind.BURSTS, NEGATIVE), NEUTRAL),
        (Plan(Kind.GROUP, POSITIVE, SoundKind.BURSTS, NEUTRAL), POSITIVE),
        (Plan(Kind.GROUP, NEGATIVE, SoundKind.BURSTS, POSITIVE), NEGATIVE),
        (Plan(Kind.EMPTY, None, SoundKind.NOTHING, NEUTRAL), NEUTRAL),
        (Plan(Kind.EMPTY, None, SoundKind.NOTHING, NEUTRAL), POSITIVE),
        (Plan(Kind.DARK, None, SoundKind.NOTHING, NEUTRAL), POSITIVE),
        (Plan(Kind.MANY, POSITIVE, SoundKind.NOTHING, NEUTRAL), POSITIVE),
    ]
    found = {
        each.name.split(":")[0] + each.name[-8:]: each.statistic(np.arange(each.units))
        for each in scenes.synthetic_measures(predicted(group + rest), len(group))
    }
    assert found["synthetic scenesmacro F1"] == 1.0
    assert found["conflict, neutral faces and laughteraccuracy"] == 1.0
    assert found["conflict, neutral faces and criesaccuracy"] == 0.0
    assert found["conflict, smiling faces, other soundaccuracy"] == 1.0
    assert found["empty room, without burstsaccuracy"] == 0.5
    assert found["darkness, without burstsaccuracy"] == 0.0
    assert found["about 100 faces, without burstsaccuracy"] == 1.0


def test_pairs_count_where_all_raters_agree() -> None:
    ratings = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.1], [3.0, 3.0]])
    assert ordered(np.array([0.0, 1.0, 9.0, 3.0]), ratings) == pytest.approx(3 / 4)
    assert ordered(np.array([3.0, 2.0, 0.0, 1.0]), ratings) == pytest.approx(1 / 4)
    assert ordered(np.array([0.5, 0.5, 0.5, 0.5]), ratings) == 0.0
    assert math.isnan(ordered(np.zeros(2), np.zeros((2, 2))))


@pytest.mark.parametrize("with_sound", [True, False])
def test_sound_of_a_meeting_counts_only_where_it_is_used(with_sound) -> None:
    network = candidate().network
    draw = np.random.default_rng(0)
    shown = (draw.integers(0, 256, (60, 80, 3), np.uint8),)
    sounds = [draw.normal(size=(300, 64)).astype(np.float32) for _ in range(2)]
    groups = [Recording(shown, mel, (0.0,)) for mel in sounds]
    values = [scene_recordings.valence_of(network, "fusion", each, with_sound) for each in groups]
    assert (values[0] == values[1]) is not with_sound


def test_real_groups_are_measured_by_their_valence(monkeypatch) -> None:
    def group(level: float) -> Recording:
        return Recording((np.full((8, 8, 3), int(80 * level), np.uint8),), None, (level,))

    recordings = Recordings(tuple(map(group, (0.0, 1.0, 2.0))), tuple(map(group, (2.0, 1.0))))
    brightness = lambda network, modalities, of, with_sound: float(of.images[0].mean())  # noqa: E731
    monkeypatch.setattr(scene_recordings, "valence_of", brightness)
    found = list(scene_recordings.measures(candidate().network, "fusion", recordings))
    assert [each.statistic(np.arange(each.units)) for each in found] == [1.0, 1.0, 1.0]
    unknown = list(scene_recordings.measures(candidate().network, "sound", recordings))
    assert [(each.name, each.units) for each in unknown] == [(each.name, each.units) for each in found]
    assert all(math.isnan(each.statistic(np.arange(1))) for each in unknown)


def test_compositions_are_those_that_the_table_names(monkeypatch) -> None:
    drawn: list[tuple[Plan, tuple[int, int], int]] = []

    class Composer:
        def __init__(self, material, image_px) -> None: ...

        def compose(self, plan, size, frames, draw) -> Plan:
            drawn.append((plan, size, frames))
            return plan

    monkeypatch.setattr(scenes, "SceneComposer", Composer)
    plans = scenes.compose_scenes(None, 50, 12)
    assert len(plans) == 50 + 12 + 3 * 12
    assert all(plan.conflicts for plan in plans[50:62])
    assert {(plan.faces, plan.sound) for plan in plans[50:62]} == {
        (a, b) for a in (NEGATIVE, NEUTRAL, POSITIVE) for b in (NEGATIVE, NEUTRAL, POSITIVE) if a != b
    }
    assert [plan.kind for plan in plans[62:]] == [Kind.EMPTY] * 12 + [Kind.MANY] * 12 + [Kind.DARK] * 12
    assert plans == scenes.compose_scenes(None, 50, 12)


def test_the_command_writes_a_table_with_every_network_and_the_baseline(
    tmp_path, monkeypatch, capsys
) -> None:
    emotion = np.repeat([NEGATIVE, NEUTRAL, POSITIVE], 2)
    faces = tuple(np.full((48, 48), 60 + 70 * each, np.uint8) for each in emotion)
    loud = laughter_sounds.Recordings(tuple("abcdef"), (np.zeros((150, 64), np.float16),) * 6)
    material = Material(
        Cutouts(faces, emotion, np.full(6, 0.85, np.float32)),
        EmotionalSounds(loud, emotion, loud, loud),
        (np.full((90, 120), 30, np.uint8),),
    )
    photo = Recording((np.zeros((90, 160, 3), np.uint8),), None, (1.0,))
    monkeypatch.setattr(scenes, "read_material", lambda *_: material)
    monkeypatch.setattr(scenes, "compose_scenes", partial(scenes.compose_scenes, count=12, of_kind=6))
    monkeypatch.setattr(scenes, "synthetic_measures", partial(scenes.synthetic_measures, count=12))
    monkeypatch.setattr(scene_recordings, "read_recordings", lambda: Recordings((photo,), (photo,)))
    monkeypatch.setattr(targets, "RESAMPLES", 5)
    save_scene_network(SceneNetwork(), tmp_path / "other.safetensors", {})
    rows = scenes.main(["", str(tmp_path / "other.safetensors")], [], tmp_path, tmp_path / "out")
    names = ["shipped", "shipped, sound alone", "shipped, images alone", "other", scenes.FACES]
    assert json.loads((tmp_path / "out" / "scenes.json").read_text())["models"] == names
    assert {len(row.values) for row in rows} == {5}
    text = (tmp_path / "out" / "scenes.md").read_text()
    assert "synthetic scenes, long side of 64 px" in text
    assert text.strip() in capsys.readouterr().out
    assert text.startswith(f"| measure | target | {' | '.join(names)}")
