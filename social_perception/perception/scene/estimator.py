"""Estimates the emotion of a scene from a stream of images and sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from social_perception.core.config import SceneConfig
from social_perception.core.failover import make_on_device
from social_perception.core.sound import Sound
from social_perception.core.types import ImageArray, SceneAffect
from social_perception.perception.hearing.mel import BANDS, SILENCE, MelFrames
from social_perception.perception.hearing.rows import Rows
from social_perception.perception.onnx_network import SCENE, OnnxNetwork, uses_onnxruntime
from social_perception.perception.scene.reduction import GrayArray, reduce, to_input

FEATURES = 128
"""Features of a frame and of a sound token."""

SOUND_FRAMES = 300
"""Log-mel frames that the network hears: 3 s."""

FRAMES = 8
"""Frames that it sees at most."""

FloatArray = npt.NDArray[np.float32]

Step = Callable[[GrayArray, FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""One step of the network: image, features before, sound and whether there is any, to probabilities and
features.
"""

_NO_FEATURES = np.empty((1, 0, FEATURES), np.float32)
_NO_SOUND = np.full((SOUND_FRAMES, BANDS), SILENCE, np.float32)


class SceneEstimator:
    """Estimates how a group feels; finds, follows and scores nobody in it.

    It keeps the features of the last eight images and the log-mel frames of the last 3 s of sound.

    Args:
        config: the settings.

    Raises:
        ModelError: the network cannot be read.
        ConfigurationError: the device is not available.
        MissingDependencyError: the runtime is onnxruntime, which is not installed.
    """

    def __init__(self, config: SceneConfig) -> None:
        self._step = _make_step(config)
        self._features = _NO_FEATURES
        self._rows: Rows | None = None
        self._frames, self._mel, self._has_sound = MelFrames(), _NO_SOUND, False

    def reset(self) -> None:
        """Forget the images and the sound before."""
        self._features = _NO_FEATURES
        self._forget_sound()

    def process(self, image: ImageArray, sound: Sound | None) -> SceneAffect:
        """Return the scene affect up to an image.

        Args:
            image: of any size; shape (H, W, 3), RGB.
            sound: since the image before, of any length and rate; where it does not follow the block before
                by more than 0.1 s, the sound before is forgotten. None: there is no sound, and the images
                decide.
        """
        if sound is None:
            self._forget_sound()
        elif len(sound.samples):
            self._hear(sound)
        has_sound = np.full(1, self._has_sound, np.float32)
        probabilities, features = self._step(
            to_input(reduce(image))[np.newaxis], self._features, self._mel[np.newaxis], has_sound
        )
        self._features = np.concatenate([self._features, features], 1)[:, -(FRAMES - 1) :]
        negative, neutral, positive = map(float, probabilities[0])
        return SceneAffect((negative, neutral, positive), positive - negative, bool(self._has_sound))

    def _hear(self, sound: Sound) -> None:
        if self._rows is None or not self._rows.goes_on(sound):
            self._forget_sound()
            self._rows = Rows(sound)
        for row in self._rows.add(sound):
            self._mel = np.concatenate([self._mel, self._frames.add(row.samples)])[-SOUND_FRAMES:]
            self._has_sound = True

    def _forget_sound(self) -> None:
        self._rows = None
        self._frames, self._mel, self._has_sound = MelFrames(), _NO_SOUND, False


def _make_step(config: SceneConfig) -> Step:
    if uses_onnxruntime(config, "device cuda" if config.device == "cuda" else ""):
        network = OnnxNetwork(SCENE)

        def run(*inputs: npt.NDArray[np.generic]) -> tuple[FloatArray, FloatArray]:
            probabilities, features = network(*inputs)
            return probabilities, features

        return run
    # Imported here, because torch takes seconds to load.
    import torch

    return make_on_device("scene network", config.device, torch.cuda.is_available(), _torch_step)


def _torch_step(device: str) -> Step:
    import torch

    from social_perception.perception.scene.weights import load_scene_network, shipped_path

    network = load_scene_network(shipped_path(), SCENE.weights_sha256).to(device)

    @torch.inference_mode()
    def step(*inputs: npt.NDArray[np.generic]) -> tuple[FloatArray, FloatArray]:
        outputs = network.step(*(torch.from_numpy(each).to(device) for each in inputs))
        probabilities, features = (each.cpu().numpy() for each in outputs)
        return probabilities, features

    return step
