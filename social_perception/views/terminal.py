"""The live table of a terminal, and the same as plain lines."""

from __future__ import annotations

import logging
import math
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from social_perception.core.signals import Subject, fields_of
from social_perception.core.types import FaceAffect, FrameAffect, Smile
from social_perception.views.colors import level_color
from social_perception.views.words import group_words, level_word, number

_logger = logging.getLogger(__name__)

_BAR_WIDTH = 24
_REFRESH_S = 0.1
_LINE_PERIOD_S = 1.0

Show = Callable[["FrameAffect | None", str], None]


@contextmanager
def live_display() -> Iterator[Show]:
    """A function of an affect and a title that keeps a table up to date on a terminal.

    Where standard output is no terminal, or one that can only write on, it prints a line a second.
    """
    if not sys.stdout.isatty() or Console().is_dumb_terminal:
        yield _Throttled(lambda affect, _: print(live_line(affect), flush=True), _LINE_PERIOD_S)
        return
    with Live(live_table(None), auto_refresh=False, transient=False) as live:
        yield _Throttled(
            lambda affect, title: live.update(live_table(affect, title), refresh=True), _REFRESH_S
        )


class _Throttled:
    """Shows at most once per period, and only what standard output takes at once.

    A terminal that is stopped (Ctrl-S), a pipe that nobody empties or a log on a full disk must not hold
    up the run, which others may rely on. Only a reader that has gone (``| head -1``) ends it.
    """

    def __init__(self, show: Show, period_s: float) -> None:
        self._show, self._period_s = show, period_s
        self._next_s = 0.0

    def __call__(self, affect: FrameAffect | None, title: str) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s or not _takes_more():
            return
        self._next_s = now_s + self._period_s
        try:
            self._show(affect, title)
        except BrokenPipeError:
            raise
        except OSError as error:
            _logger.warning(
                "standard output cannot be written: %s; nothing more is shown", error.strerror or error
            )
            self._next_s = math.inf
            # What waits in Python's buffer would fail again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _takes_more() -> bool:
    """Whether a write to standard output would not wait."""
    try:
        return bool(select.select([], [sys.stdout], [], 0.0)[1])
    except (OSError, ValueError):  # it has no file descriptor, or the system cannot tell
        return True


def live_table(affect: FrameAffect | None, title: str = "") -> Table:
    """Who smiles how much, and the group, for a terminal."""
    caption = "  ".join(group_words(affect.group if affect else None))
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left", min_width=64)
    table.add_column("face", min_width=6)
    table.add_column("level", min_width=8)
    table.add_column("intensity", justify="right")
    table.add_column("smile", min_width=_BAR_WIDTH)
    further = fields_of(Subject.FACE, without=Smile)
    for _, each in further:
        table.add_column(each.label, justify="right")
    for face in affect.faces if affect else ():
        color = "rgb({},{},{})".format(*level_color(face[Smile].level))
        smile = face[Smile]
        table.add_row(
            face.track.id,
            Text(level_word(smile), color),
            number(smile.intensity),
            Text(_bar(face), color),
            *(each.text(getattr(face[one.kind], each.name)) for one, each in further),
        )
    return table


def live_line(affect: FrameAffect | None) -> str:
    """The same in one line of plain text."""
    faces = affect.faces if affect else ()
    people = ", ".join(_words(face) for face in faces)
    group = affect.group if affect else None
    # Of a group without its people nothing more is known.
    nobody = "no faces" if group is None or group.group_size == 0 else ""
    return " | ".join(filter(None, ["  ".join(group_words(group)), people or nobody]))


def _words(face: FaceAffect) -> str:
    smile = face[Smile]
    words = [face.track.id, level_word(smile), number(smile.intensity)]
    for one, each in fields_of(Subject.FACE, without=Smile):
        words.append(f"{each.label} {each.text(getattr(face[one.kind], each.name))}")
    return " ".join(words)


def _bar(face: FaceAffect) -> str:
    intensity = face[Smile].intensity
    return "" if math.isnan(intensity) else "█" * round(_BAR_WIDTH * intensity)
