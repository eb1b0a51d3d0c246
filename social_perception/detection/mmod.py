"""dlib's CNN face detector, run by torch.

Source: D. E. King, "Max-Margin Object Detection", arXiv:1502.00046, and dlib's
``dnn_mmod_face_detection_ex.cpp``. Boxes and scores are those of dlib's own
``cnn_face_detection_model_v1`` (same weights, pyramid and non-maximum suppression); only the
arithmetic is torch's, which is many times faster on a CPU and needs no dlib built for CUDA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from social_perception.core.errors import DetectionError, ImageError
from social_perception.core.types import Box, Face, ImageArray
from social_perception.detection.mmod_file import BoxOverlap, MmodModel
from social_perception.detection.pyramid import TiledPyramid, fill, fill_bytes, layout

NATIVE_FACE_PX = 80.0
"""Width of the smallest box that the network gives in an image that is not enlarged."""

MAX_SEARCHED_PIXELS = 8_300_000
"""Images are searched at this size at most (3840 x 2160), so that one cannot exhaust the memory."""


BAND_ROWS = 24
"""Output rows of the first layers computed at a time: what lies between them stays in the cache."""


class MmodNetwork(nn.Module):
    """Seven convolutions: (N, 3, H, W) RGB in [0, 255] -> (N, 1, about H/8, W/8) face scores.

    dlib's normalisation, (value - mean) / 256, is folded into the first convolution.
    """

    def __init__(self, model: MmodModel, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.relu = [convolution.relu for convolution in model.convolutions]
        self.dtype = dtype
        for source in model.convolutions:
            filters, channels, rows, columns = source.weight.shape
            layer = nn.Conv2d(channels, filters, (rows, columns), source.stride, source.padding)
            layer.weight.data = torch.from_numpy(np.ascontiguousarray(source.weight)).to(dtype)
            layer.bias.data = torch.from_numpy(np.ascontiguousarray(source.bias))  # type: ignore[union-attr]
            self.layers.append(layer)
        _fold_normalisation(self.layers[0], model.mean_rgb)
        self.to(dtype).requires_grad_(False)
        # The unpadded layers at the bottom can be computed band by band.
        self.stem = next(index for index, layer in enumerate(self.layers) if layer.padding[0] > 0)
        self.stride, self.reach = 1, 1
        for layer in self.layers[: self.stem]:
            self.reach += (layer.kernel_size[0] - 1) * self.stride
            self.stride *= layer.stride[0]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = (image.shape[2] - self.reach) // self.stride + 1
        bands = []
        for row in range(0, rows, BAND_ROWS):
            last = min(row + BAND_ROWS, rows) - 1
            band = image[:, :, row * self.stride : last * self.stride + self.reach]
            bands.append(self._run(band.to(self.dtype), 0, self.stem))
        return self._run(torch.cat(bands, dim=2), self.stem, len(self.layers))

    def _run(self, image: torch.Tensor, first: int, end: int) -> torch.Tensor:
        for layer, relu in zip(self.layers[first:end], self.relu[first:end]):
            image = layer(image)
            if relu:
                image = F.relu_(image)
        return image

    def to_input(self, row: int, column: int) -> tuple[float, float]:
        """Centre (x, y) in the input picture of what an output cell looks at."""
        x, y = float(column), float(row)
        for layer in reversed(self.layers):
            shift = layer.kernel_size[0] // 2 - layer.padding[0]
            x, y = x * layer.stride[0] + shift, y * layer.stride[0] + shift
        return x, y


def _fold_normalisation(layer: nn.Module, mean_rgb: tuple[float, float, float]) -> None:
    weight = layer.weight.data / 256.0
    mean = torch.tensor(mean_rgb).view(1, 3, 1, 1)
    # From the weights as they are rounded, so that the mean colour still gives zero.
    layer.bias.data -= (weight.float() * mean).sum(dim=(1, 2, 3))
    layer.weight.data = weight


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A rectangle with both corners inside, in px of the searched image, as dlib keeps it."""

    left: float
    top: float
    right: float
    bottom: float
    score: float

    @property
    def area(self) -> float:
        return (self.right - self.left + 1) * (self.bottom - self.top + 1)


