"""Synthetic scenes, what they are made of, and the training on them."""

import dataclasses

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from social_perception.core.errors import ConfigurationError, SourceError
from social_perception.research.training import laughter_sounds, run, scene_material, scene_training
from social_perception.research.training.laughter_sounds import Recordings
from social_perception.research.training.scene_drawing import CANVASES, draw_tile, map_of, place_people
from social_perception.research.training.scene_material import (
    LANGUAGES_OF,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    SPEAKERS,
    Cutouts,
    EmotionalSounds,
    Material,
    emotion_of_votes,
    portrait,
    read_backgrounds,
)
from social_perception.research.training.scene_plans import Kind, Plan, Shares, SoundKind, draw_plan
from social_perception.research.training.scene_synthesis import SceneComposer, mix_sound
from social_perception.research.training.scene_training import (
    EncoderBatches,
    Numbers,
    SceneBatches,
    SceneSettings,
    only,
    scene_settings,
)
from social_perception.research.training.settings import with_changes

CANVAS = (192, 320)


def made_recordings(count: int, level: float) -> Recordings:
    mel = tuple(np.full((150 + 10 * i, 64), level, np.float16) for i in range(count))
    return Recordings(tuple(map(str, range(count))), mel)


@pytest.fixture(scope="module")
def material() -> Material:
    """Faces whose brightness is their emotion: 60, 130, 200."""
    emotion = np.repeat([NEGATIVE, NEUTRAL, POSITIVE], 4)
    sides = [48, 96] * 6
    faces = tuple(np.full((side, side), 60 + 70 * each, np.uint8) for side, each in zip(sides, emotion))
    cutouts = Cutouts(faces, emotion, np.array([0.85, 0.5] * 6, np.float32))
    sounds = EmotionalSounds(
        made_recordings(6, 0.0), np.repeat([0, 1, 2], 2), made_recordings(3, -2.0), made_recordings(3, -3.0)
    )
    backgrounds = tuple(np.random.default_rng(i).integers(0, 256, (90, 120), np.uint8) for i in range(3))
    return Material(cutouts, sounds, backgrounds)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("faces", "sound", "label", "conflicts"),
    [
        (POSITIVE, POSITIVE, POSITIVE, False),
        (POSITIVE, NEGATIVE, POSITIVE, True),
        (NEGATIVE, POSITIVE, NEGATIVE, True),
        (NEUTRAL, POSITIVE, POSITIVE, True),
        (NEUTRAL, NEGATIVE, NEGATIVE, True),
        (None, POSITIVE, POSITIVE, False),
        (None, NEUTRAL, NEUTRAL, False),
    ],
)
def test_the_faces_decide_and_the_sound_where_they_are_neutral(faces, sound, label, conflicts) -> None:
    plan = Plan(Kind.GROUP if faces is not None else Kind.EMPTY, faces, SoundKind.BURSTS, sound)
    assert plan.label == label
    assert plan.conflicts is conflicts


def test_plans_have_the_requested_shares() -> None:
    draw, shares = rng(), Shares(few=0.1, many=0.2, empty=0.15, dark=0.05, silent=0.4, bursts=0.35)
    plans = [draw_plan(draw, shares) for _ in range(4000)]
    for kind, expected in zip(Kind, (0.5, 0.1, 0.2, 0.15, 0.05)):
        assert np.mean([plan.kind is kind for plan in plans]) == pytest.approx(expected, abs=0.03)
    for kind, expected in zip(SoundKind, (0.4, 0.25, 0.35)):
        assert np.mean([plan.sound_kind is kind for plan in plans]) == pytest.approx(expected, abs=0.03)
    assert all(plan.faces is None for plan in plans if plan.kind in (Kind.EMPTY, Kind.DARK))
    assert all(plan.sound == NEUTRAL for plan in plans if plan.sound_kind is not SoundKind.BURSTS)


@pytest.mark.parametrize("fitting", [0.0, 0.4, 1.0])
def test_bursts_fit_the_faces_as_often_as_requested(fitting) -> None:
    draw, shares = rng(), Shares(empty=0.0, dark=0.0, silent=0.0, bursts=1.0, fitting=fitting)
    fits = np.mean([not draw_plan(draw, shares).conflicts for _ in range(2000)])
    assert fits == pytest.approx(fitting + (1 - fitting) / 3, abs=0.04)


