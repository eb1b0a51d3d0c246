import io

import numpy as np
import pytest
import yaml
from PIL import Image

from social_perception.core.errors import SourceError
from social_perception.sources.factory import open_source

rosbags = pytest.importorskip("rosbags.rosbag2")
typesys = pytest.importorskip("rosbags.typesys")

STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
TYPES = STORE.types
PICTURE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def header(index):
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=100 + index, nanosec=0)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")


def raw(index, padding=0):
    rows = np.pad(PICTURE[:, :, ::-1].reshape(6, 24), ((0, 0), (0, padding)))
    return TYPES["sensor_msgs/msg/Image"](
        header=header(index), height=6, width=8, encoding="bgr8", is_bigendian=0, step=24 + padding,
        data=np.ascontiguousarray(rows).ravel(),
    )  # fmt: skip


def compressed(index, data=None):
    if data is None:
        buffer = io.BytesIO()
        Image.fromarray(PICTURE).save(buffer, "PNG")
        data = buffer.getvalue()
    kind = TYPES["sensor_msgs/msg/CompressedImage"]
    return kind(header=header(index), format="png", data=np.frombuffer(data, np.uint8))


def write_bag(path, topics, storage="sqlite3", compression="none"):
    writer = rosbags.Writer(path, version=9, storage_plugin=rosbags.StoragePlugin[storage.upper()])
    writer.set_compression(rosbags.CompressionMode[compression.upper()], rosbags.CompressionFormat.ZSTD)
    with writer:
        for topic, messages in topics.items():
            kind = messages[0].__msgtype__
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for index, message in enumerate(messages):
                writer.write(connection, (50 + index) * 10**9, STORE.serialize_cdr(message, kind))
    return path


def stamps(spec):
    with open_source(str(spec)) as source:
        frames = list(source)
    assert all((frame.image == PICTURE).all() for frame in frames)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return [frame.stamp_s for frame in frames]


def large(index):
    """More than half a megabyte, so that rosbags ends a chunk with every second one."""
    image = np.tile(PICTURE, (80, 60, 1))
    message = raw(index)
    message.height, message.width, message.step = 480, 480, 1440
    message.data = image[:, :, ::-1].ravel().copy()
    return message


@pytest.mark.parametrize(
    "make", [raw, lambda index: raw(index, padding=5), compressed], ids=["raw", "padded", "png"]
)
def test_images_and_stamps_are_read(tmp_path, make):
    path = write_bag(tmp_path / "bag", {"/camera/image": [make(0), make(1), make(2)]})
    with open_source(str(path)) as source:
        assert (source.live, source.frame_count) == (False, 3)
        frames = list(source)
    assert [(frame.index, frame.stamp_s) for frame in frames] == [(0, 100.0), (1, 101.0), (2, 102.0)]
    assert all((frame.image == PICTURE).all() for frame in frames)


def test_a_topic_can_be_chosen(tmp_path):
    path = write_bag(tmp_path / "bag", {"/one": [raw(0)], "/two": [raw(0), raw(1)]})
    with open_source(f"{path}?topic=/two") as source:
        assert len(list(source)) == 2
    with pytest.raises(SourceError, match="has no images of /three; it has /one, /two"):
        open_source(f"{path}?topic=/three")


def test_a_damaged_image_is_skipped(tmp_path, caplog):
    path = write_bag(tmp_path / "bag", {"/image": [compressed(0), compressed(1, b"words"), compressed(2)]})
    with open_source(str(path)) as source:
        assert [frame.stamp_s for frame in source] == [100.0, 102.0]
    assert "skipped" in caplog.text


def test_a_bag_without_images_is_an_error(tmp_path):
    text = TYPES["std_msgs/msg/String"](data="hello")
    path = write_bag(tmp_path / "bag", {"/words": [text]})
    with pytest.raises(SourceError, match="has no images"):
        open_source(str(path))


@pytest.mark.parametrize(
    ("storage", "compression"),
    [("sqlite3", "none"), ("sqlite3", "message"), ("sqlite3", "file"),
     ("mcap", "none"), ("mcap", "message"), ("mcap", "file"), ("mcap", "storage")],
)  # fmt: skip
def test_every_storage_and_compression_of_folders_is_read(tmp_path, storage, compression):
    path = write_bag(tmp_path / "bag", {"/image": [raw(n) for n in range(3)]}, storage, compression)
    assert stamps(path) == [100.0, 101.0, 102.0]


# How messages or whole files are compressed only the metadata of the folder says.
@pytest.mark.parametrize(
    ("storage", "compression", "name"),
    [("sqlite3", "none", "bag.db3"), ("mcap", "none", "bag.mcap"), ("mcap", "storage", "bag.mcap")],
)
def test_single_files_are_read(tmp_path, storage, compression, name):
    path = write_bag(tmp_path / "bag", {"/image": [raw(n) for n in range(3)]}, storage, compression)
    assert stamps(path / name) == [100.0, 101.0, 102.0]


