"""Generates the sequences of features, with targets, that the memory (GRU) is trained on.

Most are rendered from stills: one face whose augmentation changes slowly from frame to frame. In some
of them the face smiles or talks (``morph``, ``expression_dynamics``). Others are windows of real video
(``clip_sequences``). The frames are encoded with the trained CNN. Transitions between sequences are
cross-fades of features (:class:`ChainedSequences`).
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
from social_perception.research.training.augmentation import (
    Augmentation,
    GrayImage,
    render,
    sample_augmentation,
)
from social_perception.research.training.clip_sequences import ClipFaces
from social_perception.research.training.expression_dynamics import sample_expressions
from social_perception.research.training.faces import TrainingFaces
from social_perception.research.training.labels import FloatArray
from social_perception.research.training.morph import Expression, canvas_box, morph_face
from social_perception.research.training.settings import MemorySettings
from social_perception.research.training.talking import TalkingFaces

CHUNK = 32
"""Sequences encoded per batch."""
RATED_SHARE = 0.25
"""Share of rated faces in the sequences from stills."""
KNOTS = 5
"""Smile amounts at which the target is computed; it is interpolated in between."""
SMOOTHING_FRAMES = 5
"""Frames before and after each frame over which the target of real video is averaged."""


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
    """Render sequences of randomly selected faces and encode them; sequences of clips come last.

    Clips too short for a window yield no sequences; sequences from stills replace them.

    Args:
        network: encodes the frames and computes the targets.
        faces: the stills.
        settings: number, length and mix of the sequences.
        seed: seed of all random choices.
        clips: tracked faces of real video.
    """
    rng = np.random.default_rng((seed, 7))
    network.eval()
    with torch.inference_mode():
        from_clips = _clip_sequences(network, clips, settings, rng)
        count = settings.sequences - len(from_clips.features)
        from_stills = _still_sequences(network, faces, settings, count, rng)
        features = torch.cat([from_stills.features, from_clips.features])
        above = torch.cat([from_stills.above, from_clips.above])
    return FeatureSequences(features.clone(), above.clone())


def _still_sequences(
    network: SmileNetwork,
    faces: TrainingFaces,
    settings: MemorySettings,
    count: int,
    rng: np.random.Generator,
) -> FeatureSequences:
    rated, weak = np.flatnonzero(faces.targets.rated), np.flatnonzero(~faces.targets.rated & ~faces.moving)
    rated_count = round(RATED_SHARE * count)
    selected = np.concatenate([rng.choice(rated, rated_count), rng.choice(weak, count - rated_count)])
    features = [torch.zeros(0, settings.length, network.config.features)]
    above = [torch.zeros(0, settings.length, 3)]
    for start in tqdm(range(0, count, CHUNK), desc="sequences", mininterval=5):
        chunk = selected[start : start + CHUNK]
        expressions_of_chunk = [_sample_expressions(settings, rng) for _ in chunk]
        frames = np.stack(
            [
                render_sequence(faces.images[i], faces.boxes[i], settings.length, rng, expressions)
                for i, expressions in zip(chunk, expressions_of_chunk)
            ]
        )
        features.append(_encode(network, frames.reshape(-1, 96, 96)).unflatten(0, frames.shape[:2]))
        above += [
            _target(network, faces, i, expressions)[None]
            for i, expressions in zip(chunk, expressions_of_chunk)
        ]
    return FeatureSequences(torch.cat(features), torch.cat(above))


def _sample_expressions(settings: MemorySettings, rng: np.random.Generator) -> tuple[Expression, ...]:
    smiles, talks = rng.random(2) < (settings.morphed_share, settings.talking_share)
    if not smiles and not talks:
        return (Expression(),) * settings.length
    return sample_expressions(rng, settings.length, smiles=bool(smiles), talks=bool(talks))


def render_sequence(
    image: GrayImage,
    box: npt.NDArray[np.float32],
    length: int,
    rng: np.random.Generator,
    expressions: Sequence[Expression] = (),
) -> npt.NDArray[np.uint8]:
    """Render one face over time, (T, 96, 96), from one augmentation to another, with jitter.

    Args:
        image: (H, W) uint8 gray image.
        box: (4,) left, top, width, height of the face in px.
        length: T.
        rng: source of randomness.
        expressions: the expression of each frame; empty: none.
    """
    first = sample_augmentation(rng)
    last = first.interpolate(sample_augmentation(rng), rng.uniform(0.0, 1.0))
    flipped = rng.random() < 0.5
    jitter = rng.uniform(0.0, 0.02)
    morphed = morph_face(image, box) if any(each != Expression() for each in expressions) else None
    frames = np.empty((length, 96, 96), np.uint8)
    for t in range(length):
        params = _jittered(first.interpolate(last, t / max(1, length - 1)), jitter, rng)
        frame = morphed.render(expressions[t], params, rng) if morphed else render(image, box, params, rng)
        frames[t] = frame[:, ::-1] if flipped else frame
    return frames


def _jittered(params: Augmentation, jitter: float, rng: np.random.Generator) -> Augmentation:
    """Add the frame-to-frame jitter of detected and tracked boxes."""
    values = {name: getattr(params, name) for name in Augmentation.__slots__}
    for name in ("shift_x", "shift_y", "log_scale"):
        values[name] += rng.normal(0, jitter)
    return Augmentation(**values)


def _encode(network: SmileNetwork, crops: npt.NDArray[np.uint8]) -> Tensor:
    """Encode gray (N, 96, 96) or RGB (N, 96, 96, 3) crops to features (N, F)."""
    images = torch.from_numpy(crops if crops.ndim == 4 else crops[..., None])
    batches = (to_input(batch).expand(-1, 3, -1, -1) for batch in images.split(256))
    return torch.cat([network.encoder(batch) for batch in batches])


def _clean_scores(network: SmileNetwork, crops: npt.NDArray[np.uint8]) -> Tensor:
    """Return the single-frame scores (N, 3) of crops, averaged over each crop and its mirror image."""
    both = np.concatenate([crops, crops[:, :, ::-1]])
    return network.score_now(_encode(network, both)).unflatten(0, (2, -1)).mean(dim=0)


def _target(
    network: SmileNetwork, faces: TrainingFaces, index: int, expressions: Sequence[Expression]
) -> Tensor:
    """Return the targets (T, 3) of a sequence of one face.

    The target is the network's output for the unaugmented image and its mirror image with the smile of
    each frame, but without talking: from poor frames, the memory learns to predict what a good frame
    would show. For a rated face at rest it is averaged with the ratings; this correction shrinks
    linearly to 0 as the smile goes to 1 (or -1).
    """
    smile = np.array([expression.smile for expression in expressions], np.float32)
    amounts = np.unique(np.append(np.linspace(smile.min(), smile.max(), KNOTS if smile.any() else 1), 0.0))
    resting = Expression(parting=expressions[0].parting, teeth=expressions[0].teeth)
    face = morph_face(faces.images[index], faces.boxes[index])
    rng = np.random.default_rng(0)  # not used without augmentation
    clean = np.stack([face.render(replace(resting, smile=float(a)), Augmentation(), rng) for a in amounts])
    scores = _clean_scores(network, clean).numpy()
    predicted = torch.sigmoid(network.head(_interpolate_scores(smile, amounts, scores)))
    if not faces.targets.rated[index]:
        return predicted
    at_rest = torch.sigmoid(network.head(_interpolate_scores(np.zeros(1), amounts, scores)))
    correction = (torch.from_numpy(faces.targets.above[index]) - at_rest) / 2
    rest = torch.from_numpy(1 - np.abs(smile))[:, None]
    return (predicted + rest * correction).clamp(0.0, 1.0)


def _interpolate_scores(at: npt.NDArray[np.floating], amounts: FloatArray, scores: FloatArray) -> Tensor:
    """Interpolate scores (A, 3) at increasing amounts (A,) to the amounts ``at`` (T,): (T, 3)."""
    columns = [np.interp(at, amounts, column) for column in scores.T]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def talking_sequences(
    network: SmileNetwork, talking: TalkingFaces, length: int, count: int, seed: int
) -> FeatureSequences:
    """Render windows of the rated talking clips as :func:`render_sequence` does, and encode them.

    Windows with a smile are half of them, as far as there are any. The targets are the raters'.
    """
    rng = np.random.default_rng((seed, 11))
    starts = talking.windows(length)
    smiles = np.array([talking.above[s : s + length, 0].max() > 0 for s in starts], bool)
    pools = [pool for pool in (starts[smiles], starts[~smiles]) if len(pool)]
    selected = [int(rng.choice(pools[i % len(pools)])) for i in range(count if pools else 0)]
    features = [torch.zeros(0, length, network.config.features)]
    network.eval()
    with torch.inference_mode():
        for start in tqdm(selected, desc="talking", mininterval=5):
            frames = render_frames(talking.canvases[start : start + length], canvas_box(), rng)
            features.append(_encode(network, frames)[None])
    above = [torch.from_numpy(talking.above[s : s + length])[None] for s in selected]
    return FeatureSequences(torch.cat(features).clone(), torch.cat([torch.zeros(0, length, 3), *above]))


def render_frames(
    images: npt.NDArray[np.uint8], box: npt.NDArray[np.float32], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Render the frames (T, H, W) of a face that moves, (T, 96, 96), from one augmentation to another."""
    first = sample_augmentation(rng)
    last = first.interpolate(sample_augmentation(rng), rng.uniform(0.0, 0.5))
    flipped = rng.random() < 0.5
    steps = max(1, len(images) - 1)
    frames = np.stack(
        [render(image, box, first.interpolate(last, t / steps), rng) for t, image in enumerate(images)]
    )
    return np.ascontiguousarray(frames[:, :, ::-1]) if flipped else frames


