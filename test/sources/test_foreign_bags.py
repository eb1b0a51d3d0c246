"""Bags that rosbags alone does not read: other encodings, compression, recorders that were killed."""

from __future__ import annotations

import base64
import json
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from social_perception.core.errors import SourceError
from social_perception.sources import bag_names, foxglove
from social_perception.sources.factory import open_source
from social_perception.sources.mcap_scan import _zstd
from test.sources.test_bag import compressed, raw, stamps, typesys, write_bag

ROS1 = typesys.get_typestore(typesys.Stores.ROS1_NOETIC)
ROS2 = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
DEFINITIONS = {
    "foxglove_msgs/msg/CompressedImage": "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\n"
    "string format\nstring message_id",
    "foxglove_msgs/msg/RawImage": "builtin_interfaces/Time timestamp\nstring frame_id\nuint32 width\n"
    "uint32 height\nstring encoding\nuint32 step\nuint8[] data",
    "foxglove_msgs/msg/CompressedVideo": "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\n"
    "string format",
}
for kind, text in DEFINITIONS.items():
    ROS2.register(typesys.get_types_from_msg(text, kind))
    ROS1.register(typesys.get_types_from_msg(text.replace("builtin_interfaces/Time", "time"), kind))


def record(code, content):
    return struct.pack("<BQ", code, len(content)) + content


def text_of(value):
    return struct.pack("<I", len(value)) + value.encode()


def write_mcap(path, kind, encoding, messages, profile="", *, summary=True):
    """An mcap file of one topic with ten messages a second."""
    schema = record(3, struct.pack("<H", 1) + text_of(kind) + text_of("") + text_of(""))
    channel = record(4, struct.pack("<HH", 1, 1) + text_of("/image") + text_of(encoding) + text_of(""))
    content = b"\x89MCAP0\r\n" + record(1, text_of(profile) + text_of("test")) + schema + channel
    for number, data in enumerate(messages):
        time_ns = 50 * 10**9 + number * 10**8
        content += record(5, struct.pack("<HIQQ", 1, number, time_ns, time_ns) + bytes(data))
    content += record(15, bytes(4))
    start = len(content) if summary else 0
    if summary:
        times = struct.pack("<QQ", 50 * 10**9, 50 * 10**9 + (len(messages) - 1) * 10**8)
        counts = struct.pack("<IHQ", 10, 1, len(messages))
        statistics = struct.pack("<QHIIII", len(messages), 1, 1, 0, 0, 0) + times + counts
        content += schema + channel + record(0x0B, statistics)
    path.write_bytes(content + record(2, struct.pack("<QQI", start, 0, 0)) + b"\x89MCAP0\r\n")
    return path


def ros1_message(make, number):
    message = make(number)
    kind = message.__msgtype__
    header = ROS1.types["std_msgs/msg/Header"](seq=number, stamp=message.header.stamp, frame_id="camera")
    fields = {
        name: getattr(message, name) for name in ROS1.types[kind].__dataclass_fields__ if name[0] != "_"
    }
    return ROS1.types[kind](**{**fields, "header": header})


@pytest.mark.parametrize("make", [raw, compressed])
@pytest.mark.parametrize("summary", [True, False])
def test_messages_of_ros_1_in_an_mcap_are_read(tmp_path, caplog, make, summary):
    messages = [ros1_message(make, number) for number in range(3)]
    data = [ROS1.serialize_ros1(each, each.__msgtype__) for each in messages]
    kind = messages[0].__msgtype__.replace("/msg/", "/")
    path = write_mcap(tmp_path / "talk.mcap", kind, "ros1", data, "ros1", summary=summary)
    with open_source(str(path)) as source:
        assert (source.frame_count, source.rate_hz) == (3, pytest.approx(15.0))
    assert stamps(path) == [100.0, 101.0, 102.0]
    assert not caplog.messages


def png():
    return bytes(compressed(0).data)