def test_equal_seeds_give_equal_scenes(material) -> None:
    composer, plan = SceneComposer(material), Plan(Kind.GROUP, POSITIVE, SoundKind.BURSTS, NEGATIVE)
    first, again, other = (composer.compose(plan, CANVAS, 2, rng(seed)) for seed in (1, 1, 2))
    for name in ("images", "places", "mel"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


@pytest.mark.parametrize(
    ("canvas", "image_px", "size"),
    [
        *zip(CANVASES, [96] * 3, [(104, 160), (120, 160), (160, 120)]),
        (CANVAS, 64, (96, 160)),
        (CANVAS, 160, (96, 160)),
    ],
)
@pytest.mark.parametrize("kind", list(Kind))
def test_scenes_of_every_kind_have_their_shapes(kind, canvas, image_px, size, material) -> None:
    plan = Plan(kind, None if kind in (Kind.EMPTY, Kind.DARK) else NEUTRAL, SoundKind.NOTHING, NEUTRAL)
    scene = SceneComposer(material, image_px).compose(plan, canvas, 3, rng())
    assert scene.images.shape == (3, *size)
    assert scene.places.shape == (3, 3, size[0] // 4, size[1] // 4)
    assert scene.mel.shape == (300, 64)
    assert np.ptp(scene.mel) == 0
    assert bool(scene.faces) is (plan.faces is not None)
    if kind is Kind.DARK:
        assert np.percentile(scene.images, 99) < 40  # but for the noise of the sensor
    if kind is Kind.EMPTY:
        assert not scene.places.any()


def placed(kind: Kind, emotion: int, material: Material, seeds: int = 30) -> list:
    plan = Plan(kind, emotion, SoundKind.NOTHING, NEUTRAL)
    return [place_people(plan, CANVAS, material.cutouts, rng(seed)) for seed in range(seeds)]


@pytest.mark.parametrize(
    ("kind", "fewest", "most"), [(Kind.FEW, 1, 2), (Kind.GROUP, 2, 15), (Kind.MANY, 30, 120)]
)
def test_groups_have_their_size_and_hardly_overlap(kind, fewest, most, material) -> None:
    for people in placed(kind, POSITIVE, material):
        assert fewest <= len(people) <= most
        for i, one in enumerate(people):
            for other in people[:i]:
                size = 0.5 * (one.width + other.width)
                assert abs(one.x - other.x) > 0.99 * size or abs(one.y - other.y) > 1.29 * size


def test_faces_are_as_large_as_a_robot_sees_them(material) -> None:
    reduced = [
        0.3 * person.width for people in placed(Kind.GROUP, NEUTRAL, material, 100) for person in people
    ]
    assert np.mean(np.array(reduced) < 6) > 0.15
    assert np.mean(np.array(reduced) > 9) > 0.1
    rolls = [abs(p.roll_deg) for people in placed(Kind.GROUP, NEUTRAL, material, 100) for p in people]
    assert 30 < max(rolls) <= 45


@pytest.mark.parametrize("emotion", range(3))
def test_two_thirds_of_the_faces_have_the_scenes_emotion(emotion, material) -> None:
    has_it = material.cutouts.emotion == emotion
    shares = [np.mean([has_it[p.cutout] for p in people]) for people in placed(Kind.GROUP, emotion, material)]
    assert min(shares) >= 0.66
    assert np.mean(np.array(shares) < 1) > 0.2


def test_the_map_has_a_peak_where_each_face_is(material) -> None:
    people = placed(Kind.FEW, NEGATIVE, material, 1)[0]
    cells = map_of(people, material.cutouts.emotion, (96, 160), 0.5)
    assert cells.shape == (3, 24, 40)
    for person in people:
        channel = cells[material.cutouts.emotion[person.cutout]]
        row, column = int(person.y / 8), int(person.x / 8)
        assert channel[row, column] > 0.5
        assert cells.max() <= 1.0


def test_people_move_from_image_to_image(material) -> None:
    people = [person for group in placed(Kind.GROUP, NEUTRAL, material, 10) for person in group]
    moved = [each.after(0.4) for each in people]
    distances = [abs(a.x - b.x) / a.width for a, b in zip(people, moved)]
    assert 0.02 < np.mean(distances) < 0.5
    assert all(each.after(0.0) == each for each in people)


def test_faces_are_drawn_where_they_are(material) -> None:
    """Bright faces before a dark wall are bright."""
    wall = dataclasses.replace(material, backgrounds=(np.full((90, 120), 20, np.uint8),))
    composer = SceneComposer(wall)
    inside, outside = [], []
    for seed in range(20):
        scene = composer.compose(Plan(Kind.FEW, POSITIVE, SoundKind.NOTHING, NEUTRAL), CANVAS, 1, rng(seed))
        large = cv2.resize(scene.places[0].max(axis=0), scene.images.shape[:0:-1])
        inside.append(scene.images[0][large > 0.6].mean())
        outside.append(np.median(scene.images[0][large < 0.01]))
    assert np.mean(np.array(inside) > outside) > 0.9


@pytest.mark.parametrize("kind", [SoundKind.BACKGROUND, SoundKind.BURSTS])
def test_sounds_are_mixed(kind, material) -> None:
    plan = Plan(Kind.EMPTY, None, kind, POSITIVE)
    mixed = [mix_sound(plan, material.sounds, rng(seed)) for seed in range(30)]
    assert all(np.isfinite(each).all() for each in mixed)
    louder = np.mean([np.percentile(each, 90) > np.log(1e-7) + 1 for each in mixed])
    assert louder > 0.9 if kind is SoundKind.BURSTS else louder > 0.5


def test_bursts_are_those_of_the_sounds_emotion(material) -> None:
    silence = made_recordings(6, -30.0).mel
    loud = made_recordings(6, 0.0).mel
    bursts = Recordings(tuple("abcdef"), (*silence[:4], *loud[4:]))
    sounds = dataclasses.replace(material.sounds, bursts=bursts)
    draws = range(20)
    positive, negative = (
        np.mean([mix_sound(Plan(Kind.EMPTY, None, SoundKind.BURSTS, e), sounds, rng(s)).max() for s in draws])
        for e in (POSITIVE, NEGATIVE)
    )
    assert positive > negative + 3


def test_a_tile_shows_a_face_in_its_middle() -> None:
    face = np.full((48, 48), 220, np.uint8)
    tiles = np.stack([draw_tile(face, 12.0, 96, rng(seed)).astype(float) for seed in range(40)])
    assert tiles.shape == (40, 24, 24)
    assert tiles[:, 9:15, 9:15].mean() > tiles[:, [0, -1]].mean() + 30


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({"happiness": 8, "neutral": 2}, POSITIVE),
        ({"neutral": 6, "sadness": 4}, NEUTRAL),
        ({"anger": 3, "sadness": 2, "fear": 1, "disgust": 1, "neutral": 3}, NEGATIVE),
        ({"happiness": 5, "neutral": 5}, -1),
        ({"surprise": 9, "happiness": 1}, -1),
        ({"not_face": 10}, -1),
        ({}, -1),
    ],
)
def test_faces_are_used_where_the_taggers_agree(votes, expected) -> None:
    columns = (
        "neutral",
        "happiness",
        "surprise",
        "sadness",
        "anger",
        "disgust",
        "fear",
        "contempt",
        "unknown",
        "not_face",
    )
    table = pd.DataFrame([{"name": "a", **{column: votes.get(column, 0) for column in columns}}])
    assert emotion_of_votes(table).tolist() == [expected]


