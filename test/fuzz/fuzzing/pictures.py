"""Images: files, ROS messages, depth, and camera calibration."""

from __future__ import annotations

import io
import itertools
import struct
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMessage
from std_msgs.msg import Header

from fuzzing.target import PROPERTY, Target, lowered, may_refuse, of_property, promise
from social_perception.core.camera import Intrinsics
from social_perception.core.types import Box, ImageArray
from social_perception.perception.tracking.depth import RANGE_M, face_positions
from social_perception.ros.support.calibration import intrinsics_of
from social_perception.ros.support.depth_input import depth_image
from social_perception.ros.support.images import decode
from social_perception.sources import images, shown
from social_perception.sources.animation import AnimationSource
from social_perception.sources.images import ANIMATED_FORMATS, decode_image
from social_perception.sources.raw_images import BYTES_PER_PIXEL, PLANAR, decode_raw

Image.init()  # all formats now, so that their code is followed
MAX_PIXELS = 1 << 20
_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_pictures_")
_FILE = Path(_FOLDER.name) / "animation"
_MOST_FRAMES = 100
ENCODINGS = (*BYTES_PER_PIXEL, *PLANAR, "8UC1", "8UC3", "yuyv", "32FC1", "16UC1", "")
DEPTHS = ("16UC1", "32FC1", "mono16", "rgb8")
_HEAD = struct.Struct("<BBIII")


def _pixels(height: int = 6, width: int = 8, channels: int = 3) -> ImageArray:
    return np.arange(height * width * channels, dtype=np.uint8).reshape(height, width, channels)


