import itertools

import cv2
import numpy as np
import pytest

from social_perception.core.errors import ConfigurationError
from social_perception.sources.portrait import load_portrait, smiling_busts
from social_perception.sources.sample import HEIGHT_PX, MAX_PEOPLE, WIDTH_PX, SampleSource


@pytest.fixture(scope="module")
def five():
    return SampleSource(people=5)


def frame_at(source, index):
    source._index = index
    return next(source)


@pytest.mark.parametrize("people", range(1, MAX_PEOPLE + 1))
def test_nobody_hides_a_face_or_leaves_the_image(people, monkeypatch):
    monkeypatch.setattr("social_perception.sources.sample._draw", lambda seated: ())
    source = SampleSource(people=people)
    for index in range(0, 3600, 45):
        faces = source.truth(index)
        assert len(faces) == people
        for face in faces:
            assert face.box.visible_fraction(WIDTH_PX, HEIGHT_PX) == 1.0
            assert face.box.width >= 48
        for one, other in itertools.combinations(faces, 2):
            assert one.box.iou(other.box) == 0.0


def test_people_move_and_smile_and_are_of_different_sizes(five):
    over_time = [five.truth(index) for index in range(0, 900, 15)]
    assert len({face.box.width for face in over_time[0]}) == 5
    for person in range(5):
        smiles = [faces[person].intensity for faces in over_time]
        places = [faces[person].box.left for faces in over_time]
        assert min(smiles) == 0.0
        assert max(smiles) == 1.0
        assert max(places) - min(places) > 30


def test_nobody_jumps(five):
    for before, after in itertools.pairwise(five.truth(index) for index in range(300)):
        for one, other in zip(before, after):
            assert abs(one.box.left - other.box.left) <= 4
            assert abs(one.intensity - other.intensity) < 0.1


def test_the_face_is_drawn_where_the_truth_says(five):
    """The portrait's eyes and nose, scaled, correlate with the image best at the true place."""
    portrait = cv2.cvtColor(load_portrait(), cv2.COLOR_RGB2GRAY)[68:140, 176:272]
    frame = frame_at(five, 100)
    gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
    for number, face in enumerate(five.truth(100)):
        scale = face.box.width / 96.0
        expected = cv2.resize(portrait[:, ::-1] if number % 2 else portrait, None, fx=scale, fy=scale)
        found = cv2.minMaxLoc(cv2.matchTemplate(gray, expected, cv2.TM_CCOEFF_NORMED))[3]
        if found != pytest.approx((face.box.left, face.box.top), abs=3):
            # Everybody has the same face: another one of nearly the same size may fit as well.
            x, y = int(face.box.left), int(face.box.top)
            place = gray[y - 6 : y + expected.shape[0] + 6, x - 6 : x + expected.shape[1] + 6]
            found = cv2.minMaxLoc(cv2.matchTemplate(place, expected, cv2.TM_CCOEFF_NORMED))[3]
            assert found == pytest.approx((6, 6), abs=3)


def test_only_the_mouth_changes_with_the_smile():
    neutral, smiling = (bust.astype(int) for bust in smiling_busts(load_portrait(), [0.0, 1.0]))
    changed = np.abs(smiling - neutral).max(axis=2) > 40
    rows, columns = np.nonzero(changed)
    assert changed.sum() > 500
    # In px of the portrait: the bust begins at (28, 2) and is enlarged twice.
    assert rows.min() / 2 + 2 > 105
    assert rows.max() / 2 + 2 < 182
    assert columns.min() / 2 + 28 > 180
    assert columns.max() / 2 + 28 < 268


def test_teeth_show_only_in_a_smile():
    # Teeth are bright and hardly coloured; the mouth lies around (223, 146) in the portrait.
    neutral, smiling = (bust[268:310, 348:436] for bust in smiling_busts(load_portrait(), [0.0, 1.0]))

    def teeth(mouth):
        hsv = cv2.cvtColor(mouth, cv2.COLOR_RGB2HSV)
        return int(((hsv[:, :, 1] < 45) & (hsv[:, :, 2] > 180)).sum())

    assert teeth(smiling) > 5 * max(1, teeth(neutral))


def test_every_run_is_the_same(five):
    again = SampleSource(people=5)
    for index in (0, 77):
        assert (frame_at(five, index).image == frame_at(again, index).image).all()


def test_a_duration_ends_it():
    with SampleSource(people=1, duration_s=0.1) as source:
        assert source.frame_count == 3
        frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.stamp_s for frame in frames] == pytest.approx([0.0, 1 / 30, 2 / 30])
    assert frames[0].image.shape == (720, 1280, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 0}, r"people must be in \[1, 16\], got 0"),
        ({"people": 17}, r"people must be in \[1, 16\], got 17"),
        ({"duration_s": 0.0}, "duration_s must be positive, got 0"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        SampleSource(**arguments)
