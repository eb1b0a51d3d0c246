"""YuNet: a small network that proposes places of faces, thirty times as fast as dlib's CNN.

Source: W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research
20, 2023. Its boxes are narrow, shifted and often wrong, so they are proposals:
:mod:`social_perception.perception.detection.cascade` confirms them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import Box, Face, ImageArray

STRIDES = (8, 16, 32)
"""Px of the image per cell of the three levels."""

MAX_OVERLAP = 0.3
"""Intersection over union above which the weaker of two proposals is dropped."""

Network = Callable[[ImageArray], Sequence[npt.NDArray[np.float32]]]
"""The network: image -> one array (6, H / s, W / s) per stride s; see :class:`.yunet_network.YuNet`."""


def propose(network: Network, image: ImageArray, threshold: float) -> tuple[Face, ...]:
    """Return YuNet's own boxes of an RGB image (H, W, 3) uint8, sorted by decreasing score.

    Args:
        network: computes the levels of an image whose sides are multiples of 32.
        image: of any size; it is padded.
        threshold: minimum score, in (0, 1).
    """
    bottom, right = -image.shape[0] % STRIDES[-1], -image.shape[1] % STRIDES[-1]
    if bottom or right:
        image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
    rows = np.concatenate([_rows(level, stride, threshold) for level, stride in zip(network(image), STRIDES)])
    kept = cv2.dnn.NMSBoxes(rows[:, 1:].tolist(), rows[:, 0].tolist(), threshold, MAX_OVERLAP)
    return tuple(Face(Box(*map(float, rows[i, 1:])), float(rows[i, 0])) for i in kept)


def _rows(level: npt.NDArray[np.float32], stride: int, threshold: float) -> npt.NDArray[np.float64]:
    """Return the cells above the threshold as rows of score, left, top, width and height, (N, 5)."""
    scores = 1.0 / np.sqrt((1.0 + np.exp(-level[0])) * (1.0 + np.exp(-level[1])))
    row, column = np.nonzero(scores > threshold)
    _, _, dx, dy, log_width, log_height = level[:, row, column].astype(np.float64)
    width, height = stride * np.exp(log_width), stride * np.exp(log_height)
    left, top = (column + dx) * stride - width / 2, (row + dy) * stride - height / 2
    return np.stack([scores[row, column], left, top, width, height], axis=1)
