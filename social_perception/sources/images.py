"""Still images, from files, folders and bytes, as RGB.

Pillow rather than OpenCV reads them: it reports an image's size before decoding it, applies no limit
silently, and reports damage as an exception instead of a line on the terminal.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from social_perception.core.errors import ImageError, SourceError
from social_perception.core.files import read_limited
from social_perception.core.types import Frame, ImageArray
from social_perception.sources.geometry import MAX_PIXELS
from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 2**29
"""Larger files are refused; 100 megapixels of 8 bits without compression have 300 MB."""

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pnm"}
)

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""Pillow's names of the formats that are read, whatever a file's name is. Pillow has sixty more, among them
EPS, for which it runs Ghostscript.
"""

_MATTE = (128, 128, 128, 255)


def read_image(path: str | Path) -> ImageArray:
    """Read a still image of any common format.

    Gray and palette images become RGB, 16-bit ones are scaled to 8 bits, transparent parts
    become gray, and the EXIF orientation is applied.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ImageError: the file is missing, no image, damaged or larger than 100 megapixels.
    """
    path = Path(path)
    try:
        data = read_limited(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str, formats: Iterable[str] = FORMATS) -> ImageArray:
    """Decode the bytes of an image file; see :func:`read_image`.

    Args:
        data: the file's content.
        name: of the image, for error messages.
        formats: Pillow's names of the formats accepted, for example ``["JPEG"]``.
    """
    if not data:
        raise ImageError(f"{name} is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=list(formats)) as image:
                _check_size(image, name)
                return _to_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image that can be read") from error
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


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels: {width} x {height} px")


def _to_rgb(image: Image.Image) -> ImageArray:
    if image.mode.startswith("I"):
        gray = np.asarray(image).astype(np.float64) / 257.0
        return _gray_to_rgb(gray)
    if image.mode == "F":
        gray = np.nan_to_num(np.asarray(image).astype(np.float64))
        return _gray_to_rgb(gray * 255.0 if gray.max(initial=0.0) <= 1.0 else gray)
    if "A" in image.mode or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, _MATTE)
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return np.array(image.convert("RGB"), np.uint8)


def _gray_to_rgb(gray: np.ndarray) -> ImageArray:
    rounded = np.clip(np.rint(gray), 0, 255).astype(np.uint8)
    return np.repeat(rounded[:, :, np.newaxis], 3, axis=2)


def list_images(path: str | Path) -> tuple[Path, ...]:
    """The image files of a folder in natural order (``2.png`` before ``10.png``), or the file itself.

    Raises:
        SourceError: the path does not exist, or the folder has no image files.
    """
    path = Path(path)
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise SourceError(f"{path} does not exist")
    try:
        entries = list(path.iterdir())
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    found = [e for e in entries if e.suffix.lower() in EXTENSIONS and not e.name.startswith(".")]
    if not found:
        raise SourceError(f"{path} has no image files ({', '.join(sorted(EXTENSIONS))})")
    return tuple(sorted(found, key=lambda entry: _natural(entry.name)))


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


class ImageFolderSource(Source):
    """Reads the images of a folder, or one image; files that cannot be read are skipped with a warning."""

    live = False

    def __init__(self, path: str | Path, rate_hz: float) -> None:
        """List the folder's images.

        Raises:
            SourceError: the path does not exist or has no image files.
        """
        self.name = str(path)
        self.rate_hz: float | None = rate_hz
        self._period_s = 1.0 / rate_hz
        self._left = list(reversed(list_images(path)))
        self.frame_count: int | None = len(self._left)
        self._index = 0

    def __next__(self) -> Frame:
        while self._left:
            image = self._read(self._left.pop())
            if image is not None:
                frame = Frame(image, self._index * self._period_s, self._index)
                self._index += 1
                return frame
        if self._index == 0 and self.frame_count:
            raise SourceError(f"{self.name}: none of its {self.frame_count} images can be read")
        raise StopIteration

    def _read(self, path: Path) -> ImageArray | None:
        try:
            return read_image(path)
        except ImageError as error:
            _logger.warning("%s; skipped", error)
            return None

    def close(self) -> None:
        self._left.clear()
        self.frame_count = self._index
