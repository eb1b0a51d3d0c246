"""dlib's CNN detector on torch against dlib itself."""

from __future__ import annotations

import itertools
import os

import cv2
import numpy as np
import pytest

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import ImageError, ModelError
from social_perception.core.types import Box
from social_perception.perception.detection.factory import make_detector, weights_path
from social_perception.perception.detection.mmod_file import read_mmod
from social_perception.perception.detection.pyramid import layout

MMOD = {"backend": "mmod-torch", "device": "cpu"}
EXACT = {"precision": "float32", "boxes": "dlib", **MMOD}


def read_rgb(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for expected in theirs:
        nearest = max(ours, key=lambda face: face.box.iou(expected.box))
        assert nearest.box.iou(expected.box) >= 0.9
        assert nearest.confidence == pytest.approx(expected.confidence, abs=0.02)


@pytest.mark.parametrize("backend", ["cascade", "mmod-torch", "hog"])
def test_every_annotated_face_is_found_at_the_default_size(shared, backend):
    if backend == "hog":
        pytest.importorskip("dlib")
    detector = make_detector(DetectionConfig(backend=backend))
    lines = (shared / "photos" / "boxes.csv").read_text().splitlines()[1:]
    found = 0
    for line in lines:
        name, *sides = line.split(",")
        truth = Box(*map(float, sides))
        faces = detector.detect(read_rgb(shared / "photos" / name))
        found += any(face.box.iou(truth) > 0.4 for face in faces)
    assert found >= len(lines) - 1


def test_bfloat16_finds_the_same_faces(shared):
    image = read_rgb(shared / "photos" / "2008_002506.jpg")
    exact = make_detector(DetectionConfig(precision="float32", **MMOD)).detect(image)
    fast = make_detector(DetectionConfig(precision="bfloat16", **MMOD)).detect(image)
    assert len(exact) == 3
    assert_same(fast, exact)


def test_voted_boxes_are_steadier_than_dlibs_own(shared):
    video = cv2.VideoCapture(str(shared / "clips" / "single_face.mp4"))
    frames = [cv2.resize(video.read()[1], (320, 180))[..., ::-1] for _ in range(30)][::2]
    steps = {}
    for boxes in ("dlib", "voted"):
        detector = make_detector(DetectionConfig(min_face_px=80, precision="float32", boxes=boxes, **MMOD))
        found = [detector.detect(frame)[0].box for frame in frames]
        places = np.array([(*box.center, box.width) for box in found])
        steps[boxes] = np.abs(np.diff(places, axis=0)).mean() / places[:, 2].mean()
    assert steps["voted"] < 0.5 * steps["dlib"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (5, 5), (96, 96), (720, 1280)])
def test_pictures_without_faces_have_none(shape):
    detector = make_detector(DetectionConfig(**EXACT))
    assert detector.detect(np.full((*shape, 3), 128, np.uint8)) == ()


def test_a_huge_picture_is_searched_in_bounded_memory_and_the_limit_is_reported(caplog):
    detector = make_detector(DetectionConfig(**EXACT))
    width, height = detector._searched_size(15360, 8640)
    assert width * height <= 8_300_000
    assert width / height == pytest.approx(16 / 9, rel=0.01)
    detector._searched_size(15360, 8640)
    assert caplog.messages == [
        "15360x8640 images are searched for faces of 320 px and larger; backend cascade has no limit"
    ]


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))]
)
def test_other_arrays_are_refused(image):
    with pytest.raises(ImageError, match="image must be uint8"):
        make_detector(DetectionConfig(**EXACT)).detect(image)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (33, 900)])
def test_tiles_stay_apart_and_inside(size):
    pyramid = layout(*size, 10, 11)
    for tile in pyramid.tiles:
        assert 0 <= tile.left <= tile.right < pyramid.width
        assert 0 <= tile.top <= tile.bottom < pyramid.height
    for a, b in itertools.combinations(pyramid.tiles, 2):
        apart_x = a.right < b.left or b.right < a.left
        apart_y = a.bottom < b.top or b.bottom < a.top
        assert apart_x or apart_y


@pytest.mark.parametrize("keep", [0, 1, 93, 5000, 729_000])
def test_a_truncated_weights_file_is_named(tmp_path, keep):
    cut = tmp_path / "cut.dat"
    cut.write_bytes(weights_path().read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"cut\.dat is not a dlib CNN face detector"):
        read_mmod(cut)


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read the face detector .*none\.dat"):
        read_mmod(tmp_path / "none.dat")


@pytest.mark.parametrize(("place", "reason"), [("pipe", "not a regular file"), ("huge", "larger than 64 MB")])
def test_what_is_no_detector_is_refused_and_not_waited_for(tmp_path, place, reason):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(ModelError, match=reason):
        read_mmod(tmp_path / place)


def test_damaged_weights_never_crash_the_reader(tmp_path):
    content = bytearray(weights_path().read_bytes())
    generator = np.random.default_rng(0)
    damaged = tmp_path / "damaged.dat"
    for place in generator.integers(0, len(content), 200):
        changed = content.copy()
        changed[place] ^= 0xFF
        damaged.write_bytes(bytes(changed))
        try:
            read_mmod(damaged)
        except ModelError as error:
            assert "damaged.dat" in str(error)  # noqa: PT017 (most damage goes unseen, nothing is raised)