def image_files() -> list[bytes]:
    """A tiny image of every format and mode."""
    rgb, rgba = Image.fromarray(_pixels()), Image.fromarray(_pixels(channels=4))
    turned = Image.Exif()
    turned[0x0112] = 6
    words = Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000)
    floats = Image.fromarray(np.linspace(-1, 300, 48, dtype=np.float32).reshape(6, 8))
    kinds = [
        (rgb, "PNG", {}),
        (rgba, "PNG", {}),
        (words, "PNG", {}),
        (rgb.quantize(8), "PNG", {"transparency": 1}),
        (rgb.convert("1"), "PNG", {}),
        (rgb, "JPEG", {"exif": turned}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb.convert("L"), "JPEG", {"progressive": True}),
        (rgb, "BMP", {}),
        (rgb.convert("P"), "BMP", {}),
        (rgb, "GIF", {}),
        (rgb, "TIFF", {}),
        (rgb, "TIFF", {"compression": "tiff_lzw"}),
        (floats, "TIFF", {}),
        (rgb, "TIFF", {"compression": "jpeg"}),
        (words, "TIFF", {}),
        (rgba, "WEBP", {"lossless": True}),
        (rgb, "WEBP", {"exif": turned}),
        (rgb, "PPM", {}),
        (rgb.convert("L"), "PPM", {}),
        (rgb, "PNG", {"dpi": (72, 144)}),
        (rgb, "QOI", {}),
        (rgb, "TGA", {}),
        (rgb, "SGI", {}),
        (rgb, "PCX", {}),
        (rgb, "ICO", {}),
        (rgb, "DDS", {}),
        *[(rgb, kind, {"exif": turned}) for kind in ("AVIF",) if kind in Image.SAVE],
        *[(rgb, kind, {}) for kind in ("JPEG2000",) if kind in Image.SAVE],
    ]
    return [_saved(*kind) for kind in kinds] + [b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12\n"]


def _saved(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def check_image(image: ImageArray) -> None:
    """Check that this is what is called an image everywhere."""
    promise(image.dtype == np.uint8, f"dtype {image.dtype}")
    promise(image.ndim == 3 and image.shape[2] == 3 and min(image.shape) > 0, f"shape {image.shape}")


def _image_file(data: bytes) -> None:
    with lowered(images, "MAX_PIXELS", MAX_PIXELS), lowered(shown, "MAX_PIXELS", MAX_PIXELS):
        image = decode_image(data, "it")
    check_image(image)
    promise(image.shape[0] * image.shape[1] <= MAX_PIXELS, f"{image.shape} is larger than the limit")


def _animations() -> list[bytes]:
    first, *others = (Image.fromarray(_pixels() // divisor) for divisor in (1, 2, 3))
    kinds = [kind for kind in ANIMATED_FORMATS if kind in Image.SAVE_ALL]
    options = {"save_all": True, "append_images": others, "duration": [0, 20, 100]}
    return [_saved(first, kind, options) for kind in kinds]


def _animation(data: bytes) -> None:
    _FILE.write_bytes(data)
    last_s = -1.0
    with lowered(images, "MAX_PIXELS", MAX_PIXELS), AnimationSource(_FILE) as source:
        for frame in itertools.islice(source, _MOST_FRAMES):
            check_image(frame.image)
            promise(frame.stamp_s > last_s, f"{frame.stamp_s} after {last_s}")
            last_s = frame.stamp_s


def _message(encoding: int, flags: int, width: int, height: int, step: int, data: bytes) -> ImageMessage:
    name = ENCODINGS[encoding % len(ENCODINGS)]
    message = ImageMessage(width=width, height=height, step=step, is_bigendian=flags & 1, encoding=name)
    message.data = data
    return message


def ros_images() -> list[bytes]:
    """A message of each encoding, 4 x 2 px, and compressed ones."""
    raw = [
        _HEAD.pack(index, index % 2, 4, 2, 4 * BYTES_PER_PIXEL.get(name, 2)) + bytes(range(96))
        for index, name in enumerate(ENCODINGS)
    ]
    return raw + [_HEAD.pack(0, 2, 0, 0, 0) + each for each in image_files()[:6]]


def _ros_image(data: bytes) -> None:
    head, content = data[: _HEAD.size].ljust(_HEAD.size, b"\0"), data[_HEAD.size :]
    encoding, flags, width, height, step = _HEAD.unpack(head)
    if flags & 2:
        with lowered(images, "MAX_PIXELS", MAX_PIXELS):
            check_image(decode(CompressedImage(data=content, format="jpeg")))
        return
    message = _message(encoding, flags, width, height, step, content)
    image = decode(message)
    check_image(image)
    promise(image.shape[:2] == (height, width), f"{image.shape} for {height} x {width}")
    # The same from a bag, whose messages are no ROS messages.
    fields = {
        name: getattr(message, name) for name in ("encoding", "width", "height", "step", "is_bigendian")
    }
    from_bag = decode_raw(SimpleNamespace(**fields, data=np.frombuffer(content, np.uint8)))
    promise(np.array_equal(image, from_bag), "a bag gives another picture")


def _depths() -> list[bytes]:
    values = np.full(48, 1500, "<u2").tobytes() + np.full(48, 1.5, "<f4").tobytes()
    return [_HEAD.pack(index, index, 8, 6, 8 * (2, 4)[index % 2]) + values for index in range(len(DEPTHS))]


def _depth(data: bytes) -> None:
    head, content = data[: _HEAD.size].ljust(_HEAD.size, b"\0"), data[_HEAD.size :]
    encoding, flags, width, height, step = _HEAD.unpack(head)
    message = _message(0, flags, width, height, step, content)
    message.encoding = DEPTHS[encoding % len(DEPTHS)]
    message.header.frame_id = "camera" if flags & 2 else ""
    depth = depth_image(message, Header(frame_id="other" if flags & 4 else "camera"))
    boxes = [Box(1.0, 1.0, 4.0, 4.0), Box(-1e6, 5.0, 2e6, 3.0), Box(1e9, -1e9, 0.1, 0.1)]
    for position in face_positions(depth, boxes, (8, 6), Intrinsics(6.0, 6.0, 4.0, 3.0)):
        if position is not None:
            promise(RANGE_M[0] <= position.z <= RANGE_M[1], f"a face at {position}")
            promise(bool(np.isfinite((position.x, position.y)).all()), f"a face at {position}")


_floats, _sizes = st.floats(), st.integers(0, 2**32 - 1)


@PROPERTY
@given(
    st.lists(_floats, min_size=12, max_size=12),
    st.tuples(_sizes, _sizes, _sizes, _sizes, _sizes, _sizes),
    st.tuples(st.integers(1, 16384), st.integers(1, 16384)),
    st.booleans(),
)
@may_refuse
def check_camera_info(
    numbers: list[float], sizes: tuple[int, ...], image: tuple[int, int], rectified: bool
) -> None:
    info = CameraInfo(width=sizes[0], height=sizes[1], k=numbers[:9], p=numbers)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = sizes[2:]
    camera = intrinsics_of(info, *image, rectified=rectified)
    promise(camera.fx > 0 and camera.fy > 0 and bool(np.isfinite((camera.cx, camera.cy)).all()), repr(camera))


TARGETS = {
    "animation": Target(
        "images whose stamps grow, or SourceError", _animation, _animations, limit_s=10.0, memory_mb=384
    ),
    "image_file": Target(
        "an RGB picture within the limit of pixels, or ImageError", _image_file, image_files, memory_mb=384
    ),
    "ros_image": Target(
        "an RGB picture of the size announced, the same as from a bag, or ImageError", _ros_image, ros_images
    ),
    "depth_image": Target("positions in the range of depth cameras or none, or an error", _depth, _depths),
    "camera_info": of_property("a camera with finite numbers, or CalibrationError", check_camera_info),
}
