"""Sources that stop, return, are cut off, grow or vanish: what was seen is kept, and the run goes on.

The pipeline and the sources are the real ones; of a camera only OpenCV's capture is played.
"""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import socket
import struct
import threading
import time

import av
import cv2
import numpy as np
import pytest

from social_perception.cli.main import main
from social_perception.core.config import SourceConfig
from social_perception.core.errors import SourceError, SourceTimeout
from social_perception.core.types import Frame
from social_perception.sources import camera, tcp
from social_perception.sources.bag import BagSource
from social_perception.sources.camera import CameraSource
from social_perception.sources.image_folder import ImageFolderSource
from social_perception.sources.tcp import TcpSource
from social_perception.sources.tcp_protocol import Address
from social_perception.sources.tcp_sender import TcpSender
from social_perception.sources.video import VideoSource

LOOPBACK = Address("127.0.0.1", 0)
SMALL = ["--no-ros", "--min-face-px", "80"]


def read(table) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text().splitlines()))


class Capture:
    """A camera as OpenCV shows it: pictures, failures to read (None), and then it is unplugged."""

    def __init__(self, script) -> None:
        self.left = list(script)

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, *_: object) -> bool:
        return True

    def get(self, _: object) -> float:
        return 30.0

    def read(self):
        image = self.left.pop(0) if self.left else None
        return image is not None, image

    def release(self) -> None:
        pass


class Waiting(Capture):
    """Delivers the next image when the one before was accepted, so that none is replaced by a newer one."""

    def __init__(self, script, taken: threading.Semaphore) -> None:
        super().__init__(script)
        self.taken = taken

    def read(self):
        if self.left and self.left[0] is not None:
            self.taken.acquire(timeout=20.0)
        return super().read()


@pytest.fixture
def plug_in(monkeypatch, people):
    """Plays a camera: a function of its script, in which numbers stand for pictures."""

    def play(*script) -> None:
        taken = threading.Semaphore(1)
        images = [None if each is None else cv2.cvtColor(people[each], cv2.COLOR_RGB2BGR) for each in script]
        monkeypatch.setattr(camera, "_open", lambda *_: Waiting(images, taken))
        take = CameraSource.__next__

        def reported(source: CameraSource) -> Frame:
            frame = take(source)
            taken.release()
            return frame

        monkeypatch.setattr(CameraSource, "__next__", reported)

    return play


