"""Makes sequences of features: faces over time, and what shall be said of each frame.

Most are made from stills, one face whose look drifts slowly from frame to frame. In some of them the
face smiles or talks, by moving its features (``morph``, ``courses``). Others are windows of real
video (``clip_sequences``). The network's features of these frames are what the memory is trained on.
Changes from one face to another are made by fading features (:class:`Changes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from social_perception.core.types import ImageArray
from social_perception.perception.smile.networks import SmileNetwork, to_input
from social_perception.research.training.augmentation import GrayImage, Look, draw_look, render
from social_perception.research.training.clip_sequences import ClipFaces
from social_perception.research.training.courses import draw_expressions
from social_perception.research.training.faces import TrainingFaces
from social_perception.research.training.labels import FloatArray
from social_perception.research.training.morph import Expression, morph_face
from social_perception.research.training.settings import MemorySettings

CHUNK = 32
"""Sequences encoded at a time."""
RATED_SHARE = 0.25
"""Of the sequences made from stills, those of rated faces."""
KNOTS = 5
"""Amounts of a smile at which the network is asked for the target; it is interpolated in between."""
STEADY_FRAMES = 5
"""Frames before and after one over which the target of real video is averaged."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSequences:
    """S sequences of T frames: features (S, T, F) and targets of P(level > k), (S, T, 3)."""

    features: Tensor
    above: Tensor


def feature_sequences(
    network: SmileNetwork,
    faces: TrainingFaces,
    settings: MemorySettings,
    seed: int,
    clips: ClipFaces | None = None,
) -> FeatureSequences:
    """Render sequences of randomly chosen faces and encode them; those of the clips stand last.

    Clips too short for a window give none, and stills take their place.
    """
    rng = np.random.default_rng((seed, 7))
    network.eval()
    with torch.inference_mode():
        real = _clip_sequences(network, clips, settings, rng)
        made = _still_sequences(network, faces, settings, settings.sequences - len(real.features), rng)
        features = torch.cat([made.features, real.features])
        above = torch.cat([made.above, real.above])
    return FeatureSequences(features.clone(), above.clone())


def _still_sequences(
    network: SmileNetwork,
    faces: TrainingFaces,
    settings: MemorySettings,
    count: int,
    rng: np.random.Generator,
) -> FeatureSequences:
    rated, weak = np.flatnonzero(faces.targets.rated), np.flatnonzero(~faces.targets.rated)
    of_rated = round(RATED_SHARE * count)
    chosen = np.concatenate([rng.choice(rated, of_rated), rng.choice(weak, count - of_rated)])
    features = [torch.zeros(0, settings.length, network.config.features)]
    above = [torch.zeros(0, settings.length, 3)]
    for start in tqdm(range(0, count, CHUNK), desc="sequences", mininterval=5):
        part = chosen[start : start + CHUNK]
        acted = [_drawn_expressions(settings, rng) for _ in part]
        frames = np.stack(
            [
                drifting(faces.images[i], faces.boxes[i], settings.length, rng, expressions)
                for i, expressions in zip(part, acted)
            ]
        )
        features.append(_encoded(network, frames.reshape(-1, 96, 96)).unflatten(0, frames.shape[:2]))
        above += [_target(network, faces, i, expressions)[None] for i, expressions in zip(part, acted)]
    return FeatureSequences(torch.cat(features), torch.cat(above))


def _drawn_expressions(settings: MemorySettings, rng: np.random.Generator) -> tuple[Expression, ...]:
    smiles, talks = rng.random(2) < (settings.morphed_share, settings.talking_share)
    if not smiles and not talks:
        return (Expression(),) * settings.length
    return draw_expressions(rng, settings.length, smiles=bool(smiles), talks=bool(talks))


def drifting(
    image: GrayImage,
    box: npt.NDArray[np.float32],
    length: int,
    rng: np.random.Generator,
    expressions: Sequence[Expression] = (),
) -> npt.NDArray[np.uint8]:
    """One face over time, (T, 96, 96): from one look to another, at a speed of its own, with jitter.

    Args:
        image: (H, W) uint8 gray picture.
        box: (4,) left, top, width, height of the face in px.
        length: T.
        rng: draws the looks.
        expressions: what the face does, frame by frame; empty: nothing.
    """
    first = draw_look(rng)
    last = first.towards(draw_look(rng), rng.uniform(0.0, 1.0))
    flipped = rng.random() < 0.5
    jitter = rng.uniform(0.0, 0.02)
    moving = morph_face(image, box) if any(each != Expression() for each in expressions) else None
    frames = np.empty((length, 96, 96), np.uint8)
    for t in range(length):
        look = _shaken(first.towards(last, t / max(1, length - 1)), jitter, rng)
        frame = moving.seen(expressions[t], look, rng) if moving else render(image, box, look, rng)
        frames[t] = frame[:, ::-1] if flipped else frame
    return frames


def _shaken(look: Look, jitter: float, rng: np.random.Generator) -> Look:
    """The look with the small jumps that a detector's and a tracker's boxes make."""
    values = {name: getattr(look, name) for name in Look.__slots__}
    for name in ("shift_x", "shift_y", "log_scale"):
        values[name] += rng.normal(0, jitter)
    return Look(**values)


def _encoded(network: SmileNetwork, crops: npt.NDArray[np.uint8]) -> Tensor:
    """Gray (N, 96, 96) or RGB (N, 96, 96, 3) crops to features (N, F)."""
    pictures = torch.from_numpy(crops if crops.ndim == 4 else crops[..., None])
    parts = (to_input(part).expand(-1, 3, -1, -1) for part in pictures.split(256))
    return torch.cat([network.encoder(part) for part in parts])


