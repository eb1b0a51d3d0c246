"""Measures who speaks, on scenes of two people composed from clips of people who talk.

The clips show one person each, whose sound is their own. The silence of a person in a scene is a clip without
its sound (mute), an image that stays the same (frozen), or the other person's own images, later (shifted).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tqdm import tqdm

from social_perception.core.config import PipelineConfig
from social_perception.core.sound import Sound, SoundArray, SoundEvent
from social_perception.core.types import Box, ImageArray, Track, TrackedFaces, Voice
from social_perception.perception.hearing.lip_sync import LipSync
from social_perception.perception.hearing.listener import Listener
from social_perception.perception.hearing.speakers import Observation, SpeakerEstimator
from social_perception.perception.pipeline import make_tracking
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.targets import Measure, Rows
from social_perception.research.training.laughter_sounds import RATE_HZ, decode
from social_perception.research.training.speaker_training import Fold, Moment, fit, to_tensors, untrained
from social_perception.research.training.stills import data_folder
from social_perception.sources.video import VideoSource

CALIBRATION = ("eamm", "edtalk", "latentsync", "lipnet", "liveportrait")
"""Beginnings of the names of the clips whose people the weights of who laughs were fitted on."""

PEOPLE = (
    ("eamm", "edtalk", "liveportrait"),
    ("latentsync",),
    ("lipnet",),
    ("real3d", "sadtalker", "v_express", "video_retalking_3"),
    ("talking_face_pc_avs_0000", "talking_face_pc_avs_0001", "talking_face_pc_avs_5"),
    ("talking_face_pc_avs",),
    ("video_retalking",),
)
"""Beginnings of the names of the clips of each fold: nobody is in two of them; the first that fits counts."""

KINDS = ("both audible", "one mute", "one frozen", "one shifted", "one after the other")

_SPEAKS_FROM, _SILENT_UP_TO = 0.5, 0.15
_SHIFT_S = 2.0
_LEVEL = 0.05
_MAX_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A clip of one person: crops (N, 96, 96, 3) at times (N,), and the sound; ``speech`` per 0.1 s."""

    name: str
    stamps_s: FloatArray
    crops: ImageArray
    sound: SoundArray
    speech: FloatArray

    @property
    def is_for_calibration(self) -> bool:
        return self.name.startswith(CALIBRATION)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Two people: the frame of each one's clip that is shown at each time (-1: none), and what is audible."""

    kind: str
    clips: tuple[Clip, Clip]
    frames: tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]
    sounds: tuple[SoundArray, SoundArray]
    speech: tuple[FloatArray, FloatArray]


@dataclass(frozen=True, slots=True)
class Second:
    """One face in one second: whether it speaks, what was estimated, and what the baselines say."""

    scene: int
    kind: str
    speaks: bool
    estimated: float
    speech: float
    motion: float


def read_clips(folder: Path, listener: Listener) -> list[Clip]:
    """The clips in which one face is followed throughout and speech is found."""
    tracking = make_tracking(PipelineConfig(), live=False)
    found = []
    for path in tqdm(sorted(folder.glob("*.mp4")), desc="talking clips"):
        tracking.restart()
        with VideoSource(path) as source:
            seen = [tracking.process(frame) for frame in source]
        sound = decode(path)
        shown = [each for each in seen if each.tracks]
        if len(shown) < 0.9 * len(seen) or len(sound) < 2 * RATE_HZ:
            continue
        sizes = [[track.box.area for track in each.tracks] for each in shown]
        crops = np.stack([each.crops[np.argmax(size)] for each, size in zip(shown, sizes)])
        stamps_s = np.array([each.stamp_s for each in shown]) - shown[0].stamp_s
        speech = _speech(listener, sound)
        if (speech >= _SPEAKS_FROM).mean() > 0.2:
            found.append(Clip(path.stem, stamps_s, crops, sound, speech))
    tracking.close()
    return found


def _speech(listener: Listener, sound: SoundArray) -> FloatArray:
    listener.reset()
    return np.array([event.speech for event in listener.listen(Sound(sound, RATE_HZ, 0.0))])


