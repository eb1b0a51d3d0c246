"""``social-perception evaluate --social-mae``: what a pre-trained Social-MAE knows of people it never met.

Speakers 101 to 150 of EmoGator, the clips of other people and the held-out fifth of the rated stills are not
trained on. Intervals are bootstraps over people: speakers, clips, faces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from social_perception.research.evaluation.audit.intervals import auc
from social_perception.research.evaluation.metrics import FloatArray
from social_perception.research.evaluation.run import make_folder
from social_perception.research.evaluation.social_mae_probes import (
    Data,
    burst_measures,
    chunks,
    features,
    rows_of_people,
    smile_measures,
)
from social_perception.research.evaluation.social_mae_tuning import laughter_table, tuning_tables
from social_perception.research.evaluation.targets import Measure, Rows, compare, table
from social_perception.research.social_mae.checkpoints import load_weights, read_sizes
from social_perception.research.social_mae.development import (
    HELD_OUT_SPEAKERS,
    rated_bursts,
    read_clips,
)
from social_perception.research.social_mae.examples import Example, collate
from social_perception.research.social_mae.network import (
    SOUND,
    VIDEO,
    NetworkSizes,
    SocialMae,
    by_kind,
    to_patches,
)
from social_perception.research.social_mae.pictures import pictures
from social_perception.research.social_mae.rated import rated_faces, rated_frames

MASKED = 0.75
SHIFT_S = 1.0
"""By at least so much is the sound shifted against the face."""

_STRIDE_S = 0.4
_FLAT = 1e-6


def main(
    weights: Sequence[str],
    cache: Path,
    *,
    seeds: Sequence[int] = (),
    recordings: Path | None = None,
    output: Path | None = None,
) -> str:
    """Measure pre-trained networks, print the tables and return them.

    Args:
        weights: files of :func:`.checkpoints.save_weights`.
        cache: folder for faces and spectrograms.
        seeds: of the fine-tunings of the first, and of the same from scratch; none: no fine-tuning.
        recordings: folder of EmoGator's recordings, to fine-tune the first for laughter and compare it with
            the shipped network.
        output: folder for the tables, and for pictures of what the first restores.

    Raises:
        ModelError: weights cannot be read.
        SourceError: data is missing.
        OutputError: the folder cannot be written to.
    """
    folder = None if output is None else make_folder(output)
    networks = [read_network(Path(each)) for each in weights]
    data = read_data(networks[0].sizes, cache)
    if folder is not None:
        draw(networks[0], data, folder)
    tables = [probe_tables([Path(each).stem for each in weights], networks, data)]
    if seeds:
        tables.append(tuning_tables(weights[0], data, seeds))
    if seeds and recordings:
        tables.append(laughter_table(weights[0], data, seeds, recordings, cache))
    texts = []
    for text in chain.from_iterable(tables):
        print(text, flush=True)
        texts.append(text)
        if folder is not None:
            (folder / "social_mae.md").write_text("\n\n".join(texts) + "\n")
    return "\n\n".join(texts)


def read_network(path: Path) -> SocialMae:
    """A pre-trained network, for inference.

    Raises:
        ModelError: it cannot be read.
    """
    network = SocialMae(read_sizes(path)).eval()
    load_weights(network, path)
    return network


def read_data(sizes: NetworkSizes, cache: Path) -> Data:
    """The development data for the tests.

    Raises:
        SourceError: data is missing.
    """
    clips = read_clips(sizes.bins, cache)
    windows = [clip for clip in clips if len(clip.starts_s(sizes.shape))]
    return Data(rated_bursts(sizes.shape, cache), windows, rated_faces(cache), rated_frames(clips))


@torch.no_grad()
def draw(network: SocialMae, data: Data, folder: Path) -> None:
    """Write what the network restores of the middle of each clip that it was not trained on."""
    shape = network.sizes.shape
    for clip in data.clips:
        if not clip.is_trained_on:
            examples = clip.examples(shape)
            batch = collate([examples[len(examples) // 2]], shape)
            torch.manual_seed(0)
            _, inputs = next(by_kind(batch))
            for name, picture in pictures(inputs, network(inputs, MASKED), network.sizes, False).items():
                path = folder / f"{Path(clip.name).stem}_{name}.png"
                cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def probe_tables(names: Sequence[str], networks: Sequence[SocialMae], data: Data) -> Iterator[str]:
    """All tables that need no training of the networks; the baselines of the probes are those of one."""
    alone = len(networks) == 1
    for measures in (
        error_measures,
        pair_measures,
        partial(burst_measures, baselines=alone),
        partial(smile_measures, baselines=alone),
    ):
        yield table(names, list(compare([list(measures(each, data)) for each in networks])))


def error_measures(network: SocialMae, data: Data) -> Iterator[Measure]:
    """The error of hidden patches, against that of the mean patch of the training at the same place."""
    shape = network.sizes.shape
    trained = [each for clip in data.clips if clip.is_trained_on for each in clip.examples(shape)]
    voices = [burst.example() for burst in data.bursts if burst.speaker not in HELD_OUT_SPEAKERS]
    clips = [each for clip in data.clips if not clip.is_trained_on for each in clip.examples(shape)[::3]]
    held_out = [burst.example() for burst in data.bursts if burst.speaker in HELD_OUT_SPEAKERS]
    for name, modality, seen, unseen in (
        ("faces of talking people", VIDEO, trained, clips),
        ("voices of talking people", SOUND, trained, clips),
        ("bursts", SOUND, voices, held_out),
    ):
        mean = mean_patches(modality, seen, network.sizes)
        sums = np.concatenate([errors(network, modality, part, mean) for part in chunks(unseen)])
        people = rows_of_people([each.person for each in unseen])

        def ratio(units: Rows, sums: FloatArray = sums, people: Sequence[Rows] = people) -> float:
            of_network, of_mean = sums[np.concatenate([people[unit] for unit in units])].sum(axis=0)
            return float(of_network / of_mean)

        yield Measure(f"{name}: error of hidden patches / of the mean patch", "<= 1", len(people), ratio)


def mean_patches(modality: str, examples: Sequence[Example], sizes: NetworkSizes) -> torch.Tensor:
    """The mean patch at each place (N, values), over the patches that are not flat."""
    total, count = torch.zeros(()), torch.zeros(())
    for part in chunks(examples):
        patches = to_patches(modality, collate(part, sizes.shape)[modality], sizes)
        kept = (patches.var(dim=-1, keepdim=True) > _FLAT).float()
        total, count = total + (patches * kept).sum(dim=0), count + kept.sum(dim=0)
    return total / count.clamp(min=1.0)


@torch.no_grad()
def errors(
    network: SocialMae, modality: str, examples: Sequence[Example], mean: torch.Tensor
) -> npt.NDArray[np.float64]:
    """Sums of squares of the network and of the mean patch (B, 2); flat patches (padding) do not count."""
    batch = collate(examples, network.sizes.shape)
    _, inputs = next(by_kind(batch))
    with torch.random.fork_rng():
        torch.manual_seed(len(examples))
        restored = network(inputs, MASKED)[modality]
    target = to_patches(modality, inputs[modality], network.sizes)
    counted = restored.hidden * (target.var(dim=-1) > _FLAT)
    both = [((each - target).square().mean(dim=-1) * counted).sum(dim=1) for each in (restored.patches, mean)]
    return torch.stack(both, dim=1).double().numpy()


def pair_measures(network: SocialMae, data: Data) -> Iterator[Measure]:
    """Whether a face is closer to its own sound than to the same clip's, shifted, or to another person's."""
    shape = network.sizes.shape
    clips = [clip for clip in data.clips if not clip.is_trained_on]
    starts = [clip.starts_s(shape, _STRIDE_S) for clip in clips]
    faces = [
        summaries(network, VIDEO, [Example(clip.video(at_s, shape), None, None, clip.name) for at_s in each])
        for clip, each in zip(clips, starts)
    ]
    voices = [
        summaries(network, SOUND, [Example(None, clip.sound(at_s, shape), None, clip.name) for at_s in each])
        for clip, each in zip(clips, starts)
    ]
    own = [face @ voice.T for face, voice in zip(faces, voices)]
    others = [[face @ voice.T for voice in voices] for face in faces]
    far = [np.abs(each[:, None] - each) >= SHIFT_S - 1e-6 for each in starts]
    long = [row for row, each in enumerate(far) if each.any()]
    matched = [np.diag(each) for each in own]

    def foreign_of(unit: int) -> list[FloatArray]:
        """The fit of this clip's faces with the sounds of each clip of somebody else."""
        return [fit for fit, clip in zip(others[unit], clips) if clip.person != clips[unit].person]

    def shifted(units: Rows) -> float:
        rows = [long[unit] for unit in units]
        return auc(
            np.concatenate([matched[row] for row in rows]),
            np.concatenate([own[row][far[row]] for row in rows]),
        )

    def foreign(units: Rows) -> float:
        wrong = [fit.ravel() for unit in units for fit in foreign_of(unit)]
        return auc(np.concatenate([matched[unit] for unit in units]), np.concatenate(wrong))

    better = [
        np.stack([matched[unit] > fit.mean(axis=1) for fit in foreign_of(unit)]).mean()
        for unit in range(len(clips))
    ]
    first = [
        np.stack([matched[unit] > fit.max(axis=1) for fit in foreign_of(unit)]).all(axis=0).mean()
        for unit in range(len(clips))
    ]
    yield Measure(
        f"own sound against the same, shifted by {SHIFT_S:g} s or more, AUC", "", len(long), shifted
    )
    yield Measure("own sound against another person's, AUC", "", len(clips), foreign)
    yield Measure(
        "share of the other people whose sound fits worse", "", len(clips),
        lambda units: float(np.mean([better[unit] for unit in units])),
    )  # fmt: skip
    yield Measure(
        "own sound found among those of all others", "", len(clips),
        lambda units: float(np.mean([first[unit] for unit in units])),
    )  # fmt: skip


@torch.no_grad()
def summaries(network: SocialMae, modality: str, examples: Sequence[Example]) -> FloatArray:
    """The mean tokens (B, W) of one modality, with length 1."""
    found = features(network, modality, examples)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
