"""Reads the public data sets of group emotion in the layouts in which they are distributed.

VGAF (EmotiW 2020 and 2023), videos of about 5 s with sound, named VIDEO_PART::

    Train/1_1.mp4  Train_labels.txt  Val/5_2.mp4  Val_labels.txt

Its label files have the columns ``Vid_name Label``, separated by a space; 1 is positive, 2 neutral and 3
negative.

GAF-3.0, images, one folder per class; some copies repeat the class's folder inside itself::

    Train/Positive/pos_1.jpg  Validation/Negative/neg_1.jpg

Both are given out by their authors on request; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from social_perception.core.errors import SourceError
from social_perception.core.files import read_limited
from social_perception.perception.scene.network import CLASSES
from social_perception.sources.images import is_image

MAX_LABEL_BYTES = 2**22

_VGAF_CLASSES = {"1": 2, "2": 1, "3": 0}
_VGAF_SUFFIXES = (".mp4", ".avi", ".mkv")
_GAF_FOLDERS = {"train": ("Train", "train"), "valid": ("Validation", "Val", "validation", "val")}
_VGAF_FOLDERS = {"train": ("Train",), "valid": ("Val",)}


@dataclass(frozen=True, slots=True)
class LabelledGroup:
    """A video or an image of a group.

    Attributes:
        path: of the file.
        label: 0 negative, 1 neutral, 2 positive.
        source: name of the recording it was cut from; those of one source must not be split.
    """

    path: Path
    label: int
    source: str


def read_vgaf(folder: Path, part: str) -> tuple[LabelledGroup, ...]:
    """Read the list of VGAF's videos; labelled ones that are missing are dropped and counted.

    Args:
        folder: with ``Train_labels.txt`` and ``Val_labels.txt``.
        part: ``train`` or ``valid``; the labels of the test videos are not public.

    Raises:
        SourceError: the layout is another one, or there are no videos.
    """
    (name,) = _part(_VGAF_FOLDERS, part)
    labels = folder.expanduser() / f"{name}_labels.txt"
    try:
        lines = read_limited(labels, MAX_LABEL_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"cannot read the labels of VGAF in {labels}: {reason}") from error
    if not lines or lines[0].split() != ["Vid_name", "Label"]:
        raise SourceError(f"{labels} must begin with the line: Vid_name Label")
    groups = tuple(_vgaf_groups(labels, lines[1:], labels.parent / name))
    expected = sum(bool(line.strip()) for line in lines[1:])
    if not groups:
        raise SourceError(f"none of the {expected} videos in {labels} is in {labels.parent / name}")
    if len(groups) < expected:
        print(f"{labels}: {expected - len(groups)} of {expected} videos are missing")
    return groups


def _vgaf_groups(labels: Path, lines: list[str], videos: Path) -> Iterator[LabelledGroup]:
    for number, line in enumerate(lines, 2):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in _VGAF_CLASSES or Path(words[0]).name != words[0]:
            raise SourceError(f"line {number} of {labels} must be a name and 1, 2 or 3, got {line[:80]!r}")
        name = words[0].removesuffix(".mp4")
        paths = (videos / f"{name}{suffix}" for suffix in _VGAF_SUFFIXES)
        path = next((each for each in paths if each.is_file()), None)
        if path is not None:
            yield LabelledGroup(path, _VGAF_CLASSES[words[1]], name.rpartition("_")[0] or name)


def read_gaf(folder: Path, part: str) -> tuple[LabelledGroup, ...]:
    """Read the list of GAF-3.0's images.

    Args:
        folder: with ``Train`` and ``Validation`` (or ``Val``).
        part: ``train`` or ``valid``.

    Raises:
        SourceError: the layout is another one.
    """
    names = _part(_GAF_FOLDERS, part)
    root = next((folder.expanduser() / n for n in names if (folder.expanduser() / n).is_dir()), None)
    if root is None:
        raise SourceError(f"no folder {' or '.join(names)} of GAF-3.0 in {folder}")
    groups = []
    for label, name in enumerate(CLASSES):
        inside = root / name.capitalize()
        found = sorted(path for path in inside.rglob("*") if path.is_file() and is_image(path))
        if not found:
            raise SourceError(f"no images of GAF-3.0 in {inside}")
        groups += [LabelledGroup(path, label, path.stem) for path in found]
    return tuple(groups)


def _part(folders: Mapping[str, tuple[str, ...]], part: str) -> tuple[str, ...]:
    if part not in folders:
        raise SourceError(f"part must be train or valid, got {part}")
    return folders[part]
