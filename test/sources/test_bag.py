import io

import numpy as np
import pytest
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


def write_bag(path, topics):
    with rosbags.Writer(path, version=9) as writer:
        for topic, messages in topics.items():
            kind = messages[0].__msgtype__
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for index, message in enumerate(messages):
                writer.write(connection, index * 1_000_000_000, STORE.serialize_cdr(message, kind))
    return path


@pytest.mark.parametrize(
    "make", [raw, lambda index: raw(index, padding=5), compressed], ids=["raw", "padded", "png"]
)
def test_pictures_and_stamps_are_read(tmp_path, make):
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
    with pytest.raises(SourceError, match="has no pictures of /three; it has /one, /two"):
        open_source(f"{path}?topic=/three")


def test_a_damaged_picture_is_skipped(tmp_path, caplog):
    path = write_bag(tmp_path / "bag", {"/image": [compressed(0), compressed(1, b"words"), compressed(2)]})
    with open_source(str(path)) as source:
        assert [frame.stamp_s for frame in source] == [100.0, 102.0]
    assert "skipped" in caplog.text


def test_a_bag_without_pictures_is_an_error(tmp_path):
    text = TYPES["std_msgs/msg/String"](data="hello")
    path = write_bag(tmp_path / "bag", {"/words": [text]})
    with pytest.raises(SourceError, match="has no pictures"):
        open_source(str(path))


@pytest.mark.parametrize("name", ["recording.mcap", "recording.db3", "recording.bag"])
def test_what_is_no_bag_is_one_clear_line(tmp_path, name):
    path = tmp_path / name
    path.write_text("no recording")
    with pytest.raises(SourceError, match="is not a bag that can be read") as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)
