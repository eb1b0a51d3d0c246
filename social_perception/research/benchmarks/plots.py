"""Plots a report as one image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from social_perception.core.errors import OutputError
from social_perception.research.benchmarks.recording import TOPICS
from social_perception.research.benchmarks.report import Comparison, Limit, Line, Report, Stream, WebRun
from social_perception.research.benchmarks.scoring import (
    BATCH,
    ONE_BY_ONE,
    OURS,
    REFERENCE,
    SHIPPED,
    side_name,
)

# Distinguishable with color blindness: Okabe and Ito, "Color Universal Design", 2008.
BLUE, RED, GREEN, ORANGE, SKY, BLACK = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#000000"
CAMERA_HZ = 30.0

_SCORING = (
    (REFERENCE, ONE_BY_ONE, RED, "-o"),
    (REFERENCE, BATCH, ORANGE, "--s"),
    (REFERENCE, OURS, GREEN, "-^"),
    (SHIPPED, ONE_BY_ONE, SKY, "--v"),
    (SHIPPED, OURS, BLUE, "-D"),
)
_DELAYS = (("median_ms", "-"), ("p95_ms", "--"), ("p99_ms", ":"))


def write_figure(path: Path, report: Report) -> None:
    """Plot the measured parts of a report as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    parts: list[tuple[Any, Any]] = [
        (_scoring, _on_first_device(report.scoring)),
        (_detector, _on_first_device(report.detector)),
        (_rates, _on_first_device(report.pipeline or report.soak)),
        (_delays, _on_first_device(report.pipeline or report.soak)),
        (_lines, _on_first_device(report.growth)),
        (_limits, _on_first_device(report.limits)),
        (_web, _on_first_device([each for each in report.web or () if each.loads])),
    ]
    measured = [(draw, results) for draw, results in parts if results]
    columns = min(3, max(1, len(measured)))
    rows = -(-max(1, len(measured)) // columns)
    figure = Figure(figsize=(5.6 * columns, 4.7 * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (draw, results) in zip(panels, measured):
        draw(axes, results)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(measured) :]:
        axes.set_axis_off()
    machine = report.machine
    note = " (a quick run: times are not meaningful)" if report.quick else ""
    device = f", {machine.gpu}" if machine.gpu else ""
    figure.suptitle(f"{machine.cpu}, {machine.cores} cores{device}{note}", fontsize=11)
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _on_first_device(found: Sequence[Any] | None) -> list[Any]:
    """Return the results of one device: the last one measured, which is the fastest."""
    return [each for each in found if each.device == found[-1].device] if found else []


def _scoring(axes: Any, found: Sequence[Comparison]) -> None:
    for network, mode, color, style in _SCORING:
        points = [(each.size, each.side(side_name(network, mode)).per_second) for each in found]
        known = [(size, rate) for size, rate in points if rate is not None]
        if known:
            axes.loglog(*zip(*known), style, color=color, ms=5, lw=1.4, label=f"{network}: {mode}")
    axes.axhline(CAMERA_HZ, color="0.6", lw=0.9, ls=":")
    axes.set_xticks([each.size for each in found], [str(each.size) for each in found])
    axes.minorticks_off()
    axes.set(title="Scoring (dotted: camera)", xlabel="faces per frame", ylabel="frames per second")
    _legend_below(axes, 2)


def _detector(axes: Any, found: Sequence[Comparison]) -> None:
    names = [side.name for side in found[0].sides]
    width = 0.8 / len(names)
    for number, (name, color) in enumerate(zip(names, (RED, GREEN, BLUE, SKY))):
        places = [place + (number - (len(names) - 1) / 2) * width for place in range(len(found))]
        times = [each.side(name).seconds for each in found]
        bars = axes.bar(places, [time or float("nan") for time in times], width, color=color, label=name)
        axes.bar_label(bars, ["" if time is None else f"{time:.2g}" for time in times], fontsize=7)
    axes.set_yscale("log")
    axes.set_xticks(range(len(found)), [each.what for each in found])
    axes.set(title="Face detector", ylabel="seconds per search")
    _legend_below(axes, 2)


def _rates(axes: Any, found: Sequence[Stream]) -> None:
    for mode, color, style in _ways(found):
        points = [(each.people, each.per_second) for each in found if each.mode == mode and each.per_second]
        if points:
            axes.plot(*zip(*points), style, color=color, label=mode)
    axes.axhline(CAMERA_HZ, color="0.6", lw=0.9, ls=":")
    axes.set_ylim(0, CAMERA_HZ * 1.15)
    axes.set_xticks(sorted({each.people for each in found}))
    axes.set(title="Complete pipeline (dotted: sent)", xlabel="people", ylabel="images answered per second")
    _legend_below(axes, 2)


def _delays(axes: Any, found: Sequence[Stream]) -> None:
    for mode, color, style in _ways(found):
        here = [each for each in found if each.mode == mode]
        _delay_lines(axes, [(each.people, each.to_faces) for each in here], color, style, f"{mode}: faces")
        _delay_lines(axes, [(each.people, each.to_group) for each in here], ORANGE, style, f"{mode}: group")
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted({each.people for each in found}))
    axes.set(title="Delay: median, 95 % (dashed), 99 % (dotted)", xlabel="people", ylabel="delay (ms)")
    _legend_below(axes, 3)


def _delay_lines(axes: Any, points: Sequence[tuple[int, Any]], color: str, style: str, label: str) -> None:
    known = [(people, delay) for people, delay in points if delay is not None]
    for name, dash in _DELAYS if known else ():
        values = [getattr(delay, name) for _, delay in known]
        marker, shown = (style[-1], label) if name == "median_ms" else ("", None)
        axes.plot(
            [people for people, _ in known], values, dash, marker=marker, color=color, lw=1.3, label=shown
        )


def _ways(found: Sequence[Stream]) -> list[tuple[str, str, str]]:
    modes = dict.fromkeys(each.mode for each in found)
    return [(mode, BLUE, "-o") if mode == TOPICS else (mode, GREEN, "-s") for mode in modes]


def _lines(axes: Any, found: Sequence[Line]) -> None:
    for line, color in zip(found, (RED, BLUE, GREEN, ORANGE, BLACK)):
        x, ms = zip(*line.points)
        label = f"{line.name}: {line.slope_ms:.3g} ms/{line.unit} + {line.intercept_ms:.3g}"
        axes.loglog(x, ms, "o", color=color, ms=5, label=label)
        fitted = [(place, line.slope_ms * place + line.intercept_ms) for place in x]
        axes.loglog(*zip(*[(place, value) for place, value in fitted if value > 0]), color=color, lw=1.2)
    axes.set(title="Scaling", xlabel="faces, or megapixels", ylabel="ms per frame or search")
    _legend_below(axes, 1)


def _limits(axes: Any, found: Sequence[Limit]) -> None:
    known = [limit for limit in found if limit.share is not None]
    places = range(len(known))
    bars = axes.barh(places, [100 * (limit.share or 0) for limit in known], color=BLUE)
    axes.bar_label(
        bars, [f" {limit.achieved:.0f} of {limit.matrix_product:.0f}" for limit in known], fontsize=8
    )
    axes.set_yticks(places, [f"{limit.name}\n{limit.precision}" for limit in known], fontsize=7)
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set(title="Relative to a large matrix product (GFLOP/s)", xlabel="%")


def _web(axes: Any, found: Sequence[WebRun]) -> None:
    loads = found[-1].loads
    names = [
        f"{load.clients}" + f"\n({load.not_reading} not reading)" * (load.not_reading > 0) for load in loads
    ]
    bars = axes.bar(range(len(loads)), [load.per_second for load in loads], 0.6, color=BLUE)
    axes.bar_label(bars, [f"{load.per_second:.1f}" for load in loads], fontsize=8)
    axes.axhline(CAMERA_HZ, color="0.6", lw=0.9, ls=":")
    axes.set_ylim(0, CAMERA_HZ * 1.15)
    axes.set_xticks(range(len(loads)), names)
    axes.set(
        title="Live page (dotted: sent)", xlabel="connected browsers", ylabel="images answered per second"
    )


def _legend_below(axes: Any, columns: int) -> None:
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=columns)
