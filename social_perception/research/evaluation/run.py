"""``social-perception evaluate``: measures a network on the development data, as JSON and as plots."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from social_perception.core.errors import OutputError
from social_perception.research.evaluation.agreement import HeldOut, held_out
from social_perception.research.evaluation.clips import clip_figures
from social_perception.research.evaluation.plots import write_figures
from social_perception.research.evaluation.stills import ferplus_figures, genki_figures, level_figures
from social_perception.research.evaluation.targets import (
    Candidate,
    Predictions,
    compare,
    measures,
    predict,
    read_candidates,
    table,
)
from social_perception.research.training.labels import SETS_OF_SOURCES


def main(
    models: Sequence[str] = ("",),
    *,
    cache: Path | str = ".cache",
    clips: bool = True,
    output: Path | str | None = None,
) -> dict[str, object]:
    """Measure networks on the development data, print the results and return them.

    Args:
        models: files with the weights; empty: the shipped network; see :class:`.targets.Candidate`.
        cache: folder for the face boxes.
        clips: whether to evaluate the rated clips, too, which takes minutes.
        output: folder for ``evaluation.json``, ``targets.md`` and, of a single network, the plots; created if
            missing.

    Raises:
        ModelError: the weights cannot be read.
        ConfigurationError: two models have the same name.
        SourceError: the data is missing.
        OutputError: the folder cannot be written to.
    """
    folder = None if output is None else make_folder(Path(output))
    candidates = read_candidates(models)
    predictions = list(predict(candidates, Path(cache), clips))
    figures: dict[str, object] = {}
    if len(candidates) == 1:
        figures, faces = _single_figures(candidates[0], predictions[0], Path(cache))
    rows = list(compare([list(measures(each)) for each in predictions]))
    names = [each.name for each in candidates]
    figures["targets"] = {"models": names, "rows": [asdict(row) for row in rows]}
    text, targets = json.dumps(_json(figures), indent=2, allow_nan=False), table(names, rows)
    if len(candidates) == 1:
        print(text)
        print(comparison(figures["against_first_rater"]))  # type: ignore[arg-type]
    print(targets)
    if folder is not None:
        (folder / "evaluation.json").write_text(text + "\n")
        (folder / "targets.md").write_text(targets + "\n")
        if len(candidates) == 1:
            for path in write_figures(folder, faces, predictions[0].clips.get("clips", ())):
                print(f"written: {path}")
    return figures


MEASURES = (
    "accuracy", "macro_f1", "kappa", "kappa_quadratic", "kappa_smile", "icc", "pearson", "spearman",
    "expected_calibration_error",
)  # fmt: skip


def comparison(reports: Mapping[str, Mapping[str, object]]) -> str:
    """Format the agreement with the first rater as a table, a column per prediction."""
    lines = [f"{'held-out faces, against rater 1':<34}" + "".join(f"{name:>14}" for name in reports)]
    for measure in MEASURES:
        values = [float(report[measure]) for report in reports.values()]  # type: ignore[arg-type]
        lines.append(
            f"{measure:<34}" + "".join(f"{'-' if math.isnan(v) else f'{v:.3f}':>14}" for v in values)
        )
    return "\n".join(lines)


def make_folder(path: Path) -> Path:
    """Create a folder for results.

    Raises:
        OutputError: the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror}") from error
    return path


def _json(value: object) -> object:
    """Replace NaN by None: JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _json(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _single_figures(
    candidate: Candidate, predicted: Predictions, cache: Path
) -> tuple[dict[str, object], HeldOut]:
    rated = dict(zip(SETS_OF_SOURCES.values(), predicted.rated))
    faces = held_out(rated, candidate.sets, cache)
    figures: dict[str, object] = {
        "ferplus_test": ferplus_figures(predicted.ferplus),
        "genki_held_out": genki_figures(predicted.genki, held_out_only=True),
        "levels_held_out": level_figures(rated),
        "against_first_rater": faces.reports(),
    }
    if "genki_train" not in candidate.sets:
        figures["genki_train"] = genki_figures(predicted.genki)
    return figures | {name: clip_figures(timelines) for name, timelines in predicted.clips.items()}, faces
