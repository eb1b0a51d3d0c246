"""Shards of training examples, their index, and annotations of First Impressions."""

from __future__ import annotations

import json
import pickle
import tempfile
from pathlib import Path

import cv2
import numpy as np

from fuzzing.target import Target, promise
from social_perception.research.social_mae import first_impressions
from social_perception.research.social_mae.clips import EncodedExample
from social_perception.research.social_mae.examples import ExampleShape, collate
from social_perception.research.social_mae.first_impressions import TRAITS
from social_perception.research.social_mae.recordings import SPLITS
from social_perception.research.social_mae.shard_files import (
    INDEX,
    Shard,
    ShardIndex,
    read_index,
    read_shard,
    write_index,
    write_shard,
)

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_shards_")
_PLACE = Path(_FOLDER.name)
_SHAPE = ExampleShape(frames=2, side=8, steps=4, bins=4)


def _shards() -> list[bytes]:
    image = bytes(cv2.imencode(".jpg", np.full((8, 8, 3), 90, np.uint8))[1])
    both = EncodedExample((image, image), np.zeros(800, np.int16), 1, "a")
    sound = EncodedExample((), np.zeros(800, np.int16), None, "b")
    video = EncodedExample((image,), np.empty(0, np.int16), (0.25, 0.5), "c")
    seeds = []
    for examples in ([both, sound], [video]):
        write_shard(_PLACE / "a.npz", examples)
        seeds.append((_PLACE / "a.npz").read_bytes())
    return seeds


def _shard(data: bytes) -> None:
    (_PLACE / "a.npz").write_bytes(data)
    for encoded in read_shard(_PLACE / "a.npz"):
        batch = collate([encoded.decode(_SHAPE.bins)], _SHAPE)
        promise(bool(batch["sound"].isfinite().all()), "sound that is not finite")


def _indices() -> list[bytes]:
    shards = (Shard("train-00000.npz", "train", 3), Shard("test-00000.npz", "test", 1))
    write_index(_PLACE, ShardIndex("ab", "folder", ("x", "y"), (), shards, 4, 1, True))
    return [(_PLACE / INDEX).read_bytes()]


def _index(data: bytes) -> None:
    (_PLACE / INDEX).write_bytes(data)
    index = read_index(_PLACE)
    for split in SPLITS:
        promise(index.count(split) >= 0, "a number of examples that is negative")
    promise(all((_PLACE / shard.file).parent == _PLACE for shard in index.shards), "a file elsewhere")


def _annotations() -> list[bytes]:
    """Pickles (p) and JSON (j)."""
    content = {trait: {"abc.000.mp4": 0.5, "abc.001.mp4": 1.0} for trait in TRAITS}
    pickles = [b"p" + pickle.dumps(content, protocol) for protocol in (0, 2, 4)]
    return [*pickles, b"j" + json.dumps(content).encode()]


def _impressions(data: bytes) -> None:
    path = _PLACE / ("annotation_test.json" if data[:1] == b"j" else "annotation_test.pkl")
    path.write_bytes(data[1:])
    for values in first_impressions._impressions(path).values():
        promise(len(values) == len(TRAITS), "a trait that is missing")
        promise(all(0.0 <= value <= 1.0 for value in values), f"values outside [0, 1]: {values}")


TARGETS = {
    "shard_file": Target("examples that make a batch, or SourceError", _shard, _shards, max_bytes=16384),
    "shard_index": Target("files of this folder, or SourceError", _index, _indices, max_bytes=8192),
    "impressions": Target(
        "values in [0, 1] without running code, or SourceError", _impressions, _annotations, memory_mb=128
    ),
}