class MmodTorchDetector:
    """The Detector of dlib's CNN weights on torch.

    Args:
        model: the weights, from :func:`social_perception.detection.mmod_file.read_mmod`.
        device: torch device.
        threshold: score above which a face counts (dlib's ``adjust_threshold``; 0 is dlib's own).
        min_face_px: smallest face looked for. Below 80 px the image is enlarged in proportion,
            which costs time with the square of it.
        upsample: doublings of the image, as in dlib, instead of min_face_px; -1: none stated.
        dtype: bfloat16 is about three times as fast as float32 on hardware made for it.
        exact: scale the picture as dlib does, in floating point; without it, in bytes, which is
            faster. Inexact scores differ by up to 0.02, and of two nearly equal boxes the other may
            win.
        vote: let the suppressed boxes vote on the place and size of the one that is kept, see
            :func:`vote_boxes`; without it boxes are dlib's own.
    """

    def __init__(
        self,
        model: MmodModel,
        device: str = "cpu",
        threshold: float = 0.0,
        min_face_px: float = NATIVE_FACE_PX,
        upsample: int = -1,
        dtype: torch.dtype = torch.float32,
        exact: bool = True,
        vote: bool = True,
    ) -> None:
        self._model = model
        self._device = torch.device(device)
        network = MmodNetwork(model, dtype).to(self._device)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._exact = exact or self._device.type != "cpu"
        self.threshold = threshold
        self.min_face_px = min_face_px
        self.upsample = upsample
        self.vote = vote

    @property
    def dtype(self) -> torch.dtype:
        """The arithmetic of the network."""
        return self._network.dtype

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        """Return the faces of an RGB image (H, W, 3) uint8, surest first.

        Raises:
            ImageError: the array is not such an image.
            DetectionError: torch failed, for instance for want of memory.
        """
        height, width = _checked(image).shape[:2]
        return self.detect_at(image, *self._searched_size(width, height))

    def _searched_size(self, width: int, height: int) -> tuple[int, int]:
        wide, high = width, height
        for _ in range(self.upsample):
            wide, high = 2 * wide + 2, 2 * high + 1  # dlib's pyramid_up
        if self.upsample < 0:
            scale = max(1.0, NATIVE_FACE_PX / self.min_face_px)
            wide, high = round(width * scale), round(height * scale)
        if wide * high <= MAX_SEARCHED_PIXELS:
            return wide, high
        scale = (MAX_SEARCHED_PIXELS / (width * height)) ** 0.5
        return max(1, int(width * scale)), max(1, int(height * scale))

    def detect_at(self, image: ImageArray, width: int, height: int) -> tuple[Face, ...]:
        """Like detect, with the image resized to width x height px for the search."""
        try:
            with torch.inference_mode():
                candidates = self._search(_checked(image), width, height)
        except RuntimeError as error:
            raise DetectionError(f"face detection failed on a {width}x{height} image: {error}") from error
        kept = suppress(candidates, self._model.overlap)
        if self.vote:
            kept = vote_boxes(kept, candidates, self._model.overlap, self.threshold)
        x_scale = image.shape[1] / width
        y_scale = image.shape[0] / height
        return tuple(_face(candidate, x_scale, y_scale) for candidate in kept)

    def _search(self, image: ImageArray, width: int, height: int) -> list[_Candidate]:
        pyramid = layout(width, height, self._model.pyramid_padding, self._model.pyramid_outer_padding)
        if min(pyramid.width, pyramid.height) < self._network.reach:
            return []  # smaller than what one output cell looks at
        draw = self._draw_exactly if self._exact else self._draw_fast
        scores = self._network(draw(image, width, height, pyramid))
        return self._candidates(scores[0, 0].float().cpu().numpy(), pyramid)

    def _draw_exactly(
        self, image: ImageArray, width: int, height: int, pyramid: TiledPyramid
    ) -> torch.Tensor:
        picture = torch.from_numpy(np.ascontiguousarray(image)).to(self._device)
        picture = picture.permute(2, 0, 1)[None].float()
        if (width, height) != (image.shape[1], image.shape[0]):
            picture = F.interpolate(picture, (height, width), mode="bilinear", align_corners=True).floor_()
        tiled = fill(picture, pyramid, self._model.mean_rgb)
        return tiled.contiguous(memory_format=torch.channels_last)

    def _draw_fast(self, image: ImageArray, width: int, height: int, pyramid: TiledPyramid) -> torch.Tensor:
        tiled = fill_bytes(image, width, height, pyramid, self._model.mean_rgb)
        return torch.from_numpy(tiled).permute(2, 0, 1)[None]

    def _candidates(self, scores: npt.NDArray[np.float32], pyramid: TiledPyramid) -> list[_Candidate]:
        half_width = (self._model.window_width - 1) / 2
        half_height = (self._model.window_height - 1) / 2
        found = []
        for row, column in np.argwhere(scores > self.threshold):
            x, y = self._network.to_input(int(row), int(column))
            level = pyramid.level_at(x, y)
            left, top = pyramid.to_image(x - half_width, y - half_height, level)
            right, bottom = pyramid.to_image(x + half_width, y + half_height, level)
            corners = (_lround(left), _lround(top), _lround(right), _lround(bottom))
            found.append(_Candidate(*corners, float(scores[row, column])))
        return sorted(found, key=lambda candidate: -candidate.score)