def scenes(clips: Sequence[Clip]) -> Iterator[Scene]:
    """Five scenes for each clip with the next one."""
    for first, second in zip(clips, [*clips[1:], *clips[:1]]):
        seconds = min(len(first.speech), len(second.speech), 10 * _MAX_S) / 10
        times_s = np.arange(0.0, seconds, 0.04)
        own = [np.searchsorted(each.stamps_s, times_s, "right") - 1 for each in (first, second)]
        sounds = [scaled(each.sound[: int(seconds * RATE_HZ)]) for each in (first, second)]
        speech = [each.speech[: int(10 * seconds)] for each in (first, second)]
        silence, nothing = np.zeros_like(sounds[0]), np.zeros_like(speech[0])
        still, moving = np.zeros_like(own[1]), (own[0], own[1])
        half = times_s < seconds / 2
        yield Scene(KINDS[0], (first, second), moving, (sounds[0], sounds[1]), (speech[0], speech[1]))
        alone = (sounds[0], silence), (speech[0], nothing)
        yield Scene(KINDS[1], (first, second), moving, *alone)
        yield Scene(KINDS[2], (first, second), (own[0], still), *alone)
        yield Scene(KINDS[3], (first, first), (own[0], np.roll(own[0], round(_SHIFT_S / 0.04))), *alone)
        middle = len(silence) // 2, len(nothing) // 2
        parts = [(np.arange(len(silence)) < middle[0]), (np.arange(len(nothing)) < middle[1])]
        yield Scene(
            KINDS[4],
            (first, second),
            (np.where(half, own[0], own[0][half][-1]), np.where(half, own[1][half][-1], own[1])),
            (sounds[0] * parts[0], sounds[1] * ~parts[0]),
            (speech[0] * parts[1], speech[1] * ~parts[1]),
        )


def scaled(sound: SoundArray) -> SoundArray:
    """Sound at the level at which each person of a scene is audible."""
    return np.asarray(sound * (_LEVEL / (np.sqrt(np.mean(np.square(sound))) + 1e-9)), np.float32)


def play(
    scene: Scene, listener: Listener, estimator: SpeakerEstimator
) -> Iterator[tuple[float, Sequence[SoundEvent], Sequence[Voice | None]]]:
    """The images of a scene: each one's time, the events that are new with it, and both people's voices."""
    listener.reset()
    estimator.reset()
    mixed = Sound(np.clip(scene.sounds[0] + scene.sounds[1], -1.0, 1.0), RATE_HZ, 0.0)
    tracks = tuple(Track(name, Box(100.0 * place, 0.0, 80.0, 80.0), 1.0) for place, name in enumerate("ab"))
    for index in range(len(scene.frames[0])):
        now_s = 0.04 * (index + 1)
        crops = np.stack([clip.crops[row[index]] for clip, row in zip(scene.clips, scene.frames)])
        block, mixed = mixed.split(now_s)
        events = listener.listen(block)
        faces = TrackedFaces(now_s, index, 200, 100, tracks, crops, sound=block, sound_events=events)
        yield now_s, events, estimator.estimate(faces)


def watch(scene: Scene, number: int, listener: Listener, estimator: SpeakerEstimator) -> Iterator[Moment]:
    """The seconds of a scene, each observed at its end."""
    received = 0
    for index, (now_s, events, _) in enumerate(play(scene, listener, estimator)):
        received += len(events)
        if (index + 1) % 25 or received < 10:
            continue
        spoken = [float(each[received - 10 : received].mean()) for each in scene.speech]
        yield Moment(
            number,
            scene.kind,
            estimator.observation(),
            tuple(estimator.motions(now_s)),
            tuple(None if _SILENT_UP_TO < each < _SPEAKS_FROM else each >= _SPEAKS_FROM for each in spoken),
        )


def seconds_of(moments: Sequence[Moment], weights: LipSync) -> Iterator[Second]:
    """Each face in each second in which it is decided whether it speaks."""
    for moment in moments:
        voices = moment.observation.voices(weights)
        for speaks, voice, motion in zip(moment.speaks, voices, moment.motions):
            if speaks is not None:
                speech = float(moment.observation.speech[-1])
                yield Second(moment.scene, moment.kind, speaks, voice.speaking, speech, motion)