@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_chunks_of_others_are_read_whole_and_cut_off(tmp_path, caplog, compression, is_whole):
    path = tmp_path / "camera.mcap"
    path.write_bytes(mcap_file(compression, chunks=3, per_chunk=2, is_whole=is_whole))
    found = stamps(path)
    assert found == [100.0 + n for n in range(6)][: len(found)]
    assert len(found) == 6 if is_whole else 4 <= len(found) < 6
    assert ("is not a complete bag" in caplog.text) is not is_whole


def mcap_file(compression, chunks, per_chunk, is_whole):
    """As another recorder writes it: everything in chunks; cut off in the last one."""
    import struct

    import lz4.frame

    from social_perception.sources.mcap_scan import _zstd_decompressor

    zstd = __import__(type(_zstd_decompressor()[0]).__module__, fromlist=["compress"])
    compress = {"": bytes, "lz4": lz4.frame.compress, "zstd": getattr(zstd, "compress", None)}[compression]

    def text(value):
        return struct.pack("<I", len(value)) + value.encode()

    def record(code, content):
        return struct.pack("<BQ", code, len(content)) + content

    kind = "sensor_msgs/msg/Image"
    definition = STORE.generate_msgdef(kind, ros_version=2)[0]
    about = record(3, struct.pack("<H", 1) + text(kind) + text("ros2msg") + text(definition))
    about += record(4, struct.pack("<HH", 1, 1) + text("/image") + text("cdr") + text(""))
    file = b"\x89MCAP0\r\n" + record(1, text("ros2") + text("another"))
    for chunk in range(chunks):
        plain = about if chunk == 0 else b""
        for index in range(chunk * per_chunk, (chunk + 1) * per_chunk):
            data = bytes(STORE.serialize_cdr(raw(index), kind))
            plain += record(5, struct.pack("<HIQQ", 1, index, index + 1, index + 1) + data)
        packed = compress(plain)
        head = struct.pack("<QQQI", chunk * per_chunk, (chunk + 1) * per_chunk, len(plain), 0)
        whole = record(6, head + text(compression) + struct.pack("<Q", len(packed)) + packed)
        file += (
            whole if is_whole or chunk < chunks - 1 else whole[: 9 + 40 + len(compression) + len(packed) // 2]
        )
    if is_whole:
        file += record(15, bytes(4)) + record(2, bytes(20)) + b"\x89MCAP0\r\n"
    return file


def test_an_mcap_file_without_its_end_gives_what_is_there(tmp_path, caplog):
    path = write_bag(tmp_path / "bag", {"/image": [raw(n) for n in range(3)]}, "mcap") / "bag.mcap"
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"rosbag2") - 13])
    assert stamps(path) == [100.0, 101.0, 102.0]
    assert "bag.mcap is not a complete bag (" in caplog.text
    assert "it ends without an index" in caplog.text


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.99])
def test_an_mcap_file_cut_off_anywhere_gives_whole_images_only(tmp_path, keep):
    path = write_bag(tmp_path / "bag", {"/image": [large(n) for n in range(5)]}, "mcap") / "bag.mcap"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with open_source(str(path)) as source:
        frames = list(source)
    assert [frame.stamp_s for frame in frames] == [100.0 + n for n in range(int(keep * 5))]
    assert all((frame.image[:6, :8] == PICTURE).all() for frame in frames)


# The head of what is compressed, and some of its content, which nothing but the messages themselves guards.
@pytest.mark.parametrize("place", [53, 80])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_chunk_is_skipped(tmp_path, caplog, cut, place):
    path = (
        write_bag(tmp_path / "bag", {"/image": [large(n) for n in range(6)]}, "mcap", "storage") / "bag.mcap"
    )
    data = bytearray(path.read_bytes())
    # Two images make a chunk; the second of three begins with its code and its length.
    from rosbags.rosbag2.storage_mcap import McapReader

    reader = McapReader(path)
    reader.open()
    second = reader.chunks[1].chunk_start_offset
    reader.close()
    data[second + place : second + place + 10] = bytes(10)
    path.write_bytes(data[:-40] if cut else data)
    with open_source(str(path)) as source:
        assert [frame.stamp_s for frame in source] == [100.0, 101.0, 104.0, 105.0]
    assert "damaged" in caplog.text


def test_a_bag_split_into_files_is_read_as_one(tmp_path):
    path = split(tmp_path)
    assert stamps(path) == [100.0 + n for n in range(12)]


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_a_folder_whose_recorder_was_killed_is_read_file_by_file(tmp_path, caplog, storage):
    path = split(tmp_path, storage)
    (path / "metadata.yaml").unlink()
    assert stamps(path) == [100.0 + n for n in range(12)]
    assert "split is not a complete bag" in caplog.text


