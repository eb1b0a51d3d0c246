"""The line that is printed for a detector."""

from __future__ import annotations

from social_perception.cli.main import main
from social_perception.research.evaluation import recall
from social_perception.research.evaluation.detection import DetectionRecall, SizeRecall
from social_perception.research.evaluation.recall import Row, line


def test_a_line_tells_what_was_found_after_each_search() -> None:
    sizes = (SizeRecall(30, 40, 4, (1, 3)), SizeRecall(40, 50, 0, (0, 0)), SizeRecall(80, 100, 2, (2, 2)))
    told = line(Row("video", "photos", DetectionRecall(sizes, 1), 2.0))
    assert "30-40 px 1 then 3 / 4  80-100 px 2 then 2 / 2  no face 1  cpu 2.0 s" in told
    assert "40-50" not in told


def test_the_command_measures_the_detector_when_asked(monkeypatch) -> None:
    called = []
    monkeypatch.setattr(recall, "main", lambda: called.append(True))
    assert main(["evaluate", "--detector"]) == 0
    assert called
