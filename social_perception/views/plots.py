"""The timeline of a run as an image: every face's intensity and the group's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from social_perception.core.errors import MissingDependencyError
from social_perception.core.timelines import Timeline
from social_perception.core.types import SmileLevel
from social_perception.views.colors import PERSON_COLORS

_MAX_POINTS = 4000
_MAX_NAMES = 16
_DASHES = ("-", "--", ":", "-.")


def plot_timeline(
    path: str | Path, faces: Sequence[Timeline] | None, group: Timeline | None, title: str = ""
) -> None:
    """Draw the intensities over time into a PNG; gaps in a line are times without a valid smile.

    Args:
        path: of the PNG.
        faces: the people; None: only the group is drawn.
        group: its timeline; None: no line is drawn.
        title: of the plot.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = _figure(6.5 if faces is not None else 3.5)
    if faces is None:
        lower = figure.subplots()
    else:
        upper, lower = figure.subplots(2, 1, sharex=True, sharey=True, height_ratios=(2, 1))
        _draw_faces(upper, faces)
    if group is not None:
        lower.plot(*_line(group), color="black", lw=1.6)
    _decorate(lower, "group")
    _save(figure, path, title)


def plot_scene(path: str | Path, scene: Timeline | None, title: str = "") -> None:
    """Draw the valence of the scene over time into a PNG; see :func:`plot_timeline`."""
    figure = _figure(3.5)
    axes = figure.subplots()
    if scene is not None:
        axes.plot(scene.stamps_s, scene.values["valence"], color="black", lw=1.6)
    axes.set_ylabel("valence, scene")
    axes.set_ylim(-1.04, 1.04)
    axes.axhline(0.0, color="0.75", lw=0.8, ls=":", zorder=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _save(figure, path, title)


def _figure(height: float) -> Any:
    try:
        # Not pyplot: it looks for a window system and keeps global state.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(12, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: str | Path, title: str) -> None:
    # Names of files may not be valid Unicode, and hold the dollar signs of formulas.
    figure.axes[0].set_title(title.encode("utf-8", "replace").decode(), parse_math=False)
    figure.axes[-1].set_xlabel("time (s)")
    figure.savefig(path, dpi=110, format="png")


def _draw_faces(axes: Any, faces: Sequence[Timeline]) -> None:
    for number, face in enumerate(faces):
        style = {"color": PERSON_COLORS[number % len(PERSON_COLORS)], "lw": 1.3}
        dash = _DASHES[(number // len(PERSON_COLORS)) % len(_DASHES)]
        label = face.name if number < _MAX_NAMES else None
        axes.plot(*_line(face), dash, label=label, **style)
    _decorate(axes, "each face")
    if faces:
        axes.legend(title="face", loc="upper left", bbox_to_anchor=(1.07, 1.0), frameon=False)


def _line(timeline: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """Times and intensities, with NaN where frames are missing, thinned to the visible resolution."""
    step = max(1, len(timeline.stamps_s) // _MAX_POINTS)
    breaks = np.flatnonzero(np.diff(timeline.frames) > 1) + 1
    stamps_s = np.insert(timeline.stamps_s, breaks, np.nan)
    intensities = np.insert(timeline.intensities, breaks, np.nan)
    return stamps_s[::step], intensities[::step]


def _decorate(axes: Any, name: str) -> None:
    axes.set_ylabel(f"smile intensity, {name}")
    axes.set_ylim(-0.02, 1.02)
    for border in (1 / 6, 3 / 6, 5 / 6):
        axes.axhline(border, color="0.75", lw=0.8, ls=":", zorder=0)
    levels = axes.secondary_yaxis("right")
    known = [level for level in SmileLevel if level is not SmileLevel.UNKNOWN]
    levels.set_yticks([int(level) / 3 for level in known], [level.label for level in known])
    levels.tick_params(length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    levels.spines["right"].set_visible(False)
