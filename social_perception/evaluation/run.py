"""``social-perception evaluate``: the figures of docs/model_card.md, as JSON."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from social_perception.core.config import SmileConfig
from social_perception.evaluation.stills import (
    ferplus_figures,
    genki_figures,
    held_out_names,
    level_figures,
    score_stills,
)
from social_perception.smile.factory import make_scorer
from social_perception.training.labels import SETS_OF_SOURCES
from social_perception.training.stills import read_stills


def main(
    model: str = "", *, cache: Path | str = ".cache", clips: bool = True, output: Path | str | None = None
) -> dict[str, object]:
    """Measure a network on the development data, print the figures and return them.

    Args:
        model: file with the weights; empty: the shipped network.
        cache: where found face boxes are kept.
        clips: whether to run the rated clips too, which takes minutes.
        output: file that the JSON is also written to.

    Raises:
        ModelError: the weights cannot be read.
        SourceError: the data is missing.
    """
    figures = _still_figures(model, Path(cache))
    if clips:
        from social_perception.evaluation.clips import clip_figures, clip_timelines

        figures["clips"] = clip_figures(clip_timelines(model))
    text = json.dumps(_json(figures), indent=2, allow_nan=False)
    print(text)
    if output is not None:
        Path(output).write_text(text + "\n")
    return figures


def _json(value: object) -> object:
    """The same, with null for what could not be computed: JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _json(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _still_figures(model: str, cache: Path) -> dict[str, object]:
    scorer = make_scorer(SmileConfig(model=model))
    rated = {
        name: score_stills(read_stills(name, cache).only(held_out_names(name)), scorer)
        for name in SETS_OF_SOURCES.values()
    }
    return {
        "ferplus_test": ferplus_figures(score_stills(read_stills("ferplus_test", cache), scorer)),
        "genki_train": genki_figures(score_stills(read_stills("genki_train", cache), scorer)),
        "levels_held_out": level_figures(rated),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", default="", help="file with the weights; default: the shipped network")
    parser.add_argument("--cache", default=".cache", help="where found face boxes are kept")
    parser.add_argument("--no-clips", action="store_true", help="leave out the rated clips")
    parser.add_argument("--output", help="file that the JSON is also written to")
    given = parser.parse_args()
    main(given.model, cache=given.cache, clips=not given.no_clips, output=given.output)
