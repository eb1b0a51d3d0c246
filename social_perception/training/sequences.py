"""Makes sequences from stills: one face, its look drifting slowly from frame to frame.

The network's features of these frames are what the memory is trained on. Smiles that come and go
are made by fading the features of one sequence into those of another (:class:`Changes`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from social_perception.smile.networks import SmileNetwork, to_input
from social_perception.training.augmentation import GrayImage, Look, draw_look, render
from social_perception.training.faces import TrainingFaces

CHUNK = 32
"""Sequences encoded at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSequences:
    """S sequences of T frames: features (S, T, F) and targets of P(level > k), (S, 3)."""

    features: Tensor
    above: Tensor


def feature_sequences(
    network: SmileNetwork, faces: TrainingFaces, count: int, length: int, seed: int
) -> FeatureSequences:
    """Render sequences of randomly chosen faces, a quarter of them rated, and encode them.

    The target of a face is what the network says of its undisturbed picture and of the mirror
    image, averaged with the raters' word where there is one: the memory shall make out from poor
    frames what could be seen in a good one.
    """
    rng = np.random.default_rng((seed, 7))
    rated, weak = np.flatnonzero(faces.targets.rated), np.flatnonzero(~faces.targets.rated)
    chosen = np.concatenate([rng.choice(rated, count // 4), rng.choice(weak, count - count // 4)])
    features, above = [], []
    network.eval()
    with torch.inference_mode():
        for start in tqdm(range(0, count, CHUNK), desc="sequences", mininterval=5):
            part = chosen[start : start + CHUNK]
            frames = np.stack([drifting(faces.images[i], faces.boxes[i], length, rng) for i in part])
            features.append(_encoded(network, frames.reshape(-1, 96, 96)).unflatten(0, frames.shape[:2]))
            above.append(_target(network, faces, part, rng))
    return FeatureSequences(torch.cat(features).clone(), torch.cat(above).clone())


def drifting(
    image: GrayImage, box: npt.NDArray[np.float32], length: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """One face over time, (T, 96, 96): from one look to another, at a speed of its own, with jitter."""
    first = draw_look(rng)
    last = first.towards(draw_look(rng), rng.uniform(0.0, 1.0))
    flipped = rng.random() < 0.5
    jitter = rng.uniform(0.0, 0.02)
    frames = np.empty((length, 96, 96), np.uint8)
    for t in range(length):
        look = _shaken(first.towards(last, t / max(1, length - 1)), jitter, rng)
        frame = render(image, box, look, rng)
        frames[t] = frame[:, ::-1] if flipped else frame
    return frames


def _shaken(look: Look, jitter: float, rng: np.random.Generator) -> Look:
    """The look with the small jumps that a detector's and a tracker's boxes make."""
    values = {name: getattr(look, name) for name in Look.__slots__}
    for name in ("shift_x", "shift_y", "log_scale"):
        values[name] += rng.normal(0, jitter)
    return Look(**values)


def _encoded(network: SmileNetwork, crops: npt.NDArray[np.uint8]) -> Tensor:
    pictures = to_input(torch.from_numpy(crops).unsqueeze(-1)).expand(-1, 3, -1, -1)
    return torch.cat([network.encoder(part) for part in pictures.split(256)])


def _target(
    network: SmileNetwork, faces: TrainingFaces, chosen: npt.NDArray[np.int64], rng: np.random.Generator
) -> Tensor:
    clean = np.stack([render(faces.images[i], faces.boxes[i], Look(), rng) for i in chosen])
    both = np.stack([clean, clean[:, :, ::-1]])
    scores = network.score_now(_encoded(network, both.reshape(-1, 96, 96))).view(2, -1).mean(dim=0)
    said = torch.sigmoid(network.head(scores))
    rated = torch.from_numpy(faces.targets.rated[chosen])[:, None]
    return torch.where(rated, (said + torch.from_numpy(faces.targets.above[chosen])) / 2, said)


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
        target = torch.cat([above[i].expand(length, -1) for i in order])  # (P * T, 3)
        chain, target = chain.clone(), target.clone()
        for part in range(1, self._parts):
            _fade(chain, target, part * length, int(rng.integers(0, 8)))
        return chain, target


def _fade(chain: Tensor, target: Tensor, seam: int, half: int) -> None:
    """Fade linearly over 2 * half frames around a seam, in place: onset and offset of a smile."""
    for step in range(-half, half):
        share = (step + half + 1) / (2 * half + 1)
        before, after = max(0, seam - half - 1), min(len(chain) - 1, seam + half)
        # Each side goes on as it was at the edge of the fade.
        chain[seam + step] = (1 - share) * chain[before] + share * chain[after]
        target[seam + step] = (1 - share) * target[before] + share * target[after]
