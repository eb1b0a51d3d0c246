"""Controlled changes of a picture: each does one thing, by a known strength.

Those of light, colour and detail treat the whole picture, as a camera would; those that cover something
are placed by the face's box in the unchanged picture (see PLACES); nothing is drawn at random but noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import Box, ImageArray
from social_perception.research.evaluation.audit.skin import shift_skin_tone

Apply = Callable[[ImageArray, Box, float, np.random.Generator], "ImageArray | None"]


@dataclass(frozen=True, slots=True)
class Change:
    """A kind of change with the strengths that are tried.

    ``apply`` takes the picture (H, W, 3) uint8 RGB, the box of its face, a strength and a source of random
    numbers; it returns a new picture, or None where it cannot be done (skin tone of a gray picture).
    ``unchanged`` is the strength that changes nothing, None where there is none.
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
"""Where things are, in shares of the detector's box, read off the mean of found faces."""

GRAY, DARK, MASK_BLUE = (128, 128, 128), (40, 40, 40), (160, 195, 220)


def _by_table(
    image: ImageArray, curve: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
) -> ImageArray:
    """Map every value by a curve over [0, 1]."""
    table = np.clip(np.rint(255 * curve(np.arange(256) / 255)), 0, 255).astype(np.uint8)
    return table[image]


