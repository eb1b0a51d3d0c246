"""The comparison of predictions, its pictures, and the baseline."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from social_perception.core.errors import OutputError
from social_perception.research.evaluation import run
from social_perception.research.evaluation.agreement import HeldOut, HogSvm, Prediction, hog_features
from social_perception.research.evaluation.clips import ClipTimeline
from social_perception.research.evaluation.plots import write_figures
from social_perception.research.evaluation.targets import Candidate, Measure

PLOTS = {
    "confusion_recall.png", "confusion_precision.png", "precision_recall.png", "calibration.png",
    "timelines.png",
}  # fmt: skip


def draw_mouths(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of a curve that bends the more the higher the level, and the levels."""
    rng = np.random.default_rng(seed)
    levels = np.arange(count) % 4
    crops = rng.integers(90, 120, (count, 96, 96, 3), np.uint8)
    for crop, level in zip(crops, levels):
        center = (48 + int(rng.integers(-3, 4)), 60 + int(rng.integers(-3, 4)))
        cv2.ellipse(crop, center, (26, 1 + 7 * int(level)), 0, 0, 180, (230, 230, 230), 3)
    return crops, levels


def test_the_baseline_learns_levels_from_gradients() -> None:
    baseline = HogSvm.train(*draw_mouths(80, seed=0))
    crops, levels = draw_mouths(40, seed=1)
    result = baseline.probabilities(crops)
    assert result.shape == (40, 4)
    np.testing.assert_allclose(result.sum(axis=1), 1.0, atol=1e-6)
    assert (result.argmax(axis=1) == levels).mean() > 0.9
    assert hog_features(crops[:1]).shape == (1, 1764)
    np.testing.assert_allclose(baseline.probabilities(crops[:, :, ::-1]), result, atol=1e-9)
    assert baseline.probabilities(crops[:0]).shape == (0, 4)


@pytest.fixture
def faces() -> HeldOut:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 60).astype(float)
    probabilities = rng.dirichlet(np.ones(4), 60)
    second = np.clip(truth + rng.integers(-1, 2, 60), 0, 3)
    network = Prediction("network", probabilities.argmax(axis=1).astype(float), truth / 3, probabilities)
    return HeldOut(
        truth, network, Prediction("second_rater", second, second / 3),
        Prediction("hog_svm", np.zeros(60), np.zeros(60), np.tile([1.0, 0, 0, 0], (60, 1))),
    )  # fmt: skip


def timeline() -> ClipTimeline:
    stamps_s = np.arange(8) / 4
    levels = np.column_stack([np.arange(8) % 4, np.arange(8) % 3]).astype(float)
    levels[3, 1] = math.nan
    every = np.arange(60) / 30
    return ClipTimeline(
        "talk.mp4", stamps_s, levels, levels[:, 0] / 3, levels[:, 0], np.eye(4)[np.arange(8) % 4], every,
        np.sin(every) ** 2,
    )  # fmt: skip


def test_a_judge_is_reported_against_the_first_rater(faces: HeldOut) -> None:
    reports = faces.reports()
    assert list(reports) == ["network", "second_rater", "hog_svm"]
    network, second, baseline = reports.values()
    assert network["icc"] == pytest.approx(1.0)  # its intensity is the truth
    assert network["accuracy"] < 0.6
    assert second["recall"][0] == np.mean(faces.second_rater.level[faces.truth == 0] == 0)
    assert second["confusion"][0][1] == np.sum(faces.second_rater.level[faces.truth == 0] == 1)
    assert math.isnan(second["expected_calibration_error"])
    assert baseline["kappa"] == 0.0
    assert math.isnan(baseline["precision"][1])  # it never predicts Low
    assert baseline["expected_calibration_error"] == pytest.approx(1 - np.mean(faces.truth == 0))


def test_plots_are_written(faces: HeldOut, tmp_path: Path) -> None:
    written = write_figures(tmp_path, faces, [timeline(), timeline()])
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()} == PLOTS
    assert all(cv2.imread(str(path)).std() > 5 for path in written)
    (tmp_path / "stills").mkdir()
    assert "timelines.png" not in {path.name for path in write_figures(tmp_path / "stills", faces, [])}


def stub_data(monkeypatch, faces: HeldOut, values: dict[str, float]) -> None:
    """Replace what reads the data: each network has one measure of a known value."""
    monkeypatch.setattr(
        run,
        "predict",
        lambda candidates, cache, clips: [SimpleNamespace(name=each.name) for each in candidates],
    )
    monkeypatch.setattr(
        run, "read_candidates", lambda models: [Candidate(each, (), (), ()) for each in models]
    )
    measure = lambda of: [Measure("smiles shown", ">= 0.9", 3, lambda rows: values[of.name])]  # noqa: E731
    monkeypatch.setattr(run, "measures", measure)


def test_a_single_network_is_written_with_plots(faces: HeldOut, tmp_path: Path, monkeypatch, capsys) -> None:
    figures = {"genki_train": {"auc": 0.9}, "against_first_rater": faces.reports()}
    predicted = SimpleNamespace(clips={"clips": (timeline(),)}, name="a")
    stub_data(monkeypatch, faces, {"a": 0.95})
    monkeypatch.setattr(run, "predict", lambda candidates, cache, clips: [predicted])
    monkeypatch.setattr(run, "_single_figures", lambda candidate, of, cache: (dict(figures), faces))
    folder = tmp_path / "new" / "folder"
    run.main(["a"], output=folder)
    assert {path.name for path in folder.iterdir()} == PLOTS | {"evaluation.json", "targets.md"}
    result = json.loads((folder / "evaluation.json").read_text())
    assert result["genki_train"] == {"auc": 0.9}
    assert result["against_first_rater"]["second_rater"]["expected_calibration_error"] is None
    assert result["against_first_rater"]["hog_svm"]["precision"][1] is None
    assert result["targets"]["rows"][0]["values"][0]["value"] == 0.95
    printed = capsys.readouterr().out
    assert "hog_svm" in printed
    assert "| smiles shown | >= 0.9 | 0.950 (0.950 to 0.950) reached |" in printed


def test_several_networks_are_written_as_one_table(faces: HeldOut, tmp_path: Path, monkeypatch) -> None:
    stub_data(monkeypatch, faces, {"a": 0.95, "b": 0.5})
    monkeypatch.setattr(run, "_single_figures", lambda *args: pytest.fail("measured"))
    run.main(["a", "b"], output=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "targets.md"}
    assert (tmp_path / "targets.md").read_text().splitlines()[-1] == (
        "| smiles shown | >= 0.9 | 0.950 (0.950 to 0.950) reached | 0.500 (0.500 to 0.500) missed "
        "| -0.450 (-0.450 to -0.450) |"
    )


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_measured(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(run, "predict", lambda *args: pytest.fail("measured"))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        run.main(output=tmp_path / "file")
