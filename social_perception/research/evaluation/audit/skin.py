"""Makes the skin of a face look lighter or darker, by an angle of the individual typology angle (ITA).

What is done: the colour of the skin is the median of both cheeks in CIELAB. Skin is what lies in an ellipse
around the face and has about that hue and colourfulness (a*, b*), fully within 14 units of them, less and
less up to 30, and not where it is very much darker or lighter; the mask's edge is soft. L* of the skin is
multiplied by one factor, so that the cheeks' ITA moves by the angle while a*, b* and the shading stay:
roughly what another reflectance does under the same light.

What it is not: another person. Features, hair, lips, teeth, neck and the light stay as they are, darker skin
is also redder or yellower than this, highlights on it look different, and some skin is missed or hair
taken for it. Only the effect of the skin's lightness is seen, on the faces there are.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from social_perception.core.types import Box, ImageArray
from social_perception.research.evaluation.audit.appearance import (
    FloatImage,
    apparent_ita,
    cheek_color,
    to_lab,
)

_SKIN_WITHIN, _NO_SKIN_FROM = 14.0, 30.0
_LIGHTNESS_FROM, _LIGHTNESS_TO = 0.4, 1.8
# Half of the ellipse's width and height, and how far its centre lies below the box's, of the box.
_ELLIPSE = (0.62, 0.82, 0.05)
_LIGHTEST, _DARKEST = 95.0, 12.0


def shift_skin_tone(image: ImageArray, box: Box, degrees: float) -> ImageArray | None:
    """Move the apparent ITA of a face's skin.

    Args:
        image: (H, W, 3) uint8, RGB.
        box: of the face.
        degrees: added to the ITA; below 0 darker. The cheeks' L* stays within [12, 95].

    Returns:
        A new picture; None where the cheeks are outside it or have no skin colour (gray pictures).
    """
    lab = to_lab(image)
    color = cheek_color(lab, box)
    ita = apparent_ita(color)
    if math.isnan(ita):
        return None
    aim = math.radians(min(89.0, max(-89.0, ita + degrees)))
    wanted = min(_LIGHTEST, max(_DARKEST, 50.0 + color[2] * math.tan(aim)))
    mask = skin_mask(lab, box, color)
    lab[:, :, 0] = np.minimum(100.0, lab[:, :, 0] * (1.0 + (wanted / color[0] - 1.0) * mask))
    changed = np.clip(np.rint(255.0 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)), 0, 255).astype(np.uint8)
    # The way through CIELAB rounds; what is no skin stays to the bit.
    return np.where(mask[:, :, None] > 0, changed, image)


def skin_mask(lab: FloatImage, box: Box, color: tuple[float, float, float]) -> FloatImage:
    """How much each pixel of a CIELAB picture (H, W, 3) is skin of this colour, (H, W) in [0, 1]."""
    lightness, a, b = color
    distance = np.hypot(lab[:, :, 1] - a, lab[:, :, 2] - b)
    alike = np.clip((_NO_SKIN_FROM - distance) / (_NO_SKIN_FROM - _SKIN_WITHIN), 0, 1)
    alike[(lab[:, :, 0] < _LIGHTNESS_FROM * lightness) | (lab[:, :, 0] > _LIGHTNESS_TO * lightness)] = 0
    face = np.zeros(lab.shape[:2], np.uint8)
    half_x, half_y, lower = _ELLIPSE
    x, y = box.center
    center = (round(x), round(y + lower * box.height))
    cv2.ellipse(face, center, (round(half_x * box.width), round(half_y * box.height)), 0, 0, 360, 1, -1)
    # Single pixels of noise are no skin, and single holes in it are.
    mask = cv2.medianBlur(alike.astype(np.float32) * face, 3)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.5, 0.02 * box.width)))
