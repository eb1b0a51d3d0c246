"""Shards: the examples of a data set in files of bounded size, written once and streamed to the training.

A folder of shards holds ``SPLIT-NNNNN.npz``, with JPEG images and 16-bit samples of many examples, and
``index.json``, written last after each group of files: what it lists is complete. A run that was interrupted
goes on after it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from social_perception.core.errors import ConfigurationError, OutputError, SourceError
from social_perception.research.social_mae.clips import ClipSettings, EncodedExample, read_examples
from social_perception.research.social_mae.examples import Label
from social_perception.research.social_mae.layouts import read_corpus
from social_perception.research.social_mae.recordings import SPLITS, Corpus, Recording, split_by_person
from social_perception.research.social_mae.shard_files import (
    INDEX,
    VERSION,
    Shard,
    ShardIndex,
    read_index,
    write_index,
    write_shard,
)
from social_perception.research.training.settings import from_mapping

_logger = logging.getLogger(__name__)

Group = tuple[Recording, ...]
"""The recordings of one file and split."""


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """How a data set becomes shards, as in ``config/social_mae_shards.yaml``.

    Raises:
        ConfigurationError: a value is invalid.
    """

    name: str = "videos"
    """Name of the folder of shards, below ``output``."""
    layout: str = "folder"
    """One of :data:`.layouts.LAYOUTS`."""
    folder: str = "videos"
    intensity: bool = False
    """Whether the intensities of laughs and smiles are classes of their own (``ndcme``)."""
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Of the people in training, validation and test, where the set has no splits of its own."""
    seed: int = 1
    shard_mb: int = 64
    workers: int = 1
    """Processes."""
    output: str = "shards"
    clips: ClipSettings = field(default_factory=ClipSettings)

    def __post_init__(self) -> None:
        if min(self.shares) < 0.0 or abs(sum(self.shares) - 1.0) > 1e-6:
            raise ConfigurationError(f"shares must not be negative and add up to 1, got {self.shares}")
        for name in ("shard_mb", "workers"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")


def shard_settings(values: Mapping[str, Any]) -> ShardSettings:
    """Build the settings from the content of a YAML file.

    Raises:
        ConfigurationError: a setting is unknown or outside its range.
    """
    given = {name: value for name, value in values.items() if name != "network"}
    return from_mapping(ShardSettings, {**given, "clips": from_mapping(ClipSettings, given.get("clips", {}))})


def write_shards(settings: ShardSettings) -> Path:
    """Cut the recordings of a data set into examples and return the folder of the shards.

    A recording that cannot be read is reported, counted and skipped. What an earlier run of the same settings
    wrote is kept.

    Raises:
        ConfigurationError: the folder holds shards of other recordings or settings.
        SourceError: there are no recordings, or none of them can be read.
        OutputError: the shards cannot be written.
    """
    corpus = read_corpus(settings.layout, Path(settings.folder).expanduser(), settings.intensity)
    groups = _groups(split_by_person(corpus.recordings, settings.shares, settings.seed), settings.seed)
    folder = Path(settings.output).expanduser() / settings.name
    key = _key(groups, settings)
    index = ShardIndex(key, settings.layout, corpus.classes, corpus.values)
    if (folder / INDEX).is_file():
        index = read_index(folder)
        if index.key != key:
            raise ConfigurationError(
                f"{folder} holds shards of other recordings or settings; choose another name, or delete it"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        index = _write(groups, corpus, settings, folder, index)
    except OSError as error:
        raise OutputError(f"the shards in {folder} cannot be written: {error.strerror or error}") from error
    except BrokenExecutor as error:
        raise OutputError(f"{folder}: a worker process was ended, perhaps for lack of memory") from error
    counts = ", ".join(f"{index.count(split)} for {split}" for split in SPLITS)
    print(f"{folder}: {sum(shard.examples for shard in index.shards)} examples, {counts}")
    if index.unreadable:
        print(f"{folder}: {index.unreadable} of {len(groups)} recordings could not be read")
    if not index.shards:
        raise SourceError(f"no recording in {settings.folder} gave an example")
    return folder


def _groups(recordings: Iterable[Recording], seed: int) -> list[Group]:
    """Recordings by file, in random order within each split, so that a shard has many people."""

    def place(each: Recording) -> tuple[int, str]:
        return SPLITS.index(each.split), str(each.path)

    made = [tuple(group) for _, group in groupby(sorted(recordings, key=place), place)]
    order = np.random.default_rng(seed).permutation(len(made))
    return sorted((made[row] for row in order), key=lambda group: SPLITS.index(group[0].split))


def _key(groups: Sequence[Group], settings: ShardSettings) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, settings.shard_mb, asdict(settings.clips)]).encode())
    for group in groups:
        path = group[0].path
        size = path.stat().st_size if path.is_file() else len(group[0].audio)
        digest.update(f"{path} {size}".encode(errors="surrogateescape"))
        for each in group:
            digest.update(f" {each.person} {each.label} {each.start_s} {each.end_s} {each.split}".encode())
    return digest.hexdigest()


