import contextlib
import io
import logging
import math
import socket
import struct
import threading

import numpy as np
import pytest
from PIL import Image

from social_perception.core.config import SourceConfig
from social_perception.core.errors import SourceError, SourceTimeout
from social_perception.sources.tcp import TcpSource
from social_perception.sources.tcp_protocol import MAGIC, Address, parse_address
from social_perception.sources.tcp_sender import TcpSender

LOOPBACK = Address("127.0.0.1", 0)


def jpeg(gray=100, size=(32, 24)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (gray, gray, gray)).save(buffer, "JPEG")
    return buffer.getvalue()


def message(gray=100, stamp_s=1.0):
    data = jpeg(gray)
    return struct.pack(">Id", len(data), stamp_s) + data


@pytest.fixture
def source():
    with TcpSource(LOOPBACK, SourceConfig(timeout_s=20.0, peer_timeout_s=20.0)) as opened:
        yield opened


def connect(source):
    return socket.create_connection((source.address.host, source.address.port), timeout=20)


def test_pictures_and_stamps_arrive(source):
    with TcpSender(source.address) as sender:
        for number, gray in enumerate([10, 120, 240]):
            image = np.full((48, 64, 3), gray, np.uint8)
            image[:, :32, 0] = 0
            sender.send(image, stamp_s=5.0 + number)
            frame = next(source)
            assert (frame.index, frame.stamp_s, frame.width, frame.height) == (number, 5.0 + number, 64, 48)
            assert np.abs(frame.image.astype(int) - image).mean() < 6


def test_a_picture_without_a_stamp_is_stamped_at_arrival(source):
    with TcpSender(source.address) as sender:
        sender.send(np.zeros((8, 8, 3), np.uint8), math.nan)
        assert next(source).stamp_s > 1.7e9


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (b"", "it vanished in the middle of the greeting"),
        (b"GET / HTTP/1.1\r\n\r\n", "wrong greeting"),
        (MAGIC + b"\0\0", "it vanished in the middle of a picture"),
        (MAGIC + message()[:100], "it vanished in the middle of a picture"),
        (MAGIC + struct.pack(">Id", 0xFFFFFFFF, 0.0), "announced a picture of 4294967295 bytes"),
        (MAGIC + struct.pack(">Id", 0, 0.0), "announced a picture of 0 bytes"),
        (MAGIC + struct.pack(">Id", 10, math.inf), "an infinite stamp"),
        (MAGIC + struct.pack(">Id", 5000, 0.0) + jpeg(), "it vanished in the middle of a picture"),
    ],
    ids=[
        "silent", "http", "half-header", "vanishes-in-picture", "lies-large", "lies-zero", "infinite-stamp",
        "lies-longer",
    ],
)  # fmt: skip
def test_a_bad_peer_is_named_and_the_next_one_is_served(source, sent, complaint, caplog):
    caplog.set_level(logging.WARNING)
    with connect(source) as peer:
        peer.sendall(sent)
    with connect(source) as peer:
        peer.sendall(MAGIC + message(gray=200, stamp_s=50.0))
        frame = next(source)
        assert frame.index == 0
        assert abs(int(frame.image.mean()) - 200) < 4
    assert complaint in caplog.text


@pytest.mark.parametrize("data", [b"0123456789", jpeg()[:300]], ids=["garbage", "half-jpeg"])
def test_a_damaged_picture_is_skipped_and_the_connection_stays(data, caplog):
    with (
        TcpSource(LOOPBACK, SourceConfig(timeout_s=0.1, peer_timeout_s=20.0)) as source,
        connect(source) as peer,
    ):
        peer.sendall(MAGIC + struct.pack(">Id", len(data), 1.0) + data)
        while "skipped" not in caplog.text:
            with pytest.raises(SourceTimeout):
                next(source)
        peer.sendall(message(stamp_s=2.0))
        assert next_patiently(source).stamp_s == 2.0


def next_patiently(source):
    frame = None
    while frame is None:
        with contextlib.suppress(SourceTimeout):
            frame = next(source)
    return frame