def _clip_sequences(
    network: SmileNetwork, clips: ClipFaces | None, settings: MemorySettings, rng: np.random.Generator
) -> FeatureSequences:
    """Sample windows of real video, half of them mirrored; for the targets see :func:`smooth_scores`."""
    starts = clips.windows(settings.length) if clips is not None and settings.clip_share else np.zeros(0, int)
    if clips is None or not len(starts):
        length = settings.length
        return FeatureSequences(torch.zeros(0, length, network.config.features), torch.zeros(0, length, 3))
    first_rows = rng.choice(starts, round(settings.clip_share * settings.sequences))[:, None]
    rows = torch.from_numpy(first_rows + np.arange(settings.length))  # (S, T)
    plain, mirrored = (_encode(network, crops) for crops in (clips.crops, _flip(clips.crops)))
    flipped = torch.from_numpy(rng.random(len(rows)) < 0.5)[:, None, None]
    features = torch.where(flipped, mirrored[rows], plain[rows])
    scores = (network.score_now(plain) + network.score_now(mirrored)) / 2
    above = torch.sigmoid(network.head(torch.from_numpy(smooth_scores(scores.numpy(), clips.track))))
    return FeatureSequences(features, above[rows])


def smooth_scores(scores: npt.NDArray[np.float32], track: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Smooth the scores (F, 3) by a moving average within each track (F,): (F, 3)."""
    smooth = np.empty_like(scores)
    for row in range(len(scores)):
        window = slice(max(0, row - SMOOTHING_FRAMES), row + SMOOTHING_FRAMES + 1)
        smooth[row] = scores[window][track[window] == track[row]].mean(axis=0)
    return smooth


def _flip(crops: ImageArray) -> ImageArray:
    return np.ascontiguousarray(crops[:, :, ::-1])


class ChainedSequences(Dataset[tuple[Tensor, Tensor]]):
    """Chains of C sequences with cross-fades: features (C * T, F) and targets (C * T, 3)."""

    def __init__(self, sequences: FeatureSequences, chain_length: int, seed: int) -> None:
        self._sequences = sequences
        self._chain_length = chain_length
        self._seed = seed

    def __len__(self) -> int:
        return len(self._sequences.features)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._seed, index, int(torch.randint(2**31, ()))))
        features, above = self._sequences.features, self._sequences.above
        length = features.shape[1]
        order = [index, *rng.integers(0, len(features), self._chain_length - 1)]
        chain = torch.cat([features[i] for i in order])  # (C * T, F)
        target = torch.cat([above[i] for i in order])  # (C * T, 3)
        chain, target = chain.clone(), target.clone()
        for number in range(1, self._chain_length):
            _cross_fade(chain, target, number * length, int(rng.integers(0, min(8, length))))
        return chain, target


def _cross_fade(chain: Tensor, target: Tensor, seam: int, half: int) -> None:
    """Cross-fade linearly over 2 * half frames around a seam, in place: onset and offset of a smile."""
    before, after = max(0, seam - half - 1), min(len(chain) - 1, seam + half)
    fraction = torch.arange(1, 2 * half + 1)[:, None] / (2 * half + 1)
    for values in (chain, target):
        # Within the fade, each side keeps its value at the edge of the fade.
        values[seam - half : seam + half] = (1 - fraction) * values[before] + fraction * values[after]
