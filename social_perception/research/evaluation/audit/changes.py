"""Controlled changes of an image: each changes one property by a known strength.

Changes of light, color and detail apply to the whole image, as a camera would; occlusions are placed by the
face's box in the unchanged image (see PLACES). Only the noise is random.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import Box, ImageArray
from social_perception.research.evaluation.audit.appearance import shift_skin_tone

Apply = Callable[[ImageArray, Box, float, np.random.Generator], "ImageArray | None"]


@dataclass(frozen=True, slots=True)
class Change:
    """A kind of change and its strengths.

    ``apply`` takes the image (H, W, 3) uint8 RGB, the box of its face, a strength and a random number
    generator; it returns a new image, or None where it is not applicable (skin tone of a gray image).
    ``unchanged`` is the strength that changes nothing, None if there is none.
    """

    name: str
    title: str
    unit: str
    strengths: tuple[float, ...]
    apply: Apply
    unchanged: float | None = 0.0


PLACES = {
    "mouth_x": 0.5,
    "mouth_y": 0.79,
    "mouth_width": 0.56,
    "mouth_height": 0.30,
    "eyes_y": 0.36,
    "chin_y": 1.12,
}
"""Positions and sizes as fractions of the detector's box, measured in the mean of detected faces."""

GRAY, DARK, MASK_BLUE = (128, 128, 128), (40, 40, 40), (160, 195, 220)


def _map_values(
    image: ImageArray, curve: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
) -> ImageArray:
    """Map every value by a curve over [0, 1]."""
    table = np.clip(np.rint(255 * curve(np.arange(256) / 255)), 0, 255).astype(np.uint8)
    return table[image]


