import csv
from dataclasses import replace

import av
import numpy as np
import pytest
from factories import affect_of, face, group, smile
from PIL import Image

from social_perception.core.errors import DetectionError
from social_perception.core.types import Box, Face, FrameAffect

UNKNOWN_GROUP = group(0)


class FakePipeline:
    """Finds one face in every frame; its smile grows with the frame's index."""

    def __init__(self, fails_at=()):
        self.usages = []
        self.fails_at = fails_at
        self.closed = False
        self.restarts = 0

    def process(self, frame):
        if frame.index in self.fails_at:
            raise DetectionError("the detector is tired")
        anna = face("anna", min(1.0, frame.index / 20), box=Box(10, 10, 20, 20))
        return affect_of(frame, anna, group=UNKNOWN_GROUP)

    def note_usage(self, now_s, cpu_s):
        self.usages.append((now_s, cpu_s))

    def without_images(self, last, silence_s):
        return replace(last or FrameAffect(0.0, 0, 0, 0), faces=(), group=UNKNOWN_GROUP)

    def restart(self, new_id=None):
        self.restarts += 1

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FakeDetector:
    """Finds a face in every picture that is not dark, and a larger one in a bright one."""

    def detect(self, image):
        if image.mean() < 30:
            return ()
        small = Face(Box(2, 2, 10, 10), 0.9)
        return (small, Face(Box(1, 1, 14, 14), 0.5)) if image.mean() > 200 else (small,)


class FakeScorer:
    """The brighter the crop, the more it smiles; remembers how many came at once."""

    def __init__(self):
        self.batches = []

    def score_still(self, crops):
        self.batches.append(len(crops))
        return tuple(smile(float(crop.mean() / 255)) for crop in crops)


@pytest.fixture
def pipelines(monkeypatch):
    """The pipelines that commands made."""
    made = []

    def make(config, *, live):
        made.append(FakePipeline())
        made[-1].config, made[-1].live = config, live
        return made[-1]

    monkeypatch.setattr("social_perception.perception.pipeline.make_pipeline", make)
    return made


@pytest.fixture
def scorer(monkeypatch):
    fake = FakeScorer()
    monkeypatch.setattr(
        "social_perception.perception.detection.factory.make_detector", lambda *_, **__: FakeDetector()
    )
    monkeypatch.setattr("social_perception.perception.smile.factory.make_scorer", lambda _: fake)
    monkeypatch.setattr(
        "social_perception.perception.detection.still.detect_in_still",
        lambda detector, image: detector.detect(image),
    )
    return fake


def _write_video(path, frames=24, size=(64, 48)):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _gray_images(folder, values):
    for number, value in enumerate(values):
        Image.new("RGB", (16, 16), (value,) * 3).save(folder / f"{number}.png")
    return folder


def _rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def write_video():
    """Writes a video of ten frames a second, each brighter than the one before."""
    return _write_video


@pytest.fixture
def gray_images():
    """Writes images of the given brightnesses, 0.png, 1.png and so on."""
    return _gray_images


@pytest.fixture
def rows():
    """Reads the rows of a table."""
    return _rows


@pytest.fixture
def fake_pipeline():
    return FakePipeline
