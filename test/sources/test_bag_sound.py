import io
import struct

import av
import numpy as np
import pytest

from social_perception.sources.factory import open_source

rosbags = pytest.importorskip("rosbags.rosbag2")
typesys = pytest.importorskip("rosbags.typesys")

RATE_HZ = 16_000
STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
for name, text in {
    "AudioData": "uint8[] data",
    "AudioDataStamped": "std_msgs/Header header\naudio_common_msgs/AudioData audio",
    "AudioInfo": (
        "uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\nstring coding_format"
    ),
}.items():
    STORE.register(typesys.get_types_from_msg(text, f"audio_common_msgs/msg/{name}"))
AUDIO, STAMPED, INFO = (
    STORE.types[f"audio_common_msgs/msg/{name}"] for name in ("AudioData", "AudioDataStamped", "AudioInfo")
)


def header(stamp_s):
    time = STORE.types["builtin_interfaces/msg/Time"](sec=int(stamp_s), nanosec=round(stamp_s % 1 * 1e9))
    return STORE.types["std_msgs/msg/Header"](stamp=time, frame_id="")


def image(stamp_s):
    return STORE.types["sensor_msgs/msg/Image"](
        header=header(stamp_s), height=2, width=2, encoding="rgb8", is_bigendian=0, step=6,
        data=np.zeros(12, np.uint8),
    )  # fmt: skip


def info(channels=1, rate_hz=RATE_HZ, sample_format="S16LE", coding="wave"):
    return INFO(
        channels=channels, sample_rate=rate_hz, sample_format=sample_format, bitrate=0, coding_format=coding
    )


def audio(data):
    return AUDIO(data=np.frombuffer(data, np.uint8))


def stamped(data, stamp_s):
    return STAMPED(header=header(stamp_s), audio=audio(data))


def pcm(samples):
    return np.rint(np.asarray(samples) * 32767).astype("<i2").tobytes()


def beep(at_s=2.0, seconds=4.0, rate_hz=RATE_HZ):
    time_s = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.sin(2 * np.pi * 1000 * time_s) * ((time_s >= at_s) & (time_s < at_s + 0.1))


def microphone(begins_s, kind="stamped", samples=None, chunk_s=0.1, rate_hz=RATE_HZ):
    """Messages with the times at which they were recorded: 20 ms after the last of their samples."""
    samples = beep(rate_hz=rate_hz) if samples is None else samples
    messages = []
    for index, part in enumerate(np.split(samples, round(len(samples) / rate_hz / chunk_s))):
        start_s = begins_s + index * chunk_s
        message = stamped(pcm(part), start_s) if kind == "stamped" else audio(pcm(part))
        messages.append((start_s + chunk_s + 0.02, message))
    return messages


def camera(begins_s, recorded_s=None, seconds=4):
    """Ten images a second, recorded 50 ms after their stamp, or by another clock."""
    recorded_s = begins_s if recorded_s is None else recorded_s
    return [(recorded_s + n / 10 + 0.05, image(begins_s + n / 10)) for n in range(10 * seconds + 1)]


def write_bag(path, topics, storage="mcap"):
    entries = sorted(
        ((when_s, topic, message) for topic, messages in topics.items() for when_s, message in messages),
        key=lambda entry: entry[0],
    )
    with rosbags.Writer(path, version=9, storage_plugin=rosbags.StoragePlugin[storage.upper()]) as writer:
        connections = {}
        for when_s, topic, message in entries:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], round(when_s * 1e9), STORE.serialize_cdr(message, kind))
    return path


def write_mcap_without_chunks(path, topics):
    """As rosbag2 does with its preset ``fastwrite``: rosbags reads such a file in one pass."""

    def text(value):
        return struct.pack("<I", len(value)) + value.encode()

    def record(code, content):
        return struct.pack("<BQ", code, len(content)) + content

    entries, about = [], b""
    for number, (topic, messages) in enumerate(topics.items(), 1):
        kind = messages[0][1].__msgtype__
        definition = STORE.generate_msgdef(kind, ros_version=2)[0]
        about += record(3, struct.pack("<H", number) + text(kind) + text("ros2msg") + text(definition))
        about += record(4, struct.pack("<HH", number, number) + text(topic) + text("cdr") + text(""))
        entries += [(round(s * 1e9), number, bytes(STORE.serialize_cdr(m, kind))) for s, m in messages]
    entries.sort()
    file = b"\x89MCAP0\r\n" + record(1, text("ros2") + text("test")) + about
    for time_ns, number, data in entries:
        file += record(5, struct.pack("<HIQQ", number, 0, time_ns, time_ns) + data)
    file += record(15, bytes(4))
    counts = b"".join(struct.pack("<HQ", n, len(messages)) for n, messages in enumerate(topics.values(), 1))
    numbers = (len(entries), len(topics), len(topics), 0, 0, 0, entries[0][0], entries[-1][0], len(counts))
    summary = about + record(11, struct.pack("<QHIIIIQQI", *numbers) + counts)
    file += summary + record(2, struct.pack("<QQI", len(file), 0, 0)) + b"\x89MCAP0\r\n"
    path.write_bytes(file)
    return path


