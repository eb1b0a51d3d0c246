"""Measures lightness, contrast and apparent skin tone of images, and changes the skin tone of a face.

The individual typology angle (ITA) is arctan((L* - 50) / b*) in degrees, higher for lighter skin
(A. Chardon et al., "Skin colour typology and suntanning pathways", 1991); the group edges are among those of
S. Del Bino and F. Bernerd, 2013 (dark, brown, tan to intermediate, light). Both are defined for a colorimeter
on the skin. In a photograph the ITA depends on exposure, white balance and make-up as well, so it is called
apparent. Gray images have none.

:func:`shift_skin_tone` multiplies L* of the skin by a factor, so that the ITA of the cheeks changes by a
given angle while a*, b* and the shading stay: approximately the effect of another reflectance under the same
light. It does not produce another person: features, hair, lips, teeth, neck and light are unchanged, darker
skin is also redder or yellower than this, its highlights differ, and the skin mask is imperfect.
"""

from __future__ import annotations

import math
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from social_perception.core.types import Box, ImageArray
from social_perception.research.evaluation.audit.labelled_images import bin_by_edges, to_groups

FloatImage = npt.NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)

CHEEKS = ((0.22, 0.48, 0.36, 0.63), (0.66, 0.48, 0.80, 0.63))
"""Regions of the cheeks as fractions of the detector's box: left, top, right, bottom.

Measured in the mean of the detected faces of a data set, cropped to their boxes."""

ITA_EDGES_DEG = (-30.0, 10.0, 41.0)

IMAGE_MEASUREMENTS = ("picture_lightness",)
FACE_MEASUREMENTS = ("face_lightness", "face_contrast", "face_px", "apparent_ita")
MEASURED_GROUPS = IMAGE_MEASUREMENTS + FACE_MEASUREMENTS
"""The measurements of an image; those of a face are unknown if none was detected."""

# Below this chroma a color is gray, and its hue angle is noise.
_MIN_CHROMA = 4.0
_MAX_SIDE_PX = 256

# Distances in the a*, b* plane: fully skin up to the first, not skin from the second on.
_SKIN_DISTANCE, _OTHER_DISTANCE = 14.0, 30.0
# L* of skin relative to that of the cheeks.
_MIN_RELATIVE_LIGHTNESS, _MAX_RELATIVE_LIGHTNESS = 0.4, 1.8
# Half width, half height and downward offset of the face ellipse, as fractions of the box.
_ELLIPSE = (0.62, 0.82, 0.05)
_MAX_LIGHTNESS, _MIN_LIGHTNESS = 95.0, 12.0


