"""The table of smiles without and with sound, by an estimation whose smiles depend on the sound."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from factories import smile, track

from social_perception.core.types import TrackedFaces
from social_perception.research.evaluation import clips, smiles_with_sound
from social_perception.research.evaluation.targets import Candidate

RATINGS = pd.DataFrame({"stamp_s": np.arange(4) / 2, "rater1": [0, 0, 0, 3], "rater2": [0, 0, 0, 3]})


class FakeEstimation:
    """High smiles from the last frame on; with a listener, and while it is new, in all."""

    def __init__(self, config, listener=None):
        self._model, self._listener = config.smile.model, listener
        self._frames = math.nan

    def reset(self):
        self._frames = 0

    def process(self, faces):
        self._frames += 1
        smiles = self._frames == 4 or (self._listener and self._model == "first")
        value = smile(0.9 if smiles else 0.1)
        return SimpleNamespace(faces=[{type(value): value}])


def frames():
    for index in range(4):
        crops = np.zeros((1, 96, 96, 3), np.uint8)
        yield TrackedFaces(index / 2, index, 640, 480, (track("a"),), crops)


@pytest.mark.parametrize(
    ("fold", "trained", "with_sound"),
    [(0, "", 1.0), (1, "", 0.0), (None, ", 2 of 2 clips in the training", 1.0)],
)
def test_both_columns_are_of_the_fold_that_was_not_trained_on_the_clip(
    monkeypatch, fold, trained, with_sound
):
    known = [frozenset() if place == fold else frozenset({"a", "b"}) for place in range(2)]
    candidate = Candidate("x", (), (), tuple(known))
    monkeypatch.setattr(Candidate, "read", lambda files: candidate)
    monkeypatch.setattr(smiles_with_sound, "make_estimation", FakeEstimation)
    monkeypatch.setattr(
        smiles_with_sound, "tracked_clips", lambda *_: [(name, RATINGS, frames()) for name in "ab"]
    )
    table = smiles_with_sound.smile_table("first,second", object())
    head, _, _, medium, *_, pearson = [row.split(" | ") for row in table.splitlines()]
    assert head[2:] == ["without sound", "with sound", "with sound - without sound |"]
    assert medium[0] == f"| smiles, talking{trained}: rated 0 by both, shown as Medium or above (6 frames)"
    assert [cell[:5] for cell in medium[2:4]] == ["0.000", f"{with_sound:.3f}"]
    assert pearson[2].startswith("1.000")
    assert clips.RATED[smiles_with_sound.FOLDER]
