"""The training of the laughter network, on tones that stand for its recordings."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("lightning")

from social_perception.core.errors import ConfigurationError, SourceError
from social_perception.research.training.laughter_mixing import CONTEXT, Mixtures, Sounds, active
from social_perception.research.training.laughter_network import LaughterNetwork
from social_perception.research.training.laughter_sounds import (
    mel_of,
    read_folder,
    synthetic_sounds,
)
from social_perception.research.training.laughter_training import (
    LaughterSettings,
    laughter_settings,
    read_bursts,
    train_laughter,
)

RATE_HZ = 16_000


def voiced(pitch_hz: float, rhythm_hz: float, seconds: float = 1.5) -> np.ndarray:
    """A harmonic tone, whose loudness has a rhythm; 0: steady."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * n * pitch_hz * time_s) / n for n in range(1, 8))
    loudness = np.maximum(0.0, np.sin(2 * np.pi * rhythm_hz * time_s)) if rhythm_hz else 1.0
    return (0.1 * tone * loudness).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def laugh(generator: np.random.Generator) -> np.ndarray:
    return voiced(generator.uniform(600, 900), generator.uniform(4.0, 6.0))


def talk(generator: np.random.Generator, seconds: float = 1.5) -> np.ndarray:
    return voiced(generator.uniform(100, 150), 0.0, seconds)


def last_logit(network: LaughterNetwork, mel: np.ndarray) -> torch.Tensor:
    """The logit at the end of a recording that begins with silence."""
    network.eval()
    frames = torch.from_numpy(np.concatenate([np.full((CONTEXT, 64), mel.min(), np.float32), mel]))
    with torch.no_grad():
        return network(frames[None], torch.zeros(1, 128))[0][0, -1]


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> LaughterSettings:
    folder, generator = tmp_path_factory.mktemp("sounds"), np.random.default_rng(1)
    for name in ("bursts", "speech", "others"):
        (folder / name).mkdir()
    for speaker in range(1, 21):
        for number in (1, 2):
            write_wav(folder / "bursts" / f"{speaker:06}-02-{number}.wav", laugh(generator))
            # The emotions of which a speaker's first recording is used.
            name = f"{speaker:06}-{3 * number + -speaker % 3:02}-1.wav"
            write_wav(folder / "bursts" / name, talk(generator))
    for index in range(6):
        write_wav(folder / "speech" / f"{index}.wav", talk(generator, 3.0))
        write_wav(folder / "others" / f"{index}.wav", generator.normal(0, 0.02, 32_000))
    return LaughterSettings(
        bursts=str(folder / "bursts"), speech=(str(folder / "speech"),), others=(str(folder / "others"),),
        synthetic_speech=0, synthetic_sounds=0, held_out=(17, 20), epochs=3, draws=320,
        batch=16, workers=0, learning_rate=5e-3, cache=str(folder / "cache"), output=str(folder / "runs"),
    )  # fmt: skip


def test_it_learns_resumes_and_is_not_trained_on_the_held_out(settings, capsys):
    path = train_laughter(settings, "no")
    network = LaughterNetwork()
    network.load_state_dict(load_file(path))
    generator = np.random.default_rng(9)
    sounds = [laugh(generator) for _ in range(20)] + [talk(generator) for _ in range(20)]
    logits = torch.stack([last_logit(network, mel_of(each)) for each in sounds])
    assert logits[:20].mean() - logits[20:].mean() > 1.0
    assert train_laughter(settings, "auto") == path
    bursts = read_bursts(Path(settings.bursts), settings.held_out, Path(settings.cache))
    assert {name[:6] for name in bursts.names} == {f"{speaker:06}" for speaker in range(1, 17)}
    assert len(bursts) == 16 * 4


def test_examples_have_laughter_where_the_burst_is(settings):
    cache = Path(settings.cache)
    bursts, others = (read_folder(Path(each), cache) for each in (settings.bursts, settings.others[0]))
    laughs = np.array([name.split("-")[1] == "02" for name in bursts.names])
    sounds = Sounds(bursts, laughs, others, others)
    examples = [Mixtures(sounds, 1, seed)[0] for seed in range(60)]
    frames, target, weight = (np.stack([each[i].numpy() for each in examples]) for i in range(3))
    assert frames.shape == (60, CONTEXT + 300, 64)
    assert np.isfinite(frames).all()
    assert 0.2 < (target.max(axis=1) > 0).mean() < 0.7
    assert set(np.unique(target)) == {0.0, 1.0}
    assert set(np.unique(weight)) == {np.float32(0.3), np.float32(1.0)}
    # The same seed gives the same example.
    again = Mixtures(sounds, 1, 7)[0]
    assert np.array_equal(frames[7], again[0].numpy())


def test_pauses_of_a_laugh_are_part_of_it_and_silence_is_not():
    laughter, silence = laugh(np.random.default_rng(1)), np.zeros(RATE_HZ, np.float32)
    found = active(mel_of(np.concatenate([silence, laughter, silence])))
    assert not found[:98].any()
    assert found[105:245].all()
    assert not found[285:].any()


def test_made_sounds_are_finite_and_differ(tmp_path):
    sounds = synthetic_sounds(12, tmp_path, 1)
    assert len(sounds) == 12
    assert all(np.isfinite(mel).all() and mel.std() > 0.1 for mel in sounds.mel)
    assert len({float(mel.astype(np.float32).mean()) for mel in sounds.mel}) == 12


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"draws": 8, "batch": 16}, "draws must be at least batch, got 8 and 16"),
        ({"trimmed": 1.0}, r"trimmed must be in \[0, 1\), got 1.0"),
        ({"epoch": 3}, "unknown setting epoch"),
    ],
)
def test_invalid_settings_are_reported(values, message):
    with pytest.raises(ConfigurationError, match=message):
        laughter_settings({"network": "laughter", **values})


def test_missing_recordings_are_reported(settings, tmp_path):
    with pytest.raises(SourceError, match="no recordings in"):
        train_laughter(replace(settings, bursts=str(tmp_path)), "no")