def to_lab(image: ImageArray) -> FloatImage:
    """Convert sRGB (H, W, 3) uint8 to CIELAB (D65): L* in [0, 100], a* and b* about [-100, 100]."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB))


def crop_region(
    image: npt.NDArray[Scalar], box: Box, region: tuple[float, float, float, float]
) -> npt.NDArray[Scalar]:
    """Return the part of an image within a region given in fractions of a box; empty if it is outside."""
    left, top, right, bottom = region
    height, width = image.shape[:2]
    x0, x1 = (round(min(max(box.left + x * box.width, 0), width)) for x in (left, right))
    y0, y1 = (round(min(max(box.top + y * box.height, 0), height)) for y in (top, bottom))
    return image[y0:y1, x0:x1]


def cheek_color(lab: FloatImage, box: Box) -> tuple[float, float, float]:
    """Return the median L*, a*, b* of both cheeks; NaN if neither is in the image."""
    pixels = np.concatenate([crop_region(lab, box, cheek).reshape(-1, 3) for cheek in CHEEKS])
    if not len(pixels):
        return math.nan, math.nan, math.nan
    lightness, a, b = np.median(pixels, axis=0)
    return float(lightness), float(a), float(b)


def apparent_ita(color: tuple[float, float, float]) -> float:
    """Return the ITA in degrees of a CIELAB color (L*, a*, b*); NaN for gray and for b* <= 0."""
    lightness, a, b = color
    if not math.hypot(a, b) >= _MIN_CHROMA or b <= 0:
        return math.nan
    return math.degrees(math.atan((lightness - 50.0) / b))


def measure(image: ImageArray, box: Box | None) -> tuple[float, ...]:
    """Measure an image and its face.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: the face; None if none was detected.

    Returns:
        The values of MEASURED_GROUPS: mean L* of the image; mean and standard deviation of L* in the box, its
        width in px and the apparent ITA in degrees.
    """
    scale = _MAX_SIDE_PX / max(image.shape[:2])
    small = image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image_lightness = float(to_lab(small)[:, :, 0].mean())
    if box is None:
        return (image_lightness, *[math.nan] * len(FACE_MEASUREMENTS))
    lab = to_lab(crop_region(image, box, (0.0, 0.0, 1.0, 1.0)))
    # The crop of a box that exceeds the image starts at the edge of the image.
    clipped = Box(min(box.left, 0.0), min(box.top, 0.0), box.width, box.height)
    lightness = lab[:, :, 0] if lab.size else np.full((1, 1), np.nan)
    ita = apparent_ita(cheek_color(lab, clipped)) if lab.size else math.nan
    return image_lightness, float(lightness.mean()), float(lightness.std()), box.width, ita


def measured_groups(numbers: pd.DataFrame, quantiles: int) -> pd.DataFrame:
    """Convert measurements to groups: quantiles, and the ITA by its edges.

    Args:
        numbers: N rows, a column per measurement.
        quantiles: number of groups.

    Returns:
        N rows, a categorical column per measurement that has more than one group.
    """
    groups = {}
    for name in numbers:
        # Values that differ by rounding only are equal, and group names need no more digits.
        known = numbers[name].round(2)
        if known.nunique() < 2:
            continue
        groups[name] = (
            bin_by_edges(known, ITA_EDGES_DEG, "°") if name == "apparent_ita" else to_groups(known, quantiles)
        )
    return pd.DataFrame(groups, index=numbers.index)


def shift_skin_tone(image: ImageArray, box: Box, degrees: float) -> ImageArray | None:
    """Move the apparent ITA of a face's skin.

    Args:
        image: (H, W, 3) uint8, RGB.
        box: the face.
        degrees: added to the ITA; negative is darker. L* of the cheeks stays within [12, 95].

    Returns:
        A new image; None if the cheeks are outside the image or have no skin color (gray images).
    """
    lab = to_lab(image)
    color = cheek_color(lab, box)
    ita = apparent_ita(color)
    if math.isnan(ita):
        return None
    target_angle = math.radians(min(89.0, max(-89.0, ita + degrees)))
    target = min(_MAX_LIGHTNESS, max(_MIN_LIGHTNESS, 50.0 + color[2] * math.tan(target_angle)))
    mask = skin_mask(lab, box, color)
    lab[:, :, 0] = np.minimum(100.0, lab[:, :, 0] * (1.0 + (target / color[0] - 1.0) * mask))
    changed = np.clip(np.rint(255.0 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)), 0, 255).astype(np.uint8)
    # Conversion through CIELAB rounds; pixels that are not skin must not change at all.
    return np.where(mask[:, :, None] > 0, changed, image)


def skin_mask(lab: FloatImage, box: Box, color: tuple[float, float, float]) -> FloatImage:
    """Estimate how much each pixel of a CIELAB image (H, W, 3) is skin of this color, (H, W) in [0, 1].

    Skin lies in an ellipse around the face and has about this hue and chroma; the edge of the mask is soft.
    """
    lightness, a, b = color
    distance = np.hypot(lab[:, :, 1] - a, lab[:, :, 2] - b)
    similarity = np.clip((_OTHER_DISTANCE - distance) / (_OTHER_DISTANCE - _SKIN_DISTANCE), 0, 1)
    too_dark = lab[:, :, 0] < _MIN_RELATIVE_LIGHTNESS * lightness
    too_light = lab[:, :, 0] > _MAX_RELATIVE_LIGHTNESS * lightness
    similarity[too_dark | too_light] = 0
    face = np.zeros(lab.shape[:2], np.uint8)
    half_x, half_y, offset_y = _ELLIPSE
    x, y = box.center
    center = (round(x), round(y + offset_y * box.height))
    cv2.ellipse(face, center, (round(half_x * box.width), round(half_y * box.height)), 0, 0, 360, 1, -1)
    # The median removes single pixels and single holes.
    mask = cv2.medianBlur(similarity.astype(np.float32) * face, 3)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.5, 0.02 * box.width)))