def _linear(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The sRGB curve to linear light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _srgb(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def brightness(image: ImageArray, box: Box, stops: float, rng: np.random.Generator) -> ImageArray:
    """Each stop doubles the light; what is too bright is clipped, and dark steps are lost in rounding."""
    return _by_table(image, lambda values: _srgb(_linear(values) * 2.0**stops))


def contrast(image: ImageArray, box: Box, factor: float, rng: np.random.Generator) -> ImageArray:
    """Stretch the values about the picture's mean."""
    middle = float(image.mean()) / 255
    return _by_table(image, lambda values: middle + factor * (values - middle))


def gamma(image: ImageArray, box: Box, exponent: float, rng: np.random.Generator) -> ImageArray:
    """Raise the values to a power; above 1 the middle tones get darker."""
    return _by_table(image, lambda values: values**exponent)


def colour_cast(image: ImageArray, box: Box, stops: float, rng: np.random.Generator) -> ImageArray:
    """Warm or cold light: red times 2 to the stops and blue divided by it, in linear light."""
    channels = [
        _by_table(image[:, :, place], lambda values, gain=gain: _srgb(_linear(values) * gain))  # type: ignore[misc]
        for place, gain in enumerate((2.0**stops, 1.0, 2.0**-stops))
    ]
    return np.dstack(channels)


def blur(image: ImageArray, box: Box, percent: float, rng: np.random.Generator) -> ImageArray:
    """A Gaussian whose standard deviation is a percentage of the face's width."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), percent / 100 * box.width))


def noise(image: ImageArray, box: Box, deviation: float, rng: np.random.Generator) -> ImageArray:
    """Add normal noise, each pixel and colour on its own, with a standard deviation in gray values."""
    noisy = image + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def jpeg(image: ImageArray, box: Box, quality: float, rng: np.random.Generator) -> ImageArray:
    """Compress as JPEG and read it again."""
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1])


def resolution(image: ImageArray, box: Box, width_px: float, rng: np.random.Generator) -> ImageArray | None:
    """Shrink until the face has a width, then enlarge to the old size: a far face, seen in detail no more."""
    scale = width_px / box.width
    if scale >= 1:
        return None
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def rotation(image: ImageArray, box: Box, degrees: float, rng: np.random.Generator) -> ImageArray:
    """Turn in the picture's plane about the face's centre, counter-clockwise; the edge is repeated."""
    matrix = cv2.getRotationMatrix2D(box.center, degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


def flat_yaw(image: ImageArray, box: Box, degrees: float, rng: np.random.Generator) -> ImageArray:
    """See the flat picture from the side: squeezed in width, a little larger where it is nearer."""
    return _seen_aslant(image, box, math.radians(degrees), 0)


def flat_pitch(image: ImageArray, box: Box, degrees: float, rng: np.random.Generator) -> ImageArray:
    """See the flat picture from above or below: squeezed in height."""
    return _seen_aslant(image, box, math.radians(degrees), 1)


def _seen_aslant(image: ImageArray, box: Box, angle: float, axis: int) -> ImageArray:
    # The camera stands far enough off that nothing of the picture comes near it.
    distance = max(5 * box.width, 2 * max(image.shape[:2]))
    to_center, back = np.eye(3), np.eye(3)
    to_center[:2, 2], back[:2, 2] = -np.array(box.center), box.center
    aslant = np.eye(3)
    aslant[axis, axis] = math.cos(angle)
    aslant[2, axis] = math.sin(angle) / distance
    matrix = back @ aslant @ to_center
    return np.asarray(cv2.warpPerspective(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


def _covered(
    image: ImageArray, box: Box, place: tuple[float, float, float, float], color: tuple[int, int, int]
) -> ImageArray:
    """Fill a rectangle, given in shares of the box (left, top, right, bottom)."""
    left, top, right, bottom = place
    x0, x1 = (max(0, round(box.left + x * box.width)) for x in (left, right))
    y0, y1 = (max(0, round(box.top + y * box.height)) for y in (top, bottom))
    changed = image.copy()
    changed[y0:y1, x0:x1] = color
    return changed


def cover_mouth(image: ImageArray, box: Box, size: float, rng: np.random.Generator) -> ImageArray:
    """A gray patch on the mouth; at size 1 it hides lips and corners, below that it leaves the corners."""
    x, y = PLACES["mouth_x"], PLACES["mouth_y"]
    half_x, half_y = size * PLACES["mouth_width"] / 2, size * PLACES["mouth_height"] / 2
    return _covered(image, box, (x - half_x, y - half_y, x + half_x, y + half_y), GRAY)


def cover_eyes(image: ImageArray, box: Box, height: float, rng: np.random.Generator) -> ImageArray:
    """A dark band over both eyes, as high as a share of the face."""
    y = PLACES["eyes_y"]
    return _covered(image, box, (0.08, y - height / 2, 0.92, y + height / 2), DARK)


def cover_side(image: ImageArray, box: Box, share: float, rng: np.random.Generator) -> ImageArray:
    """Gray over a share of the face from the left of the picture (below 0) or from the right (above)."""
    if share == 0:
        return image.copy()
    across = (-0.25, abs(share)) if share < 0 else (1 - share, 1.25)
    return _covered(image, box, (across[0], -0.25, across[1], 1.25), GRAY)


def mask(image: ImageArray, box: Box, share: float, rng: np.random.Generator) -> ImageArray:
    """A light blue patch from under the chin up over a share of the face's height."""
    bottom = PLACES["chin_y"]
    return _covered(image, box, (0.08, bottom - share, 0.92, bottom), MASK_BLUE)


def mirror(image: ImageArray, box: Box, strength: float, rng: np.random.Generator) -> ImageArray:
    """Swap left and right."""
    return np.ascontiguousarray(image[:, ::-1])


def skin_tone(image: ImageArray, box: Box, degrees: float, rng: np.random.Generator) -> ImageArray | None:
    """Make the face's skin lighter (above 0) or darker by an angle; see :mod:`skin`."""
    return shift_skin_tone(image, box, degrees)


CHANGES = (
    Change("brightness", "brightness", "stops", (-4, -3, -2, -1, 1, 2), brightness),
    Change("contrast", "contrast", "times", (0.1, 0.25, 0.5, 0.75, 1.5, 2.5), contrast, 1.0),
    Change("gamma", "gamma", "exponent", (0.4, 0.7, 1.4, 2.0, 3.0), gamma, 1.0),
    Change("skin_tone", "skin tone", "° of ITA", (-80, -60, -40, -20, 20), skin_tone),
    Change("colour_cast", "colour cast", "stops, cold to warm", (-1, -0.5, 0.5, 1), colour_cast),
    Change("blur", "blur", "% of the face's width", (1, 2, 3, 4.5, 6), blur),
    Change("noise", "noise", "gray values", (5, 10, 20, 40, 60), noise),
    Change("jpeg", "JPEG", "quality", (5, 10, 20, 40, 70), jpeg, None),
    Change("resolution", "resolution", "px of the face's width", (16, 20, 24, 32, 48), resolution, None),
    Change("rotation", "rotation in the plane", "°", (-45, -30, -20, -10, 10, 20, 30, 45), rotation),
    Change("flat_yaw", "picture turned sideways", "°", (-60, -45, -30, 30, 45, 60), flat_yaw),
    Change("flat_pitch", "picture tilted", "°", (-60, -45, -30, 30, 45, 60), flat_pitch),
    Change("cover_mouth", "mouth covered", "of the patch", (0.25, 0.5, 0.75, 1), cover_mouth),
    Change("mask", "mask", "of the face's height", (0.15, 0.3, 0.45, 0.6), mask),
    Change("cover_eyes", "eyes covered", "of the face's height", (0.1, 0.2, 0.3), cover_eyes),
    Change("cover_side", "side covered", "from the left (-), right (+)",
           (-0.6, -0.5, -0.25, 0.25, 0.5, 0.6), cover_side),
    Change("mirror", "mirror image", "", (1,), mirror),
)  # fmt: skip
