"""dlib's CNN face detector, run by torch.

Source: D. E. King, "Max-Margin Object Detection", arXiv:1502.00046, and dlib's
``dnn_mmod_face_detection_ex.cpp``. Boxes and scores are those of dlib's own
``cnn_face_detection_model_v1`` (same weights, pyramid and non-maximum suppression); only the
arithmetic is torch's, which is many times faster on a CPU and needs no dlib built for CUDA.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from social_perception.core.errors import DetectionError, ImageError
from social_perception.core.failover import CPU, Failover, reason_of
from social_perception.core.types import Box, Face, ImageArray
from social_perception.perception.detection.mmod_file import MmodModel
from social_perception.perception.detection.network import MmodNetwork
from social_perception.perception.detection.parts import SearchPart, levels_below, share_out
from social_perception.perception.detection.pyramid import (
    RATE,
    TiledPyramid,
    blank,
    fill,
    fill_bytes,
    layout,
    separate,
)
from social_perception.perception.detection.suppression import Candidate, suppress, vote_boxes

NATIVE_FACE_PX = 80.0
"""Width of the smallest box that the network gives in an image that is not enlarged."""

MAX_SEARCHED_PIXELS = 8_300_000
"""Images are searched at this size at most (3840 x 2160), so that one cannot exhaust the memory."""

MAX_BATCH_PIXELS = 4 * MAX_SEARCHED_PIXELS
"""Px of the images that are searched in one go, all together."""

KEPT_PICTURES = 16
"""Tiled pictures that are kept for the next search of the same size: new memory costs time."""


class MmodTorchDetector:
    """The Detector of dlib's CNN weights on torch. Not for several threads at once.

    A GPU that fails is done without: see :class:`social_perception.core.failover.Failover`. The search
    is then what it would have been on the CPU from the start.

    Args:
        model: the weights, from :func:`social_perception.perception.detection.mmod_file.read_mmod`.
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
        max_face_px: largest face looked for; 0: no limit.
        rate: a scale's size over that of the next finer one; dlib's is 5/6.
        cpu_dtype: the arithmetic to go on with when the device has failed; None: the same.
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
        max_face_px: float = 0.0,
        rate: float = RATE,
        cpu_dtype: torch.dtype | None = None,
    ) -> None:
        self._model = model
        self._cpu_dtype = cpu_dtype or dtype
        self._failover = Failover("face detector", str(torch.device(device)), self._move_to_cpu)
        self._network = self._built(dtype)
        self._wants_exact = exact
        self._most_together = sys.maxsize
        self._pictures: dict[TiledPyramid, ImageArray] = {}
        self.threshold = threshold
        self.min_face_px = min_face_px
        self.max_face_px = max_face_px
        self.upsample = upsample
        self.vote = vote
        self.rate = rate

    @property
    def dtype(self) -> torch.dtype:
        """The arithmetic of the network."""
        return self._network.dtype

    @property
    def device(self) -> str:
        """Where the network runs now."""
        return self._failover.device

    @property
    def trouble(self) -> str:
        """Why it runs on the CPU though it began elsewhere, in one line; empty: it does not."""
        return self._failover.trouble

    @property
    def precision(self) -> str:
        """The arithmetic of the network, by the name that the setting has."""
        return str(self.dtype).removeprefix("torch.")

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        """Return the faces of an RGB image (H, W, 3) uint8, surest first.

        Raises:
            ImageError: the array is not such an image.
            DetectionError: torch failed, for instance for want of memory.
        """
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[ImageArray]) -> tuple[tuple[Face, ...], ...]:
        """Return the faces of each of N RGB images of one size; N may be 0.

        They go through the network together where that is faster: on a GPU.

        Raises:
            ImageError: an array is not such an image, or of another size than the first.
            DetectionError: torch failed, for instance for want of memory.
        """
        if not images:
            return ()
        height, width = _checked(images[0]).shape[:2]
        if any(_checked(image).shape != images[0].shape for image in images):
            raise ImageError("images of one batch must have one size")
        wide, high = self._searched_size(width, height)
        return tuple(self._find(images, wide, high, self._levels_in(wide / width)))

    def parts(self, width: int, height: int) -> tuple[SearchPart, ...]:
        """The searches that make up a whole one of a width x height image, the one for near faces first.

        Nothing is returned where it is best searched at once: if it is not enlarged much, or on a
        GPU, where a search is over within a frame.
        """
        scale = self._searched_size(width, height)[0] / width
        within = not self.max_face_px or self.max_face_px > NATIVE_FACE_PX / self.rate
        if self.device != CPU or not within:
            return ()
        return share_out(width, height, scale, NATIVE_FACE_PX, self.rate)

    def detect_part(self, image: ImageArray, part: SearchPart) -> tuple[Face, ...]:
        """Return the faces that one of the image's :meth:`parts` shows, surest first.

        Raises:
            ImageError: the array is not an RGB image.
            DetectionError: torch failed, for instance for want of memory.
        """
        seen = _checked(image)[part.top : part.bottom, part.left : part.right]
        levels = part.levels or self._levels_in(1.0)
        (faces,) = self._find([seen], part.width, part.height, levels)
        moved = (Face(face.box.moved(part.left, part.top), face.confidence) for face in faces)
        area = part.scope.area
        return tuple(face for face in moved if area.contains(*face.box.center))

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

    def _levels_in(self, scale: float) -> int:
        """How many scales are searched of an image enlarged by a factor; 0: all."""
        if not self.max_face_px:
            return 0
        # One more, because a scale also finds faces that are somewhat smaller than its own size.
        return levels_below(NATIVE_FACE_PX / scale, self.max_face_px, self.rate) + 1

    def _find(
        self, images: Sequence[ImageArray], width: int, height: int, levels: int
    ) -> list[tuple[Face, ...]]:
        """Search equally sized images, each resized to width x height px."""

        def relieve() -> None:
            torch.cuda.empty_cache()
            self._most_together = max(1, min(self._most_together, len(images)) // 2)

        try:
            with torch.inference_mode():
                found = self._failover.run(lambda: self._search(images, width, height, levels), relieve)
        except (RuntimeError, MemoryError, cv2.error) as error:
            reason = reason_of(error)
            raise DetectionError(f"face detection failed on a {width}x{height} image: {reason}") from error
        scales = images[0].shape[1] / width, images[0].shape[0] / height
        return [tuple(_face(one, *scales) for one in self._kept(candidates)) for candidates in found]

    def _kept(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        kept = suppress(candidates, self._model.overlap)
        return vote_boxes(kept, candidates, self._model.overlap, self.threshold) if self.vote else kept

    def _search(
        self, images: Sequence[ImageArray], width: int, height: int, levels: int
    ) -> list[list[Candidate]]:
        paddings = self._model.pyramid_padding, self._model.pyramid_outer_padding
        if self._wants_exact or self.device != CPU:
            pyramid = layout(width, height, *paddings, self.rate, levels)
            most = min(batch_size(torch.device(self.device), width * height), self._most_together)
            groups = [images[first : first + most] for first in range(0, len(images), most)]
            drawn = (self._draw_exactly(group, width, height, pyramid) for group in groups)
            found = [each for tiled in drawn for each in self._scored(tiled, pyramid)]
        else:
            pyramids = separate(width, height, *paddings, self.rate, levels)
            found = [self._search_bytes(image, pyramids) for image in images]
        return [sorted(each, key=lambda candidate: -candidate.score) for each in found]

    def _search_bytes(self, image: ImageArray, pyramids: Sequence[TiledPyramid]) -> list[Candidate]:
        found = []
        for pyramid in pyramids:
            tiled = self._picture(pyramid)
            image = fill_bytes(image, pyramid, tiled)
            found += self._scored(torch.from_numpy(tiled).permute(2, 0, 1)[None], pyramid)[0]
        return found

    def _built(self, dtype: torch.dtype) -> MmodNetwork:
        network = MmodNetwork(self._model, dtype).to(self.device)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _move_to_cpu(self) -> None:
        self._network = self._built(self._cpu_dtype)

    def _scored(self, tiled: torch.Tensor, pyramid: TiledPyramid) -> list[list[Candidate]]:
        if min(pyramid.width, pyramid.height) < self._network.reach:
            return [[] for _ in tiled]  # smaller than what one output cell looks at
        scores = self._network(tiled)[:, 0].cpu().numpy()
        return [self._candidates(each, pyramid) for each in scores]

    def _draw_exactly(
        self, images: Sequence[ImageArray], width: int, height: int, pyramid: TiledPyramid
    ) -> torch.Tensor:
        pictures = torch.from_numpy(np.stack(images)).to(self._network.place)
        picture = pictures.permute(0, 3, 1, 2).float()
        if (width, height) != (picture.shape[3], picture.shape[2]):
            picture = F.interpolate(picture, (height, width), mode="bilinear", align_corners=True).floor_()
        tiled = fill(picture, pyramid, self._model.mean_rgb)
        return tiled.contiguous(memory_format=torch.channels_last)

    def _picture(self, pyramid: TiledPyramid) -> ImageArray:
        """The picture in which a pyramid was drawn the last time, or a new one."""
        picture = self._pictures.pop(pyramid, None)
        if picture is None:
            picture = blank(pyramid, self._model.mean_rgb)
        self._pictures[pyramid] = picture
        if len(self._pictures) > KEPT_PICTURES:
            del self._pictures[next(iter(self._pictures))]
        return picture

    def _candidates(self, scores: npt.NDArray[np.float32], pyramid: TiledPyramid) -> list[Candidate]:
        half_width = (self._model.window_width - 1) / 2
        half_height = (self._model.window_height - 1) / 2
        found = []
        for row, column in np.argwhere(scores > self.threshold):
            x, y = self._network.to_input(int(row), int(column))
            tile = pyramid.tile_at(x, y)
            left, top = pyramid.to_image(x - half_width, y - half_height, tile)
            right, bottom = pyramid.to_image(x + half_width, y + half_height, tile)
            corners = (_lround(left), _lround(top), _lround(right), _lround(bottom))
            found.append(Candidate(*corners, float(scores[row, column])))
        return found


def batch_size(device: torch.device, pixels: int) -> int:
    """How many images of that many px are best searched together."""
    return 1 if device.type == "cpu" else max(1, MAX_BATCH_PIXELS // pixels)


def _lround(value: float) -> int:
    """C's lround: halves away from zero."""
    return int(np.copysign(np.floor(abs(value) + 0.5), value))


def _face(candidate: Candidate, x_scale: float, y_scale: float) -> Face:
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