def test_a_picture_that_is_too_long_to_send_drops_the_peer(caplog):
    config = SourceConfig(timeout_s=0.1, peer_timeout_s=0.2)
    with TcpSource(LOOPBACK, config) as source, connect(source) as peer:
        peer.sendall(MAGIC + message()[:50])
        while "took too long" not in caplog.text:
            with pytest.raises(SourceTimeout):
                next(source)
        assert peer.recv(1) == b""


def test_the_newest_picture_wins(source):
    with connect(source) as peer:
        peer.sendall(MAGIC)
        peer.sendall(b"".join(message(gray=n, stamp_s=float(n)) for n in range(1, 101)))
        peer.shutdown(socket.SHUT_WR)
        # The receiver closes its end when it has read everything.
        assert peer.recv(1) == b""
    frame = next(source)
    assert (frame.stamp_s, frame.index) == (100.0, 0)


def test_silence_is_a_timeout_and_not_the_end():
    with TcpSource(LOOPBACK, SourceConfig(timeout_s=0.1)) as source:
        with pytest.raises(SourceTimeout, match=r"has received no picture for 0\.1 s"):
            next(source)
        with TcpSender(source.address) as sender:
            sender.send(np.zeros((8, 8, 3), np.uint8), 1.0)
            assert next_patiently(source).stamp_s == 1.0


def test_time_goes_on_when_a_new_peer_is_behind(source):
    stamps = []
    for first in (100.0, 0.0):
        with TcpSender(source.address) as sender:
            for number in range(3):
                sender.send(np.zeros((8, 8, 3), np.uint8), first + number)
                stamps.append(next(source).stamp_s)
    assert stamps[:3] == [100.0, 101.0, 102.0]
    assert 102.0 < stamps[3] < 122.0
    assert np.diff(stamps[3:]) == pytest.approx([1.0, 1.0])


def test_a_picture_from_the_past_is_left_out():
    with TcpSource(LOOPBACK, SourceConfig(timeout_s=0.1, peer_timeout_s=20.0)) as source:
        with connect(source) as peer:
            peer.sendall(MAGIC + message(stamp_s=10.0))
            assert next_patiently(source).stamp_s == 10.0
            peer.sendall(message(stamp_s=9.0))
            peer.shutdown(socket.SHUT_WR)
            # The receiver closes its end when it has read everything.
            assert peer.recv(1) == b""
        with pytest.raises(SourceTimeout):
            next(source)


def test_a_taken_port_is_an_error(source):
    with pytest.raises(SourceError, match="cannot listen on tcp://127"):
        TcpSource(source.address, SourceConfig())


def test_nobody_listening_is_an_error(source):
    address = source.address
    source.close()
    with pytest.raises(SourceError, match="nobody listens on tcp://127"):
        TcpSender(address)


def test_a_sender_waits_for_its_receiver():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", probe.getsockname()[1])
    late = []
    starter = threading.Timer(0.1, lambda: late.append(TcpSource(address, SourceConfig(timeout_s=20.0))))
    starter.start()
    with TcpSender(address, wait_s=20.0) as sender:
        starter.join()
        sender.send(np.zeros((8, 8, 3), np.uint8), 1.0)
        with late[0] as source:
            assert next(source).stamp_s == 1.0


def test_a_receiver_that_goes_is_an_error(source):
    with TcpSender(source.address) as sender:
        sender.send(np.zeros((8, 8, 3), np.uint8), 1.0)
        next(source)
        source.close()
        with pytest.raises(SourceError, match=r"closed the connection|takes no pictures"):
            send_many(sender)


def send_many(sender):
    for number in range(2, 2000):
        sender.send(np.zeros((8, 8, 3), np.uint8), float(number))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("tcp://:5005", Address("127.0.0.1", 5005)),
        ("tcp://0.0.0.0:1", Address("0.0.0.0", 1)),
        ("tcp://[::1]:5005", Address("::1", 5005)),
        ("tcp://robot:5005/", Address("robot", 5005)),
    ],
)
def test_addresses(spec, expected):
    assert parse_address(spec) == expected


@pytest.mark.parametrize(
    "spec", ["tcp://robot", "udp://robot:1", "tcp://robot:x", "tcp://robot:99999", "tcp://a:1/b"]
)
def test_what_is_no_address(spec):
    with pytest.raises(SourceError, match="is not an address"):
        parse_address(spec)
