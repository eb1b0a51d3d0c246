"""A teacher's word beside the labels (G. Hinton, O. Vinyals and J. Dean, 2015).

Weak labels say whether a face smiles, hardly how much, and the same of all faces with the same
votes. A wider network that has learned from them and from the raters says it of each face: its
probabilities become targets of the network that is shipped.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from social_perception.perception.smile.networks import SmileNetwork
from social_perception.research.training.faces import TrainingFaces, clean_and_mirrored
from social_perception.research.training.labels import FloatArray

BATCH = 128


def taught(faces: TrainingFaces, teacher: SmileNetwork, trust: float) -> TrainingFaces:
    """The same faces, their targets mixed with what the teacher says of them.

    Args:
        faces: N faces with targets ``above`` (N, 3) and their weights.
        teacher: a trained and calibrated network.
        trust: weight of its word, where a rater's weighs 1.
    """
    targets = faces.targets
    said = answers(faces, teacher)
    # Divided, so that a rated face weighs as much as without a teacher.
    weight = (targets.weight + trust) / (1.0 + trust)
    above = (targets.weight * targets.above + trust * said) / (targets.weight + trust)
    mixed = replace(targets, above=above.astype(np.float32), weight=weight.astype(np.float32))
    return replace(faces, targets=mixed)


def answers(faces: TrainingFaces, network: SmileNetwork) -> FloatArray:
    """P(level > k) of each undisturbed face, (N, 3); scores are averaged with the mirror image's."""
    network.eval()
    said = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(faces), BATCH), desc="teacher", mininterval=5):
            rows = range(start, min(start + BATCH, len(faces)))
            features = network.encoder(clean_and_mirrored(faces, rows))
            scores = network.score_now(features).unflatten(0, (2, -1)).mean(dim=0)
            said.append(torch.sigmoid(network.head(scores)))
    return torch.cat(said).numpy()
