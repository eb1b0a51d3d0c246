"""The tests of a pre-trained Social-MAE, and the development data that they use, on made-up people."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

pytest.importorskip("lightning")

from social_perception.cli.main import main
from social_perception.research.evaluation import social_mae, targets
from social_perception.research.evaluation import social_mae_probes as probes
from social_perception.research.evaluation import social_mae_tuning as tuning
from social_perception.research.social_mae import development
from social_perception.research.social_mae.checkpoints import save_weights
from social_perception.research.social_mae.development import Burst, Clip, Draws, from_onset
from social_perception.research.social_mae.examples import Example, ExampleShape, collate
from social_perception.research.social_mae.network import SOUND, VIDEO, NetworkSizes, SocialMae, to_patches
from social_perception.research.social_mae.rated import RatedFaces

SMALL = NetworkSizes(
    frames=4, side=16, steps=64, bins=16, video_patch=8, sound_patch=8, width=24, heads=2, blocks=1,
    decoder_width=16, decoder_heads=2, decoder_blocks=1,
)  # fmt: skip


def clip(name: str, seconds: float = 3.0) -> Clip:
    """A clip whose frames and steps hold their time."""
    stamps_s = np.arange(0, seconds, 0.04)
    crops = (
        np.zeros((len(stamps_s), 3, 64, 64), np.uint8) + (stamps_s * 50).astype(np.uint8)[:, None, None, None]
    )
    mel = np.repeat(np.arange(round(seconds * 100), dtype=np.float32)[:, None], 16, axis=1)
    return Clip(name, crops, stamps_s, mel)


def burst(speaker: int, emotion: str, seed: int = 0) -> Burst:
    mel = np.random.default_rng(seed).normal(-6, 2, (40, 16)).astype(np.float16)
    return Burst(f"{speaker:06}-01-1", emotion, mel)


def test_windows_of_a_clip_have_faces_and_sounds_of_the_same_time():
    shape = ExampleShape(frames=4, side=16, steps=100, bins=16)
    made = clip("a.mp4")
    starts_s = made.starts_s(shape, 0.5)
    assert starts_s.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert made.sound(1.0, shape)[[0, -1], 0].tolist() == [100, 199]
    assert made.video(1.0, shape)[:, 0, 0, 0].astype(int) == pytest.approx([56, 68, 81, 93], abs=2)
    assert len(made.examples(shape)) == 10
    assert not len(clip("short.mp4", 0.5).starts_s(shape))


def test_silence_before_a_burst_is_cut():
    mel = np.full((100, 16), -15.0, np.float32)
    mel[40:80] = -3.0
    assert len(from_onset(mel)) == 65


def test_draws_have_the_shares_of_the_sets():
    sets = [[Example(None, np.zeros((1, 4), np.float32), None, name)] for name in "ab"]
    torch.manual_seed(1)
    draws = Draws(sets, [3.0, 1.0], 400)
    assert len(draws) == 400
    first, second = ([each.person for each in draws] for _ in range(2))
    assert first.count("a") == pytest.approx(300, abs=30)
    assert len(first) == 400
    assert first != second


def test_the_mean_patch_is_measured_on_hidden_patches_that_are_not_flat():
    examples = [burst(speaker, "Fear", speaker).example() for speaker in range(3)]
    network = SocialMae(SMALL)
    batch = collate(examples, SMALL.shape)
    patches = to_patches(SOUND, batch[SOUND], SMALL)
    mean = social_mae.mean_patches(SOUND, examples, SMALL)
    # 40 of 64 steps are sound, the rest is padding: of the eight patches along time the last three.
    is_sound = torch.arange(16) % 8 < 5
    assert torch.allclose(mean[is_sound], patches.mean(dim=0)[is_sound], atol=1e-6)
    assert not mean[~is_sound].any()
    exact = social_mae.errors(network, SOUND, examples[:1], patches[0])
    assert exact[0, 0] > 0
    assert exact[0, 1] == 0
    other = social_mae.errors(network, SOUND, examples[:1], patches[0] + 1.0)
    assert other[0, 1] == pytest.approx(round(other[0, 1]))  # an error of 1 in each patch that counts
    assert 0 < other[0, 1] <= is_sound.sum()


@pytest.mark.parametrize(("matched", "expected"), [(True, 1.0), (False, 0.5)])
def test_own_sounds_are_found_among_others_by_their_summaries(matched, expected, monkeypatch):
    monkeypatch.setattr(development, "TRAINED_CLIPS", ("trained",))
    clips = [clip(f"{name}.mp4") for name in ("trained", "one", "two", "three")]
    codes = np.random.default_rng(0).normal(0, 1, (2, 60, 32))

    def features(network, modality, examples):
        rows = []
        for example in examples:
            value = example.video[0, 0, 0, 0] if modality == VIDEO else example.sound[0, 0] / 2
            who = ("one.mp4", "two.mp4", "three.mp4").index(example.person)
            table = codes[0 if matched or modality == VIDEO else 1]
            rows.append(table[20 * who + round(value / 20)])
        return np.array(rows)

    monkeypatch.setattr(social_mae, "features", features)
    data = probes.Data((), clips, *(None, None))
    figures = [
        each.statistic(np.arange(each.units)) for each in social_mae.pair_measures(SocialMae(SMALL), data)
    ]
    assert figures[:2] == pytest.approx([expected] * 2, abs=0.0 if matched else 0.3)
    assert figures[3] == (1.0 if matched else pytest.approx(0.0, abs=0.5))


def test_probes_learn_from_some_speakers_and_are_measured_on_others():
    generator = np.random.default_rng(1)
    emotions = ("Amusement", "Fear", "Pain")
    bursts = [
        burst(speaker, emotion) for speaker in (*range(1, 21), *range(101, 106)) for emotion in emotions
    ]
    data = probes.Data(bursts, (), *(None, None))
    values = np.array([[emotions.index(each.emotion), 1.0] for each in bursts]) + generator.normal(
        0, 0.1, (75, 2)
    )
    shares, scores, classes = probes.probe_emotions(values, data)
    assert shares[0].shape == (15, 3)
    f1, laughter = probes.emotion_measures("", data, shares, scores, classes)
    assert f1.units == laughter.units == 5
    assert [each.statistic(np.arange(5)) for each in (f1, laughter)] == [1.0, 1.0]
    shuffled = [generator.permutation(shares[0])], [generator.permutation(scores[0])]
    assert next(probes.emotion_measures("", data, *shuffled, classes)).statistic(np.arange(5)) < 0.9


def test_levels_are_measured_on_faces_that_are_held_out():
    level = np.array([0.0, 0.5, 2.0, 3.0])
    faces = RatedFaces(
        np.zeros((4, 3, 48, 48), np.uint8), level, np.array(list("abcd")), np.array([True] * 4)
    )
    found, agreement = probes.level_measures("", faces, [level, level])
    assert found.statistic(np.arange(4)) == 1.0
    assert agreement.statistic(np.arange(4)) == pytest.approx(1.0)
    assert found.statistic(np.array([0, 0, 2])) == 1.0
    reverse = next(islice(probes.level_measures("", faces, [-level]), 1))
    assert reverse.statistic(np.arange(4)) == 0.0
    assert [each.label for each in faces.examples(True)] == [(each,) for each in level]


def test_laughter_is_measured_on_speakers_and_on_clips_as_the_mean_of_trainings():
    bursts = [burst(speaker, emotion) for speaker in (101, 102) for emotion in ("Amusement", "Fear")]
    right = np.array(
        [0.9, 0.1, 0.8, 0.2, 0.0, 0.0, 0.6]
    )  # of four bursts, then of two clips of 2 and 1 windows
    wrong = 1.0 - right
    measures = list(tuning.laughter_measures(bursts, [2, 1], [right, wrong]))
    assert [each.units for each in measures] == [2, 2, 2, 2]
    figures = [[each.statistic(np.array(rows)) for rows in ([0, 1], [0], [1])] for each in measures]
    assert figures[:3] == [[0.5] * 3] * 3
    assert figures[3] == pytest.approx([0.5, 0.5, 0.5])
    alone = [each.statistic(np.arange(2)) for each in tuning.laughter_measures(bursts, [2, 1], [right])]
    assert alone == pytest.approx([1.0, 1.0, 0.0, 1 / 3])


def test_one_call_makes_all_tables(tmp_path, monkeypatch):
    """With made-up people; no probe of emotions, fine-tuning or shipped network is run."""
    emotions = ("Amusement", "Fear", "Pain")
    speakers = (*range(1, 11), *range(101, 106))
    bursts = [
        burst(speaker, emotion, 9 * speaker + row)
        for speaker in speakers
        for row, emotion in enumerate(emotions)
    ]
    clips = [clip(name) for name in (f"{development.TRAINED_CLIPS[0]}.mp4", "one.mp4", "two.mp4")]
    generator = np.random.default_rng(1)
    faces = RatedFaces(
        generator.integers(0, 256, (40, 3, 48, 48), np.uint8), np.arange(40) % 4.0,
        np.array([f"face {row}" for row in range(40)]), np.arange(40) % 3 == 0,
    )  # fmt: skip
    weights = tmp_path / "made.safetensors"
    save_weights(SocialMae(SMALL), weights, {})
    tuned = []

    def tune(known, unseen, settings, seed):
        tuned.append((settings.labels, settings.outputs, bool(settings.weights), seed))
        return generator.dirichlet(np.ones(settings.outputs), len(unseen))

    monkeypatch.setattr(social_mae, "read_data", lambda *_: probes.Data(bursts, clips, faces, faces))
    monkeypatch.setattr(tuning, "tune", tune)
    monkeypatch.setattr(tuning, "SIZES", {"tiny": SMALL})
    monkeypatch.setattr(tuning, "read_bursts", lambda *_: bursts)
    monkeypatch.setattr(tuning, "is_for_training", lambda *_: True)
    monkeypatch.setattr(tuning, "_used_ms", lambda *_: 1.0)
    monkeypatch.setattr(tuning, "collate", lambda *_: {SOUND: None})
    shipped = [probes.Measure("shipped", "", 1, lambda units: 0.5)] * 5
    monkeypatch.setattr(tuning, "shipped_laughter", lambda data: iter(shipped))
    shares = generator.dirichlet(np.ones(3), 15)
    monkeypatch.setattr(probes, "probe_emotions", lambda *_: ([shares], [shares[:, 0]], emotions))
    monkeypatch.setattr(targets, "RESAMPLES", 2)
    places = {"recordings": tmp_path, "output": tmp_path / "out"}
    text = social_mae.main([str(weights)], tmp_path, seeds=(1, 2), **places)
    assert (tmp_path / "out" / "social_mae.md").read_text() == text + "\n"
    assert len(text.split("\n\n")) == 7
    for row in ("faces of talking people", "own sound found", "mel statistics", "pixels", "nine emotions",
                "smiles, talking, all weights trained", "amusement in which", "processor time"):  # fmt: skip
        assert row in text
    assert tuned == [
        *[("class", 3, True, seed) for seed in (1, 2)], *[("class", 3, False, seed) for seed in (1, 2)],
        *[("values", 1, True, seed) for seed in (1, 2)], *[("values", 1, False, seed) for seed in (1, 2)],
        *[("class", 2, True, seed) for seed in (1, 2)],
    ]  # fmt: skip
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


def test_bursts_without_finetuning_are_reported(capsys):
    assert main(["evaluate", "--social-mae", "a.safetensors", "--bursts", "."]) == 1
    assert "--bursts needs --finetune" in capsys.readouterr().err
