"""The live table of a terminal, and the same as lines of plain text."""

from __future__ import annotations

import logging
import math
import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from social_perception.core.signals import Subject, fields_of
from social_perception.core.types import FaceAffect, FrameAffect, Scene, Smile
from social_perception.views.colors import level_color
from social_perception.views.text import further_figures, group_figures, level_text, number, scene_figures

_logger = logging.getLogger(__name__)

_BAR_WIDTH = 24
_MIN_WIDTH = 64
_REFRESH_S = 0.1
_LINE_PERIOD_S = 1.0

Show = Callable[["FrameAffect | None", str], None]


@contextmanager
def live_display() -> Iterator[Show]:
    """A function that shows a result and a title in a table on the terminal.

    Where standard output is not a terminal, or one without cursor control, it prints a line a second.
    """
    # Not the console that all programs of the process share, on which another display may run.
    console = Console()
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        yield _Throttled(lambda affect, _: print(live_line(affect), flush=True), _LINE_PERIOD_S)
        return
    with Live(live_table(None), console=console, auto_refresh=False, transient=False) as live:
        yield _Throttled(
            lambda affect, title: live.update(live_table(affect, title), refresh=True), _REFRESH_S
        )


class _Throttled:
    """Shows at most once per period, and only if writing to standard output does not block.

    A stopped terminal (Ctrl-S), a pipe that nobody reads or a log on a full disk must not stop the run.
    Only a closed pipe (``| head -1``) ends it.
    """

    def __init__(self, show: Show, period_s: float) -> None:
        self._show, self._period_s = show, period_s
        self._next_s = 0.0

    def __call__(self, affect: FrameAffect | None, title: str) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s or not _is_writable():
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
            # The rest of Python's buffer would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_writable() -> bool:
    """Whether a write to standard output would not block."""
    try:
        return bool(select.select([], [sys.stdout], [], 0.0)[1])
    except (OSError, ValueError):  # no file descriptor, or not supported by the system
        return True


def live_table(affect: FrameAffect | None, title: str = "") -> Table:
    """Everybody's smile and further values as a table, with the group's figures below; or the scene's."""
    if affect is not None and affect.scene is not None:
        return _scene_table(affect.scene, title)
    figures = group_figures(affect.group if affect else None)
    # Wrapped between figures, not within them, at the width of the table without further columns.
    caption = "\n".join("  ".join(line) for line in _lines(figures, _MIN_WIDTH))
    table = Table(
        title=title, title_justify="left", caption=caption, caption_justify="left", min_width=_MIN_WIDTH
    )
    table.add_column("face", min_width=6)
    table.add_column("level", min_width=8)
    table.add_column("intensity", justify="right")
    table.add_column("smile", min_width=_BAR_WIDTH)
    known = {kind for face in (affect.faces if affect else ()) for kind in face.signals}
    further = [each for each in fields_of(Subject.FACE, without=Smile) if each[0].kind in known]
    for _, each in further:
        table.add_column(each.label, justify="right")
    for face in affect.faces if affect else ():
        color = "rgb({},{},{})".format(*level_color(face[Smile].level))
        smile = face[Smile]
        table.add_row(
            face.track.id,
            Text(level_text(smile), color),
            number(smile.intensity),
            Text(_bar(face), color),
            *(each.text(getattr(face[one.kind], each.name)) for one, each in further),
        )
    return table


def _scene_table(scene: Scene, title: str) -> Table:
    table = Table(title=title, title_justify="left", min_width=_MIN_WIDTH, show_header=False)
    for figure in scene_figures(scene):
        table.add_row(figure)
    return table


def live_line(affect: FrameAffect | None) -> str:
    """The same as a line of plain text."""
    if affect is not None and affect.scene is not None:
        return "  ".join(scene_figures(affect.scene))
    faces = affect.faces if affect else ()
    people = ", ".join(_face_text(face) for face in faces)
    group = affect.group if affect else None
    # A group may be reported without its people.
    nobody = "no faces" if group is None or group.group_size == 0 else ""
    return " | ".join(filter(None, ["  ".join(group_figures(group)), people or nobody]))


def _lines(figures: Iterable[str], width: int) -> list[list[str]]:
    """The figures in lines of at most so many characters, two spaces between figures."""
    lines: list[list[str]] = [[]]
    for figure in figures:
        if lines[-1] and len("  ".join([*lines[-1], figure])) > width:
            lines.append([])
        lines[-1].append(figure)
    return lines


def _face_text(face: FaceAffect) -> str:
    smile = face[Smile]
    smiling = face.track.id, level_text(smile), number(smile.intensity)
    return " ".join([*smiling, *further_figures(Subject.FACE, face.signals)])


def _bar(face: FaceAffect) -> str:
    intensity = face[Smile].intensity
    return "" if math.isnan(intensity) else "█" * round(_BAR_WIDTH * intensity)
