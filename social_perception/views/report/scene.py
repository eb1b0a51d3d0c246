"""The report of a scene, whose people are not processed: its figures and its valence over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from social_perception.core.errors import OutputError
from social_perception.core.timelines import Timeline
from social_perception.views.report import charts
from social_perception.views.report.measures import Clock, mean_over_time
from social_perception.views.report.page import environment, ticks_of

CLASSES = ("negative", "neutral", "positive")


@dataclass(frozen=True, slots=True)
class SceneSummary:
    """The figures of a scene over time; NaN for unknown.

    ``shares`` are those of the time in which negative, neutral and positive is the most probable;
    ``sound_share`` is that of the time in which sound was used.
    """

    duration_s: float
    frames: int
    valence: float
    shares: tuple[float, ...]
    sound_share: float


def summary(scene: Timeline, clock: Clock) -> SceneSummary:
    """The figures of a scene with at least one frame."""
    lengths_s = clock.lengths_s[clock.places(scene)]
    probabilities = np.stack([scene.values[f"p_{name}"] for name in CLASSES], 1)
    known = ~np.isnan(probabilities).any(1)
    best = np.where(known, np.nan_to_num(probabilities).argmax(1), -1)
    known_s = max(1e-9, float(lengths_s[known].sum()))
    return SceneSummary(
        clock.end_s - clock.start_s,
        len(clock.frames),
        mean_over_time(scene.values["valence"], lengths_s),
        tuple(float(lengths_s[best == number].sum()) / known_s for number in range(len(CLASSES))),
        mean_over_time(scene.values["with_sound"], lengths_s),
    )


def write_scene_report(path: str | Path, scene: Timeline | None, *, video: str | Path) -> None:
    """Write the report of a video as one HTML file; it contains no image.

    Args:
        path: of the HTML file.
        scene: the scene table (``read_scene``); None: the video has no frames.
        video: the annotated file; only its name is shown.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
        OutputError: the file cannot be written.
    """
    try:
        # Names of files may not be valid Unicode.
        Path(path).write_bytes(render(scene, video=video).encode("utf-8", "replace"))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def render(scene: Timeline | None, *, video: str | Path) -> str:
    """The report as text."""
    clock = Clock.of((), scene)
    axis = charts.Axis(clock.start_s, clock.end_s)
    curve = charts.Curve()
    if scene is not None:
        heights = (scene.values["valence"] + 1.0) / 2.0
        curve = charts.curve(clock.places(scene), heights, clock, axis, charts.MAX_COLUMNS)
    return (
        environment()
        .get_template("scene.html")
        .render(
            title=Path(video).name,
            summary=None if scene is None else summary(scene, clock),
            classes=CLASSES,
            curve=curve,
            ticks=ticks_of(axis),
        )
    )