def frames_of(path):
    with open_source(str(path), sound=True) as source:
        assert source.sound_rate_hz == RATE_HZ
        return list(source)


def loud_at(frames):
    """When samples are louder than -20 dBFS, in s since the first frame."""
    sounds = [frame.sound for frame in frames]
    times_s = np.concatenate([sound.start_s + np.arange(len(sound.samples)) / RATE_HZ for sound in sounds])
    loud = times_s[np.abs(np.concatenate([sound.samples for sound in sounds])) > 0.1]
    return loud.min() - frames[0].stamp_s, loud.max() - frames[0].stamp_s


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize(
    ("kind", "stamp_s", "recorded_s", "tolerance_s"),
    [
        ("stamped", 1.7e9, 1.7e9, 1e-3),
        ("plain", 1.7e9, 1.7e9, 0.03),
        ("plain", 5.0, 1.7e9, 0.06),
    ],
    ids=["stamped", "unstamped", "images-of-simulated-time"],
)
def test_a_beep_is_in_the_sound_of_the_frames_at_its_time(
    tmp_path, storage, kind, stamp_s, recorded_s, tolerance_s
):
    topics = {
        "/camera": camera(stamp_s, recorded_s),
        "/mic/audio": microphone(recorded_s, kind),
        "/mic/audio_info": [(recorded_s, info())],
    }
    frames = frames_of(write_bag(tmp_path / "bag", topics, storage))
    assert len(frames) == 41
    assert loud_at(frames) == pytest.approx((2.0, 2.1), abs=tolerance_s)
    assert sum(frame.sound.duration_s for frame in frames) == pytest.approx(4.0, abs=0.1)
    # The camera's latency of 50 ms is no offset of the clocks, and shows nowhere.
    assert all(frame.sound.end_s <= frame.stamp_s + 1e-3 for frame in frames)


def test_images_and_sound_of_a_file_without_an_index_keep_their_places(tmp_path, caplog):
    topics = {
        "/camera": camera(100.0),
        "/audio": microphone(100.0),
        "/audio_info": [(100.0, info())],
    }
    frames = frames_of(write_mcap_without_chunks(tmp_path / "bag.mcap", topics))
    assert caplog.text == ""
    assert len(frames) == 41
    assert loud_at(frames) == pytest.approx((2.0, 2.1), abs=1e-3)


