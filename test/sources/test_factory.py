from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from social_perception.core.config import SourceConfig
from social_perception.core.errors import ConfigurationError, SourceError, SourceTimeout
from social_perception.sources import camera
from social_perception.sources.camera import CameraSource
from social_perception.sources.factory import default_source, open_source
from social_perception.sources.image_folder import ImageFolderSource
from social_perception.sources.sample import SampleSource
from social_perception.sources.tcp import TcpSource


class FakeCapture:
    """A camera of OpenCV's interface that delivers some images and then none."""

    def __init__(self, images):
        self.left = list(images)
        self.released = False

    def isOpened(self):  # noqa: N802
        return True

    def set(self, *_):
        return True

    def get(self, _):
        return 30.0

    def read(self):
        return (True, self.left.pop(0)) if self.left else (False, None)

    def release(self):
        self.released = True


@pytest.fixture
def no_camera(monkeypatch, tmp_path):
    monkeypatch.setattr(camera, "Path", lambda _: tmp_path / "video")
    return tmp_path / "video"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere.mp4", "nowhere.mp4 does not exist; a source is a camera index, a video file"),
        ("rtsp://camera/1", "rtsp://camera/1 is no source"),
        ("tcp://robot", "is not an address of the form tcp://HOST:PORT"),
        ("sample?faces=3", "write sample or sample"),
        ("", "does not exist|has no image files|is not"),
    ],
)
def test_what_is_no_source_is_one_clear_line(spec, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(spec)
    assert "\n" not in str(caught.value)


def test_a_sample_of_too_many_people_is_refused():
    with pytest.raises(ConfigurationError, match="sample_people must be in"):
        open_source("sample?people=99")


def test_each_kind_is_recognised(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    for spec, kind in [
        ("sample?people=1", SampleSource),
        ("tcp://127.0.0.1:0", TcpSource),
        (str(tmp_path), ImageFolderSource),
        (str(tmp_path / "1.png"), ImageFolderSource),
    ]:
        with open_source(spec) as source:
            assert isinstance(source, kind)


@pytest.mark.parametrize(
    "name", ["http://photo.png", "what?topic=x.png", "~nobody.png", "tcp:1.png", "sample.png"]
)
def test_what_exists_is_a_file_whatever_it_is_called(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 6)).save(name)
    with open_source(name) as source:
        assert next(source).image.shape == (6, 8, 3)


@pytest.mark.parametrize("name", ["~nobody.png", "a" * 300, "x?topic=y"])
def test_a_missing_file_of_an_odd_name_is_one_clear_line(name):
    with pytest.raises(SourceError, match="does not exist"):
        open_source(name)


@pytest.mark.parametrize("spec", ["0", "/dev/video0"])
def test_a_missing_camera_is_one_clear_line(spec, no_camera, capfd):
    with pytest.raises(SourceError, match=r"no camera 0: .* does not exist"):
        open_source(spec)
    assert capfd.readouterr().err == ""


def test_without_a_camera_the_sample_is_the_default(no_camera, capfd):
    assert default_source() == "sample"
    assert capfd.readouterr().err == ""


def test_a_camera_that_delivers_is_the_default(monkeypatch):
    monkeypatch.setattr(camera, "_open", lambda *_: FakeCapture([np.zeros((8, 8, 3), np.uint8)] * 3))
    assert default_source() == "0"


def test_a_camera_that_opens_but_delivers_nothing_is_not_the_default(monkeypatch):
    monkeypatch.setattr(camera, "_open", lambda *_: FakeCapture([]))
    assert default_source() == "sample"


def test_a_camera_delivers_rgb_and_an_unplugged_one_is_an_error(monkeypatch):
    blue_in_bgr = np.zeros((6, 8, 3), np.uint8)
    blue_in_bgr[:, :, 0] = 255
    capture = FakeCapture([blue_in_bgr])
    monkeypatch.setattr(camera, "_open", lambda *_: capture)
    with CameraSource(0, SourceConfig(timeout_s=20.0)) as source:
        assert source.live
        frame = next(source)
        assert frame.index == 0
        assert frame.image[0, 0].tolist() == [0, 0, 255]
        with pytest.raises(SourceError, match="camera 0 stopped delivering images"):
            next(source)
    assert capture.released


def test_a_silent_camera_is_a_timeout(monkeypatch):
    monkeypatch.setattr(camera, "_open", lambda *_: FakeCapture([]))
    with (
        CameraSource(0, SourceConfig(timeout_s=0.1)) as source,
        pytest.raises(SourceTimeout, match=r"for 0\.1 s"),
    ):
        next(source)