def test_a_portrait_has_the_face_in_its_middle() -> None:
    image = np.zeros((200, 180), np.uint8)
    image[60:100, 70:110] = 255
    found = portrait(image, np.array([70, 60, 40, 40], np.float32))
    assert found.shape == (96, 96)
    assert found[28:68, 28:68].min() == 255
    assert found[:20].max() == found[:, :20].max() == 0


def test_parts_share_no_speaker_and_no_language() -> None:
    speakers = list(map(set, SPEAKERS.values()))
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 250
    assert SPEAKERS["test"] == set(range(101, 151))
    assert max(set.union(*speakers)) == 250
    languages = [set(each) for each in LANGUAGES_OF.values()]
    assert sum(map(len, languages)) == len(set.union(*languages))


def test_backgrounds_of_tests_are_not_in_training(tmp_path) -> None:
    for number in range(40):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((70, 1280), number, np.uint8))
    found = {
        part: {int(image[0, 0]) for image in read_backgrounds(part, [str(tmp_path)])} for part in SPEAKERS
    }
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 40
    assert len(found["train"]) > len(found["test"]) > 2
    assert len(found["valid"]) > 2
    assert all(image.shape == (35, 640) for image in read_backgrounds("train", [str(tmp_path)]))
    with pytest.raises(SourceError, match="no images for the part train in"):
        read_backgrounds("train", [str(tmp_path / "missing")])


TINY = SceneSettings(
    steps=1,
    epochs=1,
    encoder_epochs=1,
    batch=2,
    tiles=4,
    sounds=3,
    precision="32-true",
    ema_decay=0.5,
    learning_rate=0.3,
    weight_decay=0.0,
)


def test_a_number_always_gives_the_same_batch(material) -> None:
    for batches in (SceneBatches(SceneComposer(material), TINY), EncoderBatches(material, TINY)):
        first, again, other = batches[5], batches[5], batches[6]
        assert all(map(torch.equal, first, again))
        assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, other))