def test_an_unplugged_camera_ends_the_run_with_one_line_and_all_results_whole(
    plug_in, tmp_path, capsys
) -> None:
    plug_in(*range(12))
    table, recording = tmp_path / "events.csv", tmp_path / "results.mcap"
    assert (
        main(
            [
                "live",
                "--source",
                "0",
                *SMALL,
                "--reproducible",
                "--output",
                str(table),
                "--record",
                str(recording),
                "--record-images",
            ]
        )
        == 1
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "social-perception: error: camera 0 stopped delivering images"
    rows = read(table)
    assert [int(row["frame"]) for row in rows] == [index for index in range(12) for _ in range(2)]
    assert recording.read_bytes().endswith(b"\x89MCAP0\r\n")
    with BagSource(recording) as source:
        assert len(list(source)) == 12


def test_a_camera_that_misses_some_pictures_goes_on(plug_in) -> None:
    plug_in(0, None, None, 1, *[None] * 9, 2, 3)
    with CameraSource(0, SourceConfig(timeout_s=20.0)) as source:
        assert [next(source).index for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(SourceError, match="camera 0 stopped delivering images"):
            next(source)


def frames_of(source: TcpSource, count: int) -> list[Frame]:
    found: list[Frame] = []
    until_s = time.monotonic() + 30.0
    while len(found) < count and time.monotonic() < until_s:
        with contextlib.suppress(SourceTimeout):
            found.append(next(source))
    return found


@pytest.mark.parametrize("death", ["in order", "in the middle of a picture", "reset"])
def test_after_a_sender_dies_and_returns_everybody_keeps_the_name(
    pipeline, people, check_sane, death
) -> None:
    """The picture that was under way is lost, and none that was sent after it."""
    with TcpSource(LOOPBACK, SourceConfig(timeout_s=0.2, peer_timeout_s=20.0)) as source:
        names, indices = [], []
        for first in (0, 10):
            sender = TcpSender(source.address)
            for number in range(first, first + 5):
                sender.send(people[number], 1000.0 + number / 30)
                (frame,) = frames_of(source, 1)
                affect = pipeline.process(frame)
                check_sane(affect)
                names.append([face.track.id for face in affect.faces])
                indices.append(frame.index)
            if death == "in the middle of a picture":
                sender._socket.sendall(struct.pack(">Id", 5000, 1000.0) + b"\xff\xd8")
            if death == "reset":
                sender._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sender.close()
    assert names == [["a", "b"]] * 10
    assert indices == list(range(10))


@pytest.mark.parametrize("back_s", [3.0, 3600.0, 1e9])
def test_a_sender_whose_clock_is_set_back_is_received_again_at_once(back_s) -> None:
    with TcpSource(LOOPBACK, SourceConfig(timeout_s=0.2)) as source, TcpSender(source.address) as sender:
        stamps = []
        for number in range(6):
            stamp_s = 1.5e9 + number / 30 - (back_s if number >= 3 else 0.0)
            sender.send(np.zeros((8, 8, 3), np.uint8), stamp_s)
            stamps += [frame.stamp_s for frame in frames_of(source, 1)]
    assert len(stamps) == 6
    assert all(np.diff(stamps) > 0.0)
    assert np.diff(stamps)[3:] == pytest.approx(1 / 30, abs=1e-3)


def test_setting_the_systems_clock_does_not_touch_pictures_without_stamps(monkeypatch) -> None:
    with TcpSource(LOOPBACK, SourceConfig(timeout_s=0.2)) as source, TcpSender(source.address) as sender:
        stamps, clock = [], time.time
        for number in range(4):
            if number == 2:
                monkeypatch.setattr(tcp.time, "time", lambda: clock() - 3600.0)
            sender.send(np.zeros((8, 8, 3), np.uint8))
            stamps += [frame.stamp_s for frame in frames_of(source, 1)]
    assert all(0.0 < step < 5.0 for step in np.diff(stamps))
    assert len(stamps) == 4


def write_video(path, people, **options):
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 768, 432, "yuv420p", 5
        for image in people:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def annotate(path, tmp_path):
    out = tmp_path / "out"
    options = ["--no-video", "--no-plot", "--no-report", "--jobs", "1", "--min-face-px", "80"]
    status = main(["annotate", str(path), "--output", str(out), *options])
    rows = read(out / path.stem / "faces.csv")
    return status, rows


def test_a_video_that_is_cut_off_is_annotated_to_the_cut(people, tmp_path, capsys) -> None:
    path = write_video(tmp_path / "meeting.mkv", people[:20])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    status, rows = annotate(path, tmp_path)
    frames = {int(row["frame"]) for row in rows}
    assert status == 0
    assert frames == set(range(len(frames)))
    assert 5 <= len(frames) < 20
    assert len({row["face_id"] for row in rows}) == 2


def test_a_video_that_vanishes_while_it_is_read_is_read_to_its_end(people, tmp_path) -> None:
    path = write_video(tmp_path / "meeting.mkv", people[:20])
    with VideoSource(path) as source:
        frames = [next(source)]
        path.unlink()
        frames += list(source)
    assert [frame.index for frame in frames] == list(range(20))


def test_a_video_that_still_grows_is_read_as_far_as_it_is_written(people, tmp_path) -> None:
    whole = write_video(tmp_path / "whole.mkv", people[:40]).read_bytes()
    path = tmp_path / "growing.mkv"
    path.write_bytes(whole[: len(whole) // 3])
    with VideoSource(path) as source:
        count = 1
        next(source)
        with path.open("ab") as file:
            file.write(whole[len(whole) // 3 :])
        count += len(list(source))
    assert count == 40


def test_a_picture_that_vanishes_from_a_folder_is_skipped_and_named(people, tmp_path, caplog) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), people[number])
    with ImageFolderSource(tmp_path, 30.0) as source:
        next(source)
        (tmp_path / "1.png").unlink()
        assert [frame.index for frame in source] == [1, 2]
    assert caplog.text.count("1 of 4 images were skipped: 1.png cannot be read: No such file") == 1


def damaged(jpeg: bytes) -> dict[str, bytes]:
    half, noisy = jpeg[: len(jpeg) // 2], bytearray(jpeg)
    noisy[300:340] = os.urandom(40)
    return {
        "half.jpg": half,
        "head.jpg": jpeg[:200],
        "empty.jpg": b"",
        "text.jpg": b"no picture",
        "noisy.jpg": bytes(noisy),
    }


def test_damaged_pictures_are_skipped_named_and_counted(people, tmp_path, capsys) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(people[0], cv2.COLOR_RGB2BGR))[1].tobytes()
    for name, content in {**damaged(jpeg), "whole.jpg": jpeg}.items():
        (folder / name).write_bytes(content)
    path = tmp_path / "scores.csv"
    assert main(["score", str(folder), "--output", str(path), "--min-face-px", "80"]) == 1
    found = {row["name"]: row["found"] for row in read(path)}
    assert (len(found), found["whole.jpg"]) == (6, "1")
    reported = capsys.readouterr()
    assert [name for name in damaged(jpeg) if f"{name} " in reported.err and name != "noisy.jpg"] == [
        "half.jpg", "head.jpg", "empty.jpg", "text.jpg",
    ]  # fmt: skip
    assert " of 6 images have a face" in reported.out


def test_damaged_pictures_of_a_stream_are_skipped_and_the_next_one_is_processed(
    pipeline, people, check_sane, caplog
) -> None:
    caplog.set_level(logging.WARNING)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(people[0], cv2.COLOR_RGB2BGR))[1].tobytes()
    broken = [content for content in damaged(jpeg).values() if content and content[:3] != b"\xff\xd8\xff"]
    broken += [jpeg[: len(jpeg) // 2], jpeg[:200]]
    with TcpSource(LOOPBACK, SourceConfig(timeout_s=0.2)) as source, TcpSender(source.address) as sender:
        for number, content in enumerate(broken):
            sender._socket.sendall(struct.pack(">Id", len(content), 1.0 + number) + content)
            while caplog.text.count("; skipped") <= number:
                with pytest.raises(SourceTimeout):
                    next(source)
        sender.send(people[1], 100.0)
        (frame,) = frames_of(source, 1)
    affect = pipeline.process(frame)
    check_sane(affect)
    assert (frame.index, len(affect.faces)) == (0, 2)