def values_of(name, number):
    """The fields of a message of Foxglove, without its time."""
    if name == "CompressedImage":
        return {"data": png(), "format": "png"}
    return {"width": 8, "height": 6, "encoding": "bgr8", "step": 24, "data": bytes(raw(number).data)}


def protobuf_message(name, number):
    """A message as Google's library writes it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

    kinds = {"time": 11, "text": 9, "bytes": 12, "number": 7}
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="foxglove", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name=name)
    for field, kind, place in foxglove._FIELDS[name]:
        each = message.field.add(name=field, number=place, type=kinds[kind], label=1)
        if kind == "time":
            each.type_name = ".google.protobuf.Timestamp"
    message.field.add(name="message_id", number=100, type=9, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"foxglove.{name}"))(
        frame_id="camera", message_id="one", **values_of(name, number)
    )
    made.timestamp.seconds = 100 + number
    return made.SerializeToString()


def json_message(name, number):
    values = values_of(name, number)
    time = {"sec": 100 + number, "nsec": 0}
    return json.dumps(
        {**values, "timestamp": time, "data": base64.b64encode(values["data"]).decode()}
    ).encode()


def ros_message(store, serialize):
    def make(name, number):
        kind = f"foxglove_msgs/msg/{name}"
        values = values_of(name, number)
        time = store.types["builtin_interfaces/msg/Time"](sec=100 + number, nanosec=0)
        values["data"] = np.frombuffer(values["data"], np.uint8)
        more = {"message_id": "one"} if name == "CompressedImage" else {}
        message = store.types[kind](timestamp=time, frame_id="camera", **values, **more)
        return getattr(store, serialize)(message, kind)

    return make


@pytest.mark.parametrize("name", ["CompressedImage", "RawImage"])
@pytest.mark.parametrize(
    ("encoding", "kind", "make"),
    [
        ("protobuf", "foxglove.{}", protobuf_message),
        ("json", "foxglove.{}", json_message),
        ("cdr", "foxglove_msgs/msg/{}", ros_message(ROS2, "serialize_cdr")),
        ("ros1", "foxglove_msgs/{}", ros_message(ROS1, "serialize_ros1")),
    ],
    ids=["protobuf", "json", "ros2", "ros1"],
)
def test_images_in_foxglove_s_schemas_are_read(tmp_path, caplog, name, encoding, kind, make):
    messages = [make(name, number) for number in range(3)]
    path = write_mcap(tmp_path / "talk.mcap", kind.format(name), encoding, messages)
    assert stamps(path) == [100.0, 101.0, 102.0]
    assert not caplog.messages


@pytest.mark.parametrize("name", ["CompressedImage", "RawImage"])
@pytest.mark.parametrize("make", [protobuf_message, json_message, ros_message(ROS2, "serialize_cdr")])
def test_a_damaged_message_of_foxglove_is_skipped(tmp_path, caplog, name, make):
    encoding = {protobuf_message: "protobuf", json_message: "json"}.get(make, "cdr")
    kind = f"foxglove_msgs/msg/{name}" if encoding == "cdr" else f"foxglove.{name}"
    good = [make(name, number) for number in range(4)]
    path = write_mcap(
        tmp_path / "talk.mcap", kind, encoding, [good[0], good[1][:30], b"\xff" * 40, good[3]], summary=False
    )
    assert stamps(path) == [100.0, 103.0]
    assert "2 images were skipped" in caplog.text


def video_messages(codec, options):
    """Each image of a video with what decodes it: gray values that grow."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = 64, 48, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 10), 10
    context.options = options
    packets = []
    for number in range(8):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 30 * number, np.uint8), format="rgb24")
        frame.pts = number
        packets += context.encode(frame)
    return sorted([*packets, *context.encode(None)], key=lambda packet: packet.dts)


