"""Sets the thresholds between the levels from the rated faces alone.

Weak labels order faces well but say little of the third threshold, and pull it so high that nothing
reaches High. Four numbers, the scale of the score and the three thresholds, are therefore fitted
last, on undisturbed rated faces. The order of the faces, and so every AUC, stays as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from social_perception.smile.networks import OrdinalHead, SmileNetwork, to_input
from social_perception.training.augmentation import Look, render
from social_perception.training.faces import TrainingFaces

STEPS = 100


def calibrate(network: SmileNetwork, faces: TrainingFaces) -> None:
    """Fit the score's scale and the thresholds to the raters' shares above each level, in place."""
    rated = np.flatnonzero(faces.targets.rated)
    if not len(rated):
        return
    network.eval()
    scores = torch.cat(
        [_scores(network, faces, part) for part in np.array_split(rated, len(rated) // 128 + 1)]
    )
    scale = fit(network.head, scores, torch.from_numpy(faces.targets.above[rated]))
    with torch.no_grad():
        for parameter in (network.score_now.weight, network.score_now.bias, network.score_memory.weight):
            parameter.mul_(scale)


def fit(head: OrdinalHead, scores: Tensor, above: Tensor) -> float:
    """Fit the thresholds, in place, and a scale, which is returned, to scores (N,) and targets (N, 3)."""
    log_scale = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_scale, *head.parameters()], max_iter=STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.binary_cross_entropy_with_logits(head(log_scale.exp() * scores), above)
        value.backward()
        return value

    optimizer.step(loss)
    return float(log_scale.detach().exp())


def _scores(network: SmileNetwork, faces: TrainingFaces, rows: npt.NDArray[np.int64]) -> Tensor:
    """The scores (N,) of first frames, memory included, averaged over a face and its mirror image."""
    rng = np.random.default_rng(0)
    clean = np.stack([render(faces.images[i], faces.boxes[i], Look(), rng) for i in rows])
    both = torch.from_numpy(np.concatenate([clean, clean[:, :, ::-1]]))
    with torch.no_grad():
        features = network.encoder(to_input(both.unsqueeze(-1)).expand(-1, 3, -1, -1))
        remembered, _ = network.memory(features.unsqueeze(1))
        score = network.score_now(features) + network.score_memory(remembered[:, 0])
    return score.view(2, -1).mean(dim=0)
