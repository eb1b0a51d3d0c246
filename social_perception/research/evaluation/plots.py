"""The plots of an evaluation, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from social_perception.core.types import SmileLevel
from social_perception.research.evaluation import metrics
from social_perception.research.evaluation.agreement import HeldOut, Prediction
from social_perception.research.evaluation.clips import ClipTimeline
from social_perception.research.evaluation.metrics import FloatArray

LEVEL_LABELS = tuple(level.label for level in SmileLevel if level is not SmileLevel.UNKNOWN)
TITLES = {"network": "network", "second_rater": "second rater", "hog_svm": "HOG + SVM"}
# Distinguishable with color blindness: Okabe and Ito, "Color Universal Design", 2008.
COLORS = {"network": "#0072B2", "second_rater": "#000000", "hog_svm": "#D55E00"}
RATER_COLORS = ("#E69F00", "#009E73")


def write_figures(folder: Path, faces: HeldOut, timelines: Sequence[ClipTimeline]) -> list[Path]:
    """Write all plots to the folder and return their paths."""
    figures = {
        "confusion_recall.png": confusion_figure(faces, by_recall=True),
        "confusion_precision.png": confusion_figure(faces, by_recall=False),
        "precision_recall.png": precision_recall_figure(faces),
        "calibration.png": calibration_figure(faces),
    }
    if timelines:
        figures["timelines.png"] = timeline_figure(timelines)
    for name, figure in figures.items():
        FigureCanvasAgg(figure)
        figure.savefig(folder / name, dpi=110)
    return [folder / name for name in figures]


def confusion_figure(faces: HeldOut, *, by_recall: bool) -> Figure:
    """Plot the confusion matrices with the first rater; rows (recall) or columns (precision) add up to 1."""
    figure = Figure(figsize=(12.5, 4.6), layout="constrained")
    for axes, prediction in zip(figure.subplots(1, 3), faces.predictions):
        table = metrics.confusion(faces.truth, prediction.level)
        total = table.sum(axis=1 if by_recall else 0, keepdims=True)
        shares = np.divide(table, total, out=np.full(table.shape, np.nan), where=total > 0)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(table.shape):
            share = shares[row, column]
            text = "–" if np.isnan(share) else f"{share:.2f}\n({table[row, column]})"
            color = "white" if share > 0.55 else "black"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
        axes.set_xticks(range(4), LEVEL_LABELS)
        axes.set_yticks(range(4), LEVEL_LABELS)
        axes.set(title=TITLES[prediction.name], xlabel=TITLES[prediction.name], ylabel="first rater")
    kind = "recall: rows add up to 1" if by_recall else "precision: columns add up to 1"
    figure.suptitle(f"Levels of {len(faces.truth)} held-out faces ({kind}; number of faces in brackets)")
    return figure


def precision_recall_figure(faces: HeldOut) -> Figure:
    """Plot precision over recall per level: curves where probabilities are known, and operating points."""
    figure = Figure(figsize=(13.5, 3.9), layout="constrained")
    panels = figure.subplots(1, 4, sharex=True, sharey=True)
    for level, axes in enumerate(panels):
        positive = faces.truth == level
        for prediction in faces.predictions:
            color, name = COLORS[prediction.name], TITLES[prediction.name]
            if prediction.probabilities is not None and positive.any():
                precision, recall, _ = precision_recall_curve(positive, prediction.probabilities[:, level])
                # The last point of the curve is not measured.
                axes.plot(recall[:-1], precision[:-1], color=color, lw=1.3, label=f"{name}: curve")
            point = _point(faces.truth, prediction, level)
            marker = "*" if prediction.probabilities is None else "o"
            axes.plot(
                *point, marker, color=color, ms=11 if marker == "*" else 7, label=f"{name}: operating point"
            )
        axes.set(title=f"{LEVEL_LABELS[level]} ({positive.sum()} faces)", xlabel="recall", xlim=(-0.02, 1.02))
        axes.set_ylim(-0.02, 1.04)
        axes.grid(color="0.9")
    panels[0].set_ylabel("precision")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def calibration_figure(faces: HeldOut, bins: int = 10) -> Figure:
    """Plot the accuracy of the most probable level over its probability (a reliability diagram).

    Args:
        faces: the held-out faces.
        bins: number of bins of equal width.
    """
    figure = Figure(figsize=(6.2, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", lw=1, ls=":")
    for prediction in faces.predictions:
        if prediction.probabilities is None:
            continue
        confidence = prediction.probabilities.max(axis=1)
        correct = prediction.probabilities.argmax(axis=1) == faces.truth
        bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
        filled = [b for b in range(bins) if (bin_of == b).any()]
        error = metrics.calibration_error(faces.truth, prediction.probabilities)
        color, name = COLORS[prediction.name], TITLES[prediction.name]
        x, y = ([values[bin_of == b].mean() for b in filled] for values in (confidence, correct))
        axes.plot(x, y, color=color, lw=1, label=f"{name}: expected calibration error {error:.3f}")
        axes.scatter(x, y, s=[4 + 3 * (bin_of == b).sum() for b in filled], color=color, alpha=0.7)
    axes.set(
        xlabel="probability of the most probable level", ylabel="share of faces with that level",
        xlim=(0.2, 1.04), ylim=(-0.02, 1.06),
        title=f"Calibration on {len(faces.truth)} held-out faces (larger dots: more faces)",
    )  # fmt: skip
    axes.legend(frameon=False, loc="lower right")
    return figure


def timeline_figure(timelines: Sequence[ClipTimeline]) -> Figure:
    """Plot both raters and the network over time, a row per clip."""
    figure = Figure(figsize=(12.5, 1.75 * len(timelines) + 0.6), layout="constrained")
    rows = figure.subplots(len(timelines), 1, squeeze=False)[:, 0]
    for axes, timeline in zip(rows, timelines):
        _timeline_row(axes, timeline)
    rows[-1].set_xlabel("time (s)")
    figure.legend(*rows[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def _timeline_row(axes: Any, timeline: ClipTimeline) -> None:
    axes.fill_between(
        timeline.all_stamps_s, 3 * timeline.all_intensity, color=COLORS["network"], alpha=0.12, lw=0
    )
    axes.plot(
        timeline.all_stamps_s, 3 * timeline.all_intensity, color=COLORS["network"], lw=1.4,
        label="network (intensity, every frame)",
    )  # fmt: skip
    for number, color in enumerate(RATER_COLORS):
        # The offset keeps raters that agree visible.
        levels = timeline.raters[:, number] + (0.05 if number else -0.05)
        axes.plot(
            timeline.stamps_s, levels, "o", color=color, ms=3.5, ls="-", lw=0.9,
            drawstyle="steps-mid", label=f"rater {number + 1}",
        )  # fmt: skip
    correlation = timeline.pearson
    agreement = "" if np.isnan(correlation) else f"   r = {correlation:.2f}"
    axes.set_title(f"{timeline.clip}{agreement}", loc="left", fontsize=9)
    axes.set_yticks(range(4), LEVEL_LABELS, fontsize=8)
    axes.set_ylim(-0.3, 3.3)
    axes.set_xlim(0, max(timeline.all_stamps_s[-1], timeline.stamps_s[-1]))
    axes.grid(axis="y", color="0.92")


def _point(truth: FloatArray, prediction: Prediction, level: int) -> tuple[float, float]:
    precision, recall = metrics.precision_recall(metrics.confusion(truth, prediction.level))
    return float(recall[level]), float(precision[level])
