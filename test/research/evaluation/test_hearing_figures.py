"""The figures of the hearing, on sounds and scenes whose figures are known."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest

from social_perception.core.sound import SoundEvent
from social_perception.core.types import Box, FaceAffect, FrameAffect, Signals, Track, Voice
from social_perception.perception.hearing.lip_sync import shipped
from social_perception.perception.hearing.mouth import VIEW
from social_perception.perception.hearing.speakers import SpeakerEstimator
from social_perception.research.evaluation import hearing, laughing, speakers
from social_perception.sources import sample
from social_perception.sources.sample import SampleSource

RATE_HZ = 16_000


class FakeListener:
    """Loud sound is speech, and laughter after 0.3 s."""

    def __init__(self):
        self.reset()

    def reset(self):
        self._loud = self._rows = 0
        self._waiting = np.empty(0, np.float32)

    def listen(self, sound):
        events = []
        self._waiting = np.concatenate([self._waiting, sound.samples])
        while len(self._waiting) >= 1600:
            row, self._waiting = self._waiting[:1600], self._waiting[1600:]
            loud = float(np.abs(row).max()) > 0.01
            self._loud = self._loud + 1 if loud else 0
            self._rows += 1
            stamp_s = self._rows / 10
            level = -20.0 if loud else -90.0
            events.append(SoundEvent(stamp_s, float(loud), float(self._loud > 3), level, (level,) * 8))
        return tuple(events)


def noise(seconds, level=0.1):
    return np.random.default_rng(1).uniform(-level, level, int(seconds * RATE_HZ)).astype(np.float32)


def test_the_delay_is_from_the_beginning_of_the_sound():
    sound = np.concatenate([np.zeros(3200, np.float32), noise(1.5)])
    laughter = np.array([event.laughter for event in hearing.listen(FakeListener(), sound)])
    assert hearing._delay_s(sound, laughter) == pytest.approx(0.4, abs=0.01)
    assert math.isnan(hearing._delay_s(sound, 0 * laughter))
    assert hearing._highest(laughter) == 1.0
    assert hearing._highest(np.array([0, 0.9, 0, 0])) == pytest.approx(0.3)


def test_false_laughter_is_counted_per_second():
    sounds = {"short": noise(0.2), "long": noise(2.0)}
    laughter, speech = hearing.speech_measures(FakeListener(), sounds, "x")
    # With a pause of 0.5 s before and after: the short one has 1 s, the long one 3 s.
    assert laughter.statistic([0, 1]) == pytest.approx(3 / 4)
    assert laughter.statistic([0]) == 0.0
    assert speech.statistic([0]) == 1.0


def clip(name, seconds=4.0):
    count = int(25 * seconds)
    crops = np.random.default_rng(len(name)).integers(0, 255, (count, 96, 96, 3), np.uint8)
    speech = np.ones(int(10 * seconds))
    return speakers.Clip(name, np.arange(count) / 25, crops, noise(seconds), speech)


def test_scenes_show_and_sound_as_they_are_named():
    first, second = clip("a"), clip("bb", 3.0)
    found = {scene.kind: scene for scene in list(speakers.scenes([first, second]))[:5]}
    assert tuple(found) == speakers.KINDS
    audible = {kind: [bool(np.abs(sound).max()) for sound in each.sounds] for kind, each in found.items()}
    assert audible == {
        "both audible": [True, True], "one mute": [True, False], "one frozen": [True, False],
        "one shifted": [True, False], "one after the other": [True, True],
    }  # fmt: skip
    assert len(np.unique(found["one frozen"].frames[1])) == 1
    assert len(np.unique(found["one mute"].frames[1])) > 70
    assert found["one shifted"].clips == (first, first)
    turns = found["one after the other"]
    assert [row[:15].mean() for row in turns.speech] == [1.0, 0.0]
    assert [row[15:].mean() for row in turns.speech] == [0.0, 1.0]
    assert not (turns.sounds[0].astype(bool) & turns.sounds[1].astype(bool)).any()


def test_each_second_of_each_face_is_judged():
    (scene,) = [each for each in speakers.scenes([clip("a"), clip("bb")]) if each.kind == "one frozen"][:1]
    moments = list(speakers.watch(scene, 7, FakeListener(), SpeakerEstimator()))
    assert [each.speaks for each in moments] == [(True, False)] * 4
    assert [each.observation.views.shape for each in moments[::3]] == [(2, 10, VIEW), (2, 30, VIEW)]
    seconds = list(speakers.seconds_of([*moments, replace(moments[0], speaks=(None, None))], shipped()))
    assert [(each.scene, each.speaks) for each in seconds] == [(7, True), (7, False)] * 4
    assert all((each.estimated > 0.5) == each.speaks for each in seconds)
    assert all((each.motion == 0.0) != each.speaks for each in seconds)


def test_each_group_is_judged_by_weights_of_the_others():
    names = [("eamm", "edtalk"), ("latentsync1", "latentsync2"), ("lipnet1", "lipnet22")]
    clips = [clip(name, 3.0) for pair in names for name in pair]
    people = speakers.folds(clips, FakeListener())
    assert [len(each.clips) for each in people] == [2, 2, 2]
    assert people[0].clips[0].views.shape == (1, 30, VIEW)
    numbers = [{moment.scene for moment in each.moments} for each in people]
    assert len(set.union(*numbers)) == sum(map(len, numbers))
    found = {measure.name: measure for measure in speakers.measures(people)}
    frozen = next(measure for name, measure in found.items() if "one frozen" in name)
    assert frozen.units == 6
    assert frozen.statistic(np.arange(6)) == 1.0


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [([1, 1, 0, 0], [1, 0, 0, 0], 0.75), ([1, 0, 0, 0], [1, 1, 1, 1], 0.5), ([1, 1], [1, 0], 0.5)],
)
def test_balanced_accuracy_is_the_mean_over_the_classes(truth, found, expected):
    assert speakers.balanced_accuracy(np.array(truth, bool), np.array(found, bool)) == expected


class MovingLaughs(SpeakerEstimator):
    """Each face whose image changes laughs when the room does."""

    def __init__(self):
        self.reset()

    def reset(self):
        self._before, self._laughter = None, 0.0

    def estimate(self, faces):
        for event in faces.sound_events:
            self._laughter = event.laughter
        moves = [False] * 2 if self._before is None else (faces.crops != self._before).any(axis=(1, 2, 3))
        self._before = faces.crops
        return [Voice(0.0, self._laughter * float(moved)) for moved in moves]


@pytest.mark.parametrize(("kind", "other"), list(zip(laughing.KINDS, (0.0, 1.0, 1.0), strict=True)))
def test_the_face_that_laughs_moves_only_while_it_is_audible(kind, other):
    clips = [clip("a"), clip("bb")]
    scenes = [scene for scene in laughing.scenes(clips, [noise(2.0)]) if scene.kind == kind]
    assert len(scenes) == 2 * len(clips)
    assert scenes[0].clips == (clips[0], clips[1])
    shown = scenes[0].frames[0]
    first = int(np.argmax(shown > 0))
    assert first / 25 == pytest.approx(1.5, abs=0.1)
    assert not scenes[0].sounds[0][: int(1.5 * RATE_HZ)].any()
    assert scenes[0].sounds[1].any() == (kind == "the other speaks")
    found = laughing.watch(scenes[0], FakeListener(), MovingLaughs())
    assert (found.kind, found.room, found.face, found.other) == (kind, 1.0, 1.0, other)


def test_faces_are_counted_where_the_laugh_is_found_in_the_sound(monkeypatch):
    found = iter([(0.9, 0.8, 0.1), (0.9, 0.2, 0.7), (0.1, 0.9, 0.9)] * 4)
    monkeypatch.setattr(laughing, "watch", lambda scene, *_: laughing.Laugh(scene.kind, *next(found)))
    monkeypatch.setattr(laughing, "of_the_sample", lambda: None)
    clips = [clip("a"), clip("bb")]
    *measures, _ = laughing.measures(clips, [noise(2.0)], FakeListener())
    assert [measure.name for measure in measures[:2]] == [
        "who laughs, the other still (4 of 4 laughs found): the face that laughs",
        "who laughs, the other still (4 of 4 laughs found): the other face",
    ]
    assert [measure.statistic(np.arange(4)) for measure in measures[:4]] == [1.0, 0.0, 0.0, 1.0]
    assert [measure.units for measure in measures] == [4, 4, 4, 4, 0, 0]


class SeenPipeline:
    """Sees everybody of the sample where they are, and knows who of them laughs, if anybody does."""

    def __init__(self, laughs):
        self._laughs, self._truth = laughs, SampleSource(4, sound_rate_hz=RATE_HZ).truth

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def process(self, frame):
        faces = []
        for number, person in enumerate(self._truth(frame.index)):
            voice = Voice(0.0, float(self._laughs and person.voice.laughs > 0.5))
            track = Track(str(number), Box(person.box.left + 3.0, *astuple(person.box)[1:]), 1.0)
            faces.append(FaceAffect(track, Signals(voice)))
        return FrameAffect(frame.stamp_s, frame.index, 1280, 720, tuple(faces))


@pytest.mark.parametrize(("laughs", "expected"), [(True, 1.0), (False, 0.5)])
def test_faces_of_the_sample_are_those_of_the_people_who_laugh(monkeypatch, laughs, expected):
    # Its images are not looked at.
    monkeypatch.setattr(sample, "_draw", lambda *_: ())
    monkeypatch.setattr(SampleSource, "image", lambda *_: np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(laughing, "make_pipeline", lambda *_, **__: SeenPipeline(laughs))
    assert laughing.of_the_sample().statistic(np.arange(1)) == expected
