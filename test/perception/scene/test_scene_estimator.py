"""The scene estimator: a stream of images and sound in, one scene affect per image out."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from social_perception.core.config import SceneConfig
from social_perception.core.errors import ModelError
from social_perception.core.sound import Sound
from social_perception.perception.onnx_network import SCENE
from social_perception.perception.scene import estimator
from social_perception.perception.scene.estimator import FRAMES, SOUND_FRAMES, SceneEstimator
from social_perception.perception.scene.network import SceneNetwork
from social_perception.perception.scene.reduction import LONG_SIDE_PX, reduce, to_input
from social_perception.perception.scene.weights import (
    MAX_FILE_BYTES,
    load_scene_network,
    save_scene_network,
    shipped_path,
)

RUNTIMES = ("torch", "onnxruntime")


def image(seed: int = 0, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def sound(start_s: float = 0.0, seconds: float = 1.0, rate_hz: int = 16_000, level: float = 0.2) -> Sound:
    samples = np.random.default_rng(abs(int(start_s * 10))).normal(0, level, int(seconds * rate_hz))
    return Sound(np.clip(samples, -1, 1).astype(np.float32), rate_hz, start_s)


@pytest.fixture(scope="module", params=RUNTIMES)
def scene(request: pytest.FixtureRequest) -> SceneEstimator:
    if request.param == "onnxruntime":
        pytest.importorskip("onnxruntime")
    return SceneEstimator(SceneConfig(device="cpu", runtime=request.param))


@pytest.mark.parametrize(
    ("size", "reduced", "padded"),
    [
        ((1080, 1920, 3), (54, 96, 3), (96, 160)),
        ((480, 640, 3), (72, 96, 3), (120, 160)),
        ((640, 480, 3), (96, 72, 3), (160, 120)),
        ((4, 3000, 3), (1, 96, 3), (8, 160)),
        ((50, 90, 3), (50, 90, 3), (96, 160)),
        ((480, 640), (72, 96), (120, 160)),
    ],
)
def test_an_image_is_reduced_and_padded(size, reduced, padded) -> None:
    small = reduce(np.full(size, 77, np.uint8))
    assert small.shape == reduced
    assert max(small.shape[:2]) <= LONG_SIDE_PX
    assert to_input(small).shape == padded
    assert (to_input(small) == 77).all()


def test_a_reduced_pixel_is_the_mean_of_those_it_replaces() -> None:
    whole = image(size=(288, 384))
    means = whole.reshape(72, 4, 96, 4, 3).mean((1, 3))
    assert np.abs(reduce(whole) - means).max() <= 0.51


@pytest.mark.parametrize("size", [(120, 160), (480, 640), (30, 40), (1, 1)])
@pytest.mark.parametrize("with_sound", [True, False])
def test_every_image_gives_probabilities_and_their_valence(scene, size, with_sound) -> None:
    scene.reset()
    found = scene.process(image(size=size), sound() if with_sound else None)
    assert sum(found.probabilities) == pytest.approx(1.0, abs=1e-5)
    assert min(found.probabilities) >= 0.0
    assert found.valence == pytest.approx(found.probabilities[2] - found.probabilities[0])
    assert found.with_sound is with_sound


def test_the_runtimes_agree() -> None:
    pytest.importorskip("onnxruntime")
    scenes = [SceneEstimator(SceneConfig(device="cpu", runtime=each)) for each in RUNTIMES]
    for number in range(FRAMES + 2):
        shown, received = image(number), None if number < 3 else sound(number)
        first, second = (each.process(shown, received) for each in scenes)
        assert second.probabilities == pytest.approx(first.probabilities, abs=2e-3)


def test_images_and_sound_before_count_until_they_are_forgotten(scene) -> None:
    scene.reset()
    alone = scene.process(image(1), None)
    scene.reset()
    scene.process(image(2), sound(0.0))
    assert scene.process(image(1), None).probabilities != alone.probabilities
    scene.reset()
    assert scene.process(image(1), None) == alone
    for number in range(FRAMES):
        last = scene.process(image(number), None)
    scene.reset()
    scene.process(image(9), None)
    for number in range(FRAMES):
        again = scene.process(image(number), None)
    assert again.probabilities == pytest.approx(last.probabilities, abs=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
def test_sound_of_any_rate_and_block_length_is_accepted(scene, rate_hz) -> None:
    def last(block_s: float) -> tuple[float, ...]:
        scene.reset()
        whole = sound(0.0, 2.0, rate_hz)
        for number in range(round(2.0 / block_s)):
            first = round(number * block_s * rate_hz)
            block = whole.samples[first : first + round(block_s * rate_hz)]
            scene.process(image(), Sound(block, rate_hz, number * block_s))
        return scene.process(image(), Sound.empty(rate_hz, 2.0)).probabilities

    assert last(0.25) == pytest.approx(last(0.2), abs=0.02)


@pytest.mark.parametrize("start_s", [9.0, -5.0])
def test_sound_is_forgotten_where_it_does_not_go_on(scene, start_s) -> None:
    scene.reset()
    scene.process(image(), sound(0.0, 2.0))
    found = scene.process(image(), sound(start_s, 0.5))
    scene.reset()
    scene.process(image(), None)
    assert found.probabilities == pytest.approx(scene.process(image(), sound(start_s, 0.5)).probabilities)


def test_less_than_a_tenth_of_a_second_is_not_judged(scene) -> None:
    scene.reset()
    assert not scene.process(image(), sound(0.0, 0.05)).with_sound
    assert scene.process(image(), sound(0.05, 0.06)).with_sound


def test_the_network_is_small_and_takes_any_number_of_frames() -> None:
    network = SceneNetwork().eval()
    assert sum(each.numel() for each in network.parameters()) < 5_000_000
    assert shipped_path().stat().st_size < 8_000_000
    mel = torch.zeros(2, SOUND_FRAMES, 64)
    for shape in ((2, 1, 96, 160), (2, 5, 16, 24)):
        with torch.no_grad():
            assert network(torch.zeros(shape), mel, torch.ones(2)).shape == (2, 3)


def test_without_sound_the_sound_does_not_count() -> None:
    network = SceneNetwork().eval()
    shown = torch.rand(2, 2, 32, 32) * 255
    noise = torch.randn(2, SOUND_FRAMES, 64)
    with torch.no_grad():
        silent = network(shown, noise, torch.zeros(2))
        assert torch.equal(silent, network(shown, noise * 0, torch.zeros(2)))
        assert not torch.allclose(silent, network(shown, noise, torch.ones(2)))


def test_steps_give_what_all_frames_together_give() -> None:
    network = SceneNetwork().eval()
    shown, mel, has_sound = (
        torch.randint(0, 256, (1, 4, 32, 40), dtype=torch.uint8),
        torch.randn(1, 300, 64),
        torch.ones(1),
    )
    before = torch.zeros(1, 0, estimator.FEATURES)
    with torch.no_grad():
        for frame in shown[0]:
            probabilities, features = network.step(frame[None], before, mel, has_sound)
            before = torch.cat([before, features], 1)
        whole = network(shown.float(), mel, has_sound).softmax(1)
    torch.testing.assert_close(probabilities, whole)


def test_weights_are_saved_and_loaded(tmp_path) -> None:
    network = SceneNetwork(pooling=False).eval()
    save_scene_network(network, tmp_path / "own.safetensors", {"seed": 1})
    loaded = load_scene_network(tmp_path / "own.safetensors")
    shown, mel = torch.rand(1, 1, 16, 16) * 255, torch.zeros(1, SOUND_FRAMES, 64)
    with torch.no_grad():
        expected, found = (each(shown, mel, torch.ones(1)) for each in (network, loaded))
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0.01)


def _other_network(path) -> None:
    save_scene_network(torch.nn.Linear(2, 2), path, {})


def _not_finite(path) -> None:
    network = SceneNetwork()
    torch.nn.init.constant_(network.head.bias, float("nan"))
    save_scene_network(network, path, {})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no scene network at"),
        (lambda path: path.write_bytes(b"no tensors"), "is not a safetensors file or is damaged"),
        (lambda path: path.write_bytes(bytes(MAX_FILE_BYTES + 1)), "it is larger than 8 MB"),
        (_other_network, "is not a scene network"),
        (_not_finite, "has weights that are not finite"),
    ],
)
def test_wrong_weights_are_rejected_in_one_line(write, message, tmp_path) -> None:
    write(tmp_path / "own.safetensors")
    with pytest.raises(ModelError, match=message) as caught:
        load_scene_network(tmp_path / "own.safetensors")
    assert "\n" not in str(caught.value)


def test_changed_weights_are_rejected(tmp_path, monkeypatch) -> None:
    content = bytearray(shipped_path().read_bytes())
    content[-100] ^= 1
    (tmp_path / "own.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="is not the expected file"):
        load_scene_network(tmp_path / "own.safetensors", SCENE.weights_sha256)


def test_nothing_that_processes_single_people_is_imported() -> None:
    code = (
        "import sys; from social_perception.perception.scene.estimator import SceneEstimator; "
        "from social_perception.core.config import SceneConfig; "
        "SceneEstimator(SceneConfig(runtime='torch', device='cpu')); "
        "names = ('detection', 'tracking', 'smile'); "
        "print([m for m in sys.modules "
        "if any(m.startswith(f'social_perception.perception.{n}') for n in names)])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
