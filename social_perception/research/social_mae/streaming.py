"""Streams shards to a training: over workers and processes, in random order, with bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from social_perception.core.errors import SourceError
from social_perception.research.social_mae.clips import EncodedExample
from social_perception.research.social_mae.examples import Example, ExampleShape, collate
from social_perception.research.social_mae.shard_files import ShardIndex, read_index, read_shard

BUFFER = 512
"""Encoded examples that are shuffled; about 100 MB at 224 px."""


class ShardStream(IterableDataset[Example]):
    """The examples of one split of some folders of shards.

    A worker of a process reads shards of its own if there are enough of them, else its share of the examples
    of all. In random order all workers of all processes get the same number of examples, so that no process
    waits for others at the end of an epoch; a few examples are read twice, or in the next epoch. In the order
    of the files each is read once.

    Args:
        folders: of shards.
        split: one of :data:`.recordings.SPLITS`.
        bins: mel bands of the spectrograms.
        seed: of the order; None: the order of the files.
        batch: examples per batch; in random order all batches are full.
        buffer: encoded examples in memory that are shuffled.

    Raises:
        SourceError: a folder holds no shards, or none of the split.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        split: str,
        bins: int,
        seed: int | None = None,
        batch: int = 1,
        buffer: int = BUFFER,
    ) -> None:
        indices = {folder: read_index(folder) for folder in folders}
        for folder, index in indices.items():
            if not index.complete:
                raise SourceError(f"{folder} is not complete; run the command that writes it again")
        self.labels = _labels(indices)
        self._shards = [
            (folder / shard.file, shard.examples)
            for folder, index in indices.items()
            for shard in index.shards
            if shard.split == split
        ]
        self.count = sum(examples for _, examples in self._shards)
        if not self.count:
            raise SourceError(f"{', '.join(map(str, folders))} has no examples of the split {split}")
        self._bins, self._seed, self._batch, self._buffer = bins, seed, batch, buffer
        self.epoch, self.rank, self.world = 0, 0, 1

    def __iter__(self) -> Iterator[Example]:
        info = get_worker_info()
        workers, worker = (info.num_workers, info.id) if info else (1, 0)
        consumers, place = self.world * workers, self.rank * workers + worker
        encoded = self._encoded(consumers, place)
        if self._seed is not None:
            encoded = islice(encoded, self.batches(workers) // workers * self._batch)
        return (example.decode(self._bins) for example in encoded)

    def batches(self, workers: int) -> int:
        """Batches of an epoch in this process."""
        consumers = self.world * max(1, workers)
        if self._seed is not None:
            return max(1, self.count // (consumers * self._batch)) * max(1, workers)
        places = range(self.rank * max(1, workers), (self.rank + 1) * max(1, workers))
        return sum(-(-self._share(consumers, place) // self._batch) for place in places)

    def _share(self, consumers: int, place: int) -> int:
        """Examples that a worker has without repetition."""
        if len(self._shards) >= consumers:
            return sum(examples for _, examples in self._shards[place::consumers])
        return len(range(place, self.count, consumers))

    def _encoded(self, consumers: int, place: int) -> Iterator[EncodedExample]:
        if self._seed is None:
            yield from self._pass(self._shards, None, consumers, place)
            return
        consumers = min(consumers, self.count)  # more workers than examples read the same ones
        place %= consumers
        shared = np.random.default_rng([self._seed, self.epoch])
        shards = [self._shards[row] for row in shared.permutation(len(self._shards))]
        own = np.random.default_rng([self._seed, self.epoch, place])
        kept: list[EncodedExample] = []
        # It never ends: how many are used is decided above.
        for _ in cycle([None]):
            for example in self._pass(shards, own, consumers, place):
                if len(kept) < min(self._buffer, self._share(consumers, place)):
                    kept.append(example)
                    continue
                row = int(own.integers(len(kept)))
                chosen, kept[row] = kept[row], example
                yield chosen
            while kept:
                yield kept.pop(int(own.integers(len(kept))))

    def _pass(
        self, shards: Sequence[tuple[Path, int]], rng: np.random.Generator | None, consumers: int, place: int
    ) -> Iterator[EncodedExample]:
        """One worker's examples once; shuffled within each shard."""
        has_own = len(shards) >= consumers
        number = 0
        for path, _ in shards[place::consumers] if has_own else shards:
            examples = read_shard(path)
            rows = (
                range(len(examples))
                if has_own
                else range((place - number) % consumers, len(examples), consumers)
            )
            number += len(examples)
            for row in rows if rng is None else rng.permutation(np.array(rows, int)):
                yield examples[row]


class ShardLoader(DataLoader[Any]):
    """Batches of a stream; each epoch has an order of its own, also in a run that is resumed.

    Args:
        stream: of examples.
        shape: of the batches.
        workers: processes that decode.
        epoch: number of the epoch that begins; None: epochs are counted from 0.
    """

    def __init__(
        self, stream: ShardStream, shape: ExampleShape, workers: int, epoch: Callable[[], int] | None = None
    ) -> None:
        super().__init__(stream, stream._batch, num_workers=workers, collate_fn=partial(collate, shape=shape))
        self.stream = stream
        self.epoch = epoch
        self._begun = 0

    def __iter__(self) -> Any:
        # Here and not in the workers, which know neither the process group nor the trainer.
        self.stream.epoch = self._begun if self.epoch is None else self.epoch()
        self._begun += 1
        self.stream.rank, self.stream.world = process_place()
        return super().__iter__()

    def __len__(self) -> int:
        self.stream.rank, self.stream.world = process_place()
        return self.stream.batches(self.num_workers)


def process_place() -> tuple[int, int]:
    """The number of this process and how many there are, of torch.distributed or of torchrun."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _labels(indices: dict[Path, ShardIndex]) -> tuple[str, ...]:
    """The names of the classes or values, the same in all folders."""
    (first, index), *others = indices.items()
    for folder, other in others:
        if (other.classes, other.values) != (index.classes, index.values):
            raise SourceError(f"the shards in {folder} have other labels than those in {first}")
    return index.classes or index.values