def _write(
    groups: Sequence[Group], corpus: Corpus, settings: ShardSettings, folder: Path, index: ShardIndex
) -> ShardIndex:
    limit = settings.shard_mb * 2**20
    waiting: list[EncodedExample] = []
    bar = tqdm(total=len(groups), initial=index.done, desc=settings.name, mininterval=5)
    left = groups[index.done :]
    unreadable = index.unreadable
    with bar:
        for row, (group, result) in enumerate(
            zip(left, _encoded(left, corpus.classes, settings)), index.done
        ):
            if isinstance(result, str):
                _logger.warning("%s is skipped", result)
                unreadable += 1
            else:
                waiting += result
            bar.update()
            split, is_last = group[0].split, row + 1 == len(groups)
            ends = is_last or groups[row + 1][0].split != split
            if ends or sum(each.size for each in waiting) >= limit:
                shards = list(index.shards)
                for piece in _pieces(waiting, limit):
                    number = sum(shard.split == split for shard in shards)
                    shards.append(Shard(f"{split}-{number:05d}.npz", split, len(piece)))
                    write_shard(folder / shards[-1].file, piece)
                index = replace(
                    index, shards=tuple(shards), done=row + 1, unreadable=unreadable, complete=is_last
                )
                write_index(folder, index)
                waiting = []
    return index


def _encoded(
    groups: Sequence[Group], classes: Sequence[str], settings: ShardSettings
) -> Iterator[list[EncodedExample] | str]:
    """For each group its examples, or why it cannot be read; a few groups ahead in other processes."""
    encode = partial(_encode, classes=tuple(classes), settings=settings.clips)
    if settings.workers == 1:
        yield from map(encode, groups)
        return
    # A forked process would have FFmpeg's locks, but not its threads.
    with ProcessPoolExecutor(settings.workers, get_context("spawn")) as pool:
        ahead = [pool.submit(encode, group) for group in groups[: 2 * settings.workers]]
        for group in [*groups[2 * settings.workers :], None]:
            while ahead and (group is None or len(ahead) >= 2 * settings.workers):
                yield ahead.pop(0).result()
            if group is not None:
                ahead.append(pool.submit(encode, group))


def _encode(group: Group, classes: tuple[str, ...], settings: ClipSettings) -> list[EncodedExample] | str:
    examples = []
    try:
        for recording, example in read_examples(group, settings):
            label: Label = recording.label  # type: ignore[assignment]
            if isinstance(recording.label, str):
                label = classes.index(recording.label)
            examples.append(replace(example, label=label))
    except SourceError as error:
        return str(error)
    return examples


def _pieces(examples: Sequence[EncodedExample], limit: int) -> Iterator[list[EncodedExample]]:
    piece: list[EncodedExample] = []
    size = 0
    for each in examples:
        if piece and size + each.size > limit:
            yield piece
            piece, size = [], 0
        piece.append(each)
        size += each.size
    if piece:
        yield piece