def test_stamps_are_used_where_a_bag_has_both(tmp_path):
    late = [(when_s + 0.5, message) for when_s, message in microphone(100.0, "plain")]
    topics = {"/camera": camera(100.0), "/audio": late, "/audio_stamped": microphone(100.0)}
    frames = frames_of(write_bag(tmp_path / "bag", topics))
    assert loud_at(frames) == pytest.approx((2.0, 2.1), abs=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels_and_rate_are_those_of_the_info_beside_the_sound(tmp_path, channels):
    samples = np.repeat(beep(rate_hz=44_100), channels)
    messages = microphone(100.0, samples=samples, rate_hz=44_100 * channels)
    topics = {
        "/camera": camera(100.0),
        "/other/audio_info": [(100.0, info(7, 8000))],
        "/mic/audio": messages,
        "/mic/audio_info": [(100.0, info(channels, 44_100))],
    }
    frames = frames_of(write_bag(tmp_path / "bag", topics))
    assert loud_at(frames) == pytest.approx((2.0, 2.1), abs=5e-3)


@pytest.mark.parametrize("has_info", [True, False])
def test_mp3_is_decoded(tmp_path, caplog, has_info):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.float32(beep()[None]), format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(io.BytesIO(buffer.getvalue())) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    step_s = 576 / RATE_HZ
    messages = [(100.0 + n * step_s, stamped(data, 100.0 + n * step_s)) for n, data in enumerate(packets)]
    topics = {"/camera": camera(100.0), "/audio": messages}
    if has_info:
        topics["/audio_info"] = [(100.0, info(coding="mp3"))]
    frames = frames_of(write_bag(tmp_path / "bag", topics))
    # The encoder's delay, and the parser's, which waits for the next message.
    assert loud_at(frames) == pytest.approx((2.0, 2.1), abs=0.12)
    assert ("read as MP3" in caplog.text) is not has_info


def test_a_damaged_message_is_reported_once_and_skipped(tmp_path, caplog):
    messages = microphone(100.0)
    for index in (5, 6, 7):
        messages[index][1].audio.data = np.zeros(33, np.uint8)
    topics = {"/camera": camera(100.0), "/audio": messages, "/audio_info": [(100.0, info())]}
    frames = frames_of(write_bag(tmp_path / "bag", topics))
    assert len(frames) == 41
    assert caplog.text.count("parts are skipped") == 1
    assert loud_at(frames) == pytest.approx((2.0, 2.1), abs=1e-3)
    assert sum(frame.sound.duration_s for frame in frames) == pytest.approx(3.7, abs=0.05)


def test_a_format_that_is_not_supported_costs_no_image(tmp_path, caplog):
    topics = {
        "/camera": camera(100.0),
        "/audio": microphone(100.0),
        "/audio_info": [(100.0, info(sample_format="F32LE"))],
    }
    with open_source(str(write_bag(tmp_path / "bag", topics)), sound=True) as source:
        assert source.sound_rate_hz is None
        assert [frame.sound for frame in source] == [None] * 41
    assert "sample format 'F32LE' is not supported" in caplog.text


@pytest.mark.parametrize("requested", [True, False])
def test_without_sound_or_a_request_frames_have_none(tmp_path, requested):
    topics = {"/camera": camera(100.0)} | ({} if requested else {"/audio": microphone(100.0)})
    with open_source(str(write_bag(tmp_path / "bag", topics)), sound=requested) as source:
        assert source.sound_rate_hz is None
        assert next(source).sound is None


def test_a_clock_of_images_that_is_set_back_takes_its_sound_with_it(tmp_path):
    first = camera(1000.0, 100.0, seconds=2)
    again = camera(0.0, 102.1, seconds=2)
    topics = {"/camera": first + again, "/audio": microphone(100.0, "plain", np.full(70_400, 0.5))}
    frames = frames_of(write_bag(tmp_path / "bag", topics))
    assert sum(frame.sound.duration_s for frame in frames) == pytest.approx(4.1, abs=0.1)
    for frame in frames[1:]:
        assert frame.sound.end_s == pytest.approx(frame.stamp_s, abs=1e-3)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("jump_s", [-3600.0, -10.0, 1e6])
def test_images_and_sound_go_on_together_where_the_clock_was_set(tmp_path, caplog, storage, jump_s):
    """The clock by which everything is stamped is set in the middle; there is a beep before and after it."""
    topics = {}
    for begins_s in (5000.0, 5004.0 + jump_s):
        topics.setdefault("/image", []).extend(camera(begins_s, seconds=4)[:40])
        topics.setdefault("/audio", []).extend(microphone(begins_s, samples=beep(2.0)))
    topics["/audio_info"] = [(4999.0, info())]
    path = write_in_order(tmp_path / "bag", topics, storage)
    frames = frames_of(path)
    assert [frame.stamp_s for frame in frames] == pytest.approx([5000 + n / 10 for n in range(80)], abs=1e-3)
    for at_s in (5002.0, 5006.0):
        near = [frame for frame in frames if abs(frame.stamp_s - at_s) < 1.0]
        begins_s = at_s - near[0].stamp_s
        assert loud_at(near) == pytest.approx((begins_s, begins_s + 0.1), abs=0.08)
    assert caplog.text.count("the jump is bridged") == 1


def write_in_order(path, topics, storage):
    """The topics' messages in turns, whatever their times are."""
    with rosbags.Writer(path, version=9, storage_plugin=rosbags.StoragePlugin[storage.upper()]) as writer:
        entries = []
        for topic, messages in topics.items():
            kind = messages[0][1].__msgtype__
            connection = writer.add_connection(topic, kind, typestore=STORE)
            entries += [(n / len(messages), connection, *each) for n, each in enumerate(messages)]
        for _, connection, when_s, message in sorted(entries, key=lambda entry: entry[0]):
            data = STORE.serialize_cdr(message, message.__msgtype__)
            writer.write(connection, round(when_s * 1e9), data)
    return path
