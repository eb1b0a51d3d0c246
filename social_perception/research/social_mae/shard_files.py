"""The files of shards: encoded examples of many recordings, and the index of a folder of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from social_perception.core.errors import SourceError
from social_perception.core.files import read_limited
from social_perception.research.social_mae.clips import EncodedExample
from social_perception.research.social_mae.examples import Label
from social_perception.research.social_mae.recordings import SPLITS

INDEX = "index.json"
VERSION = 1
_MAX_INDEX_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of examples of one split."""

    file: str
    split: str
    examples: int


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What a folder of shards holds.

    Attributes:
        key: of the recordings and settings.
        layout: of the data set.
        classes: names of the classes, in the order of their numbers.
        values: names of the values.
        done: groups of recordings that are in the shards.
        unreadable: of these, recordings that could not be read.
        complete: whether all recordings are in the shards.
    """

    key: str
    layout: str
    classes: tuple[str, ...]
    values: tuple[str, ...]
    shards: tuple[Shard, ...] = ()
    done: int = 0
    unreadable: int = 0
    complete: bool = False

    def count(self, split: str) -> int:
        return sum(shard.examples for shard in self.shards if shard.split == split)


def read_index(folder: Path) -> ShardIndex:
    """Read the index of a folder of shards.

    Raises:
        SourceError: there is none, or it is damaged.
    """
    try:
        content = json.loads(read_limited(folder / INDEX, _MAX_INDEX_BYTES))
        if content.pop("version") != VERSION:
            raise ValueError("it is of another version")
        shards = tuple(Shard(**shard) for shard in content.pop("shards"))
        classes, values = tuple(content.pop("classes")), tuple(content.pop("values"))
        index = ShardIndex(**content, shards=shards, classes=classes, values=values)
        if any(shard.split not in SPLITS or Path(shard.file).name != shard.file for shard in shards):
            raise ValueError("it names files elsewhere")
        if any(type(number) is not int for number in (index.done, *(shard.examples for shard in shards))):
            raise ValueError("a number is not one")
    except OSError as error:
        raise SourceError(f"{folder} holds no shards: {INDEX}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SourceError(f"{folder / INDEX} is damaged: {reason}") from error
    return index


def read_shard(path: Path) -> list[EncodedExample]:
    """The examples of a shard.

    Raises:
        SourceError: it is missing or damaged.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            images = _parts(file["images"], file["image_ends"])
            samples = _parts(file["samples"], file["sample_ends"])
            counts = [0, *accumulate(file["images_of"].tolist())]
            labels, people = file["labels"], file["people"].tolist()
        return [
            EncodedExample(tuple(each.tobytes() for each in images[first:end]), sound, _label(label), person)
            for (first, end), sound, label, person in zip(
                pairwise(counts), samples, labels, people, strict=True
            )
        ]
    # NumPy raises nearly anything for a damaged file.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise SourceError(f"the shard {path} cannot be read: {reason}") from error


def write_shard(path: Path, examples: Sequence[EncodedExample]) -> None:
    """Write a shard, which is complete or not there."""
    images = [np.frombuffer(image, np.uint8) for each in examples for image in each.images]
    width = max((len(each.label) for each in examples if isinstance(each.label, tuple)), default=1)
    labels = np.full((len(examples), width), np.nan)
    for row, each in zip(labels, examples):
        if each.label is not None:
            row[:] = each.label
    kinds = np.array([0 if each.label is None else 1 + isinstance(each.label, tuple) for each in examples])
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(
            file,
            images=np.concatenate([np.empty(0, np.uint8), *images]),
            image_ends=np.cumsum([len(each) for each in images], dtype=np.int64),
            images_of=np.array([len(each.images) for each in examples]),
            samples=np.concatenate([each.samples for each in examples]),
            sample_ends=np.cumsum([len(each.samples) for each in examples], dtype=np.int64),
            labels=np.concatenate([kinds[:, None], labels], axis=1),
            people=np.array([each.person for each in examples], str),
        )
    temporary.replace(path)


def write_index(folder: Path, index: ShardIndex) -> None:
    """Write the index of a folder of shards."""
    temporary = folder / f"{INDEX}.tmp"
    temporary.write_text(json.dumps({"version": VERSION, **asdict(index)}, indent=1), encoding="utf-8")
    temporary.replace(folder / INDEX)


def _parts(joined: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [joined[first:end] for first, end in pairwise([0, *ends.tolist()])]


def _label(row: np.ndarray[Any, Any]) -> Label:
    kind, *values = row.tolist()
    if not kind:
        return None
    return int(values[0]) if kind == 1 else tuple(values)
