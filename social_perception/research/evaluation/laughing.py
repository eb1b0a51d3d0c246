"""Measures which face is taken to laugh, on scenes of two people and on the drawn sample.

No recordings show who of several people laughs. So a clip of somebody who talks gets a recorded laugh in
place of its sound: the mouth moves while the laugh is audible, and rests before. The other person's mouth
rests, moves without sound, or speaks audibly. How a mouth moves in laughter is not measured by this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from social_perception.core.config import HearingConfig, PipelineConfig
from social_perception.core.sound import SoundArray
from social_perception.core.types import Box, Voice
from social_perception.perception.hearing.listener import Listener
from social_perception.perception.hearing.speakers import SpeakerEstimator
from social_perception.perception.pipeline import make_pipeline
from social_perception.research.evaluation.speakers import Clip, Scene, balanced_accuracy, play, scaled
from social_perception.research.evaluation.targets import Measure
from social_perception.research.training.laughter_sounds import RATE_HZ
from social_perception.sources.sample import SampleFace, SampleSource

KINDS = ("the other still", "the other's mouth moves", "the other speaks")

LAUGHS_FROM = 0.5

_BEFORE_S, _MAX_S = 1.5, 4.0
_IMAGE_S = 0.04
_LAUGHS_OF_A_CLIP = 2
_SAMPLE_PEOPLE, _SAMPLE_S = 4, 20.0


@dataclass(frozen=True, slots=True)
class Laugh:
    """The highest values in one scene: of the room, of the face that laughs, and of the other one."""

    kind: str
    room: float
    face: float
    other: float


def scenes(clips: Sequence[Clip], laughs: Sequence[SoundArray]) -> Iterator[Scene]:
    """Three scenes for each of the next laughs and each clip with the next one."""
    number = 0
    for _ in range(_LAUGHS_OF_A_CLIP):
        for face, other in pairwise([*clips, clips[0]]):
            yield from _scenes_of(face, other, laughs[number % len(laughs)])
            number += 1


def _scenes_of(face: Clip, other: Clip, laugh: SoundArray) -> Iterator[Scene]:
    shortest_s = min(len(laugh) / RATE_HZ, float(face.stamps_s[-1]), _MAX_S)
    seconds = min(_BEFORE_S + shortest_s, float(other.stamps_s[-1]))
    times_s = np.arange(0.0, seconds, _IMAGE_S)
    sound, silence = np.zeros((2, int(seconds * RATE_HZ)), np.float32)
    first = int(_BEFORE_S * RATE_HZ)
    sound[first:] = scaled(laugh)[: len(sound) - first]
    shown = np.searchsorted(face.stamps_s, np.maximum(0.0, times_s - _BEFORE_S), "right") - 1
    moving = np.searchsorted(other.stamps_s, times_s, "right") - 1
    nobody = np.zeros(int(10 * seconds))
    spoken = silence.copy()
    part = scaled(other.sound)[: len(spoken)]
    spoken[: len(part)] = part
    for kind, frames, others in zip(KINDS, (0 * moving, moving, moving), (silence, silence, spoken)):
        yield Scene(kind, (face, other), (shown, frames), (sound, others), (nobody, nobody))


def watch(scene: Scene, listener: Listener, estimator: SpeakerEstimator) -> Laugh:
    """The highest values while the laugh is audible."""
    room, found = [0.0], [(0.0, 0.0)]
    for now_s, events, both in play(scene, listener, estimator):
        if now_s > _BEFORE_S and events:
            room.append(events[-1].laughter)
            found.append((both[0].laughing, both[1].laughing))  # type: ignore[union-attr]
    face, other = np.nanmax(found, axis=0)
    return Laugh(scene.kind, max(room), float(face), float(other))


def measures(clips: Sequence[Clip], laughs: Sequence[SoundArray], listener: Listener) -> Iterator[Measure]:
    """Of the laughs that are found in the sound: how often each face is taken to laugh; the units are laughs.

    Args:
        clips: of people who are not in the calibration.
        laughs: of speakers who are not in the training.
        listener: hears.
    """
    estimator = SpeakerEstimator()
    found = [watch(scene, listener, estimator) for scene in scenes(clips, laughs)]
    for kind in KINDS:
        every = [each for each in found if each.kind == kind]
        audible = [each for each in every if each.room >= LAUGHS_FROM]
        name = f"who laughs, {kind} ({len(audible)} of {len(every)} laughs found)"
        yield _share(f"{name}: the face that laughs", [each.face >= LAUGHS_FROM for each in audible])
        yield _share(f"{name}: the other face", [each.other >= LAUGHS_FROM for each in audible])
    yield of_the_sample()


def _share(name: str, values: Sequence[bool]) -> Measure:
    array = np.array(values, float)
    return Measure(name, "", len(array), lambda units: float(array[units].mean()))


def of_the_sample() -> Measure:
    """Balanced accuracy per face and image of the drawn sample, half of whose people laugh now and then."""
    config = PipelineConfig(hearing=HearingConfig(sound=True))
    truth: list[bool] = []
    says: list[bool] = []
    source = SampleSource(_SAMPLE_PEOPLE, _SAMPLE_S, RATE_HZ)
    with source, make_pipeline(config, live=False) as pipeline:
        for frame in source:
            people = source.truth(frame.index)
            for face in pipeline.process(frame).faces:
                person = max(people, key=partial(_overlap, face.track.box))
                # In between the mouth is opening or closing.
                if face.track.visible and person.voice.laughs in (0.0, 1.0):
                    truth.append(person.voice.laughs == 1.0)
                    says.append(face[Voice].laughing >= LAUGHS_FROM)
    value = balanced_accuracy(np.array(truth), np.array(says))
    name = "who laughs, drawn sample, balanced accuracy per face and image"
    return Measure(name, "", 1, lambda units: value)


def _overlap(box: Box, person: SampleFace) -> float:
    return box.iou(person.box)
