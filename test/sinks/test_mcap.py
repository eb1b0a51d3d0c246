"""The container: what a reader finds in a whole file, and in one that was never completed."""

import errno
import struct
import zlib

import pytest

from social_perception.core.errors import OutputError
from social_perception.sinks.mcap_writer import MAGIC, Channel, McapWriter

lz4_frame = pytest.importorskip("lz4.frame")
rosbag2 = pytest.importorskip("rosbags.rosbag2")

STRING = Channel("/words", "std_msgs/msg/String", "string data", {"offered_qos_profiles": ""})
OTHER = Channel("/more", "std_msgs/msg/String", "string data", {})


def write(path, times_by_chunk, channels=(STRING, OTHER)):
    writer = McapWriter(path, channels, "test")
    for times in times_by_chunk:
        for number, time_ns in enumerate(times):
            writer.write(number % len(channels), time_ns, b"\0\1\0\0" + bytes([number]))
        writer.flush()
    return writer


def messages(path):
    with rosbag2.Reader(path) as reader:
        return [(connection.topic, time_ns, data) for connection, time_ns, data in reader.messages()]


def test_messages_come_back_in_the_order_of_their_times(tmp_path):
    path = tmp_path / "words.mcap"
    write(path, [(5, 1, 9), (3, 12)]).close("note", {"key": "value"})
    assert [(topic, time_ns) for topic, time_ns, _ in messages(path)] == [
        ("/more", 1), ("/words", 3), ("/words", 5), ("/words", 9), ("/more", 12),
    ]  # fmt: skip
    with rosbag2.Reader(path) as reader:
        assert (reader.start_time, reader.end_time, reader.message_count) == (1, 13, 5)
        assert {each.topic: each.msgcount for each in reader.connections} == {"/words": 3, "/more": 2}
        assert {each.msgdef.data for each in reader.connections} == {"string data"}


def records(data, place=8):
    """(place, code, content) of each record."""
    while place < len(data) and data[place : place + len(MAGIC)] != MAGIC:
        code, size = struct.unpack_from("<BQ", data, place)
        yield place, code, data[place + 9 : place + 9 + size]
        place += 9 + size


def test_indices_and_sums_are_those_of_the_specification(tmp_path):
    path = tmp_path / "words.mcap"
    write(path, [(5, 1, 9), (3, 12)]).close("note", {"key": "value"})
    data = path.read_bytes()
    found = list(records(data))
    codes = [code for _, code, _ in found]
    assert codes == [1, 3, 4, 4, 6, 7, 7, 6, 7, 7, 12, 15, 3, 4, 4, 8, 8, 13, 11, 14, 14, 14, 14, 14, 2]
    end, _, data_crc = found[codes.index(15)]
    assert struct.unpack("<I", data_crc) == (zlib.crc32(data[:end]),)
    start, offsets, crc = struct.unpack("<QQI", found[-1][2])
    assert (start, offsets) == (found[12][0], found[19][0])
    assert crc == zlib.crc32(data[start : -len(MAGIC) - 4])
    chunks = [(place, *read_chunk(content)) for place, code, content in found if code == 6]
    indices = [read_index(content) for _, code, content in found if code == 7]
    for (_, plain, crc), own in zip(chunks, (indices[:2], indices[2:])):
        assert crc == zlib.crc32(plain)
        for channel, entries in own:
            for time_ns, place in entries:
                code, _, number, _, log_ns = struct.unpack_from("<BQHIQ", plain, place)
                assert (code, number, log_ns) == (5, channel, time_ns)
    times = [sorted(time for _, each in own for time, _ in each) for own in (indices[:2], indices[2:])]
    assert times == [[1, 5, 9], [3, 12]]
    for (_, _, content), (place, *_) in zip(found[15:17], chunks):
        assert struct.unpack_from("<QQQ", content)[2] == place
    for _, _, content in found[19:24]:
        code, place, size = struct.unpack("<BQQ", content)
        assert {inner for _, inner, _ in records(data[: place + size], place)} == {code}


def read_chunk(content):
    *_, crc = struct.unpack_from("<QQQI", content)
    assert content[28:35] == b"\3\0\0\0lz4"
    return lz4_frame.decompress(content[43:]), crc


def read_index(content):
    channel, size = struct.unpack_from("<HI", content)
    return channel, list(struct.iter_unpack("<QQ", content[6 : 6 + size]))


def test_a_file_without_messages_is_a_whole_one(tmp_path):
    path = tmp_path / "words.mcap"
    write(path, []).close("note", {})
    assert messages(path) == []
    assert path.read_bytes().endswith(MAGIC)


def test_what_was_flushed_is_in_the_file_before_it_is_closed(tmp_path):
    path = tmp_path / "words.mcap"
    writer = write(path, [(1, 2)])
    before = path.read_bytes()
    writer.write(0, 3, b"\0\1\0\0late")
    assert path.read_bytes() == before
    assert writer.pending_bytes > 0
    writer.flush()
    assert len(path.read_bytes()) > len(before)
    assert writer.pending_bytes == 0
    writer.abort()


class FullDisk:
    """A file on a disk that takes some bytes more and then no others."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def write(self, data):
        taken = min(len(data), self.left)
        if taken == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= taken
        return self.file.write(data[:taken])

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.file.close()


def test_a_full_disk_leaves_whole_records_and_is_reported(tmp_path):
    path = tmp_path / "words.mcap"
    writer = write(path, [(1, 2)])
    whole = path.read_bytes()
    writer._file = FullDisk(writer._file, 20)
    writer.write(0, 3, b"\0\1\0\0late")
    with pytest.raises(OutputError, match=r"words.mcap cannot be written: No space left on device"):
        writer.flush()
    writer.abort()
    assert path.read_bytes() == whole


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(OutputError, match=r"words.mcap cannot be written: No such file or directory"):
        McapWriter(tmp_path / "nowhere" / "words.mcap", [STRING], "test")
