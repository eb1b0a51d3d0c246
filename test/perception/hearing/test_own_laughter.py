"""A fine-tuned network of the user's own hears laughter as it does in the training."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from social_perception.core.config import LaughterConfig
from social_perception.core.errors import ModelError
from social_perception.core.sound import Sound
from social_perception.perception.hearing import fbank, own_laughter
from social_perception.research.social_mae.checkpoints import load_weights, save_weights
from social_perception.research.social_mae.examples import Example, collate
from social_perception.research.social_mae.network import SOUND, Classifier, NetworkSizes

SIZES = NetworkSizes(
    frames=2, side=16, steps=64, bins=16, video_patch=8, sound_patch=8, width=24, heads=2, blocks=2,
    decoder_width=16, decoder_heads=2, decoder_blocks=1,
)  # fmt: skip
NAMES = ("laughter", "other")
NOISE = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(3)
    save_weights(Classifier(SIZES, len(NAMES)), tmp_path / "own.safetensors", {}, NAMES)
    return tmp_path / "own.safetensors"


def expected(path, samples):
    """The logit of the network of the training for a window of sound."""
    network = Classifier(SIZES, len(NAMES)).eval()
    load_weights(network, path)
    batch = collate([Example(None, fbank.log_mel(samples, SIZES.bins), None, "")], SIZES.shape)
    with torch.no_grad():
        laughter, other = network({SOUND: batch[SOUND]})[0].tolist()
    return laughter - other


def test_each_logit_is_that_of_the_newest_window(path):
    detector = own_laughter.OwnLaughterDetector(path)
    logits = detector.logits(NOISE)
    window = (SIZES.steps - 1) * 160 + 400
    # At first there is less sound than a window, as in a short recording.
    ends = np.arange(1, 11) * 1600
    assert logits == pytest.approx(
        [expected(path, NOISE[max(0, end - window) : end]) for end in ends], abs=2e-3
    )
    assert np.ptp(logits) > 0.02
    assert len(detector.logits(NOISE[:0])) == 0
    detector.reset()
    parts = [detector.logits(NOISE[:3200]), detector.logits(NOISE[3200:])]
    assert np.concatenate(parts) == pytest.approx(logits, abs=1e-5)


def test_the_listener_reports_its_laughter(path):
    pytest.importorskip("silero_vad")
    listener = pytest.importorskip("social_perception.perception.hearing.listener")
    ear = listener.Listener(LaughterConfig(laughter_model=str(path)))
    events = ear.listen(Sound(NOISE, 16_000, 5.0))
    logits = own_laughter.OwnLaughterDetector(path).logits(NOISE)
    assert [event.laughter for event in events] == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-5)


def sizes(**other):
    return json.dumps({**asdict(SIZES), **other})


@pytest.mark.parametrize(
    ("metadata", "tensors", "message"),
    [
        ({"names": '["joy", "other"]'}, {}, r"no class laughter or laughs, but \('joy', 'other'\)"),
        ({"names": '["laughter", "a", "b"]'}, {}, "its output is"),
        ({"names": "7"}, {}, "not iterable"),
        ({"sizes": sizes(steps=10**6)}, {}, "sizes must be numbers from 1 to 4096"),
        ({"sizes": sizes(steps=128)}, {}, "shape"),
        ({"sizes": sizes(steps=4096, bins=4096)}, {}, "it has more than 1024 tokens"),
        ({"sizes": sizes(heads=7)}, {}, "reshape"),
        ({"sizes": "{}"}, {}, "'steps'"),
        ({}, {"head.1.bias": torch.tensor([np.nan, 0.0])}, "its output is"),
        ({}, {"head.1.weight": torch.zeros(2, 7)}, "mismatch"),
    ],
)
def test_other_networks_are_reported(path, metadata, tensors, message):
    known = {"sizes": sizes(), "names": json.dumps(NAMES)}
    save_file({**load_file(path), **tensors}, path, {**known, **metadata})
    with pytest.raises(ModelError, match=message) as caught:
        own_laughter.read_transformer(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_files_that_are_no_weights_are_reported(tmp_path, content):
    path = tmp_path / "own.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=path.name):
        own_laughter.OwnLaughterDetector(path)
