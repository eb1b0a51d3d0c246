"""dlib's CNN face detector on torch.

Source: D. E. King, "Max-Margin Object Detection", arXiv:1502.00046, and dlib's
``dnn_mmod_face_detection_ex.cpp``. Boxes and scores equal those of dlib's
``cnn_face_detection_model_v1`` (same weights, pyramid and non-maximum suppression); torch is many times
faster on a CPU and needs no dlib built for CUDA.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from social_perception.core.errors import DetectionError, ImageError
from social_perception.core.failover import CPU, Failover, error_summary
from social_perception.core.types import NOBODY, Face, ImageArray, KnownBoxes
from social_perception.perception.detection.mmod_file import MmodModel
from social_perception.perception.detection.network import MmodNetwork
from social_perception.perception.detection.places import (
    NATIVE_FACE_PX,
    Place,
    check_image,
    search_places,
    select,
    smallest_face_px,
    to_face,
)
from social_perception.perception.detection.pyramid import (
    RATE,
    TiledPyramid,
    draw,
    draw_bytes,
    layout,
    layout_separately,
    new_canvas,
)
from social_perception.perception.detection.search_split import SearchPart, levels_below, split_search
from social_perception.perception.detection.suppression import Candidate

_logger = logging.getLogger(__name__)

MAX_SEARCHED_PIXELS = 8_300_000
"""Maximum pixels of a searched image (3840 x 2160), which limits the memory."""

MAX_BATCH_PIXELS = 4 * MAX_SEARCHED_PIXELS
"""Maximum pixels of all images of a batch."""

MAX_CACHED_CANVASES = 16
"""Number of pyramid canvases kept for the next search of the same size, because allocation costs time."""

MAX_BATCH_CROPS = 96
"""Maximum crops of :meth:`MmodTorchDetector.detect_at` in one batch, which limits the memory."""

Result = TypeVar("Result")


class MmodTorchDetector:
    """A Detector with dlib's CNN weights on torch. Not thread-safe.

    If a GPU fails, the detector continues on the CPU, see
    :class:`social_perception.core.failover.Failover`, with the results of a detector on the CPU.

    Args:
        model: the weights, from :func:`social_perception.perception.detection.mmod_file.read_mmod`.
        device: torch device.
        threshold: minimum score of a face (dlib's ``adjust_threshold``; dlib's default is 0).
        min_face_px: smallest face. Below 80 px the image is upsampled in proportion; the cost grows with
            the square of the factor.
        upsample: doublings of the image, as in dlib, instead of min_face_px; -1: use min_face_px.
        dtype: bfloat16 is about three times as fast as float32 on hardware that supports it.
        exact: resize the image in floating point, as dlib does, instead of in bytes, which is faster. Inexact
            scores differ by up to 0.02, so that another one of two nearly equal boxes may be selected.
        vote: average each box with the suppressed boxes, see :func:`.suppression.vote_boxes`; without it,
            boxes are those of dlib.
        max_face_px: largest face; 0: no limit.
        rate: size of a scale relative to the next finer one; dlib's is 5/6.
        cpu_dtype: dtype after a fallback to the CPU; None: the same.
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
        self.cpu_dtype = cpu_dtype or dtype
        self._failover = Failover("face detector", str(torch.device(device)), self._move_to_cpu)
        self._network = self._build_network(dtype)
        self._exact = exact
        self._max_batch = sys.maxsize
        self._limited: set[tuple[int, int]] = set()
        self._canvases: dict[TiledPyramid, ImageArray] = {}
        self.threshold = threshold
        self.min_face_px = min_face_px
        self.max_face_px = max_face_px
        self.upsample = upsample
        self.vote = vote
        self.rate = rate

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the network."""
        return self._network.dtype

    @property
    def device(self) -> str:
        """The device on which the network currently runs."""
        return self._failover.device

    @property
    def failure(self) -> str:
        """Why it fell back to the CPU; empty: it did not."""
        return self._failover.failure

    @property
    def precision(self) -> str:
        """The dtype of the network as a value of the setting ``precision``."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def smallest_face_px(self) -> float:
        """Width of the smallest face that is searched for."""
        return smallest_face_px(self.min_face_px, self.upsample)

    def detect(self, image: ImageArray) -> tuple[Face, ...]:
        """Return the faces of an RGB image (H, W, 3) uint8, sorted by decreasing confidence.

        Raises:
            ImageError: the array is not such an image.
            DetectionError: torch failed, for example out of memory.
        """
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[ImageArray]) -> tuple[tuple[Face, ...], ...]:
        """Return the faces of each of N RGB images (H, W, 3) uint8 of equal size; N may be 0.

        On a GPU they are processed as a batch.

        Raises:
            ImageError: an array is not such an image, or the sizes differ.
            DetectionError: torch failed, for example out of memory.
        """
        if not images:
            return ()
        height, width = check_image(images[0]).shape[:2]
        if any(check_image(image).shape != images[0].shape for image in images):
            raise ImageError("images of a batch must have equal sizes")
        wide, high = self._searched_size(width, height)
        return tuple(self._find(images, wide, high, self._levels_in(wide / width)))

    def detect_at(self, image: ImageArray, places: Sequence[Place]) -> tuple[Face, ...]:
        """Return the faces at expected places, sorted by decreasing confidence.

        Scores are those of :meth:`detect` up to some hundredths, because the crops end nearer to the face.

        Args:
            image: (H, W, 3) uint8, RGB.
            places: N places; with the default sizes, a face may be a third smaller or larger.

        Raises:
            ImageError: the array is not such an image.
            DetectionError: torch failed, for example out of memory.
        """
        check_image(image)
        if not places:
            return ()

        def search() -> list[Candidate]:
            most = min(MAX_BATCH_CROPS, self._max_batch)
            return search_places(image, places, self._model, self._score_crops, self.threshold, most)

        count = sum(len(place.sizes) for place in places)
        found = self._run(search, min(count, MAX_BATCH_CROPS), f"{len(places)} places")
        return tuple(to_face(each) for each in self._suppress(found))

    def parts(self, width: int, height: int) -> tuple[SearchPart, ...]:
        """Return the parts of a search of a width x height image, the part for near faces first.

        Empty if the search is not split: with little upsampling, or on a GPU, where a search is faster than
        the frame rate.
        """
        scale = self._searched_size(width, height)[0] / width
        within = not self.max_face_px or self.max_face_px > NATIVE_FACE_PX / self.rate
        if self.device != CPU or not within:
            return ()
        return split_search(width, height, scale, NATIVE_FACE_PX, self.rate)

    def detect_part(
        self, image: ImageArray, part: SearchPart, known: KnownBoxes = NOBODY
    ) -> tuple[Face, ...]:
        """Return the faces of one of the image's :meth:`parts`, sorted by decreasing confidence.

        The known faces make no difference.

        Raises:
            ImageError: the array is not an RGB image.
            DetectionError: torch failed, for example out of memory.
        """
        region = check_image(image)[part.top : part.bottom, part.left : part.right]
        levels = part.levels or self._levels_in(1.0)
        (faces,) = self._find([region], part.width, part.height, levels)
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
        self._warn_of_limit(width, height, scale)
        return max(1, int(width * scale)), max(1, int(height * scale))

    def _warn_of_limit(self, width: int, height: int, scale: float) -> None:
        if (width, height) not in self._limited:
            self._limited.add((width, height))
            _logger.warning(
                "%dx%d images are searched for faces of %.0f px and larger; backend cascade has no limit",
                *(width, height, NATIVE_FACE_PX / scale),
            )

    def _levels_in(self, scale: float) -> int:
        """Return the number of scales to search in an image upsampled by a factor; 0: all."""
        if not self.max_face_px:
            return 0
        # One more, because a scale also detects faces somewhat smaller than its nominal size.
        return levels_below(NATIVE_FACE_PX / scale, self.max_face_px, self.rate) + 1

    def _find(
        self, images: Sequence[ImageArray], width: int, height: int, levels: int
    ) -> list[tuple[Face, ...]]:
        """Search equally sized images, each resized to width x height px."""
        what = f"a {width}x{height} image"
        found = self._run(lambda: self._search(images, width, height, levels), len(images), what)
        scales = images[0].shape[1] / width, images[0].shape[0] / height
        return [tuple(to_face(one, *scales) for one in self._suppress(candidates)) for candidates in found]

    def _run(self, work: Callable[[], Result], batch: int, what: str) -> Result:
        def free_memory() -> None:
            torch.cuda.empty_cache()
            self._max_batch = max(1, min(self._max_batch, batch) // 2)

        try:
            with torch.inference_mode():
                return self._failover.run(work, free_memory)
        except (RuntimeError, MemoryError, cv2.error) as error:
            raise DetectionError(f"face detection failed on {what}: {error_summary(error)}") from error

    def _suppress(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return select(candidates, self._model, self.threshold, self.vote)

    def _search(
        self, images: Sequence[ImageArray], width: int, height: int, levels: int
    ) -> list[list[Candidate]]:
        paddings = self._model.pyramid_padding, self._model.pyramid_outer_padding
        if self._exact or self.device != CPU:
            pyramid = layout(width, height, *paddings, self.rate, levels)
            most = min(batch_size(torch.device(self.device), width * height), self._max_batch)
            groups = [images[first : first + most] for first in range(0, len(images), most)]
            drawn = (self._draw_exact(group, width, height, pyramid) for group in groups)
            found = [each for tiled in drawn for each in self._score(tiled, pyramid)]
        else:
            pyramids = layout_separately(width, height, *paddings, self.rate, levels)
            found = [self._search_bytes(image, pyramids) for image in images]
        return [sorted(each, key=lambda candidate: -candidate.score) for each in found]

    def _search_bytes(self, image: ImageArray, pyramids: Sequence[TiledPyramid]) -> list[Candidate]:
        found = []
        for pyramid in pyramids:
            tiled = self._canvas(pyramid)
            image = draw_bytes(image, pyramid, tiled)
            found += self._score(torch.from_numpy(tiled).permute(2, 0, 1)[None], pyramid)[0]
        return found

    def _build_network(self, dtype: torch.dtype) -> MmodNetwork:
        network = MmodNetwork(self._model, dtype).to(self.device)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _move_to_cpu(self) -> None:
        self._network = self._build_network(self.cpu_dtype)

    def _score(self, tiled: torch.Tensor, pyramid: TiledPyramid) -> list[list[Candidate]]:
        if min(pyramid.width, pyramid.height) < self._network.reach:
            return [[] for _ in tiled]  # smaller than the receptive field
        scores = self._network(tiled)[:, 0].cpu().numpy()
        return [self._candidates(each, pyramid) for each in scores]

    def _score_crops(self, crops: ImageArray) -> npt.NDArray[np.float32]:
        batch = torch.from_numpy(crops).to(self._network.device).permute(0, 3, 1, 2)
        return self._network(batch)[:, 0].cpu().numpy()

    def _draw_exact(
        self, images: Sequence[ImageArray], width: int, height: int, pyramid: TiledPyramid
    ) -> torch.Tensor:
        batch = torch.from_numpy(np.stack(images)).to(self._network.device)
        resized = batch.permute(0, 3, 1, 2).float()
        if (width, height) != (resized.shape[3], resized.shape[2]):
            resized = F.interpolate(resized, (height, width), mode="bilinear", align_corners=True).floor_()
        tiled = draw(resized, pyramid, self._model.mean_rgb)
        return tiled.contiguous(memory_format=torch.channels_last)

    def _canvas(self, pyramid: TiledPyramid) -> ImageArray:
        """Return the cached canvas of a pyramid, or a new one."""
        canvas = self._canvases.pop(pyramid, None)
        if canvas is None:
            canvas = new_canvas(pyramid, self._model.mean_rgb)
        self._canvases[pyramid] = canvas
        if len(self._canvases) > MAX_CACHED_CANVASES:
            del self._canvases[next(iter(self._canvases))]
        return canvas

    def _candidates(self, scores: npt.NDArray[np.float32], pyramid: TiledPyramid) -> list[Candidate]:
        half_width = (self._model.window_width - 1) / 2
        half_height = (self._model.window_height - 1) / 2
        found = []
        for row, column in np.argwhere(scores > self.threshold):
            x, y = self._model.to_input(int(row), int(column))
            tile = pyramid.tile_at(x, y)
            left, top = pyramid.to_image(x - half_width, y - half_height, tile)
            right, bottom = pyramid.to_image(x + half_width, y + half_height, tile)
            corners = (_lround(left), _lround(top), _lround(right), _lround(bottom))
            found.append(Candidate(*corners, float(scores[row, column])))
        return found


def batch_size(device: torch.device, pixels: int) -> int:
    """Return the batch size for images with this number of pixels."""
    return 1 if device.type == "cpu" else max(1, MAX_BATCH_PIXELS // pixels)


def _lround(value: float) -> int:
    """Round as C's lround does: halves away from zero."""
    return int(np.copysign(np.floor(abs(value) + 0.5), value))
