"""Still images, from files, folders and bytes, as RGB.

Pillow rather than OpenCV reads them: it reports an image's size before decoding it, applies no limit
silently, and reports damage as an exception instead of a line on the terminal. FFmpeg reads what Pillow
cannot, such as HEIC without pillow-heif.
"""

from __future__ import annotations

import functools
import io
import logging
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from social_perception.core.errors import ImageError
from social_perception.core.files import read_limited
from social_perception.core.types import ImageArray
from social_perception.sources.geometry import MAX_PIXELS, square_size

_logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 2**29
"""Larger files are refused; 100 megapixels of 8 bits without compression have 300 MB."""

FORMATS = (
    "JPEG", "MPO", "PNG", "BMP", "DIB", "WEBP", "TIFF", "GIF", "PPM", "AVIF", "HEIF", "JPEG2000", "QOI",
    "TGA", "SGI", "SUN", "PCX", "PSD", "ICO", "DDS",
)  # fmt: skip
"""Pillow's names of the formats that are read, whatever a file's name is; some are not in every Pillow. It
has forty more, among them EPS, for which it runs Ghostscript.
"""

_SURE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF", "JPEG2000", "QOI")
"""Formats that a file's content shows without its name: others have a beginning that anything may have."""

ANIMATED_FORMATS = ("PNG", "WEBP", "GIF", "AVIF")
"""Formats in which several images are a video; in others they are pages, or two views of one moment."""

_RAW_EXTENSIONS = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw"}
)
"""Sensor data of cameras: what Pillow reads of them is a thumbnail."""

_OTHER_EXTENSIONS = frozenset({".avif", ".exr", ".hdr", ".heic", ".heif", ".hif", ".jls", ".jxl"})
"""Extensions of images that only some installations of Pillow and FFmpeg read."""

_VIDEO_EXTENSIONS = frozenset({".mjpeg", ".mjpg"})
"""JPEG after JPEG, of which Pillow reads the first."""

_MATTE = (128, 128, 128, 255)