def split(tmp_path, storage="sqlite3"):
    """A bag of twelve files, whose names sort otherwise than their numbers."""
    whole = tmp_path / "split"
    parts = [write_bag(tmp_path / f"part{n}", {"/image": [raw(n)]}, storage) for n in range(12)]
    whole.mkdir()
    names = []
    for number, part in enumerate(parts):
        (file,) = (each for each in part.iterdir() if each.suffix != ".yaml")
        names.append(f"split_{number}{file.suffix}")
        file.rename(whole / names[-1])
    metadata = yaml.safe_load((parts[0] / "metadata.yaml").read_text())
    inner = metadata["rosbag2_bagfile_information"]
    inner["relative_file_paths"] = names
    inner["message_count"] = inner["topics_with_message_count"][0]["message_count"] = 12
    (whole / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return whole


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda metadata: metadata.update(version=99), "Rosbag2 version 99 not supported"),
        (lambda metadata: metadata.pop("storage_identifier"), "storage_identifier"),
        (lambda metadata: metadata.update(relative_file_paths=["other.db3"]), "missing"),
    ],
    ids=["version", "key", "file"],
)
def test_metadata_that_is_not_understood_is_reported_and_ignored(tmp_path, caplog, change, reason):
    path = write_bag(tmp_path / "bag", {"/image": [raw(0)]})
    metadata = yaml.safe_load((path / "metadata.yaml").read_text())
    change(metadata["rosbag2_bagfile_information"])
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    assert stamps(path) == [100.0]
    assert reason in caplog.text


def test_messages_in_a_log_that_is_not_read_are_reported(tmp_path, caplog):
    path = write_bag(tmp_path / "bag", {"/image": [raw(0)]})
    (path / "bag.db3-wal").write_bytes(b"newer")
    assert stamps(path) == [100.0]
    assert "bag.db3-wal holds messages that are not read" in caplog.text


def test_images_of_colour_are_taken_before_depth(tmp_path, caplog):
    topics = {"/camera/depth/image": [raw(0)], "/camera/color/image": [raw(1)], "/other/image": [raw(2)]}
    path = write_bag(tmp_path / "bag", topics)
    assert stamps(path) == [101.0]
    assert "/camera/color/image is used, --topic chooses another" in caplog.text
    assert stamps(f"{path}?topic=camera/depth/image") == [100.0]


def test_a_topic_of_what_is_no_bag_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="is no bag: it has no topics"):
        open_source(f"{tmp_path}?topic=/image")


def test_messages_of_unknown_kinds_beside_the_images_do_not_matter(tmp_path):
    path = tmp_path / "bag"
    with rosbags.Writer(path, version=9) as writer:
        strange = writer.add_connection(
            "/strange", "strange_msgs/msg/Strange", msgdef="not a definition", rihs01="RIHS01_0"
        )
        writer.write(strange, 1, b"\0\1\0\0")
        connection = writer.add_connection("/image", "sensor_msgs/msg/Image", typestore=STORE)
        writer.write(connection, 2, STORE.serialize_cdr(raw(0), "sensor_msgs/msg/Image"))
    assert stamps(path) == [100.0]


def test_stamps_are_to_the_last_bit_what_nodes_compute(tmp_path):
    message = raw(0)
    message.header.stamp.sec, message.header.stamp.nanosec = 1_700_000_000, 123_456_789
    unstamped = raw(1)
    unstamped.header.stamp.sec = 0
    path = write_bag(tmp_path / "bag", {"/image": [message, unstamped]})
    # An image without a stamp has the time of recording, on the clock of the other ones.
    assert stamps(path) == [1_700_000_000 + 123_456_789 * 1e-9, 1_700_000_001 + 123_456_789 * 1e-9]


def test_a_topic_that_cannot_be_decoded_is_reported_once(tmp_path, caplog):
    messages = [raw(n) for n in range(4)]
    for message in messages:
        message.encoding = "32FC7"
    path = write_bag(tmp_path / "bag", {"/image": messages})
    with (
        open_source(str(path)) as source,
        pytest.raises(SourceError, match="no image of /image can be read"),
    ):
        next(source)
    assert caplog.text.count("32FC7") == 1
    assert "4 images were skipped" in caplog.text


@pytest.mark.parametrize("name", ["empty.mcap", "empty.db3", "empty.bag"])
def test_an_empty_file_is_one_clear_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(SourceError, match="is not a bag that can be read"):
        open_source(str(tmp_path / name))


def test_a_bag_without_any_message_is_an_error(tmp_path):
    with rosbags.Writer(tmp_path / "bag", version=9):
        pass
    with pytest.raises(SourceError, match="has no images"):
        open_source(str(tmp_path / "bag"))


