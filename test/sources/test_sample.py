import itertools

import cv2
import numpy as np
import pytest

from social_perception.core.errors import ConfigurationError
from social_perception.sources.portrait import BUST, CHANGED, _smile_map, load_portrait, smiling_busts
from social_perception.sources.sample import HEIGHT_PX, MAX_PEOPLE, WIDTH_PX, SampleSource
from social_perception.sources.sample_sound import CYCLE_S, SampleVoices


@pytest.fixture(scope="module")
def five():
    return SampleSource(people=5)


def frame_at(source, index):
    source._index = index
    return next(source)


@pytest.mark.parametrize("people", range(1, MAX_PEOPLE + 1))
def test_nobody_hides_a_face_or_leaves_the_image(people, monkeypatch):
    monkeypatch.setattr("social_perception.sources.sample._draw", lambda seated, openings: ())
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


@pytest.mark.parametrize(
    ("intensity", "opening"), [(0.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, 0.0), (1.0, 1.0)]
)
def test_what_a_smile_changes_is_all_drawn(intensity, opening):
    y, x = np.mgrid[BUST[1] : BUST[3] : 0.5, BUST[0] : BUST[2] : 0.5].astype(np.float32)
    source_x, source_y = _smile_map(x, y, intensity, opening)
    changed = (source_x != x) | (source_y != y)
    assert changed.any()
    left, top, right, bottom = CHANGED
    assert not (changed & ~((left <= x) & (x < right) & (top <= y) & (y < bottom))).any()


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


# With sound.


@pytest.fixture(scope="module")
def talking():
    return SampleSource(people=3, sound_rate_hz=16000)


def test_the_sound_has_no_gap_and_is_the_same_in_every_run(talking):
    voices = talking._voices
    whole = voices.between(0.0, CYCLE_S + 1.0)
    parts = [voices.between(index / 30, (index + 1) / 30) for index in range(round(30 * (CYCLE_S + 1)))]
    assert np.array_equal(np.concatenate([each.samples for each in parts]), whole.samples)
    assert np.array_equal(SampleVoices(3, 16000).between(0.0, 2.0).samples, whole.samples[:32000])
    assert 0.2 < np.abs(whole.samples).max() < 1.0


def test_frames_have_the_sound_since_the_one_before(talking):
    first, second = frame_at(talking, 0), frame_at(talking, 1)
    assert len(first.sound.samples) == 0
    assert (second.sound.start_s, second.sound.end_s) == (0.0, pytest.approx(1 / 30, abs=1e-4))
    assert frame_at(SampleSource(people=1), 0).sound is None


def test_one_speaks_at_a_time_and_everybody_does_and_several_laugh(talking):
    over_time = [[face.voice for face in talking.truth(index)] for index in range(0, 1800, 6)]
    assert max(sum(voice.speaks for voice in voices) for voices in over_time) == 1
    assert all(any(voices[person].speaks for voices in over_time) for person in range(3))
    assert all(any(voices[person].laughs > 0.5 for voices in over_time) for person in range(3))
    assert not any(voice.speaks and voice.laughs for voices in over_time for voice in voices)


def test_a_mouth_opens_where_its_voice_is_loud_and_who_laughs_smiles(talking):
    for index in range(0, 1800, 3):
        for face in talking.truth(index):
            voice = face.voice
            assert voice.opening == 0.0 or voice.speaks or voice.laughs
            assert face.intensity >= voice.laughs
    openings = [talking.truth(index)[0].voice.opening for index in range(30, 135)]
    assert np.std(openings) > 0.2, "as in speech"


def test_only_the_mouth_of_who_speaks_moves(talking):
    quiet = SampleSource(people=3)
    index = max(range(30, 135), key=lambda n: talking.truth(n)[0].voice.opening)
    changed = np.abs(talking.image(index).astype(int) - quiet.image(index)).max(axis=2) > 12
    rows, columns = np.nonzero(changed)
    box = talking.truth(index)[0].box
    assert len(rows) > 100
    assert box.left < columns.min() < columns.max() < box.right
    assert box.center[1] < rows.min() < rows.max() < box.bottom + 0.2 * box.height


@pytest.mark.parametrize("rate_hz", [8000, 44100, 96000])
def test_any_rate_will_do(rate_hz):
    sound = SampleVoices(2, rate_hz).between(0.0, 20.0)
    assert len(sound.samples) == 20 * rate_hz
    assert np.isfinite(sound.samples).all()


def test_speech_is_speech_to_the_detector_and_laughter_is_none(talking):
    pytest.importorskip("silero_vad")
    from social_perception.perception.hearing.listener import Listener

    events = Listener().listen(talking._voices.between(0.0, CYCLE_S))
    speech = np.array([event.speech for event in events])
    stamps_s = np.array([event.stamp_s for event in events])
    for start_s, end_s in ((1.0, 4.5), (5.5, 9.0), (14.0, 17.5)):
        inside = (stamps_s > start_s + 0.5) & (stamps_s < end_s)
        assert np.mean(speech[inside] > 0.5) > 0.9
    laughter = (stamps_s > 10.0) & (stamps_s < 12.5)
    assert np.mean(speech[laughter] > 0.5) < 0.3
