"""Which files and folders are bags, by their names."""

from __future__ import annotations

import re
from pathlib import Path

from social_perception.core.errors import SourceError

PACKED = (".zstd", ".zst")
_ROSBAG2_SUFFIXES = (".mcap", ".db3")


def is_bag(path: Path) -> bool:
    """Whether this is a bag's file, or a folder of rosbag2, complete or not.

    A folder without metadata.yaml is recognised by its files, which are named after it.
    """
    if not path.is_dir():
        return has_bag_suffix(path)
    if (path / "metadata.yaml").is_file():
        return True
    name = re.compile(re.escape(path.resolve().name) + r"(_\d+)?")
    files = storage_files(path)
    return bool(files) and all(name.fullmatch(without_packing(file).stem) for file in files)


def has_bag_suffix(path: Path) -> bool:
    """Whether a file is named as one of a bag: .mcap, .db3, both also with .zstd, .bag or .bag.active."""
    return bag_suffix(path) in (*_ROSBAG2_SUFFIXES, ".bag")


def without_packing(path: Path) -> Path:
    """The path without the suffix of zstd."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def bag_suffix(path: Path) -> str:
    """The suffix that says what kind of bag a file is, in lower case: ``.mcap`` for ``talk.mcap.zstd``."""
    if path.name.lower().endswith(".bag.active"):
        return ".bag"
    return without_packing(path).suffix.lower()


def storage_files(folder: Path) -> tuple[Path, ...]:
    """The files with the messages of a rosbag2 folder, in their order: bag_2 before bag_10."""

    def order(path: Path) -> tuple[int, str]:
        number = re.search(r"_(\d+)$", without_packing(path).stem)
        return (int(number[1]) if number else 0, path.name)

    try:
        found = [path for path in folder.iterdir() if bag_suffix(path) in _ROSBAG2_SUFFIXES]
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error.strerror or error}") from error
    return tuple(sorted(found, key=order))