def observe(clip: Clip, listener: Listener) -> Observation:
    """A whole clip with its own sound."""
    estimator = SpeakerEstimator(untrained(), rows=len(clip.speech))
    silence = np.zeros_like(clip.sound)
    frames = np.searchsorted(clip.stamps_s, np.arange(0.0, len(clip.speech) / 10, 0.04), "right") - 1
    alone = Scene("", (clip, clip), (frames, 0 * frames), (scaled(clip.sound), silence), (clip.speech,) * 2)
    for _ in play(alone, listener, estimator):
        pass
    found = estimator.observation()
    return replace(found, views=found.views[:1])


def folds(clips: Sequence[Clip], listener: Listener) -> list[Fold]:
    """The clips and scenes of each group of people."""
    groups: list[list[Clip]] = [[] for _ in PEOPLE]
    for clip in clips:
        groups[next(place for place, names in enumerate(PEOPLE) if clip.name.startswith(names))].append(clip)
    estimator = SpeakerEstimator(untrained())
    numbers = count()
    return [
        Fold(
            tuple(observe(clip, listener) for clip in group),
            tuple(
                moment
                for scene in scenes(group)
                for moment in watch(scene, next(numbers), listener, estimator)
            ),
        )
        for group in tqdm(groups, desc="scenes of two people")
        if group
    ]


def train_speakers(output: Path) -> Path:
    """Fit the weights of who speaks to all clips and return the file with them.

    Raises:
        SourceError: the clips are missing.
    """
    listener = Listener()
    found = folds(read_clips(data_folder() / "talking", listener), listener)
    path = output / "speakers" / "speakers.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(to_tensors(fit(found)), path)
    print(f"weights written to {path}")
    return path


def measures(people: Sequence[Fold]) -> Iterator[Measure]:
    """Balanced accuracy per second, of each group by weights fitted to the others; the units are scenes."""
    tested: list[Second] = []
    says_moving: list[bool] = []
    for group in people:
        others = [each for each in people if each is not group]
        weights = fit(others)
        found = list(seconds_of(group.moments, weights))
        limit = _best_limit([each for other in others for each in seconds_of(other.moments, weights)])
        tested += found
        says_moving += [each.motion >= limit for each in found]
    says_estimated = [each.estimated >= _SPEAKS_FROM for each in tested]
    for name, target, says in (
        ("sound and mouths", ">= 0.85", says_estimated),
        ("sound alone", "", [each.speech >= _SPEAKS_FROM for each in tested]),
        ("mouths alone", "", says_moving),
    ):
        yield _balanced(f"who speaks, by {name}, balanced accuracy per second", target, tested, says)
    for kind in KINDS:
        kept = [index for index, each in enumerate(tested) if each.kind == kind]
        yield _balanced(
            f"who speaks, {kind}",
            "",
            [tested[each] for each in kept],
            [says_estimated[each] for each in kept],
        )


def _balanced(name: str, target: str, seconds: Sequence[Second], says: Sequence[bool]) -> Measure:
    truth, found = np.array([each.speaks for each in seconds]), np.array(says)
    _, scene = np.unique([each.scene for each in seconds], return_inverse=True)
    rows_of = [np.flatnonzero(scene == each) for each in range(scene.max() + 1)]

    def statistic(units: Rows) -> float:
        rows = np.concatenate([rows_of[unit] for unit in units])
        return balanced_accuracy(truth[rows], found[rows])

    return Measure(f"{name} ({len(seconds)} seconds)", target, len(rows_of), statistic)


def balanced_accuracy(truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> float:
    """The mean of the shares of both classes that are found; of one class where the other is missing."""
    shares = [float((found[truth == each] == each).mean()) for each in (True, False) if (truth == each).any()]
    return sum(shares) / len(shares)


def _best_limit(seconds: Sequence[Second]) -> float:
    truth = np.array([each.speaks for each in seconds])
    motions = np.array([each.motion for each in seconds])
    limits = np.percentile(motions, np.arange(5, 96, 5))
    return float(max(limits, key=lambda limit: balanced_accuracy(truth, motions >= limit)))
