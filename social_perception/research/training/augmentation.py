"""Augments a still face: geometry, lighting, resolution, blur, noise, compression and occlusion.

A few cv2 calls on one gray 96x96 crop, about 0.2 ms together. :class:`Augmentation` holds the sampled
parameters, so that a sequence can change them slowly from frame to frame (see ``sequences``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from social_perception.core.types import CROP_SIZE_PX
from social_perception.perception.smile.crop import CROP_MARGIN

GrayImage = npt.NDArray[np.uint8]
SIDE = CROP_SIZE_PX


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The sampled parameters of one view of a face; the defaults change nothing."""

    shift_x: float = 0.0  # fraction of the crop's side
    shift_y: float = 0.0
    log_scale: float = 0.0
    rotation_deg: float = 0.0
    log_aspect: float = 0.0
    log_gamma: float = 0.0
    log_contrast: float = 0.0
    brightness: float = 0.0  # gray values
    shade_x: float = 0.0  # gray values from the center to the edge
    shade_y: float = 0.0
    resolution_px: float = 96.0  # downsampled to this size and upsampled again
    blur_px: float = 0.0
    motion_px: float = 0.0
    noise: float = 0.0  # gray values, standard deviation
    jpeg_quality: float = 100.0

    def interpolate(self, other: Augmentation, fraction: float) -> Augmentation:
        """Interpolate linearly: 0 gives these parameters, 1 the other ones."""
        mixed = {
            f.name: (1 - fraction) * getattr(self, f.name) + fraction * getattr(other, f.name)
            for f in fields(self)
        }
        return Augmentation(**mixed)


def sample_augmentation(rng: np.random.Generator) -> Augmentation:
    """Sample parameters: always some jitter, often poor lighting, sometimes low resolution or compression."""
    normal, chance = rng.normal, rng.random
    return Augmentation(
        shift_x=normal(0, 0.045),
        shift_y=normal(0, 0.045),
        # Boxes of the same face differ by about a tenth in size from image to image.
        log_scale=normal(0, 0.10),
        rotation_deg=float(rng.uniform(-45, 45)) if chance() < 0.3 else normal(0, 9.0),
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


def render(
    image: GrayImage, box: npt.NDArray[np.float32], params: Augmentation, rng: np.random.Generator
) -> GrayImage:
    """Crop the face as ``crop_faces`` does and apply the augmentation.

    Args:
        image: (H, W) uint8 gray image.
        box: (4,) left, top, width, height of the face in px.
        params: the augmentation.
        rng: used for the noise only.

    Returns:
        (96, 96) uint8.
    """
    crop = _warp_crop(image, box, params)
    crop = _blur(crop, params)
    return _compress(_relight(crop, params, rng), params)


def occlude(crop: GrayImage, rng: np.random.Generator) -> GrayImage:
    """Occlude the face in place in about a quarter of the calls: a patch, glasses or a hat.

    The mouth stays visible.

    Args:
        crop: (96, 96) uint8, changed in place.
        rng: source of randomness.

    Returns:
        ``crop``.
    """
    kind = rng.random()
    shade = int(rng.integers(0, 256))
    if kind < 0.12:
        width, height = rng.integers(10, 40, 2)
        left, top = rng.integers(-10, SIDE - 10, 2)
        if top + height > 0.55 * SIDE:  # narrow where it would cover the mouth
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


def cover_mouth(image: GrayImage, box: npt.NDArray[np.float32], rng: np.random.Generator) -> GrayImage:
    """Return a copy of an image (H, W) whose mouth is covered: by a mask, or by a hand or an object.

    Args:
        image: uint8, gray.
        box: (4,) left, top, width, height of the face in px.
        rng: source of randomness.
    """
    if rng.random() < 0.4:  # a mask, from the nose to below the chin
        upper, lower = rng.uniform(0.5, 0.66), rng.uniform(1.0, 1.2)
        outline = [
            (0.05, upper + 0.08),
            (0.5, upper),
            (0.95, upper + 0.08),
            (0.85, 0.9),
            (0.5, lower),
            (0.15, 0.9),
        ]
    else:
        x, y = rng.normal(0.5, 0.05), rng.normal(0.79, 0.03)
        wide, high = rng.uniform(0.24, 0.5), rng.uniform(0.13, 0.3)
        angles = np.linspace(0, 2 * np.pi, int(rng.integers(4, 12)), endpoint=False) + rng.uniform(0, np.pi)
        radius = rng.uniform(0.9, 1.25, len(angles))
        outline = [(x + wide * r * np.cos(a), y + high * r * np.sin(a)) for a, r in zip(angles, radius)]
    return _cover(image, box, outline, rng)


def cover_half(image: GrayImage, box: npt.NDArray[np.float32], rng: np.random.Generator) -> GrayImage:
    """Return a copy of an image (H, W) whose face is half covered: the left, right or lower half."""
    if rng.random() < 0.2:
        middle, tilt = rng.uniform(0.5, 0.76), rng.normal(0, 0.06)
        outline = [(-0.3, middle - tilt), (1.3, middle + tilt), (1.3, 1.4), (-0.3, 1.4)]
        return _cover(image, box, outline, rng)
    return cover_side(image, box, rng.uniform(0.42, 0.7), rng)


def cover_side(
    image: GrayImage, box: npt.NDArray[np.float32], share: float, rng: np.random.Generator
) -> GrayImage:
    """Return a copy of an image (H, W) with a share of the face's width covered from the left or right."""
    tilt = rng.normal(0, 0.08)
    outline = [(-0.3, -0.3), (share - tilt, -0.3), (share + tilt, 1.3), (-0.3, 1.3)]
    if rng.random() < 0.5:
        outline = [(1 - x, y) for x, y in outline]
    return _cover(image, box, outline, rng)


def _cover(
    image: GrayImage,
    box: npt.NDArray[np.float32],
    outline: Sequence[tuple[float, float]],
    rng: np.random.Generator,
) -> GrayImage:
    """Return a copy with a polygon in fractions of the box filled, flat or with a texture."""
    left, top, width, height = box
    points = np.array([(left + u * width, top + v * height) for u, v in outline])
    mask = np.zeros_like(image)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 255)
    cover = np.full(image.shape, int(rng.integers(0, 256)), np.float32)
    if rng.random() < 0.6:  # skin and cloth are not flat: a piece of the image, turned upside down
        cover = 0.5 * cover + 0.5 * np.roll(image[::-1], int(rng.integers(image.shape[1])), axis=1)
    return np.where(mask > 0, cover, image).astype(np.uint8)


