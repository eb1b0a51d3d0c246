"""Recordings: MCAP with and without an index, SQLite, ROS 1, metadata.yaml, and the messages in them."""

from __future__ import annotations

import base64
import itertools
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from backports import zstd
from rosbags import rosbag1, rosbag2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from fuzzing.pictures import MAX_PIXELS, check_image, image_files
from fuzzing.target import Target, lowered, promise
from fuzzing.videos import check_sound
from social_perception.sources import bag_sound, images
from social_perception.sources.bag import BagSource
from social_perception.sources.mcap_scan import scan_mcap

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_bags_")
_PLACE = Path(_FOLDER.name)
_STORE = get_typestore(Stores.ROS2_HUMBLE)
_STORE1 = get_typestore(Stores.ROS1_NOETIC)
_MOST_FRAMES = 64
_RAW, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_AUDIO, _INFO = "audio_common_msgs/msg/AudioDataStamped", "audio_common_msgs/msg/AudioInfo"
for _store in (_STORE, _STORE1):
    for _kind, _text_of_kind in bag_sound._DEFINITIONS.items():
        _store.register(get_types_from_msg(_text_of_kind, _kind))


def _header(store, index: int):  # type: ignore[no-untyped-def]
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](sec=100 + index, nanosec=5)
    more = {"seq": index} if store is _STORE1 else {}
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera", **more)


def _raw(store, index: int = 0):  # type: ignore[no-untyped-def]
    return store.types[_RAW](
        header=_header(store, index),
        height=2,
        width=4,
        encoding="bgr8",
        is_bigendian=0,
        step=12,
        data=np.arange(24, dtype=np.uint8),
    )


def _compressed(store, index: int = 0):  # type: ignore[no-untyped-def]
    data = np.frombuffer(image_files()[0], np.uint8)
    return store.types[_COMPRESSED](header=_header(store, index), format="png", data=data)


def _audio(store, index: int = 0):  # type: ignore[no-untyped-def]
    data = store.types["audio_common_msgs/msg/AudioData"](data=np.arange(64, dtype=np.uint8))
    return store.types[_AUDIO](header=_header(store, index), audio=data)


def _info(store, index: int = 0):  # type: ignore[no-untyped-def]
    return store.types[_INFO](
        channels=1, sample_rate=16000, sample_format="S16LE", bitrate=0, coding_format="wave"
    )


_TOPICS = {
    "/image": _raw,
    "/image/compressed": _compressed,
    "/audio": _audio,
    "/audio_info": _info,
}


def _folder(storage: str, mode: str = "none") -> Path:
    path = _PLACE / f"seed_{storage}_{mode}"
    shutil.rmtree(path, ignore_errors=True)
    writer = rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin[storage.upper()])
    writer.set_compression(rosbag2.CompressionMode[mode.upper()], rosbag2.CompressionFormat.ZSTD)
    with writer:
        for topic, make in _TOPICS.items():
            kind = make(_STORE).__msgtype__
            connection = writer.add_connection(topic, kind, typestore=_STORE)
            for index in range(2):
                message = _STORE.serialize_cdr(make(_STORE, index), kind)
                writer.write(connection, (50 + index) * 10**9, message)
    return path


def _storage(folder: Path) -> bytes:
    return next(path for path in folder.iterdir() if path.suffix in (".mcap", ".db3")).read_bytes()


# A small writer of our own: without checksums, so that what is inside a chunk can be changed, too.


def record(code: int, content: bytes) -> bytes:
    """A record of an MCAP file."""
    return struct.pack("<BQ", code, len(content)) + content


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode()


def mcap(*records: bytes) -> bytes:
    """An MCAP file with a schema, a channel and these records."""
    return b"".join([b"\x89MCAP0\r\n", record(1, _text("ros2") + _text("")), *records])


def definitions(kind: str = _COMPRESSED, encoding: str = "cdr") -> bytes:
    """A schema and a channel that has it."""
    schema = struct.pack("<H", 1) + _text(kind) + _text("ros2msg") + _text("")
    channel = struct.pack("<HH", 1, 1) + _text("/image") + _text(encoding) + struct.pack("<I", 0)
    return record(3, schema) + record(4, channel)


def message(data: bytes, time_ns: int = 5) -> bytes:
    """A message of the channel."""
    return record(5, struct.pack("<HIQQ", 1, 0, time_ns, time_ns) + data)


