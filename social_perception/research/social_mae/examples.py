"""One example of the Social-MAE: a face and the sound of the same seconds, and batches of them as tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from social_perception.core.errors import ConfigurationError
from social_perception.perception.hearing import fbank

VIDEO_MEAN, VIDEO_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue of ImageNet in [0, 1], as in the public code."""

NO_LABEL = -1

Label = int | tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class ExampleShape:
    """What the network receives of an example.

    Raises:
        ConfigurationError: a field is below 1.
    """

    frames: int = 8
    """Frames, evenly distributed over the example's time."""
    side: int = 224
    """Side of the square images in px."""
    steps: int = 1024
    """Steps of the spectrogram, 10 ms each; shorter sound is padded with zeros."""
    bins: int = 128
    """Mel bands."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A face, the sound of the same seconds, or both.

    Attributes:
        video: (frames, 3, height, width) uint8 RGB, at equal distances in time; None: no face.
        sound: log-mel spectrogram (steps, bins) float32, 10 ms a step, see :func:`.fbank.log_mel`; None: no
            sound.
        label: a class, or values (regression), or None: without a label.
        person: whose face or voice it is; people with different names are never in two splits.

    Raises:
        ConfigurationError: there is neither video nor sound, or an array has another shape or type.
    """

    video: npt.NDArray[np.uint8] | None
    sound: npt.NDArray[np.float32] | None
    label: Label
    person: str

    def __post_init__(self) -> None:
        if self.video is None and self.sound is None:
            raise ConfigurationError("an example needs video or sound, got neither")
        if self.video is not None and (
            self.video.ndim != 4 or self.video.shape[1] != 3 or not self.video.size
        ):
            raise ConfigurationError(f"video must have shape (frames, 3, H, W), got {self.video.shape}")
        if self.sound is not None and self.sound.ndim != 2:
            raise ConfigurationError(f"sound must have shape (steps, bins), got {self.sound.shape}")


def collate(examples: Sequence[Example], shape: ExampleShape) -> dict[str, Any]:
    """Build a batch of B examples.

    Args:
        examples: with labels of one kind; B may be 0.
        shape: frames and images are chosen and resized to it, spectrograms cut or padded with zeros. Where a
            spectrogram is cut, the frames are, too.

    Returns:
        ``video`` (B, 3, T, H, W) float32, normalised with ImageNet's mean and deviation; ``sound``
        (B, 1, steps, bins) float32, ``(x + 6.2943) / 12.26344``; ``has_video`` and ``has_sound`` (B,) bool:
        what is missing is all zeros; ``label`` (B,) int64, or (B, values) float32, -1 or NaN where missing;
        ``person``: B names.

    Raises:
        ConfigurationError: a spectrogram has other bins than the shape.
    """
    count = len(examples)
    video = np.zeros((count, shape.frames, 3, shape.side, shape.side), np.uint8)
    sound = np.zeros((count, shape.steps, shape.bins), np.float32)
    for row, example in enumerate(examples):
        if example.video is not None:
            video[row] = fit_video(_within(example, shape), shape)
        if example.sound is not None:
            sound[row] = fit_sound(example.sound, shape)
    has_video = torch.tensor([example.video is not None for example in examples], dtype=torch.bool)
    has_sound = torch.tensor([example.sound is not None for example in examples], dtype=torch.bool)
    images = normalize_video(torch.from_numpy(video).transpose(1, 2))
    spectra = (torch.from_numpy(sound)[:, None] - fbank.MEAN) / fbank.DEVIATION
    return {
        "video": images * has_video[:, None, None, None, None],
        "sound": spectra * has_sound[:, None, None, None],
        "has_video": has_video,
        "has_sound": has_sound,
        "label": _labels([example.label for example in examples]),
        "person": [example.person for example in examples],
    }


def _within(example: Example, shape: ExampleShape) -> npt.NDArray[np.uint8]:
    """The frames of the time whose sound fits."""
    assert example.video is not None
    if example.sound is None or len(example.sound) <= shape.steps:
        return example.video
    return example.video[: max(1, round(len(example.video) * shape.steps / len(example.sound)))]


def normalize_video(video: torch.Tensor) -> torch.Tensor:
    """Normalise uint8 video (B, 3, T, H, W) to float32 of about mean 0 and deviation 1."""
    mean, deviation = (torch.tensor(each).view(3, 1, 1, 1) for each in (VIDEO_MEAN, VIDEO_DEVIATION))
    return (video / 255 - mean) / deviation


def video_to_uint8(video: torch.Tensor) -> torch.Tensor:
    """Undo :func:`normalize_video`."""
    mean, deviation = (
        torch.tensor(each, device=video.device).view(3, 1, 1, 1) for each in (VIDEO_MEAN, VIDEO_DEVIATION)
    )
    return ((video * deviation + mean) * 255).round().clamp(0, 255).to(torch.uint8)


def fit_video(video: npt.NDArray[np.uint8], shape: ExampleShape) -> npt.NDArray[np.uint8]:
    """Choose frames at equal distances (a single one is repeated) and resize them: (T, 3, S, S)."""
    rows = np.linspace(0, len(video) - 1, 2 * shape.frames + 1)[1::2].round().astype(int)
    chosen = video[rows]
    if chosen.shape[2:] == (shape.side, shape.side):
        return chosen
    method = cv2.INTER_AREA if chosen.shape[2] > shape.side else cv2.INTER_LINEAR
    resized = [
        cv2.resize(image.transpose(1, 2, 0), (shape.side, shape.side), interpolation=method)
        for image in chosen
    ]
    return np.asarray(np.stack(resized).transpose(0, 3, 1, 2), np.uint8)


def fit_sound(sound: npt.NDArray[np.float32], shape: ExampleShape) -> npt.NDArray[np.float32]:
    """Cut a spectrogram, or pad it with zeros: (steps, bins).

    Raises:
        ConfigurationError: it has other bins.
    """
    if sound.shape[1] != shape.bins:
        raise ConfigurationError(f"the spectrograms have {sound.shape[1]} bins, the network has {shape.bins}")
    fitted = np.zeros((shape.steps, shape.bins), np.float32)
    fitted[: len(sound)] = sound[: shape.steps]
    return fitted


def _labels(labels: Sequence[Label]) -> torch.Tensor:
    if width := max((len(label) for label in labels if isinstance(label, tuple)), default=0):
        unknown = (math.nan,) * width
        values = [unknown if label is None else label for label in labels]
        return torch.tensor(values, dtype=torch.float32)
    return torch.tensor([NO_LABEL if label is None else label for label in labels], dtype=torch.long)