def test_no_batch_comes_twice() -> None:
    numbers, seen = Numbers(3), []
    for epoch in range(2):
        numbers.set_epoch(epoch)
        seen += list(numbers)
    assert seen == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("modalities", "has_images", "has_sound"), [("fusion", 1, 1), ("sound", 0, 1), ("images", 1, 0)]
)
def test_a_network_of_one_modality_does_not_see_the_other(modalities, has_images, has_sound) -> None:
    images, sound = only(modalities, torch.ones(2, 1, 8, 8), torch.ones(2))
    assert (images == has_images).all()
    assert (sound == has_sound).all()


def test_bursts_of_a_folder_are_those_of_the_parts_speakers(tmp_path, monkeypatch) -> None:
    names = [
        "000001-02-1",
        "000250-03-1",
        "000001-08-1",
        "000095-18-2",
        "000120-02-1",
        "000300-02-1",
        "noise",
    ]
    for name in names:
        (tmp_path / f"{name}.mp3").write_bytes(b"")
    monkeypatch.setattr(scene_material, "synthetic_speech", lambda *_: made_recordings(1, 0.0))
    monkeypatch.setattr(scene_material, "synthetic_sounds", lambda *_: made_recordings(1, 0.0))
    monkeypatch.setattr(laughter_sounds, "decode", lambda *_: np.zeros(16_000, np.float32))

    def read(part: str) -> list[tuple[str, int]]:
        sounds = scene_material.read_sounds(part, tmp_path / "cache", 1, str(tmp_path))
        return list(zip(sounds.bursts.names, sounds.emotion))

    copies = scene_material.AMUSEMENT_COPIES
    assert read("train") == [("000001-02-1", POSITIVE)] * copies + [("000250-03-1", NEGATIVE)]
    assert read("valid") == [("000095-18-2", NEUTRAL)]
    assert read("test") == [("000120-02-1", POSITIVE)] * copies


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"modalities": "sound", "pooling": False},
        {"places_weight": 0.0, "emotions_weight": 0.0, "mmd_weight": 0.0, "modalities": "images"},
        {"sound_weight": 0.0},
    ],
)
def test_a_run_trains_every_weight_and_goes_on(changes, material, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(scene_training, "read_material", lambda *_, **__: material)
    settings = dataclasses.replace(TINY, start="", output=str(tmp_path), **changes)
    path = scene_training.train_scene(settings, "no")
    encoders = tmp_path / "scene_tiny" / "encoders.safetensors"
    before, after = load_file(encoders), load_file(path)
    assert not torch.equal(before["head.weight"], after["head.weight"])
    if settings.modalities != "sound":
        assert not torch.equal(before["images.where.weight"], after["images.where.weight"])
    monkeypatch.setattr(scene_training, "EncoderTraining", None)  # is finished
    again = load_file(scene_training.train_scene(settings, "auto"))
    assert all(torch.equal(after[name], again[name]) for name in after)


def test_a_run_starts_from_another_network(material, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(scene_training, "read_material", lambda *_, **__: material)
    network = scene_training.SceneNetwork()
    torch.nn.init.constant_(network.sound.tokens.bias, 0.5)
    scene_training.save_scene_network(network, tmp_path / "own.safetensors", {})
    settings = dataclasses.replace(
        TINY, start=str(tmp_path / "own.safetensors"), output=str(tmp_path), learning_rate=1e-7
    )
    trained = load_file(scene_training.train_scene(settings, "no"))
    torch.testing.assert_close(
        trained["sound.tokens.bias"].float(), torch.full((128,), 0.5), atol=0.01, rtol=0
    )
    assert not (tmp_path / "scene_tiny" / "encoders.safetensors").exists()


def test_the_shipped_settings_are_valid() -> None:
    values = run.read_yaml(run.Path(__file__).parents[3] / "config" / "train_scene.yaml")
    settings = scene_settings(values)
    assert settings == dataclasses.replace(SceneSettings(), backgrounds=settings.backgrounds)


def test_a_command_replaces_settings_of_the_file() -> None:
    values = {"epochs": 3, "shares": {"many": 0.1}, "start": "a"}
    changed = with_changes(values, ["epochs=2", "shares={many: 0.2}", "start=''", "pooling=false"])
    assert changed == {"epochs": 2, "shares": {"many": 0.2}, "start": "", "pooling": False}
    assert values["epochs"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs", "a setting must be NAME=VALUE, got 'epochs'"),
        ("a=[", "the value of a must be YAML, got"),
    ],
)
def test_a_change_of_another_form_is_rejected(change, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        with_changes({}, [change])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modalities": "faces"}, "modalities must be one of fusion, sound, images, got faces"),
        ({"tiles": 0}, "tiles must be at least 1, got 0"),
        ({"shares": {"crowded": 0.5}}, "unknown setting crowded"),
        ({"shares": 3}, "settings must be a mapping"),
        ({"epochs": "many"}, "epochs must be of type int"),
    ],
)
def test_wrong_settings_are_rejected(values, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        scene_settings(values)
