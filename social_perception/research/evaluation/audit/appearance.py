"""What is measured of a picture and its face, to make groups where nobody labelled any.

The individual typology angle (ITA) is arctan((L* - 50) / b*) in degrees, the higher the lighter the skin
(A. Chardon et al., "Skin colour typology and suntanning pathways", 1991); the edges of the groups are among
those of S. Del Bino and F. Bernerd, 2013 (dark, brown, tan to intermediate, light). They are made for a
colorimeter on the skin. Of a photograph it is the angle of the skin as pictured: exposure, white balance and
make-up are in it as much as the skin itself, so it is called apparent. It is not known of gray pictures.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from social_perception.core.types import Box, ImageArray
from social_perception.research.evaluation.audit.labels import as_groups, in_bands

FloatImage = npt.NDArray[np.float32]

CHEEKS = ((0.22, 0.48, 0.36, 0.63), (0.66, 0.48, 0.80, 0.63))
"""Where the cheeks are, in shares of the detector's box: left, top, right, bottom of each.

Read off the mean of the found faces of a data set, cut by their boxes."""

ITA_EDGES_DEG = (-30.0, 10.0, 41.0)

OF_PICTURES = ("picture_lightness",)
OF_FACES = ("face_lightness", "face_contrast", "face_px", "apparent_ita")
MEASURED = OF_PICTURES + OF_FACES
"""The groups that come from the picture; those of a face are unknown where none was found."""

# Less colour than this is gray, and its hue angle is noise.
_LEAST_CHROMA = 4.0
_LONGEST_PX = 256


def to_lab(image: ImageArray) -> FloatImage:
    """sRGB (H, W, 3) uint8 to CIELAB under D65: L* in [0, 100], a* and b* about [-100, 100]."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB))


def part(image: npt.NDArray[np.generic], box: Box, place: tuple[float, float, float, float]) -> npt.NDArray:  # type: ignore[type-arg]
    """The pixels of an image at a place given in shares of a box; empty where it is outside."""
    left, top, right, bottom = place
    height, width = image.shape[:2]
    x0, x1 = (round(min(max(box.left + x * box.width, 0), width)) for x in (left, right))
    y0, y1 = (round(min(max(box.top + y * box.height, 0), height)) for y in (top, bottom))
    return image[y0:y1, x0:x1]


def cheek_color(lab: FloatImage, box: Box) -> tuple[float, float, float]:
    """The median L*, a*, b* of both cheeks; NaN where neither is in the picture."""
    pixels = np.concatenate([part(lab, box, cheek).reshape(-1, 3) for cheek in CHEEKS])
    if not len(pixels):
        return math.nan, math.nan, math.nan
    lightness, a, b = np.median(pixels, axis=0)
    return float(lightness), float(a), float(b)


def apparent_ita(color: tuple[float, float, float]) -> float:
    """The individual typology angle, in degrees, of a CIELAB colour; NaN without colour or with b* <= 0."""
    lightness, a, b = color
    if not math.hypot(a, b) >= _LEAST_CHROMA or b <= 0:
        return math.nan
    return math.degrees(math.atan((lightness - 50.0) / b))


def measure(image: ImageArray, box: Box | None) -> tuple[float, ...]:
    """The numbers of MEASURED: mean L* of the picture; mean and spread of L* in the box, width, ITA."""
    scale = _LONGEST_PX / max(image.shape[:2])
    small = image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = float(to_lab(small)[:, :, 0].mean())
    if box is None:
        return (picture, *[math.nan] * len(OF_FACES))
    lab = to_lab(part(image, box, (0.0, 0.0, 1.0, 1.0)))
    # The box may reach over the picture's edge: what was cut begins there.
    moved = Box(min(box.left, 0.0), min(box.top, 0.0), box.width, box.height)
    lightness = lab[:, :, 0] if lab.size else np.full((1, 1), np.nan)
    ita = apparent_ita(cheek_color(lab, moved)) if lab.size else math.nan
    return picture, float(lightness.mean()), float(lightness.std()), box.width, ita


def measured_groups(numbers: pd.DataFrame, quantiles: int) -> pd.DataFrame:
    """The measured numbers as groups: quantiles, the ITA in its bands; those with one group are left out."""
    groups = {}
    for name in numbers:
        # Nobody wants more digits, and values that differ by rounding alone are the same.
        known = numbers[name].round(2)
        if known.nunique() < 2:
            continue
        groups[name] = (
            in_bands(known, ITA_EDGES_DEG, "°") if name == "apparent_ita" else as_groups(known, quantiles)
        )
    return pd.DataFrame(groups, index=numbers.index)