@pytest.mark.parametrize("kind", ["foxglove.CompressedVideo", "sensor_msgs/msg/CompressedImage"])
@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libvpx-vp9", "vp9")])
def test_a_video_in_messages_is_decoded(tmp_path, kind, codec, name):
    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg is built without {codec}")
    options = {"tune": "zerolatency"} if codec == "libx264" else {"lag-in-frames": "0"}
    messages = []
    for number, packet in enumerate(video_messages(codec, options)):
        if kind.startswith("foxglove"):
            time = {"sec": 100 + number, "nsec": 0}
            data = {"timestamp": time, "format": name, "data": base64.b64encode(bytes(packet)).decode()}
            messages.append(json.dumps(data).encode())
        else:
            message = compressed(number, bytes(packet))
            message.format = name
            messages.append(ROS2.serialize_cdr(message, kind))
    encoding = "json" if kind.startswith("foxglove") else "cdr"
    with open_source(str(write_mcap(tmp_path / "talk.mcap", kind, encoding, messages))) as source:
        frames = list(source)
    assert [frame.stamp_s for frame in frames] == [100.0 + number for number in range(8)]
    assert [frame.image.mean() for frame in frames] == pytest.approx([30 * n for n in range(8)], abs=4)
    # Without its first key frame, nothing can be decoded.
    path = write_mcap(tmp_path / "cut.mcap", kind, encoding, messages[1:])
    with open_source(str(path)) as source, pytest.raises(SourceError, match="no image of /image can be read"):
        list(source)


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        ("foxglove.CompressedImage", "flatbuffer"),
        ("ffmpeg_image_transport_msgs/msg/FFMPEGPacket", "cdr"),
        ("my.robot.CameraImage", "protobuf"),
        ("sensor_msgs/msg/Image", "json"),
    ],
)
def test_images_that_are_not_supported_are_named(tmp_path, kind, encoding):
    path = write_mcap(tmp_path / "talk.mcap", kind, encoding, [b"data"])
    with pytest.raises(SourceError, match=f"/image has {kind} in {encoding}, which is not supported"):
        open_source(str(path))


@pytest.mark.parametrize(("storage", "name"), [("sqlite3", "bag.db3"), ("mcap", "bag.mcap")])
@pytest.mark.parametrize("place", ["folder", "file"])
def test_compressed_messages_are_read_without_metadata(tmp_path, storage, name, place):
    path = write_bag(tmp_path / "bag", {"/image": [raw(n) for n in range(3)]}, storage, "message")
    (path / "metadata.yaml").unlink()
    assert stamps(path / name if place == "file" else path) == [100.0, 101.0, 102.0]


