"""The cascade: which places it confirms, and that scores and boxes are those of dlib's CNN."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from social_perception.core.config import DetectionConfig
from social_perception.core.errors import DetectionError, ImageError
from social_perception.core.types import Box, KnownBoxes
from social_perception.perception.detection import cascade
from social_perception.perception.detection.factory import make_detector
from social_perception.research.benchmarks.first_box import Scene, wall
from social_perception.sources.sample import SampleSource

CPU = DetectionConfig(device="cpu", runtime="torch")


@pytest.fixture(scope="module")
def detector():
    return make_detector(CPU, video=True)


def people(count=8):
    source = SampleSource(count)
    return next(source).image, [face.box for face in source.truth(0)]


def known(*boxes, due=None):
    return KnownBoxes(boxes, len(boxes) if due is None else due)


def rolled(degrees, face_px):
    scene = Scene.with_face(face_px, (640, 360))
    matrix = cv2.getRotationMatrix2D((640, 360), degrees, 1.0)
    return cv2.warpAffine(scene.image, matrix, (1280, 720), borderMode=cv2.BORDER_REFLECT), scene.face


def holds(faces, box, overlap=0.5):
    return any(face.box.iou(box) >= overlap for face in faces)


@pytest.mark.parametrize("video", [False, True])
def test_scores_and_boxes_are_those_of_a_search_by_dlibs_cnn(video):
    image, truth = people()
    found = make_detector(CPU, video=video).detect(image)
    whole = make_detector(DetectionConfig(backend="mmod-torch", device="cpu"), video=video).detect(image)
    assert len(found) == len(whole) == len(truth)
    for face in whole:
        nearest = max(found, key=lambda other: other.box.iou(face.box))
        assert nearest.box.iou(face.box) > 0.85
        assert nearest.confidence == pytest.approx(face.confidence, abs=0.15)


def test_the_first_part_confirms_the_known_faces_and_finds_the_new_ones(detector):
    image, truth = people()
    first, *others = detector.parts(1280, 720)
    nothing = Box(600, 10, 60, 60)
    faces = detector.detect_part(image, first, known(*truth[:4], nothing))
    assert all(holds(faces, box) for box in truth)
    assert not holds(faces, nothing, 0.2), "a tracked face that is none is not confirmed"
    assert first.scope.holds(640, 360, 50)
    for part in others:
        new = detector.detect_part(image, part, known(*truth[:4]))
        assert [holds(new, box) for box in truth] == [box not in truth[:4] for box in truth]
        assert not part.scope.holds(640, 360, 50), "a known face is not missed where it is not searched"


def test_a_known_face_is_confirmed_where_nothing_is_proposed(detector, monkeypatch):
    image, truth = people(3)
    monkeypatch.setattr(cascade, "propose", lambda *_: ())
    first, second, _ = detector.parts(1280, 720)
    assert len(detector.detect_part(image, first, known(*truth))) == 3
    assert detector.detect_part(image, second, known(*truth)) == ()


def test_only_known_faces_that_are_due_are_confirmed(detector):
    image, truth = people(3)
    first = detector.parts(1280, 720)[0]
    found = detector.detect_part(image, first, known(*truth, due=2))
    assert [holds(found, box) for box in truth] == [True, True, False]


@pytest.mark.parametrize("degrees", [-45, 45])
def test_small_faces_that_roll_are_found_in_the_rotated_image(detector, degrees):
    image, face = rolled(degrees, 42)
    found = [holds(detector.detect_part(image, part), face) for part in detector.parts(1280, 720)]
    assert any(found[1:])
    assert holds(detector.detect(image), face)


@pytest.mark.parametrize(("has_face", "searches"), [(True, 1), (False, 3)])
def test_a_small_still_is_rotated_only_if_nothing_is_found(has_face, searches, monkeypatch):
    image = Scene.with_face(60, (640, 360)).image if has_face else wall()
    detector, proposed = make_detector(CPU), []
    propose = detector._propose
    monkeypatch.setattr(detector, "_propose", lambda each: proposed.append(each) or propose(each))
    assert bool(detector.detect(np.ascontiguousarray(image[240:480, 520:760]))) == has_face
    assert len(proposed) == searches


@pytest.mark.parametrize(("is_face", "crops"), [(True, 3), (False, 1)])
def test_an_unlikely_place_costs_one_crop_unless_it_is_similar_to_a_face(
    is_face, crops, detector, monkeypatch
):
    scene = Scene.with_face(50, (500, 300))
    box = scene.face if is_face else Box(900, 400, 50, 50)
    counts, scores = [], detector._mmod._score_crops
    monkeypatch.setattr(detector._mmod, "_score_crops", lambda each: counts.append(len(each)) or scores(each))
    faces = detector._mmod.detect_at(scene.image, [cascade._unlikely(box)])
    assert (len(faces) == 1, sum(counts)) == (is_face, crops)


@pytest.mark.parametrize("size", [(1280, 720), (641, 479), (200, 900)])
def test_rotated_points_return_to_their_place(size):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = size[0] // 3, size[1] // 4
    image[y - 3 : y + 4, x - 3 : x + 4] = 255
    for degrees in cascade.ROLLS_DEG:
        matrix, rotated = cascade._rotate(image, degrees)
        rows, columns = np.nonzero(rotated[..., 0] > 128)
        assert matrix @ (columns.mean(), rows.mean(), 1.0) == pytest.approx((x, y), abs=1.0)


@pytest.mark.parametrize(("smallest", "found"), [(40, True), (100, False)])
def test_faces_below_the_smallest_size_are_not_confirmed(smallest, found):
    scene = Scene.with_face(50, (500, 300))
    faces = make_detector(DetectionConfig(min_face_px=smallest, device="cpu"), video=True).detect(scene.image)
    assert holds(faces, scene.face) == found


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (96, 96)])
@pytest.mark.parametrize("video", [False, True])
def test_images_without_faces_have_none(shape, video):
    assert make_detector(CPU, video=video).detect(np.full((*shape, 3), 128, np.uint8)) == ()


@pytest.mark.parametrize("size", [(4000, 3000), (34_000, 300)])
def test_small_faces_are_found_anywhere_in_a_large_image(size):
    """The second image is longer than what cv2 transforms at once."""
    image = np.full((size[1], size[0], 3), 110, np.uint8)
    places = [(100, 20), (1400, 40), (2950, 100), (size[0] - 250, size[1] - 200)]
    for left, top in places:
        scene = Scene.with_face(60, (640, 360))
        image[top : top + 180, left : left + 200] = scene.image[270:450, 540:740]
    faces = make_detector(CPU, video=True).detect(image)
    assert len(faces) == len(places)
    for left, top in places:
        assert holds(faces, scene.face.moved(left - 540, top - 270))


def test_a_face_that_fills_a_large_image_is_found():
    scene = Scene.with_face(300, (640, 360))
    image = cv2.resize(scene.image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    (face,) = make_detector(CPU, video=True).detect(image)
    assert face.box.iou(Box(*(4 * np.array([490, 210, 300, 300])))) > 0.6


@pytest.mark.parametrize("length", [1, 1536, 1537, 2752, 2753, 50_000])
def test_tiles_cover_a_side_and_overlap(length):
    starts = cascade._tiles(length)
    assert starts[0] == 0
    assert length <= starts[-1] + cascade.TILE_PX
    assert all(a + cascade.TILE_PX - b >= cascade.TILE_OVERLAP_PX for a, b in itertools.pairwise(starts))


def test_noise_costs_a_limited_number_of_crops(detector, monkeypatch):
    places = []
    monkeypatch.setattr(cascade, "MIN_PROPOSAL", 1e-6)
    monkeypatch.setattr(cascade, "MAX_PLACES", 20)
    monkeypatch.setattr(detector._mmod, "detect_at", lambda _, each: places.extend(each) or ())
    detector.detect(wall())
    assert 0 < len(places) <= 20


def test_other_arrays_and_failures_of_torch_are_named(detector, monkeypatch):
    with pytest.raises(ImageError, match="image must be uint8"):
        detector.detect(np.zeros((9, 9, 4), np.uint8))

    def fail(*_):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(cascade, "propose", fail)
    with pytest.raises(DetectionError, match="face detection failed: not enough memory"):
        detector.detect(wall())


def test_the_threshold_is_that_of_dlibs_cnn():
    detector = make_detector(CPU, video=True)
    image, _ = people(3)
    detector.threshold = 5.0
    assert detector.detect(image) == ()
    detector.threshold = 0.0
    assert len(detector.detect(image)) == 3
