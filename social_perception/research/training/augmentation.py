"""Makes one still face look as cameras, light, distance and things in the way would.

Everything is a few cv2 calls on one gray 96x96 crop, about 0.2 ms together. :class:`Look` holds the
drawn parameters, so that a sequence can let them drift slowly (see ``sequences``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import CROP_SIZE_PX
from social_perception.perception.smile.crop import CROP_MARGIN

GrayImage = npt.NDArray[np.uint8]
SIDE = CROP_SIZE_PX


@dataclass(frozen=True, slots=True)
class Look:
    """The drawn parameters of one view of a face; the defaults change nothing."""

    shift_x: float = 0.0  # of the crop's side
    shift_y: float = 0.0
    log_scale: float = 0.0
    rotation_deg: float = 0.0
    log_aspect: float = 0.0
    log_gamma: float = 0.0
    log_contrast: float = 0.0
    brightness: float = 0.0  # gray values
    shade_x: float = 0.0  # gray values from the centre to the rim
    shade_y: float = 0.0
    resolution_px: float = 96.0  # the face is shrunk to this and enlarged again
    blur_px: float = 0.0
    motion_px: float = 0.0
    noise: float = 0.0  # gray values, standard deviation
    jpeg_quality: float = 100.0

    def towards(self, other: Look, share: float) -> Look:
        """The look a share of the way to another one."""
        mixed = {
            f.name: (1 - share) * getattr(self, f.name) + share * getattr(other, f.name) for f in fields(self)
        }
        return Look(**mixed)


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a look: always a little jitter, often poorer light, sometimes a far or compressed face."""
    normal, chance = rng.normal, rng.random
    return Look(
        shift_x=normal(0, 0.045),
        shift_y=normal(0, 0.045),
        # Boxes of one and the same face differ by about a tenth in size from picture to picture.
        log_scale=normal(0, 0.10),
        rotation_deg=normal(0, 9.0),
        log_aspect=normal(0, 0.04),
        log_gamma=normal(0, 0.22),
        log_contrast=normal(-0.1, 0.25),
        brightness=normal(0, 12),
        shade_x=normal(0, 25) if chance() < 0.3 else 0.0,
        shade_y=normal(0, 15) if chance() < 0.3 else 0.0,
        resolution_px=float(rng.uniform(16, 60)) if chance() < 0.35 else 96.0,
        blur_px=float(rng.uniform(0.4, 1.6)) if chance() < 0.2 else 0.0,
        motion_px=float(rng.uniform(2, 7)) if chance() < 0.1 else 0.0,
        noise=float(rng.uniform(1, 10)) if chance() < 0.3 else 0.0,
        jpeg_quality=float(rng.uniform(20, 90)) if chance() < 0.3 else 100.0,
    )


def render(image: GrayImage, box: npt.NDArray[np.float32], look: Look, rng: np.random.Generator) -> GrayImage:
    """Cut the face as ``crop_faces`` does, seen under the look.

    Args:
        image: (H, W) uint8 gray picture.
        box: (4,) left, top, width, height of the face in px.
        look: the parameters.
        rng: for the noise alone.

    Returns:
        (96, 96) uint8.
    """
    crop = _cut(image, box, look)
    crop = _blurred(crop, look)
    return _compressed(_lit(crop, look, rng), look)


def occlude(crop: GrayImage, rng: np.random.Generator) -> GrayImage:
    """Sometimes put a thing before the face, in place: a patch, glasses, a hat. The mouth stays in view."""
    kind = rng.random()
    shade = int(rng.integers(0, 256))
    if kind < 0.12:
        width, height = rng.integers(10, 40, 2)
        left, top = rng.integers(-10, SIDE - 10, 2)
        if top + height > 0.55 * SIDE:  # beside the mouth at most
            width = min(width, 16)
        crop[max(0, top) : top + height, max(0, left) : left + width] = shade
    elif kind < 0.18:
        y, half = int(rng.normal(36, 3)), int(rng.uniform(4, 9))
        crop[max(0, y - half) : y + half, 14:44] = shade
        crop[max(0, y - half) : y + half, 52:82] = shade
        crop[y - 1 : y + 1, 14:82] = shade
    elif kind < 0.24:
        crop[: int(rng.uniform(8, 26))] = shade
    return crop


def _cut(image: GrayImage, box: npt.NDArray[np.float32], look: Look) -> GrayImage:
    side = CROP_MARGIN * max(box[2], box[3])
    center = box[:2] + box[2:] / 2 + side * np.array([look.shift_x, look.shift_y])
    to_crop = SIDE / side * np.exp(look.log_scale)
    angle = np.deg2rad(look.rotation_deg)
    stretch = np.exp(look.log_aspect)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = to_crop * np.diag([stretch, 1 / stretch]) @ turn
    # cv2 puts pixel centres on whole numbers; crop_faces counts from the corners.
    offset = SIDE / 2 - 0.5 - linear @ (center - 0.5)
    matrix = np.hstack([linear, offset[:, None]])
    return cv2.warpAffine(
        image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _blurred(crop: GrayImage, look: Look) -> GrayImage:
    if look.resolution_px < SIDE - 1:
        pixels = max(8, round(look.resolution_px))
        small = cv2.resize(crop, (pixels, pixels), interpolation=cv2.INTER_AREA)
        crop = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    if look.blur_px > 0.2:
        crop = cv2.GaussianBlur(crop, (0, 0), look.blur_px)
    if look.motion_px >= 2:
        crop = cv2.blur(crop, (round(look.motion_px), 1))
    return crop


def _lit(crop: GrayImage, look: Look, rng: np.random.Generator) -> GrayImage:
    levels = np.linspace(0.0, 1.0, 256, dtype=np.float32) ** np.float32(np.exp(look.log_gamma))
    table = (levels - 0.5) * (255.0 * np.exp(look.log_contrast)) + 127.5 + look.brightness
    lit = table.astype(np.float32)[crop]
    if look.shade_x or look.shade_y:
        ramp = np.linspace(-1.0, 1.0, SIDE, dtype=np.float32)
        lit += look.shade_x * ramp[None, :] + look.shade_y * ramp[:, None]
    if look.noise > 0.5:
        lit += np.float32(look.noise) * rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    return np.clip(lit, 0, 255).astype(np.uint8)


def _compressed(crop: GrayImage, look: Look) -> GrayImage:
    if look.jpeg_quality >= 95:
        return crop
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, round(look.jpeg_quality)])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
