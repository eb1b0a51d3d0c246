"""Laughter by a network of the user's own: the sound part of a fine-tuned Social-MAE, computed with NumPy.

``social-perception train config/social_mae_laughter.yaml`` writes its weights. The layers are those of the
``Classifier`` in ``research/social_mae/network.py``; N tokens of width W.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load
from scipy.special import erf, log_softmax, softmax

from social_perception.core.errors import ModelError
from social_perception.core.files import read_weights
from social_perception.core.sound import SoundArray
from social_perception.perception.hearing.fbank import DEVIATION, MEAN, WINDOW, log_mel
from social_perception.perception.hearing.mel import HOP
from social_perception.perception.hearing.rows import ROW

NAMES = ("laughter", "laughs")
"""Names of the class of laughter."""

_MAX_FILE_BYTES, _MAX_SIZE, _MAX_TOKENS = 2**28, 4096, 1024
_EPSILON = 1e-5

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class SoundTransformer:
    """The network: its sizes, the names of its classes, and its tensors by name."""

    sizes: Mapping[str, int]
    classes: tuple[str, ...]
    tensors: Mapping[str, FloatArray]

    def __call__(self, mel: FloatArray) -> FloatArray:
        """The outputs (classes,) for a log-mel spectrogram (steps, bins)."""
        steps, bins, side, width = (self.sizes[name] for name in ("steps", "bins", "sound_patch", "width"))
        parts = ((mel - MEAN) / DEVIATION).T.reshape(bins // side, side, steps // side, side)
        branch = "encoder.branches.sound"
        kernel = self.tensors[f"{branch}.patches.weight"].reshape(width, -1)
        tokens: FloatArray = parts.transpose(0, 2, 1, 3).reshape(-1, side**2) @ kernel.T  # (N, W)
        for name in ("patches.bias", "position", "modality"):
            tokens = tokens + self.tensors[f"{branch}.{name}"].reshape(-1, width)
        for row in range(self.sizes["blocks"]):
            tokens = self._block(tokens, f"{branch}.blocks.{row}", "own")
        for row in range(self.sizes["joint_blocks"]):
            tokens = self._block(tokens, f"encoder.joint.{row}", "sound")
        mean = self._norm(tokens, "encoder.norm.sound").mean(axis=0)
        return self._linear(self._norm(mean, "head.0"), "head.1")

    def _block(self, tokens: FloatArray, name: str, norm: str) -> FloatArray:
        count, width = tokens.shape
        qkv = self._linear(self._norm(tokens, f"{name}.norm1.{norm}"), f"{name}.qkv")
        query, key, value = qkv.reshape(count, 3, self.sizes["heads"], -1).transpose(1, 2, 0, 3)
        shares = softmax(query @ key.transpose(0, 2, 1) / math.sqrt(key.shape[-1]), axis=-1)  # (heads, N, N)
        attended = (shares @ value).transpose(1, 0, 2).reshape(count, width)
        tokens = tokens + self._linear(attended, f"{name}.out")
        hidden = self._linear(self._norm(tokens, f"{name}.norm2.{norm}"), f"{name}.mlp.0")
        hidden = 0.5 * hidden * (1.0 + erf(hidden / math.sqrt(2.0)))  # GELU
        return tokens + self._linear(hidden, f"{name}.mlp.2")

    def _linear(self, tokens: FloatArray, name: str) -> FloatArray:
        return np.asarray(tokens @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"])

    def _norm(self, tokens: FloatArray, name: str) -> FloatArray:
        centered = tokens - tokens.mean(axis=-1, keepdims=True)
        scaled = centered / np.sqrt(np.square(centered).mean(axis=-1, keepdims=True) + _EPSILON)
        return np.asarray(scaled * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"])


class OwnLaughterDetector:
    """Gives the logit of laughter, ten times a second, of the newest seconds of sound.

    Args:
        path: weights of a fine-tuning with a class of :data:`NAMES`.

    Raises:
        ModelError: the file is missing or damaged, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._network = read_transformer(path)
        self._laughter = next(row for row, name in enumerate(self._network.classes) if name in NAMES)
        self._samples: SoundArray = np.empty(0, np.float32)

    def logits(self, samples: SoundArray) -> npt.NDArray[np.float32]:
        """Return the logit of laughter in each tenth of a second.

        Args:
            samples: shape (N * 1600,), 16 kHz, the continuation of those before; N may be 0.
        """
        steps, bins = self._network.sizes["steps"], self._network.sizes["bins"]
        logits = []
        for row in samples.reshape(-1, ROW):
            self._samples = np.concatenate([self._samples, row])[-(steps - 1) * HOP - WINDOW :]
            mel = log_mel(self._samples, bins)
            # As in the training, what is missing of a window is zero.
            shares = log_softmax(self._network(np.pad(mel, ((0, steps - len(mel)), (0, 0)))))
            logits.append(shares[self._laughter] - math.log(1e-7 - math.expm1(shares[self._laughter])))
        return np.array(logits, np.float32)

    def reset(self) -> None:
        """Forget the sound before."""
        self._samples = np.empty(0, np.float32)


def read_transformer(path: Path) -> SoundTransformer:
    """Read the weights of a fine-tuned network.

    Raises:
        ModelError: the file is missing or damaged, or is no such network with a class of laughter.
    """
    try:
        content = read_weights(path, _MAX_FILE_BYTES)
        tensors = {name: each.astype(np.float32) for name, each in load(content).items()}
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        network = SoundTransformer(_sizes(header), tuple(json.loads(header["names"])), tensors)
        if not set(network.classes) & set(NAMES):
            raise ValueError(f"it has no class {' or '.join(NAMES)}, but {network.classes}")
        silence = np.zeros((network.sizes["steps"], network.sizes["bins"]), np.float32)
        with np.errstate(all="ignore"):
            outputs = network(silence)
        if outputs.shape != (len(network.classes),) or not np.isfinite(outputs).all():
            raise ValueError(f"its output is {outputs}")
    except OSError as error:
        raise ModelError(f"the laughter network {path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = " ".join((str(error) or repr(error)).split())[:200]
        raise ModelError(f"{path} is no fine-tuned network for laughter: {reason}") from error
    return network


def _sizes(header: Mapping[str, str]) -> dict[str, int]:
    sizes: dict[str, Any] = json.loads(header["sizes"])
    if not all(type(value) is int and 1 <= value <= _MAX_SIZE for value in sizes.values()):
        raise ValueError(f"sizes must be numbers from 1 to {_MAX_SIZE}")
    if (sizes["steps"] // sizes["sound_patch"]) * (sizes["bins"] // sizes["sound_patch"]) > _MAX_TOKENS:
        raise ValueError(f"it has more than {_MAX_TOKENS} tokens")
    return sizes