def test_a_compressed_message_has_a_limit(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("social_perception.sources.bag_messages.MAX_CHUNK_BYTES", 100_000)
    big = _zstd().compress(bytes(10_000_000))
    good = ROS2.serialize_cdr(raw(0), "sensor_msgs/msg/Image")
    path = write_mcap(tmp_path / "talk.mcap", "sensor_msgs/msg/Image", "cdr", [good, big], "ros2")
    assert stamps(path) == [100.0]
    assert "too large" in caplog.text


@pytest.mark.parametrize(("storage", "name"), [("sqlite3", "bag.db3"), ("mcap", "bag.mcap")])
@pytest.mark.parametrize("place", ["folder", "file", "renamed"])
def test_files_that_were_compressed_as_a_whole_are_read(tmp_path, monkeypatch, storage, name, place):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    path = write_bag(tmp_path / "bag", {"/image": [raw(n) for n in range(3)]}, storage, "file")
    packed = path / f"{name}.zstd"
    assert packed.is_file()
    (path / "metadata.yaml").unlink()
    if place == "renamed":
        packed = packed.rename(tmp_path / f"talk{packed.suffixes[0]}.zst")
    assert bag_names.is_bag(path if place == "folder" else packed)
    assert stamps(path if place == "folder" else packed) == [100.0, 101.0, 102.0]
    assert list(temporary.iterdir()) == []


def test_a_compressed_file_that_ends_early_gives_what_is_there(tmp_path, caplog):
    path = tmp_path / "talk.mcap.zstd"
    data = [ROS2.serialize_cdr(raw(n), "sensor_msgs/msg/Image") for n in range(3)]
    plain = write_mcap(tmp_path / "talk.mcap", "sensor_msgs/msg/Image", "cdr", data, "ros2").read_bytes()
    parts = [_zstd().compress(plain[:1000]), _zstd().compress(plain[1000:])]
    path.write_bytes(b"".join(parts))
    assert stamps(path) == [100.0, 101.0, 102.0]
    path.write_bytes(parts[0] + parts[1][: len(parts[1]) // 2])
    assert stamps(path)[0] == 100.0
    assert "talk.mcap.zstd is damaged, the rest is lost" in caplog.text
    path.write_bytes(b"words")
    with pytest.raises(SourceError, match=r"talk\.mcap\.zstd is not a bag that can be read"):
        open_source(str(path))


def test_a_compressed_file_does_not_fill_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "talk.mcap.zstd"
    path.write_bytes(_zstd().compress(bytes(10_000_000)))
    monkeypatch.setattr("social_perception.sources.mcap_scan.MIN_FREE_BYTES", 1 << 60)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SourceError, match=r"talk.mcap.zstd cannot be unpacked: No space left on device"):
        open_source(str(path))
    assert [each.name for each in tmp_path.iterdir()] == ["talk.mcap.zstd"]


def write_ros1(path, compression=None):
    from rosbags import rosbag1

    writer = rosbag1.Writer(path)
    if compression:
        writer.set_compression(rosbag1.Writer.CompressionFormat[compression])
    with writer:
        connection = writer.add_connection("/image", "sensor_msgs/msg/Image", typestore=ROS1)
        for number in range(3):
            data = ROS1.serialize_ros1(ros1_message(raw, number), "sensor_msgs/msg/Image")
            writer.write(connection, (50 + number) * 10**9, data)
    return path


@pytest.mark.parametrize("compression", [None, "BZ2", "LZ4"])
@pytest.mark.parametrize("name", ["talk.bag", "talk.bag.active"])
def test_a_bag_of_ros_1_without_an_index_is_read(tmp_path, caplog, compression, name):
    path = write_ros1(tmp_path / "whole.bag", compression)
    assert stamps(path) == [100.0, 101.0, 102.0]
    cut = tmp_path / name
    cut.write_bytes(without_index(path.read_bytes()))
    assert bag_names.is_bag(cut)
    assert stamps(cut) == [100.0, 101.0, 102.0]
    assert f"{name} is not a complete bag" in caplog.text


def without_index(data):
    """As the recorder writes it until it is stopped: the header says 0, and nothing follows the chunks."""
    place = data.index(b"index_pos=") + len(b"index_pos=")
    (end,) = struct.unpack_from("<Q", data, place)
    return data[:place] + bytes(8) + data[place + 8 : end]


@pytest.mark.parametrize("keep", [0.85, 0.95])
def test_a_bag_of_ros_1_whose_recorder_was_killed_gives_whole_messages(tmp_path, caplog, keep):
    data = bytearray(without_index(write_ros1(tmp_path / "whole.bag").read_bytes()))
    # The last chunk has no length yet: its records follow it in the file.
    place = data.index(b"size=") + 9
    chunk = struct.unpack_from("<I", data, place)[0]
    data[place : place + 4] = bytes(4)
    path = tmp_path / "talk.bag.active"
    path.write_bytes(bytes(data[: place + 4 + int(keep * chunk)]))
    found = stamps(path)
    assert found == [100.0, 101.0, 102.0][: len(found)]
    assert 1 <= len(found) < 3
    assert "the rest is lost" in caplog.text


def test_what_is_no_bag_of_ros_1_is_an_error(tmp_path):
    path = tmp_path / "talk.bag"
    path.write_bytes(b"#ROSBAG V1.2\n" + bytes(100))
    with pytest.raises(SourceError, match="is not a bag that can be read"):
        open_source(str(path))
