import contextlib
import hmac
import io
import logging
import math
import re
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from social_perception.core.config import SourceConfig
from social_perception.core.errors import ConfigurationError, SourceError, SourceTimeout
from social_perception.sources import tcp
from social_perception.sources.tcp import TcpSource
from social_perception.sources.tcp_protocol import MAGIC, MAGIC_WITH_TOKEN, Address, parse_address
from social_perception.sources.tcp_sender import TcpSender

LOOPBACK = Address("127.0.0.1", 0)
TOKEN = "a-very-secret-token"


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


def test_images_and_stamps_arrive(source):
    with TcpSender(source.address) as sender:
        for number, gray in enumerate([10, 120, 240]):
            image = np.full((48, 64, 3), gray, np.uint8)
            image[:, :32, 0] = 0
            sender.send(image, stamp_s=5.0 + number)
            frame = next(source)
            assert (frame.index, frame.stamp_s, frame.width, frame.height) == (number, 5.0 + number, 64, 48)
            assert np.abs(frame.image.astype(int) - image).mean() < 6


def test_an_image_without_a_stamp_is_stamped_at_arrival(source):
    with TcpSender(source.address) as sender:
        sender.send(np.zeros((8, 8, 3), np.uint8), math.nan)
        assert next(source).stamp_s > 1.7e9


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (b"", "it vanished in the middle of the greeting"),
        (b"GET / HTTP/1.1\r\n\r\n", "wrong greeting"),
        (MAGIC + b"\0\0", "it vanished in the middle of an image"),
        (MAGIC + message()[:100], "it vanished in the middle of an image"),
        (MAGIC + struct.pack(">Id", 0xFFFFFFFF, 0.0), "announced an image of 4294967295 bytes"),
        (MAGIC + struct.pack(">Id", 0, 0.0), "announced an image of 0 bytes"),
        (MAGIC + struct.pack(">Id", 10, math.inf), "a stamp of inf s"),
        (MAGIC + struct.pack(">Id", 10, -1e300), "a stamp of -1e+300 s"),
        (MAGIC + struct.pack(">Id", 5000, 0.0) + jpeg(), "it vanished in the middle of an image"),
    ],
    ids=[
        "silent", "http", "half-header", "vanishes-in-image", "lies-large", "lies-zero", "infinite-stamp",
        "absurd-stamp", "lies-longer",
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
def test_a_damaged_image_is_skipped_and_the_connection_stays(data, caplog):
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


def test_an_image_that_is_too_long_to_send_drops_the_peer(caplog):
    config = SourceConfig(timeout_s=0.1, peer_timeout_s=0.2)
    with TcpSource(LOOPBACK, config) as source, connect(source) as peer:
        peer.sendall(MAGIC + message()[:50])
        while "took too long" not in caplog.text:
            with pytest.raises(SourceTimeout):
                next(source)
        assert peer.recv(1) == b""


# Who may send.


@pytest.fixture
def guarded(monkeypatch):
    monkeypatch.setattr(tcp, "_PAUSE_S", 0.0)
    config = SourceConfig(timeout_s=20.0, peer_timeout_s=20.0, tcp_token=TOKEN)
    with TcpSource(LOOPBACK, config) as opened:
        yield opened


def test_who_knows_the_token_may_send_and_does_not_receive_it(guarded):
    with TcpSender(guarded.address, token=TOKEN) as sender:
        sender.send(np.zeros((8, 8, 3), np.uint8), 7.0)
        assert next(guarded).stamp_s == 7.0


def test_the_token_may_stand_in_a_file(tmp_path):
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    with (
        TcpSource(LOOPBACK, SourceConfig(timeout_s=20.0, tcp_token=f"@{secret}")) as source,
        TcpSender(source.address, token=TOKEN) as sender,
    ):
        sender.send(np.zeros((8, 8, 3), np.uint8), 7.0)
        assert next(source).stamp_s == 7.0


def test_a_file_without_a_token_is_refused_before_anything_listens(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        TcpSource(LOOPBACK, SourceConfig(tcp_token=f"@{tmp_path / 'missing'}"))


@pytest.mark.parametrize(
    ("set_here", "given", "error", "logged"),
    [
        (TOKEN, TOKEN + "x", "another token is set there", "it gave a wrong token"),
        ("", TOKEN, "no token is set there", "it requires a token, and none is set here"),
    ],
)
def test_both_ends_say_what_is_wrong_with_the_token(set_here, given, error, logged, caplog):
    config = SourceConfig(timeout_s=20.0, tcp_token=set_here)
    with TcpSource(LOOPBACK, config) as source, pytest.raises(SourceError, match=error):
        TcpSender(source.address, token=given)
    wait_for(lambda: logged in caplog.text)
    assert TOKEN not in caplog.text


def wait_for(condition, patience_s=20.0):
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (MAGIC + message(stamp_s=1.0), "it gave no token"),
        (MAGIC_WITH_TOKEN + b"s" * 32 + b"p" * 32 + message(stamp_s=1.0), "it gave a wrong token"),
        (MAGIC_WITH_TOKEN + b"s" * 31, "it vanished in the middle of the greeting"),
    ],
    ids=["no-token", "guessed", "vanishes"],
)
def test_without_the_token_no_image_is_taken(guarded, sent, complaint, caplog):
    with connect(guarded) as peer:
        peer.sendall(sent)
        with contextlib.suppress(OSError):  # it may have been dropped already
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(100):
                pass
    with TcpSender(guarded.address, token=TOKEN) as sender:
        sender.send(np.zeros((8, 8, 3), np.uint8), 50.0)
        assert (next(guarded).stamp_s, complaint in caplog.text) == (50.0, True)