def suppress(candidates: Sequence[_Candidate], overlap: BoxOverlap) -> list[_Candidate]:
    """dlib's greedy non-maximum suppression over candidates sorted by falling score.

    The intersection is compared with the smallest rectangle around both, not with the union.
    """
    kept: list[_Candidate] = []
    for candidate in candidates:
        if not any(_overlaps(other, candidate, overlap) for other in kept):
            kept.append(candidate)
    return kept


def vote_boxes(
    kept: Sequence[_Candidate], candidates: Sequence[_Candidate], overlap: BoxOverlap, threshold: float
) -> list[_Candidate]:
    """Replace each kept box by the mean of all candidates that overlap it, weighted by squared score.

    The scores of neighbouring cells and scales are nearly equal, so the best one jumps by an eighth
    of the face from frame to frame and knows sizes only in steps of 6/5; the mean does not. Source:
    box voting, S. Gidaris, N. Komodakis, "Object Detection via a Multi-region and Semantic
    Segmentation-aware CNN Model", ICCV 2015, section 5.
    """
    voted = []
    for best in kept:
        voters = [other for other in candidates if other is best or _overlaps(best, other, overlap)]
        weights = np.square([max(voter.score - threshold, 1e-3) for voter in voters])
        sides = np.array([(voter.left, voter.top, voter.right, voter.bottom) for voter in voters])
        left, top, right, bottom = (weights @ sides / weights.sum()).tolist()
        voted.append(_Candidate(left, top, right, bottom, best.score))
    return voted


def _overlaps(a: _Candidate, b: _Candidate, overlap: BoxOverlap) -> bool:
    width = min(a.right, b.right) - max(a.left, b.left) + 1
    height = min(a.bottom, b.bottom) - max(a.top, b.top) + 1
    if width <= 0 or height <= 0:
        return False
    inner = width * height
    outer_width = max(a.right, b.right) - min(a.left, b.left) + 1
    outer_height = max(a.bottom, b.bottom) - min(a.top, b.top) + 1
    covered = max(inner / a.area, inner / b.area)
    return inner / (outer_width * outer_height) > overlap.iou or covered > overlap.covered


def _lround(value: float) -> int:
    """C's lround: halves away from zero."""
    return int(np.copysign(np.floor(abs(value) + 0.5), value))


def _face(candidate: _Candidate, x_scale: float, y_scale: float) -> Face:
    box = Box(
        candidate.left * x_scale,
        candidate.top * y_scale,
        (candidate.right - candidate.left + 1) * x_scale,
        (candidate.bottom - candidate.top + 1) * y_scale,
    )
    return Face(box, candidate.score)


def _checked(image: ImageArray) -> ImageArray:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(f"image must be uint8 of shape (H, W, 3), got {image.dtype} of {image.shape}")
    return image
