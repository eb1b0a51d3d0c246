"""Invalid messages, by type: what another program, a broken driver or a wrong cable may send."""

from __future__ import annotations

import array
import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from PIL import Image as PillowImage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from social_perception.msg import (
    FaceAffect,
    FaceAffectArray,
    GroupAffect,
    SceneAffect,
    SoundEvent,
    TrackedFace,
    TrackedFaceArray,
)
from std_msgs.msg import Header

WIDTH, HEIGHT = 64, 48
UINT32 = 2**32 - 1
CROP_BYTES = 96 * 96 * 3
Named = tuple[str, Any]

STAMPS = {
    "zero stamp": Time(),
    "future stamp": Time(sec=2**31 - 1, nanosec=999_999_999),
    "stamp before 1970": Time(sec=-(2**31), nanosec=0),
    "stamp with 4 s of ns": Time(sec=2**31 - 1, nanosec=UINT32),
}


def header(sec: int = 100) -> Header:
    return Header(stamp=Time(sec=sec), frame_id="camera")


def blob(size: int) -> array.array:
    return array.array("B", bytes(size))


def image(**change: Any) -> Image:
    """A gray picture, or what becomes of it."""
    given = {"height": HEIGHT, "width": WIDTH, "encoding": "rgb8", "step": 3 * WIDTH, "header": header()}
    given["data"] = array.array("B", bytes([90]) * (HEIGHT * 3 * WIDTH))
    return Image(**{**given, **change})