def read_image(path: str | Path) -> ImageArray:
    """Read a still image of any common format, as a viewer shows it.

    Gray and palette images become RGB, 16-bit ones are scaled to 8 bits, transparent parts become gray. The
    EXIF orientation is applied, and pixels that are not square become so.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ImageError: the file is missing, no still image, damaged or larger than 100 megapixels.
    """
    path = Path(path)
    if path.suffix.lower() in _RAW_EXTENSIONS:
        raise ImageError(f"{path} is a camera's raw file, which cannot be read: convert it to JPEG or TIFF")
    try:
        data = read_limited(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error
    image, aspect = _decode(data, str(path), FORMATS)
    size = square_size(image.shape[1], image.shape[0], aspect)
    return image if size == image.shape[1::-1] else cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


def decode_image(data: bytes, name: str, formats: Iterable[str] = FORMATS) -> ImageArray:
    """Decode the bytes of an image; see :func:`read_image`. Pixels stay as they are, square or not.

    Args:
        data: the file's content.
        name: of the image, for error messages.
        formats: Pillow's names of the formats accepted, for example ``["JPEG"]``.
    """
    return _decode(data, name, formats)[0]


def _decode(data: bytes, name: str, formats: Iterable[str]) -> tuple[ImageArray, float]:
    """The pixels, upright, and the width of a pixel divided by its height."""
    if not data:
        raise ImageError(f"{name} is empty")
    try:
        with without_warnings(), open_image(io.BytesIO(data), formats) as image:
            check_size(*image.size, name)
            _check_count(image, name)
            aspect = _aspect(image, data)
            if image.getexif().get(0x0112) in (5, 6, 7, 8):  # its sides are swapped
                aspect = 1 / aspect
            return to_rgb(ImageOps.exif_transpose(image)), aspect
    except UnidentifiedImageError as error:
        # Imported here: nodes, which get images as messages, do not need PyAV.
        from social_perception.sources.shown import decode_still

        shown = decode_still(data, name, _heif_aspect(data)) if formats is FORMATS else None
        if shown is None:
            raise ImageError(f"{name} is not an image that can be read") from error
        return shown, 1.0
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except MemoryError:
        raise
    # Damaged data make Pillow raise OSError, and a dozen others depending on the format.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name} is damaged: {reason}") from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Drop Pillow's warnings, which it prints itself; what matters of them is raised, or reported here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_image(file: IO[bytes], formats: Iterable[str]) -> Image.Image:
    """Open an image of one of the formats; raises whatever Pillow raises."""
    return Image.open(file, formats=[each for each in formats if each in _available()])


@functools.cache
def _available() -> frozenset[str]:
    """The formats that the installed Pillow, with pillow-heif where that is installed, opens."""
    Image.init()
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return frozenset(Image.OPEN)


@functools.cache
def extensions() -> frozenset[str]:
    """The extensions of images, in lower case; not each of them can be read everywhere."""
    _available()
    of_pillow = (end for end, kind in Image.registered_extensions().items() if kind in FORMATS)
    return _OTHER_EXTENSIONS | _RAW_EXTENSIONS | {*of_pillow}


def check_size(width: int, height: int, name: str) -> None:
    """Raise ImageError for an image of more than 100 megapixels."""
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels: {width} x {height} px")


def _check_count(image: Image.Image, name: str) -> None:
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format in ANIMATED_FORMATS:
        raise ImageError(f"{name} is a video of {count} frames: live and annotate read it, given as VIDEO")
    if count > 1 and image.format == "TIFF":
        _logger.warning("%s has %d pages; the first is used", name, count)


def _aspect(image: Image.Image, data: bytes) -> float:
    """The width of a pixel divided by its height, where the format says it, else 1."""
    if image.format == "GIF":
        return (data[12] + 15) / 64 if data[12] else 1.0
    if image.format in ("AVIF", "HEIF"):
        return float(_heif_aspect(data) or 1)
    if image.info.get("jfif_unit") == 0:
        # As FFmpeg writes and reads it; the standard can be read the other way round, too.
        across, down = image.info["jfif_density"]
    else:
        down, across = next(
            (image.info[key] for key in ("aspect", "dpi", "resolution") if image.info.get(key)), (1, 1)
        )
    return float(across) / float(down) if across > 0 and down > 0 else 1.0


def to_rgb(image: Image.Image) -> ImageArray:
    """Convert an image of any mode; see :func:`read_image`."""
    if image.mode.startswith("I"):
        gray = np.asarray(image).astype(np.float64) / 257.0
        return _grayto_rgb(gray)
    if image.mode == "F":
        gray = np.nan_to_num(np.asarray(image).astype(np.float64))
        return _grayto_rgb(gray * 255.0 if gray.max(initial=0.0) <= 1.0 else gray)
    if image.mode.endswith("a"):  # colours multiplied by their opacity
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    if "A" in image.mode or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, _MATTE)
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return np.array(image.convert("RGB"), np.uint8)


def _grayto_rgb(gray: np.ndarray) -> ImageArray:
    rounded = np.clip(np.rint(gray), 0, 255).astype(np.uint8)
    return np.repeat(rounded[:, :, np.newaxis], 3, axis=2)


def _heif_aspect(data: bytes) -> Fraction | None:
    """The same from the header of an AVIF or HEIC file, which neither Pillow nor FFmpeg reads."""
    place = data.find(b"pasp", 0, max(0, data.find(b"mdat")))
    across, down = struct.unpack_from(">II", data, place + 4) if place > 0 else (0, 0)
    return Fraction(across, down) if across and down else None


def is_image(path: Path) -> bool:
    """Whether a file is an image by its name, or by its content where its name says nothing."""
    extension = path.suffix.lower()
    return extension in extensions() or (extension not in _VIDEO_EXTENSIONS and _count_frames(path) > 0)


def is_animation(path: Path) -> bool:
    """Whether a file is an animated GIF, WebP, PNG or AVIF, by its content: a video, as in ``annotate``."""
    return _count_frames(path, ANIMATED_FORMATS) > 1


def _count_frames(path: Path, formats: Iterable[str] = _SURE_FORMATS) -> int:
    """The number of images in a file of one of the formats; 0 for others."""
    if not path.is_file():  # opening a named pipe would block
        return 0
    try:
        with without_warnings(), path.open("rb") as file, open_image(file, formats) as image:
            return int(getattr(image, "n_frames", 1))
    # Damaged data make Pillow raise OSError, and a dozen others depending on the format.
    except Exception:
        return 0
