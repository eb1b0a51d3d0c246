"""Sets the thresholds between the levels from the rated faces alone.

Weak labels order faces well but say little of the third threshold, and pull it so high that hardly
anything reaches High. Five numbers, the three thresholds, the scale of the score and that of the
steps between the levels, are therefore fitted last, on undisturbed rated faces. The order of the
faces by P(level > 0) stays as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from social_perception.perception.smile.networks import OrdinalHead, SmileNetwork
from social_perception.research.training.faces import TrainingFaces, clean_and_mirrored

STEPS = 100


def calibrate(network: SmileNetwork, faces: TrainingFaces) -> None:
    """Fit the scores' scales and the thresholds to the raters' shares above each level, in place."""
    rated = np.flatnonzero(faces.targets.rated)
    if not len(rated):
        return
    network.eval()
    scores = torch.cat(
        [_scores(network, faces, part) for part in np.array_split(rated, len(rated) // 128 + 1)]
    )
    scales = fit(network.head, scores, torch.from_numpy(faces.targets.above[rated]))
    with torch.no_grad():
        network.score_now.weight.mul_(scales[:, None])
        network.score_now.bias.mul_(scales)
        network.score_memory.weight.mul_(scales[:, None])


def fit(head: OrdinalHead, scores: Tensor, above: Tensor) -> Tensor:
    """Fit the thresholds, in place, and scales of the scores, which are returned.

    Args:
        head: whose thresholds are fitted.
        scores: (N, 3).
        above: targets of P(level > k), (N, 3).

    Returns:
        (3,): the scale of the first score and the common one of the other two.
    """
    log_scales = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_scales, *head.parameters()], max_iter=STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = head(log_scales.exp()[[0, 1, 1]] * scores)
        value = functional.binary_cross_entropy_with_logits(logits, above)
        value.backward()
        return value

    optimizer.step(loss)
    return log_scales.detach().exp()[[0, 1, 1]]


def _scores(network: SmileNetwork, faces: TrainingFaces, rows: npt.NDArray[np.int64]) -> Tensor:
    """The scores (N, 3) of first frames, memory included, averaged over a face and its mirror image."""
    with torch.no_grad():
        features = network.encoder(clean_and_mirrored(faces, rows))
        remembered, _ = network.memory(features.unsqueeze(1))
        scores = network.score_now(features) + network.score_memory(remembered[:, 0])
    return scores.unflatten(0, (2, -1)).mean(dim=0)
