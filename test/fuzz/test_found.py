"""What bad input has brought to light: each input that broke a promise once, by what it was."""

from __future__ import annotations

import logging
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from fuzzing import bags, configs, elan, registry, streams, videos, weights
from fuzzing.target import try_input

from social_perception.core.errors import SourceError
from social_perception.research.training.elan_tiers import find_video, read_tiers
from social_perception.sinks.elan import write_elan
from social_perception.sources import mcap_scan, video
from social_perception.views.web.connection import Connection

CIRCLE = elan.document(elan.aligned() + elan.referring("a2"))
NOWHERE = elan.document(elan.aligned() + elan.referring("a9"))
WITHOUT_TAIL = bags.mcap(struct.pack("<BQ", 9, 1 << 63), bags.definitions())
HEAD = struct.Struct(">Id").pack
UPGRADE = b"GET /ws?token=a-token-for-the-tests HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
KEY = b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "

REFUSED = [
    ("elan_reader", CIRCLE, "annotations that refer to each other in a circle"),
    ("elan_reader", NOWHERE, "an annotation that refers to none"),
    ("elan_reader", elan.document(elan.aligned(), begin="9" * 400), "a time of 400 digits"),
    ("bag_mcap", WITHOUT_TAIL, "a record that ends beyond all files"),
    *(
        ("training_yaml", text, text[:20].decode())
        for text in (
            b"a: !!timestamp x\n",
            b"a: !!bool x\n",
            b"a: !!int ''\n",
            b"[" * 500,
            b"teacher: 5\n",
            b"sets: 7\n",
            b"5: 6\nx: 7\n",
            b"pretrain: [1]\n",
            b"seed: many\n",
            b"network: reference\nbatch: x\n",
            b"network: reference\nvideos: {shares: [a, b, c]}\n",
            b"seed: 0x" + b"f" * 6000,
            b"? [1]\n: 2\n",
            b"pretrain: {learning_rate: .nan}\n",
            b"memory: {length: 2.5}\n",
            b"seed: true\n",
        )
    ),
    (
        "smile_weights",
        b'\2{"channels": [1, 1, 2, 2], "features": 2, "hidden": 1' + b"0" * 30 + b"}",
        "a huge size",
    ),
    (
        "smile_weights",
        b'\2{"channels": [60000, 60000, 60000, 60000], "features": 2, "hidden": 2}',
        "sizes of TB",
    ),
]

TAKEN = [
    ("elan_reader", elan.document(elan.aligned(), url="http://["), "a link that is no URL"),
    ("elan_reader", elan.document(elan.aligned(), url="file:///" + "a" * 300 + ".mp4"), "a name too long"),
    ("bag_scan", WITHOUT_TAIL, "a record that ends beyond all files"),
    ("training_yaml", b"pretrain: {learning_rate: 1e-3}\n", "a number that YAML takes for a word"),
    ("web_request", UPGRADE + KEY + b"\xff" * 16 + b"\r\n\r\n", "a key of letters beyond ASCII"),
    *(("manifest", data, data[-30:].decode()) for data in configs.TARGETS["manifest"].seeds()),
    *(("bag_metadata", data, "") for data in bags.TARGETS["bag_metadata"].seeds()[4:8]),
]


@pytest.mark.parametrize(("name", "data"), [pytest.param(*case[:2], id=case[2]) for case in REFUSED])
def test_what_broke_a_promise_is_refused(name: str, data: bytes) -> None:
    assert not try_input(registry.load(name), data)


@pytest.mark.parametrize(("name", "data"), [pytest.param(*case[:2], id=case[2]) for case in TAKEN])
@pytest.mark.filterwarnings("ignore")
def test_what_broke_a_promise_is_taken(name: str, data: bytes) -> None:
    target = registry.load(name)
    try:
        assert try_input(target, data)
    finally:
        getattr(target.run, "close", lambda: None)()


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("honest", [True, False])
def test_a_chunk_is_unpacked_only_as_far_as_it_says(monkeypatch, tmp_path, compression, honest):
    made = []

    class Counted(bytes):
        pass

    original = mcap_scan._decompressor

    def counting(name):
        inner, damage = original(name)

        class Counting:
            eof = False

            def decompress(self, data):
                made.append(Counted(inner.decompress(data)))
                return made[-1]

        return Counting(), damage

    monkeypatch.setattr(mcap_scan, "_decompressor", counting)
    monkeypatch.setattr(mcap_scan, "MAX_CHUNK_BYTES", 1 << 20)
    path = tmp_path / "bomb.mcap"
    path.write_bytes(bags.bomb(compression, 1 << 27, honest=honest))
    reported = []
    assert list(mcap_scan.scan_mcap(path, reported.append)) == []
    assert reported
    assert sum(map(len, made)) <= 1 << 25
    assert not made if honest else made


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value):
    packed = struct.pack("<f", value)
    good = weights.detector_file()
    # The last tensor's first number: that of a filter.
    place = good.index(struct.pack("<f", 1.0))
    assert not try_input(registry.load("detector_weights"), good[:place] + packed + good[place + 4 :])


def test_a_stamp_that_is_no_time_does_not_silence_those_that_follow():
    target = registry.load("tcp_source")
    message = streams.MAGIC + HEAD(3, 1e300) + b"abc"
    try:
        assert try_input(target, message)
        assert try_input(target, streams.MAGIC + HEAD(3, -1e300) + b"abc")
    finally:
        target.run.close()


@pytest.mark.parametrize(("error", "reported"), [(ConnectionResetError(), 0), (KeyError("x"), 1)])
def test_a_browser_that_goes_before_its_answer_is_no_failure_of_the_page(caplog, error, reported):
    caplog.set_level(logging.ERROR)
    request = SimpleNamespace(writer=SimpleNamespace(output_size=0))
    answer = Connection.handle_error(object.__new__(Connection), request, 500, error)
    assert answer.status == 500
    assert len(caplog.records) == reported


def test_a_video_of_more_pixels_than_an_image_may_have_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "video.avi"
    path.write_bytes(videos.encoded("avi", "mjpeg"))
    assert len(list(video.VideoSource(path))) == 4
    monkeypatch.setattr(video, "MAX_PIXELS", 1000)
    with pytest.raises(SourceError, match="no frame can be decoded"):
        video.VideoSource(path)


def test_two_names_that_xml_cannot_hold_stay_two_tiers(tmp_path):
    stamps_s = np.arange(3) / 10
    named = tuple(elan.timeline(name, 0, [3, 3], stamps_s) for name in ("\x00", "\x01", "a"))
    path = tmp_path / "talk.eaf"
    write_elan(path, named, elan.timeline("group", 0, [3] * 3, stamps_s), tmp_path / "talk\x02.mp4")
    assert [tier.name for tier in read_tiers(path)] == ["face <U+0000>", "face <U+0001>", "face a"]
    (tmp_path / "talk\x02.mp4").touch()
    assert find_video(path).name == "talk\x02.mp4"