def _linear(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert sRGB values to linear light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _srgb(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _scale_light(image: ImageArray, gain: float) -> ImageArray:
    return _map_values(image, lambda values: _srgb(_linear(values) * gain))


def brightness(image: ImageArray, box: Box, stops: float, rng: np.random.Generator) -> ImageArray:
    """Change the exposure; each stop doubles the light. Highlights clip, and shadows lose steps to
    rounding.
    """
    return _scale_light(image, 2.0**stops)


def contrast(image: ImageArray, box: Box, factor: float, rng: np.random.Generator) -> ImageArray:
    """Scale the values about the mean of the image."""
    middle = float(image.mean()) / 255
    return _map_values(image, lambda values: middle + factor * (values - middle))


def gamma(image: ImageArray, box: Box, exponent: float, rng: np.random.Generator) -> ImageArray:
    """Raise the values to a power; above 1 the midtones get darker."""
    return _map_values(image, lambda values: values**exponent)


def color_cast(image: ImageArray, box: Box, stops: float, rng: np.random.Generator) -> ImageArray:
    """Make the light warmer or colder: multiply red by 2 ** stops and divide blue by it, in linear light."""
    gains = (2.0**stops, 1.0, 2.0**-stops)
    return np.dstack([_scale_light(image[:, :, channel], gain) for channel, gain in enumerate(gains)])


def blur(image: ImageArray, box: Box, percent: float, rng: np.random.Generator) -> ImageArray:
    """Blur with a Gaussian whose standard deviation is a percentage of the face's width."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), percent / 100 * box.width))


def noise(image: ImageArray, box: Box, deviation: float, rng: np.random.Generator) -> ImageArray:
    """Add normal noise, independent per pixel and channel, with a standard deviation in gray values."""
    noisy = image + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def jpeg(image: ImageArray, box: Box, quality: float, rng: np.random.Generator) -> ImageArray:
    """Compress as JPEG and decode again."""
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded above
    return np.ascontiguousarray(decoded[:, :, ::-1])


def resolution(image: ImageArray, box: Box, width_px: float, rng: np.random.Generator) -> ImageArray | None:
    """Downsample until the face has this width, then upsample to the original size, as for a distant face."""
    scale = width_px / box.width
    if scale >= 1:
        return None
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def rotation(image: ImageArray, box: Box, degrees: float, rng: np.random.Generator) -> ImageArray:
    """Rotate in the image plane about the center of the face, counterclockwise; the border is replicated."""
    matrix = cv2.getRotationMatrix2D(box.center, degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


def flat_yaw(image: ImageArray, box: Box, degrees: float, rng: np.random.Generator) -> ImageArray:
    """Rotate the image plane about the vertical axis: the width shrinks, the nearer side is larger."""
    return _rotate_plane(image, box, math.radians(degrees), 0)


def flat_pitch(image: ImageArray, box: Box, degrees: float, rng: np.random.Generator) -> ImageArray:
    """Rotate the image plane about the horizontal axis: the height shrinks."""
    return _rotate_plane(image, box, math.radians(degrees), 1)


def _rotate_plane(image: ImageArray, box: Box, angle: float, axis: int) -> ImageArray:
    # The virtual camera is so far away that no part of the image comes near it.
    distance = max(5 * box.width, 2 * max(image.shape[:2]))
    to_center, from_center = np.eye(3), np.eye(3)
    to_center[:2, 2], from_center[:2, 2] = -np.array(box.center), box.center
    projection = np.eye(3)
    projection[axis, axis] = math.cos(angle)
    projection[2, axis] = math.sin(angle) / distance
    matrix = from_center @ projection @ to_center
    return np.asarray(cv2.warpPerspective(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


def _fill(
    image: ImageArray, box: Box, region: tuple[float, float, float, float], color: tuple[int, int, int]
) -> ImageArray:
    """Fill a rectangle given in fractions of the box (left, top, right, bottom)."""
    left, top, right, bottom = region
    x0, x1 = (max(0, round(box.left + x * box.width)) for x in (left, right))
    y0, y1 = (max(0, round(box.top + y * box.height)) for y in (top, bottom))
    changed = image.copy()
    changed[y0:y1, x0:x1] = color
    return changed


def cover_mouth(image: ImageArray, box: Box, size: float, rng: np.random.Generator) -> ImageArray:
    """Put a gray patch on the mouth; at size 1 it covers the lip corners, too."""
    x, y = PLACES["mouth_x"], PLACES["mouth_y"]
    half_x, half_y = size * PLACES["mouth_width"] / 2, size * PLACES["mouth_height"] / 2
    return _fill(image, box, (x - half_x, y - half_y, x + half_x, y + half_y), GRAY)


def cover_eyes(image: ImageArray, box: Box, height: float, rng: np.random.Generator) -> ImageArray:
    """Put a dark band over both eyes, its height a fraction of the face's."""
    y = PLACES["eyes_y"]
    return _fill(image, box, (0.08, y - height / 2, 0.92, y + height / 2), DARK)


def cover_side(image: ImageArray, box: Box, share: float, rng: np.random.Generator) -> ImageArray:
    """Cover a fraction of the face in gray, from the left of the image (negative) or from the right."""
    if share == 0:
        return image.copy()
    across = (-0.25, abs(share)) if share < 0 else (1 - share, 1.25)
    return _fill(image, box, (across[0], -0.25, across[1], 1.25), GRAY)


def mask(image: ImageArray, box: Box, share: float, rng: np.random.Generator) -> ImageArray:
    """Put a light blue patch over the lower face, its height a fraction of the face's."""
    bottom = PLACES["chin_y"]
    return _fill(image, box, (0.08, bottom - share, 0.92, bottom), MASK_BLUE)


def mirror(image: ImageArray, box: Box, strength: float, rng: np.random.Generator) -> ImageArray:
    """Flip the image horizontally."""
    return np.ascontiguousarray(image[:, ::-1])


def skin_tone(image: ImageArray, box: Box, degrees: float, rng: np.random.Generator) -> ImageArray | None:
    """Make the skin of the face lighter (positive) or darker; see :func:`shift_skin_tone`."""
    return shift_skin_tone(image, box, degrees)


CHANGES = (
    Change("brightness", "brightness", "stops", (-4, -3, -2, -1, 1, 2), brightness),
    Change("contrast", "contrast", "times", (0.1, 0.25, 0.5, 0.75, 1.5, 2.5), contrast, 1.0),
    Change("gamma", "gamma", "exponent", (0.4, 0.7, 1.4, 2.0, 3.0), gamma, 1.0),
    Change("skin_tone", "skin tone", "° of ITA", (-80, -60, -40, -20, 20), skin_tone),
    Change("colour_cast", "color cast", "stops, cold to warm", (-1, -0.5, 0.5, 1), color_cast),
    Change("blur", "blur", "% of the face's width", (1, 2, 3, 4.5, 6), blur),
    Change("noise", "noise", "gray values", (5, 10, 20, 40, 60), noise),
    Change("jpeg", "JPEG", "quality", (5, 10, 20, 40, 70), jpeg, None),
    Change("resolution", "resolution", "px of the face's width", (16, 20, 24, 32, 48), resolution, None),
    Change("rotation", "rotation in the plane", "°", (-45, -30, -20, -10, 10, 20, 30, 45), rotation),
    Change("flat_yaw", "image plane turned sideways", "°", (-60, -45, -30, 30, 45, 60), flat_yaw),
    Change("flat_pitch", "image plane tilted", "°", (-60, -45, -30, 30, 45, 60), flat_pitch),
    Change("cover_mouth", "mouth covered", "of the patch", (0.25, 0.5, 0.75, 1), cover_mouth),
    Change("mask", "mask", "of the face's height", (0.15, 0.3, 0.45, 0.6), mask),
    Change("cover_eyes", "eyes covered", "of the face's height", (0.1, 0.2, 0.3), cover_eyes),
    Change("cover_side", "side covered", "from the left (-), right (+)",
           (-0.6, -0.5, -0.25, 0.25, 0.5, 0.6), cover_side),
    Change("mirror", "mirror image", "", (1,), mirror),
)  # fmt: skip