def test_what_one_sender_has_proved_is_of_no_use_to_another(guarded):
    """A recorded greeting, sent again, does not fit the new challenge."""
    theirs = b"s" * 32
    with connect(guarded) as peer:
        peer.sendall(MAGIC_WITH_TOKEN + theirs)
        proof = hmac.new(TOKEN.encode(), b"sender" + theirs + receive(peer, 32), "sha256").digest()
        peer.sendall(proof)
        assert len(receive(peer, 32)) == 32
    with connect(guarded) as thief:
        thief.sendall(MAGIC_WITH_TOKEN + theirs + proof)
        assert len(receive(thief, 33)) == 32  # the challenge, and no answer


def test_the_greeting_that_the_page_shows_is_the_one_that_works(guarded):
    page = (Path(__file__).parents[2] / "docs" / "tcp_stream.md").read_text(encoding="utf-8")
    (example,) = [each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def greet" in each]
    names = {"socket": socket}
    exec(example, names)
    with connect(guarded) as peer:
        names["greet"](peer, TOKEN.encode())
        peer.sendall(message(stamp_s=7.0))
        assert next(guarded).stamp_s == 7.0


def receive(peer, size):
    """So many bytes, or fewer where the other end closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while len(found) < size and (block := peer.recv(size - len(found))):
            found += block
    return found


def test_a_receiver_that_does_not_know_the_token_gets_no_image():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address("127.0.0.1", server.getsockname()[1])

        def pretend():
            peer, _ = server.accept()
            with peer:
                received.append(receive(peer, 40))
                peer.sendall(b"r" * 32)
                received.append(receive(peer, 32))
                peer.sendall(b"p" * 32)
                received.append(receive(peer, 1))

        received = []
        pretender = threading.Thread(target=pretend)
        pretender.start()
        with pytest.raises(SourceError, match="another token is set there"):
            TcpSender(address, token=TOKEN)
        pretender.join()
    assert [len(block) for block in received] == [40, 32, 0]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_can_reach_needs_a_token(host):
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with pytest.raises(SourceError, match="can be reached by other machines"):
        TcpSource(Address(host, 0), SourceConfig())
    with TcpSource(Address(host, 0), SourceConfig(timeout_s=20.0, tcp_token=TOKEN)) as source:
        near = Address("127.0.0.1" if host == "0.0.0.0" else "::1", source.address.port)
        with TcpSender(near, token=TOKEN) as sender:
            sender.send(np.zeros((8, 8, 3), np.uint8), 7.0)
            assert next(source).stamp_s == 7.0


def test_a_peer_that_does_not_greet_is_dropped_soon(monkeypatch, caplog):
    monkeypatch.setattr(tcp, "_GREETING_S", 0.1)
    config = SourceConfig(timeout_s=20.0, peer_timeout_s=3600.0)
    with TcpSource(LOOPBACK, config) as source, connect(source) as silent:
        silent.sendall(MAGIC[:3])
        with TcpSender(source.address) as sender:
            sender.send(np.zeros((8, 8, 3), np.uint8), 7.0)
            assert next(source).stamp_s == 7.0
    assert "it took too long to send the greeting" in caplog.text


@pytest.mark.parametrize("token", ["short", "twelve chars with spaces", "ümlaut-ümlaut", "@"])
def test_a_bad_token_is_refused_and_not_repeated(token):
    with pytest.raises(ConfigurationError) as caught:
        SourceConfig(tcp_token=token)
    assert token not in str(caught.value).replace("@ and", "")


def test_the_newest_image_wins(source):
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
        with pytest.raises(SourceTimeout, match=r"has received no image for 0\.1 s"):
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


def test_an_image_from_the_past_is_dropped():
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
        with pytest.raises(SourceError, match=r"closed the connection|accepts no images"):
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
