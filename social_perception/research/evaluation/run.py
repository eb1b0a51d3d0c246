"""``social-perception evaluate``: measures a network on the development data, as JSON and as plots."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path

from social_perception.core.config import SmileConfig
from social_perception.core.errors import OutputError
from social_perception.perception.smile.factory import make_scorer
from social_perception.perception.smile.weights import shipped_path
from social_perception.research.evaluation.agreement import HeldOut, held_out, read_training_sets
from social_perception.research.evaluation.clips import ClipTimeline, clip_figures, clip_timelines
from social_perception.research.evaluation.plots import write_figures
from social_perception.research.evaluation.stills import (
    ferplus_figures,
    genki_figures,
    held_out_names,
    level_figures,
    score_stills,
)
from social_perception.research.training.labels import SETS_OF_SOURCES
from social_perception.research.training.stills import read_stills


def main(
    model: str = "", *, cache: Path | str = ".cache", clips: bool = True, output: Path | str | None = None
) -> dict[str, object]:
    """Measure a network on the development data, print the results and return them.

    Args:
        model: file with the weights; empty: the shipped network.
        cache: folder for the face boxes.
        clips: whether to evaluate the rated clips, too, which takes minutes.
        output: folder for ``evaluation.json`` and the plots, created if missing.

    Raises:
        ModelError: the weights cannot be read.
        SourceError: the data is missing.
        OutputError: the folder cannot be written to.
    """
    folder = None if output is None else make_folder(Path(output))
    figures, faces = _still_figures(model, Path(cache))
    timelines: list[ClipTimeline] = []
    if clips:
        timelines = clip_timelines(model)
        figures["clips"] = clip_figures(timelines)
    text = json.dumps(_json(figures), indent=2, allow_nan=False)
    print(text)
    print(comparison(figures["against_first_rater"]))  # type: ignore[arg-type]
    if folder is not None:
        (folder / "evaluation.json").write_text(text + "\n")
        for path in write_figures(folder, faces, timelines):
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
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _still_figures(model: str, cache: Path) -> tuple[dict[str, object], HeldOut]:
    scorer = make_scorer(SmileConfig(model=model))
    training_sets = read_training_sets(Path(model).expanduser() if model else shipped_path())
    rated = {
        name: score_stills(read_stills(name, cache).select(held_out_names(name)), scorer)
        for name in SETS_OF_SOURCES.values()
    }
    faces = held_out(rated, training_sets, cache)
    genki = score_stills(read_stills("genki_train", cache), scorer)
    figures: dict[str, object] = {
        "ferplus_test": ferplus_figures(score_stills(read_stills("ferplus_test", cache), scorer)),
        "genki_held_out": genki_figures(genki, held_out_only=True),
        "levels_held_out": level_figures(rated),
        "against_first_rater": faces.reports(),
    }
    if "genki_train" not in training_sets:  # else the network was trained on it
        figures["genki_train"] = genki_figures(genki)
    return figures, faces


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", default="", help="file with the weights; default: the shipped network")
    parser.add_argument("--cache", default=".cache", help="folder for the face boxes")
    parser.add_argument("--no-clips", action="store_true", help="skip the rated clips")
    parser.add_argument("--output", help="folder for the JSON file and the plots")
    options = parser.parse_args()
    main(options.model, cache=options.cache, clips=not options.no_clips, output=options.output)
