"""Who speaks: drawn faces whose mouths move with the sound, against it, or not at all."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from social_perception.core.signals import Signals
from social_perception.core.sound import SoundEvent
from social_perception.core.types import Box, FaceAffect, FrameAffect, RoomSound, Track, TrackedFaces, Voice
from social_perception.perception.hearing.mouth import mouth_image, mouth_motion
from social_perception.perception.hearing.speakers import RoomListener, SpeakerEstimator

FPS = 25
START_S = 1_700_000_000.0


def drawn_face(opening=0.0, shift=(0.0, 0.0), eyes=1.0):
    """A face with a mouth (opening in [0, 1]), moved by px, its eyes open in [0, 1]."""
    image = np.full((96, 96, 3), 150, np.uint8)
    cv2.ellipse(image, (48, 50), (32, 42), 0, 0, 360, (205, 165, 140), -1)
    for x in (34, 62):
        cv2.ellipse(image, (x, 38), (7, max(1, round(4 * eyes))), 0, 0, 360, (40, 30, 30), -1)
        cv2.line(image, (x - 8, 29), (x + 8, 28), (70, 45, 35), 2)
    cv2.line(image, (48, 42), (46, 56), (160, 120, 100), 2)
    cv2.ellipse(image, (48, 72), (13, 2 + round(8 * opening)), 0, 0, 360, (90, 30, 40), -1)
    moved = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    return cv2.warpAffine(image, moved, (96, 96), borderMode=cv2.BORDER_REPLICATE)


def motion(first, second):
    return mouth_motion(mouth_image(first), mouth_image(second))


def test_a_mouths_motion_is_not_that_of_the_head_or_the_eyes():
    still = drawn_face()
    opens = motion(still, drawn_face(0.5))
    assert motion(still, still) == 0.0
    assert opens > 0.1
    for other in (drawn_face(shift=(2, 1)), drawn_face(shift=(-1.5, 0.5)), drawn_face(eyes=0.0)):
        assert motion(still, other) < 0.5 * opens


def rhythm(time_s):
    """Syllables four times a second, with pauses between phrases."""
    return max(0.0, math.sin(2 * math.pi * 4 * time_s)) * (math.sin(2 * math.pi * 0.6 * time_s) > -0.3)


def watch(openings, seconds=4.0, speech=1.0, laughter=0.0, estimator=None, visible=(True, True)):
    """The voices at the end: mouths open by functions of the time, and the sound has the rhythm."""
    estimator = estimator or SpeakerEstimator()
    tracks = tuple(
        Track(name, Box(100.0 * place, 0.0, 80.0, 80.0), 1.0, visible=visible[place])
        for place, name in enumerate("ab"[: len(openings)])
    )
    voices, sent = [], 0
    for index in range(round(seconds * FPS)):
        now_s = (index + 1) / FPS
        events = []
        while (sent + 1) / 10 <= now_s:
            sent += 1
            loud = np.mean([rhythm(sent / 10 - back) for back in (0.02, 0.05, 0.08)])
            level = -50 + 35 * float(loud)
            events.append(SoundEvent(START_S + sent / 10, speech, laughter, level, (level - 9.0,) * 8))
        crops = np.stack([drawn_face(opening(now_s)) for opening in openings])
        stamp_s = START_S + now_s
        faces = TrackedFaces(stamp_s, index, 200, 100, tracks, crops, sound_events=tuple(events))
        voices = estimator.estimate(faces)
    return voices


def closed(time_s):
    return 0.0


def other_rhythm(time_s):
    """The mouth of somebody who says something else: it moves where the sound pauses."""
    return rhythm(1.3 * time_s + 0.9) * (rhythm(time_s) < 0.2)


@pytest.mark.parametrize("second", [closed, other_rhythm], ids=["still", "says-something-else"])
@pytest.mark.parametrize("order", [1, -1], ids=["first", "second"])
def test_the_one_whose_mouth_goes_with_the_sound_speaks(second, order):
    speaker, other = watch([rhythm, second][::order])[::order]
    assert speaker.speaking > 0.5 > other.speaking


def test_nobody_speaks_in_silence_or_with_a_closed_mouth():
    assert all(voice.speaking == 0.0 for voice in watch([rhythm, rhythm], speech=0.0))
    assert all(voice.speaking < 0.5 for voice in watch([closed, closed]))
    assert watch([rhythm])[0].speaking > 0.5, "one person alone needs no comparison"


def test_laughter_is_of_those_whose_mouths_move():
    first, second = watch([rhythm, closed], speech=0.1, laughter=0.9)
    assert first.laughing > 0.5 > second.laughing
    assert all(voice.laughing > 0.5 for voice in watch([rhythm, rhythm], laughter=0.9))
    assert all(voice.laughing == 0.0 for voice in watch([rhythm, rhythm], laughter=0.0))


def test_a_hidden_face_and_a_sound_that_ended_are_unknown():
    first, hidden = watch([rhythm, rhythm], visible=(True, False))
    assert first.speaking > 0.5
    assert math.isnan(hidden.speaking)
    estimator = SpeakerEstimator()
    watch([rhythm], estimator=estimator)
    crops = drawn_face()[np.newaxis]
    track = (Track("a", Box(0.0, 0.0, 80.0, 80.0), 1.0),)
    later = TrackedFaces(START_S + 5.5, 999, 200, 100, track, crops, sound_events=())
    assert math.isnan(estimator.estimate(later)[0].speaking)
    assert estimator.estimate(replace(later, sound_events=None)) == [None]
    nobody = TrackedFaces(START_S + 5.6, 1000, 200, 100, (), crops[:0], sound_events=())
    assert estimator.estimate(nobody) == []


def test_after_a_reset_nothing_is_left():
    estimator = SpeakerEstimator()
    watch([rhythm, closed], estimator=estimator)
    estimator.reset()
    assert watch([rhythm, closed], estimator=estimator) == watch([rhythm, closed])


def test_the_room_counts_who_speaks():
    faces = tuple(
        FaceAffect(Track(name, Box(0.0, 0.0, 80.0, 80.0), 1.0), Signals(Voice(speaking, math.nan)))
        for name, speaking in (("a", 0.9), ("b", 0.2), ("c", math.nan), ("d", 0.5))
    )
    room = RoomListener()
    affect = FrameAffect(5.0, 1, 200, 100, faces, sound_events=(SoundEvent(4.95, 0.8, 0.1, -30.0),))
    assert room.estimate(affect) == RoomSound(0.8, 0.1, 2)
    assert room.estimate(replace(affect, stamp_s=5.2, sound_events=())) == RoomSound(0.8, 0.1, 2)
    assert room.estimate(replace(affect, stamp_s=6.2, sound_events=())).speaking_count == -1
    assert room.estimate(replace(affect, sound_events=None)) is None