def chunk(content: bytes, compression: str, size: int, checksum: int = 0) -> bytes:
    """A chunk that says it holds so many bytes."""
    head = struct.pack("<QQQI", 0, 9, size, checksum) + _text(compression)
    return record(6, head + struct.pack("<Q", len(content)) + content)


def bomb(compression: str = "zstd", size: int = 1 << 28, *, honest: bool = True) -> bytes:
    """A file whose chunk holds so many zeros in a few KB."""
    if compression == "zstd":
        packed = zstd.compress(bytes(size))
    else:
        from lz4.frame import compress

        packed = compress(bytes(size))
    return mcap(definitions(), chunk(packed, compression, size if honest else 100))


def _scans() -> list[bytes]:
    good = bytes(_STORE.serialize_cdr(_compressed(_STORE), _COMPRESSED))
    inner = definitions() + message(good) + message(good, 6)
    packed = zstd.compress(inner)
    return [
        mcap(inner),
        mcap(chunk(inner, "", len(inner))),
        mcap(chunk(packed, "zstd", len(inner))),
        mcap(chunk(packed[:-9], "zstd", len(inner))),
        mcap(definitions(), message(b"")),
        mcap(chunk(inner, "snappy", len(inner))),
        bomb(size=1 << 22),
        bomb("lz4", 1 << 20, honest=False),
        mcap(definitions(), record(5, b""), record(0x0F, bytes(4))),
        mcap(record(6, bytes(9)), inner),
        mcap(struct.pack("<BQ", 9, 1 << 63), inner),
        mcap(struct.pack("<BQ", 5, 1 << 62), inner),
    ]


def _mcaps() -> list[bytes]:
    whole = _storage(_folder("mcap"))
    return [whole, _storage(_folder("mcap", "storage")), whole[:-60], *_scans()]


def read_all(path: Path) -> None:
    """Read the pictures of a bag, and check them."""
    with lowered(images, "MAX_PIXELS", MAX_PIXELS), BagSource(path, "", 16_000) as source:
        promise(source.rate_hz is None or source.rate_hz >= 0, f"a rate of {source.rate_hz}")
        for frame in itertools.islice(source, _MOST_FRAMES):
            check_image(frame.image)
            check_sound(frame)
            promise(abs(frame.stamp_s) < 2**64, f"a stamp of {frame.stamp_s}")


def _file(name: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        path = _PLACE / name
        path.write_bytes(data)
        read_all(path)

    return run


def _scan(data: bytes) -> None:
    path = _PLACE / "scan.mcap"
    path.write_bytes(data)
    reported: list[str] = []
    for each in itertools.islice(scan_mcap(path, reported.append), 10_000):
        promise(isinstance(each.topic, str) and 0 <= each.time_ns < 2**64, repr(each)[:100])


def _ros1() -> list[bytes]:
    path = _PLACE / "seed.bag"
    path.unlink(missing_ok=True)
    with rosbag1.Writer(path) as writer:
        for topic, make in (("/image", _raw), ("/audio", _audio)):
            kind = make(_STORE1).__msgtype__
            connection = writer.add_connection(topic, kind, typestore=_STORE1)
            for index in range(2):
                data = _STORE1.serialize_ros1(make(_STORE1, index), kind)
                writer.write(connection, (50 + index) * 10**9, data)
    whole = path.read_bytes()
    place = whole.index(b"index_pos=") + 10
    (end,) = struct.unpack_from("<Q", whole, place)
    return [whole, whole[:place] + bytes(8) + whole[place + 8 : end]]


_FOREIGN = (
    ("foxglove.CompressedImage", "protobuf"),
    ("foxglove.RawImage", "protobuf"),
    ("foxglove.CompressedImage", "json"),
    ("foxglove.RawImage", "json"),
    ("foxglove_msgs/msg/RawImage", "cdr"),
    ("foxglove_msgs/CompressedImage", "ros1"),
    ("foxglove.CompressedVideo", "json"),
    ("sensor_msgs/Image", "ros1"),
)


def _foreign() -> list[bytes]:
    picture = image_files()[0]
    size = bytes([0x80 | len(picture) & 0x7F, len(picture) >> 7])
    raw = b"\x0a\x02\x08\x05\x15\2\0\0\0\x1d\2\0\0\0\x22\5mono8\x2d\2\0\0\0\x32\x04abcd"
    text = b'{"timestamp":{"sec":5,"nsec":0},"data":"%s","format":"png"}' % base64.b64encode(picture)
    pixels = b'{"width":2,"height":2,"encoding":"mono8","step":2,"data":"YWJjZA=="}'
    video = b'{"format":"h264","data":"AAAAAWdCwAraEJsBEAAAAwAQAAADAUDxImo="}'
    ros1 = bytes(_STORE1.serialize_ros1(_raw(_STORE1), _RAW))
    cdr = b"\0\1\0\0" + struct.pack("<IIIII", 5, 0, 0, 2, 2) + _text("mono8\0") + bytes(2)
    cdr += struct.pack("<II", 2, 4) + b"abcd"
    image = struct.pack("<II", 5, 0) + _text("") + struct.pack("<I", len(picture)) + picture + _text("png")
    messages = (b"\x12" + size + picture, raw, text, pixels, cdr, image, video, ros1)
    return [bytes([number]) + each for number, each in enumerate(messages)]


def _foreign_message(data: bytes) -> None:
    kind, encoding = _FOREIGN[data[0] % len(_FOREIGN)] if data else _FOREIGN[0]
    path = _PLACE / "foreign.mcap"
    path.write_bytes(mcap(definitions(kind, encoding), message(data[1:])))
    read_all(path)


def _packed() -> list[bytes]:
    return [zstd.compress(each) for each in (_storage(_folder("mcap")), b"words", _scans()[0])]


def _metadata() -> list[bytes]:
    good = (_folder("sqlite3") / "metadata.yaml").read_bytes()
    _folder("mcap")
    tower = b"\n".join(b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9))
    change = good.replace
    return [
        good,
        (_PLACE / "seed_mcap_none" / "metadata.yaml").read_bytes(),
        b"a0: &a0 [x]\n" + tower + b"\n" + good,
        change(b"seed_sqlite3_none.db3", b"../../../etc/passwd"),
        change(b"message_count: 2", b"message_count: 1e400"),
        change(b"message_count: 2", b"message_count: " + b"9" * 400),
        change(b"message_count: 2", b"message_count: -1"),
        change(b"nanoseconds: ", b"nanoseconds: " + b"9" * 400),
        b"[" * 300,
        b"a: !!python/name:os.system",
        b"a: !!timestamp x",
        b"? [1]\n: 2",
        good[:200],
        b"rosbag2_bagfile_information: 5",
    ]


