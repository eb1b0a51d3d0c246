"""How the results of a video were made (``annotation.json``), so that a second run skips the video."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from social_perception import __version__
from social_perception.core.config import PipelineConfig
from social_perception.core.files import read_limited

MANIFEST = "annotation.json"
FORMAT = 1

_BLOCK_BYTES = 1 << 20
_MAX_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Origin:
    """What results depend on besides the video.

    Attributes:
        settings: of the pipeline, by kind, and of the output, as values of JSON.
        networks: SHA-256 of the detector's and of the smile network's weights.
    """

    settings: dict[str, Any]
    networks: dict[str, str]
    version: str = __version__


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of annotation.json; modified_ns is the time at which the video was last written to."""

    format: int
    video: str
    bytes: int
    modified_ns: int
    fingerprint: str
    version: str
    settings: dict[str, Any]
    networks: dict[str, str]
    outputs: tuple[str, ...]
    results: dict[str, Any]

    @classmethod
    def of(
        cls, video: Path, fingerprint: str, origin: Origin, outputs: tuple[str, ...], results: dict[str, Any]
    ) -> Manifest:
        return cls(
            FORMAT,
            str(video.resolve()),
            *_extent(video),
            fingerprint,
            origin.version,
            origin.settings,
            origin.networks,
            outputs,
            {name: _for_json(value) for name, value in results.items()},
        )

    def is_valid(self, folder: Path, video: Path, origin: Origin) -> bool:
        """Whether the results in the folder are complete and were made from this video in the same way."""
        return (
            self.format == FORMAT
            and Origin(self.settings, self.networks, self.version) == origin
            and all(_exists(folder / name) for name in self.outputs)
            and self._matches(video)
        )

    def _matches(self, video: Path) -> bool:
        try:
            size, modified_ns = _extent(video)
        except OSError:
            return False
        if size != self.bytes:
            return False
        # As in rsync and make: a file of this size and time is not read again; a copy is.
        return modified_ns == self.modified_ns or fingerprint(video) == self.fingerprint


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _for_json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _files(video: Path) -> list[Path]:
    """The video's file, or those of a bag's folder."""
    return sorted(path for path in video.iterdir() if path.is_file()) if video.is_dir() else [video]


def _extent(video: Path) -> tuple[int, int]:
    """Size in bytes, and the time in ns at which the video was last written to."""
    statuses = [path.stat() for path in _files(video)]
    return sum(each.st_size for each in statuses), max((each.st_mtime_ns for each in statuses), default=0)


def fingerprint(video: Path) -> str:
    """The SHA-256 of the video's content; empty if it cannot be read, which opening it reports."""
    digest = hashlib.sha256()
    try:
        for path in _files(video):
            with path.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def make_origin(config: PipelineConfig, output: object) -> Origin:
    """What the results of a run with these settings depend on besides the videos.

    Args:
        config: of the pipeline.
        output: a dataclass with the options of the output.
    """
    settings = {**dataclasses.asdict(config), "output": dataclasses.asdict(output)}  # type: ignore[call-overload]
    return Origin(json.loads(json.dumps(settings)), _network_hashes(config))


def _network_hashes(config: PipelineConfig) -> dict[str, str]:
    # Importing the modules for their paths would load torch, which the parent of workers does not need.
    perception = Path(str(resources.files("social_perception"))) / "perception"
    smile = config.smile.model
    return {
        "detector": _hash(sorted((perception / "detection" / "weights").iterdir())),
        "smile": _hash(
            [Path(smile).expanduser()] if smile else sorted((perception / "smile" / "weights").iterdir())
        ),
    }


def _hash(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        # Loading a missing one reports it.
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder of results; None where it is missing or invalid."""
    try:
        fields = json.loads(read_limited(folder / MANIFEST, _MAX_BYTES))
        if not all(isinstance(name, str) for name in fields["outputs"]):
            return None
        return Manifest(**{**fields, "outputs": tuple(fields["outputs"])})
    # Too deep a nesting fails in the parser, too.
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest in one step."""
    part = folder / f".{MANIFEST}.part"
    text = json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False)
    # In JSON, backslashes keep a name that is not valid Unicode.
    with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / MANIFEST)