def _clean_scores(network: SmileNetwork, crops: npt.NDArray[np.uint8]) -> Tensor:
    """The single-frame scores (N, 3) of crops, averaged over each and its mirror image."""
    both = np.concatenate([crops, crops[:, :, ::-1]])
    return network.score_now(_encoded(network, both)).unflatten(0, (2, -1)).mean(dim=0)


def _target(
    network: SmileNetwork, faces: TrainingFaces, index: int, expressions: Sequence[Expression]
) -> Tensor:
    """The targets (T, 3) of a sequence of one face.

    It is what the network says of the undisturbed picture and of its mirror image with the smile of
    each frame, but without the talking: the memory shall make out from poor frames what could be
    seen in a good one. A rated face's target is averaged with the raters' word where it does not
    move; how much they differ there counts less and less as the smile grows to 1 (or down to -1).
    """
    smile = np.array([expression.smile for expression in expressions], np.float32)
    amounts = np.unique(np.append(np.linspace(smile.min(), smile.max(), KNOTS if smile.any() else 1), 0.0))
    resting = Expression(parting=expressions[0].parting, teeth=expressions[0].teeth)
    face = morph_face(faces.images[index], faces.boxes[index])
    rng = np.random.default_rng(0)  # an undisturbed look draws nothing
    clean = np.stack([face.seen(replace(resting, smile=float(a)), Look(), rng) for a in amounts])
    scores = _clean_scores(network, clean).numpy()
    said = torch.sigmoid(network.head(_interpolated(smile, amounts, scores)))
    if not faces.targets.rated[index]:
        return said
    at_rest = torch.sigmoid(network.head(_interpolated(np.zeros(1), amounts, scores)))
    correction = (torch.from_numpy(faces.targets.above[index]) - at_rest) / 2
    still = torch.from_numpy(1 - np.abs(smile))[:, None]
    return (said + still * correction).clamp(0.0, 1.0)


def _interpolated(at: npt.NDArray[np.floating], amounts: FloatArray, scores: FloatArray) -> Tensor:
    """Scores (A, 3), known at rising amounts (A,), at others (T,): (T, 3)."""
    columns = [np.interp(at, amounts, column) for column in scores.T]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def _clip_sequences(
    network: SmileNetwork, clips: ClipFaces | None, settings: MemorySettings, rng: np.random.Generator
) -> FeatureSequences:
    """Windows of real video, half of them mirrored; see :func:`steadied` for the targets."""
    starts = clips.windows(settings.length) if clips is not None and settings.clip_share else np.zeros(0, int)
    if clips is None or not len(starts):
        length = settings.length
        return FeatureSequences(torch.zeros(0, length, network.config.features), torch.zeros(0, length, 3))
    rows = rng.choice(starts, round(settings.clip_share * settings.sequences))[:, None]
    rows = torch.from_numpy(rows + np.arange(settings.length))  # (S, T)
    plain, mirrored = (_encoded(network, crops) for crops in (clips.crops, _mirrored(clips.crops)))
    flipped = torch.from_numpy(rng.random(len(rows)) < 0.5)[:, None, None]
    features = torch.where(flipped, mirrored[rows], plain[rows])
    scores = (network.score_now(plain) + network.score_now(mirrored)) / 2
    above = torch.sigmoid(network.head(torch.from_numpy(steadied(scores.numpy(), clips.track))))
    return FeatureSequences(features, above[rows])


def steadied(scores: npt.NDArray[np.float32], track: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The scores (F, 3), each averaged with those of the frames around it in its own run, (F, 3)."""
    steady = np.empty_like(scores)
    for row in range(len(scores)):
        around = slice(max(0, row - STEADY_FRAMES), row + STEADY_FRAMES + 1)
        steady[row] = scores[around][track[around] == track[row]].mean(axis=0)
    return steady


def _mirrored(crops: ImageArray) -> ImageArray:
    return np.ascontiguousarray(crops[:, :, ::-1])


class Changes(Dataset):  # type: ignore[type-arg]
    """Chains of sequences that fade into each other: features (P * T, F) and targets (P * T, 3)."""

    def __init__(self, sequences: FeatureSequences, parts: int, seed: int) -> None:
        self._sequences = sequences
        self._parts = parts
        self._seed = seed

    def __len__(self) -> int:
        return len(self._sequences.features)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._seed, index, torch.randint(2**31, ()).item()))
        features, above = self._sequences.features, self._sequences.above
        length = features.shape[1]
        order = [index, *rng.integers(0, len(features), self._parts - 1)]
        chain = torch.cat([features[i] for i in order])  # (P * T, F)
        target = torch.cat([above[i] for i in order])  # (P * T, 3)
        chain, target = chain.clone(), target.clone()
        for part in range(1, self._parts):
            _fade(chain, target, part * length, int(rng.integers(0, min(8, length))))
        return chain, target


def _fade(chain: Tensor, target: Tensor, seam: int, half: int) -> None:
    """Fade linearly over 2 * half frames around a seam, in place: onset and offset of a smile."""
    before, after = max(0, seam - half - 1), min(len(chain) - 1, seam + half)
    share = torch.arange(1, 2 * half + 1)[:, None] / (2 * half + 1)
    for values in (chain, target):
        # Each side goes on as it was at the edge of the fade.
        values[seam - half : seam + half] = (1 - share) * values[before] + share * values[after]