def _with_metadata(data: bytes) -> None:
    for storage in ("sqlite3", "mcap"):
        folder = _PLACE / f"seed_{storage}_none"
        if not folder.is_dir():
            _folder(storage)
        # In a folder where nothing else lies, whatever the file names.
        for old in folder.iterdir():
            if old.suffix == ".yaml":
                old.unlink()
        (folder / "metadata.yaml").write_bytes(data)
        if b"mcap" in data or storage == "sqlite3":
            read_all(folder)


def _messages() -> list[bytes]:
    raw = bytes(_STORE.serialize_cdr(_raw(_STORE), _RAW))
    compressed = bytes(_STORE.serialize_cdr(_compressed(_STORE), _COMPRESSED))
    return [b"\0" + raw, b"\1" + compressed, b"\0", b"\1" + raw]


def _message(data: bytes) -> None:
    kind = _COMPRESSED if data[:1] == b"\1" else _RAW
    path = _PLACE / "message.mcap"
    path.write_bytes(mcap(definitions(kind), message(data[1:])))
    read_all(path)


def _databases() -> list[bytes]:
    return [_storage(_folder("sqlite3")), _storage(_folder("sqlite3", "message"))]


_PICTURES = "pictures with stamps, or SourceError; a chunk is unpacked up to a limit"
TARGETS = {
    "bag_mcap": Target(_PICTURES, _file("some.mcap"), _mcaps, max_bytes=16384, memory_mb=256),
    "bag_scan": Target("messages, or SourceError", _scan, _scans, max_bytes=16384, memory_mb=256),
    "bag_db3": Target(_PICTURES, _file("some.db3"), _databases, max_bytes=65536, memory_mb=256),
    "bag_ros1": Target(_PICTURES, _file("some.bag"), _ros1, max_bytes=16384, memory_mb=256),
    "bag_foreign": Target(_PICTURES, _foreign_message, _foreign, memory_mb=256),
    "bag_packed": Target(_PICTURES, _file("some.mcap.zstd"), _packed, max_bytes=16384, memory_mb=256),
    "bag_metadata": Target(_PICTURES, _with_metadata, _metadata, max_bytes=16384, memory_mb=256),
    "bag_message": Target(_PICTURES, _message, _messages, memory_mb=256),
}