def bad_images() -> Iterator[Named]:
    for name, change in {
        "unknown encoding": {"encoding": "16UC7"},
        "no encoding": {"encoding": ""},
        "encoding of binary": {"encoding": "\x00\udcff" * 50},
        "step too small": {"step": 3 * WIDTH - 1},
        "step 0": {"step": 0},
        "step too large": {"step": 3 * WIDTH + 10},
        "step of 4 GB": {"step": UINT32},
        "truncated": {"data": blob(HEIGHT * 3 * WIDTH - 1)},
        "one byte": {"data": blob(1)},
        "no data": {"data": blob(0)},
        "no width": {"width": 0},
        "no height": {"height": 0},
        "nothing": {"width": 0, "height": 0, "step": 0, "data": blob(0)},
        "huge": {"width": UINT32, "height": UINT32, "step": UINT32},
        "huge and high": {"width": 1, "height": UINT32, "step": 3},
        "huge and wide": {"width": UINT32 // 3, "height": 1, "step": UINT32},
        "huge without step": {"width": 100_000, "height": 100_000, "step": 0},
        "odd yuv422": {"encoding": "yuv422_yuy2", "width": 63, "step": 126},
        "odd nv12": {"encoding": "nv12", "width": 63, "step": 63},
        "nv24 of no height": {"encoding": "nv24", "height": 0},
        "float": {"encoding": "32FC1"},
    }.items():
        yield name, image(**change)


def odd_images() -> Iterator[Named]:
    """Images that are unusual, but images."""
    yield "one row", image(height=1)
    yield "one column", image(width=1, step=3)
    yield "one pixel", image(width=1, height=1, step=3)
    yield "too long", image(data=blob(HEIGHT * 3 * WIDTH + 1000))
    yield "padding", image(width=WIDTH - 4)
    yield "big endian", image(is_bigendian=255)
    yield "mono8", image(encoding="mono8", step=WIDTH)
    yield "mono16", image(encoding="mono16", step=2 * WIDTH, is_bigendian=1)
    yield "bayer", image(encoding="bayer_rggb8", step=WIDTH)
    yield "bayer of one pixel", image(encoding="bayer_rggb8", width=1, height=1, step=1)
    yield "yuv422", image(encoding="yuv422_yuy2", step=2 * WIDTH)
    for name, stamp in STAMPS.items():
        yield name, image(header=Header(stamp=stamp, frame_id="camera"))


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def bad_compressed_images() -> Iterator[Named]:
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    jpeg, png = encoded(picture, "JPEG"), encoded(picture, "PNG")
    bomb = encoded(np.zeros((1, 1), np.uint8), "PNG")
    bomb = bomb[:16] + (60_000).to_bytes(4, "big") * 2 + bomb[24:]
    for name, data in {
        "empty": b"",
        "noise": bytes(range(256)) * 40,
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "JPEG of zeros": jpeg[:100] + bytes(len(jpeg) - 100),
        "half a PNG": png[: len(png) // 2],
        "PNG with a flipped bit": png[:60] + bytes([png[60] ^ 16]) + png[61:],
        "bomb": bomb,
        "a GIF": encoded(picture, "GIF"),
        "compressedDepth": b"\x00" * 12 + png,
    }.items():
        yield name, CompressedImage(header=header(), format="jpeg", data=array.array("B", data))


def face(**change: Any) -> TrackedFace:
    given = {"id": "abcde", "confidence": 0.9, "roi": roi(), "position": Point(x=0.0, y=0.0, z=1.0)}
    return TrackedFace(**{**given, **change})


def roi(left: int = 4, top: int = 6, width: int = 20, height: int = 24) -> RegionOfInterest:
    return RegionOfInterest(x_offset=left, y_offset=top, width=width, height=height)


def tracked(faces: list[TrackedFace], crops: int | None = None, **change: Any) -> TrackedFaceArray:
    size = len(faces) * CROP_BYTES if crops is None else crops
    given = {"header": header(), "image_width": WIDTH, "image_height": HEIGHT}
    return TrackedFaceArray(**{**given, "faces": faces, "crops": blob(size), **change})


BAD_ROIS = {
    "roi beside the image": roi(left=WIDTH + 1),
    "roi below the image": roi(top=UINT32),
    "roi larger than the image": roi(width=UINT32, height=UINT32),
}


def bad_tracked_faces() -> Iterator[Named]:
    yield "crops too short", tracked([face()], CROP_BYTES - 1)
    yield "crops too long", tracked([face()], CROP_BYTES + 1)
    yield "no crops", tracked([face()], 0)
    yield "crops without faces", tracked([], CROP_BYTES)
    yield "no id", tracked([face(id="")])
    yield "the same id twice", tracked([face(), face()])
    yield "an endless id", tracked([face(id="a" * 100_000)])
    for value in (math.nan, math.inf, -1.0, 2.0):
        yield f"confidence {value}", tracked([face(confidence=value)])
    for name, bad in BAD_ROIS.items():
        yield name, tracked([face(roi=bad)])
    yield "image of no size", tracked([face()], image_width=0, image_height=0)
    yield "100,000 faces", tracked([face()] * 100_000, 0)


def odd_tracked_faces() -> Iterator[Named]:
    yield "nobody", tracked([])
    yield "300 faces", tracked([face(id=f"f{number}") for number in range(300)])
    for value in (math.nan, math.inf):
        yield f"position x {value}", tracked([face(position=Point(x=value, y=0.0, z=1.0))])
    yield "roi of nothing", tracked([face(roi=roi(width=0, height=0))])
    yield "behind the camera", tracked([face(position=Point(x=0.0, y=0.0, z=-1.0))])
    yield "id with spaces", tracked([face(id="a b/c\n")])
    for name, stamp in STAMPS.items():
        yield name, tracked([face()], header=Header(stamp=stamp, frame_id="camera"))


def affect(**change: Any) -> FaceAffect:
    given = {"id": "abcde", "roi": roi(), "position": Point(x=0.0, y=0.0, z=1.0), "intensity": 0.5}
    given |= {"level": 2, "probabilities": [0.1, 0.2, 0.5, 0.2], "observed_frames": 9, "valid": True}
    return FaceAffect(**{**given, **change})


def affects(faces: list[FaceAffect], **change: Any) -> FaceAffectArray:
    given = {"header": header(), "image_width": WIDTH, "image_height": HEIGHT, "faces": faces}
    return FaceAffectArray(**{**given, **change})


def bad_face_affects() -> Iterator[Named]:
    for value in (math.nan, math.inf, -math.inf, -0.5, 2.0):
        yield f"intensity {value}", affects([affect(intensity=value)])
    for level in (4, 77, 254):
        yield f"level {level}", affects([affect(level=level)])
    yield "probabilities NaN", affects([affect(probabilities=[math.nan] * 4)])
    yield "probabilities of 9", affects([affect(probabilities=[9.0, -9.0, math.inf, 1.0])])
    yield "no id", affects([affect(id="")])
    yield "the same id twice", affects([affect(), affect(intensity=0.1)])
    for name, bad in BAD_ROIS.items():
        yield name, affects([affect(roi=bad)])
    yield "image of no size", affects([affect()], image_width=0, image_height=0)
    yield "100,000 faces", affects([affect()] * 100_000)


def odd_face_affects() -> Iterator[Named]:
    yield "nobody", affects([])
    yield "300 faces", affects([affect(id=f"f{number}") for number in range(300)])
    unknown = {"intensity": math.nan, "level": 255, "probabilities": [math.nan] * 4, "valid": False}
    yield "unknown", affects([affect(**unknown)])
    yield "roi of nothing", affects([affect(roi=roi(width=0, height=0))])
    yield "position NaN", affects([affect(position=Point(x=math.nan, y=math.inf, z=1.0))])
    yield "no frame_id", affects([affect()], header=Header(stamp=Time(sec=100)))
    for name, stamp in STAMPS.items():
        yield name, affects([affect()], header=Header(stamp=stamp, frame_id="camera"))


def group(**change: Any) -> GroupAffect:
    given: dict[str, Any] = {"header": header(), "group_size": 1, "valid_faces": 1, "face_ids": ["abcde"]}
    given |= dict.fromkeys(("intensity", "mean_intensity", "smiling_fraction"), 0.5)
    given |= {"dispersion": 0.1, "level": 2, "trend": 0.0, "synchrony": 0.0, "window": 5.0, "stale": False}
    return GroupAffect(**{**given, **change})


def bad_groups() -> Iterator[Named]:
    for level in (4, 77, 254):
        yield f"level {level}", group(level=level)
    for name in ("intensity", "mean_intensity", "smiling_fraction"):
        for value in (math.inf, -0.5, 2.0):
            yield f"{name} {value}", group(**{name: value})
    yield "synchrony 5", group(synchrony=5.0)
    yield "trend inf", group(trend=math.inf)
    yield "a window of NaN", group(window=math.nan)
    yield "more people than ids", group(group_size=UINT32)
    yield "100,000 people", group(group_size=100_000, face_ids=[f"f{n}" for n in range(100_000)])


def odd_groups() -> Iterator[Named]:
    unknown = dict.fromkeys(("intensity", "mean_intensity", "smiling_fraction", "dispersion"), math.nan)
    yield "nobody", group(group_size=0, valid_faces=0, face_ids=[], level=255, **unknown)
    yield "stale", group(stale=True)
    for name, stamp in STAMPS.items():
        yield name, group(header=Header(stamp=stamp, frame_id="camera"))


def sound_event(**change: Any) -> SoundEvent:
    return SoundEvent(**{"header": header(), "speech": 0.5, "laughter": 0.5, "level": -20.0, **change})


def bad_sound_events() -> Iterator[Named]:
    for name in ("speech", "laughter"):
        for value in (math.inf, -0.5, 2.0):
            yield f"{name} {value}", sound_event(**{name: value})
    yield "speech NaN", sound_event(speech=math.nan)
    for value in (math.nan, -math.inf, 200.0):
        yield f"level {value}", sound_event(level=value)
        yield f"band {value}", sound_event(bands=[-20.0] * 7 + [value])
    yield "too few bands", sound_event(bands=[-20.0] * 7)


def odd_sound_events() -> Iterator[Named]:
    yield "laughter unknown", sound_event(laughter=math.nan)
    yield "bands", sound_event(bands=[-20.0] * 8)
    for name, stamp in STAMPS.items():
        yield name, sound_event(header=Header(stamp=stamp))


def bad_scenes() -> Iterator[Named]:
    def scene(**change: Any) -> SceneAffect:
        return SceneAffect(**{"header": header(), "probabilities": [0.2, 0.3, 0.5], "valence": 0.3, **change})

    for value in (math.inf, -0.5, 2.0):
        yield f"a probability of {value}", scene(probabilities=[value, 0.3, 0.5])
        yield f"valence {10 * value}", scene(valence=10 * value)


def camera_info(**change: Any) -> CameraInfo:
    k = [60.0, 0.0, 32.0, 0.0, 60.0, 24.0, 0.0, 0.0, 1.0]
    p = [60.0, 0.0, 32.0, 0.0, 0.0, 60.0, 24.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return CameraInfo(**{"header": header(), "width": WIDTH, "height": HEIGHT, "k": k, "p": p, **change})


def bad_camera_infos() -> Iterator[Named]:
    for name, value in {"zero": 0.0, "NaN": math.nan, "inf": math.inf, "negative": -60.0}.items():
        yield f"K {name}", camera_info(k=[value] * 9, p=[value] * 12)
    yield "K of 1e-320", camera_info(k=[1e-320] * 9)
    yield "no size", camera_info(width=0, height=0)
    yield "huge", camera_info(width=UINT32, height=UINT32)
    yield "another shape", camera_info(width=1, height=UINT32)
    yield "huge roi", camera_info(roi=roi(UINT32, UINT32, UINT32, UINT32))


def bad_depths() -> Iterator[Named]:
    numbers = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    for name, value in {"NaN": math.nan, "inf": math.inf, "negative": -1.0, "zero": 0.0}.items():
        numbers[:] = value
        data = array.array("B", numbers.tobytes())
        yield name, image(encoding="32FC1", step=4 * WIDTH, data=data)
    yield "colours", image()
    yield "another shape", image(encoding="16UC1", width=7, step=14)
    yield "one pixel", image(encoding="16UC1", width=1, height=1, step=2)
    yield "truncated", image(encoding="16UC1", step=2 * WIDTH, data=blob(99))
    yield "another frame", image(encoding="16UC1", step=2 * WIDTH, header=Header(frame_id="elsewhere"))
    yield "huge", image(encoding="16UC1", width=UINT32, height=UINT32, step=UINT32)
    yield "no size", image(encoding="16UC1", width=0, height=0, step=0)
    yield "odd step", image(encoding="16UC1", step=2 * WIDTH + 1)
    yield "big endian", image(encoding="16UC1", step=2 * WIDTH, is_bigendian=1)