def test_a_cut_off_database_is_one_clear_line(tmp_path):
    path = write_bag(tmp_path / "bag", {"/image": [large(n) for n in range(3)]}) / "bag.db3"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(SourceError, match="is not a bag that can be read"):
        open_source(str(path))


@pytest.mark.parametrize("name", ["recording.mcap", "recording.db3", "recording.bag"])
def test_what_is_no_bag_is_one_clear_line(tmp_path, name):
    path = tmp_path / name
    path.write_text("no recording")
    with pytest.raises(SourceError, match="is not a bag that can be read") as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)


def write_stamped(path, headers_s, recorded_s):
    """A bag of images with these header stamps, recorded at these times."""
    with rosbags.Writer(path, version=9) as writer:
        connection = writer.add_connection("/image", "sensor_msgs/msg/Image", typestore=STORE)
        for header_s, at_s in zip(headers_s, recorded_s):
            message = raw(0)
            sec, nanosec = divmod(round(header_s * 1e9), 10**9)
            message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
            data = STORE.serialize_cdr(message, "sensor_msgs/msg/Image")
            writer.write(connection, round(at_s * 1e9), data)
    return path


DAY_S = 1_700_000_000.0
TENTHS_S = [n / 10 for n in range(6)]
RECORDED_S = [DAY_S + time_s for time_s in TENTHS_S]
JUMP, NO_STAMP, CONSTANT = "stamps jump", "have no header stamp of their own", "never change"


@pytest.mark.parametrize(
    ("headers_s", "recorded_s", "times_s", "warning"),
    [
        ([12.0 + time_s for time_s in TENTHS_S], RECORDED_S, [12.0 + time_s for time_s in TENTHS_S], ""),
        # The camera's clock is set, forward or back; the recorder's is set, too.
        ([5.0, 5.1, 5.2, DAY_S, DAY_S + 0.1, DAY_S + 0.2], RECORDED_S, [5 + t for t in TENTHS_S], JUMP),
        ([50.0, 50.1, 50.2, 1.0, 1.1, 1.2], RECORDED_S, [50 + t for t in TENTHS_S], JUMP),
        ([5.0, 5.1, 5.2, 35.3, 35.4, 35.5], RECORDED_S, [5 + t for t in TENTHS_S], JUMP),
        (
            [5.0, 5.1, 5.2, DAY_S, DAY_S + 0.1],
            [5.0, 5.1, 5.2, DAY_S, DAY_S + 0.1],
            [5.0, 5.1, 5.2, 5.3, 5.4],
            JUMP,
        ),
        ([50.0, 50.1, 50.2, 1.0, 1.1], [50.0, 50.1, 50.2, 1.0, 1.1], [50.0, 50.1, 50.2, 50.3, 50.4], JUMP),
        # Some have no stamp: the first one, before the clock of the simulation was known, or any other.
        ([0.0, 12.1, 12.2, 12.3, 12.4, 12.5], RECORDED_S, [12 + t for t in TENTHS_S], NO_STAMP),
        ([0.0, 0.0, 0.0, 0.0, 12.4, 12.5], RECORDED_S, [12 + t for t in TENTHS_S], NO_STAMP),
        ([12.0, 12.1, 0.0, 12.3, 0.0, 0.0], RECORDED_S, [12 + t for t in TENTHS_S], NO_STAMP),
        ([12.0, 12.1, 12.1, 12.1, 12.1, 12.5], RECORDED_S, [12 + t for t in TENTHS_S], NO_STAMP),
        # A stamp that never changes, and one that is never set.
        ([7.0] * 6, RECORDED_S, RECORDED_S, CONSTANT),
        ([0.0] * 6, RECORDED_S, RECORDED_S, CONSTANT),
        ([0.0] * 4, [0.0] * 4, [0.0, 1 / 30, 2 / 30, 3 / 30], CONSTANT),
        ([-5.0 + time_s for time_s in TENTHS_S], RECORDED_S, [-5.0 + time_s for time_s in TENTHS_S], ""),
    ],
)
def test_images_of_a_topic_are_on_one_clock_that_never_jumps(
    tmp_path, caplog, headers_s, recorded_s, times_s, warning
):
    path = write_stamped(tmp_path / "bag", headers_s, recorded_s)
    with open_source(str(path)) as source:
        found = [frame.stamp_s for frame in source]
    assert found == pytest.approx(times_s, abs=1e-6)
    assert len(caplog.messages) == bool(warning)
    assert warning in caplog.text


def test_a_recorder_s_clock_that_is_set_has_no_rate(tmp_path):
    path = write_stamped(tmp_path / "bag", [5.0, 5.1, DAY_S], [5.0, 5.1, DAY_S])
    with open_source(str(path)) as source:
        assert source.rate_hz is None