def crop_matrix(box: npt.NDArray[np.float32], params: Augmentation) -> npt.NDArray[np.float64]:
    """Return the affine matrix (2, 3) from px of the image to px of the crop, as ``cv2.warpAffine`` takes
    it.
    """
    side = CROP_MARGIN * max(box[2], box[3])
    center = box[:2] + box[2:] / 2 + side * np.array([params.shift_x, params.shift_y])
    to_crop = SIDE / side * np.exp(params.log_scale)
    angle = np.deg2rad(params.rotation_deg)
    stretch = np.exp(params.log_aspect)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = to_crop * np.diag([stretch, 1 / stretch]) @ rotation
    # cv2 has pixel centers at integer coordinates; crop_faces has pixel corners there.
    offset = SIDE / 2 - 0.5 - linear @ (center - 0.5)
    return np.hstack([linear, offset[:, None]])


def _warp_crop(image: GrayImage, box: npt.NDArray[np.float32], params: Augmentation) -> GrayImage:
    matrix = crop_matrix(box, params)
    return cv2.warpAffine(
        image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _blur(crop: GrayImage, params: Augmentation) -> GrayImage:
    if params.resolution_px < SIDE - 1:
        pixels = max(8, round(params.resolution_px))
        small = cv2.resize(crop, (pixels, pixels), interpolation=cv2.INTER_AREA)
        crop = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    if params.blur_px > 0.2:
        crop = cv2.GaussianBlur(crop, (0, 0), params.blur_px)
    if params.motion_px >= 2:
        crop = cv2.blur(crop, (round(params.motion_px), 1))
    return crop


def _relight(crop: GrayImage, params: Augmentation, rng: np.random.Generator) -> GrayImage:
    levels = np.linspace(0.0, 1.0, 256, dtype=np.float32) ** np.float32(np.exp(params.log_gamma))
    table = (levels - 0.5) * (255.0 * np.exp(params.log_contrast)) + 127.5 + params.brightness
    relit = table.astype(np.float32)[crop]
    if params.shade_x or params.shade_y:
        ramp = np.linspace(-1.0, 1.0, SIDE, dtype=np.float32)
        relit += params.shade_x * ramp[None, :] + params.shade_y * ramp[:, None]
    if params.noise > 0.5:
        relit += np.float32(params.noise) * rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    return np.clip(relit, 0, 255).astype(np.uint8)


def _compress(crop: GrayImage, params: Augmentation) -> GrayImage:
    if params.jpeg_quality >= 95:
        return crop
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, round(params.jpeg_quality)])
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert decoded is not None  # it was encoded above
    return decoded
