"""Trains the output of a visible mouth on covered faces; the CNN and all other outputs stay as they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from social_perception.perception.smile.networks import SmileNetwork
from social_perception.perception.smile.track_scorer import COVERED_LOGIT
from social_perception.research.training.augmentation import (
    GrayImage,
    cover_half,
    cover_mouth,
    cover_side,
    occlude,
    render,
    sample_augmentation,
)
from social_perception.research.training.faces import TrainingFaces, gray_input, talk
from social_perception.research.training.morph import morph_face
from social_perception.research.training.schedules import one_cycle
from social_perception.research.training.settings import MouthSettings

RATED_SHARE, MOVING_SHARE = 0.5, 0.1
"""Shares of the draws: rated faces are as many of each set; frames of clips show turned and moving heads."""
MOUTH_SHARE, HALF_SHARE, SIDE_SHARE, TALKING_SHARE = 0.18, 0.25, 0.1, 0.1
"""Shares of covered mouths, half covered faces, sides covered beside the mouth, and mouths that talk."""
WIDEST_SIDE = 0.2
"""Share of a face's width that ends before the corner of its mouth."""
CHECKED = 5
"""Every fifth face is not trained on: the bias is set on these."""
BATCH = 256


def train_mouth(network: SmileNetwork, faces: TrainingFaces, settings: MouthSettings, seed: int) -> None:
    """Train the output in place.

    Args:
        network: with a trained CNN.
        faces: of stills and clips.
        settings: of the stage.
        seed: of all random choices.
    """
    network.eval()
    maps, visible, checked = covered_maps(network, faces, settings.draws, seed)
    torch.manual_seed(seed)
    mouth = network.mouth_visible.requires_grad_(True)
    first, last = mouth[0], mouth[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    first.reset_parameters()
    last.reset_parameters()
    mean, deviation = maps.mean(dim=0), maps.std(dim=0) + 0.01
    inputs = (maps - mean) / deviation
    trained = (~checked).nonzero()[:, 0]
    schedule = one_cycle(mouth.parameters(), settings, settings.steps)
    optimizer = schedule["optimizer"]
    for _ in tqdm(range(settings.steps), desc="visible mouths", mininterval=5):
        rows = trained[torch.randint(len(trained), (settings.batch,))]
        hidden = functional.dropout(mouth[:2](inputs[rows]), settings.dropout)
        loss = functional.binary_cross_entropy_with_logits(last(hidden)[:, 0], visible[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule["lr_scheduler"]["scheduler"].step()  # type: ignore[index]
    mouth.requires_grad_(False)
    first.weight /= deviation
    first.bias.sub_(first.weight @ mean)
    seen = mouth(maps[checked & (visible == 1)])[:, 0]
    last.bias.add_(COVERED_LOGIT - torch.quantile(seen, settings.false_alarms))


def covered_maps(
    network: SmileNetwork, faces: TrainingFaces, draws: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw faces, cover some, and encode them.

    Returns:
        The encoder's maps (N, 9 d), whether the mouth is visible, (N,) 0 or 1, and which are not to be
        trained on, (N,) bool.
    """
    rng = np.random.default_rng((seed, 13))
    rated, moving = np.flatnonzero(faces.targets.rated), np.flatnonzero(faces.moving)
    indices = np.where(
        rng.random(draws) < RATED_SHARE, rng.choice(rated, draws), rng.integers(len(faces), size=draws)
    )
    if len(moving):
        indices = np.where(rng.random(draws) < MOVING_SHARE, rng.choice(moving, draws), indices)
    maps, visible = [], []
    for start in tqdm(range(0, draws, BATCH), desc="covered faces", mininterval=5):
        drawn = [
            _draw(faces.images[i], faces.boxes[i], bool(faces.moving[i]), rng)
            for i in indices[start : start + BATCH]
        ]
        crops = gray_input(torch.from_numpy(np.stack([crop for crop, _ in drawn])))
        with torch.no_grad():
            maps.append(network.encoder.maps(crops))
        visible += [float(seen) for _, seen in drawn]
    return torch.cat(maps), torch.tensor(visible), torch.from_numpy(indices % CHECKED == 0)


def _draw(
    image: GrayImage, box: npt.NDArray[np.float32], moving: bool, rng: np.random.Generator
) -> tuple[GrayImage, bool]:
    """Return an augmented crop, and whether its mouth is visible."""
    params, kind, visible = sample_augmentation(rng), rng.random(), True
    limits = np.cumsum([MOUTH_SHARE, HALF_SHARE, SIDE_SHARE, TALKING_SHARE])
    if kind < limits[1]:
        image = (cover_mouth if kind < limits[0] else cover_half)(image, box, rng)
        visible = False
    elif kind < limits[2]:
        image = cover_side(image, box, rng.uniform(0.0, WIDEST_SIDE), rng)
    if limits[2] <= kind < limits[3] and not moving:
        crop = morph_face(image, box).render(talk(rng), params, rng)
    else:
        crop = render(image, box, params, rng)
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
    return occlude(crop, rng), visible
