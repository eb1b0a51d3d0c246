"""Speech and laughter in sound files, videos and bags: ten rows a second."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from social_perception.cli.corpus import VIDEO_SUFFIXES
from social_perception.cli.options import add_settings, settings_from
from social_perception.core.config import LaughterConfig, SourceConfig
from social_perception.core.errors import SourceError
from social_perception.sources.bag_names import has_bag_suffix, is_bag

if TYPE_CHECKING:
    from social_perception.perception.hearing.listener import Listener
    from social_perception.sinks.tables import EventTable

_logger = logging.getLogger(__name__)

SOUND_SUFFIXES = (".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        type=Path,
        metavar="FOLDER|FILE",
        help="a sound file, a video or a bag, or a folder: all of these in it, however deep",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="EVENTS.CSV")
    add_settings(parser, [LaughterConfig])


def run(options: argparse.Namespace) -> int:
    # Imported here: the networks take a second to load, and --help must not.
    from social_perception.perception.hearing.listener import Listener
    from social_perception.sinks.tables import EventTable

    is_folder = options.path.is_dir() and not is_bag(options.path)
    folder = options.path if is_folder else options.path.parent
    files = list(_files_in(folder)) if is_folder else [options.path]
    if not files:
        raise SourceError(f"{folder} has no sound files, videos or bags")
    listener, failed, rows = Listener(settings_from(options, LaughterConfig)), 0, 0
    with EventTable(options.output) as table:
        for path in _with_progress(files):
            name = path.relative_to(folder).as_posix()
            try:
                rows += _listen(listener, path, name, table)
            except SourceError as error:
                if not is_folder:
                    raise
                failed += 1
                _logger.log(logging.ERROR, "%s", error)
    print(f"{rows} rows of {len(files) - failed} of {len(files)} files -> {options.output}")
    return int(failed > 0)


def _listen(listener: Listener, path: Path, name: str, table: EventTable) -> int:
    from social_perception.sources.sound_file import open_sound

    listener.reset()
    rows = 0
    with open_sound(path, SourceConfig().sound_rate_hz) as blocks:
        for block in blocks:
            events = listener.listen(block)
            table.add(name, events)
            rows += len(events)
    if not rows:
        raise SourceError(f"{path}: no sound of a tenth of a second can be read")
    return rows


def _files_in(folder: Path) -> Iterator[Path]:
    """The files with sound in a folder, by name; hidden ones are skipped."""
    for name, inner, files in os.walk(folder):
        here = Path(name)
        bags = [each for each in sorted(inner) if is_bag(here / each)]
        yield from (here / each for each in bags)
        inner[:] = sorted(each for each in inner if not each.startswith(".") and each not in bags)
        for file in sorted(files):
            known = Path(file).suffix.lower() in (*SOUND_SUFFIXES, *VIDEO_SUFFIXES)
            if not file.startswith(".") and (known or has_bag_suffix(here / file)):
                yield here / file


def _with_progress(files: list[Path]) -> Iterator[Path]:
    from tqdm import tqdm

    yield from tqdm(files, unit="file", disable=None)
