"""The rated clips of people who talk as training data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from social_perception.research.training.talking import TalkingFaces, interpolate_levels


def test_levels_are_interpolated_between_rated_frames() -> None:
    rows = pd.DataFrame({"stamp_s": [1.0, 1.5, 9.0], "rater1": [0, 2, np.nan], "rater2": [0, 1, 1]})
    targets = interpolate_levels(rows, np.array([0.0, 0.8, 1.0, 1.25, 1.5, 9.0]))
    assert np.isnan(targets[[0, 5]]).all()  # too far from a frame that both rated
    assert targets[1:5] == pytest.approx(np.array([[0, 0, 0], [0, 0, 0], [0.5, 0.25, 0], [1, 0.5, 0]]))


def test_windows_are_rated_frames_of_one_track() -> None:
    above = np.zeros((10, 3), np.float32)
    above[7] = np.nan
    track = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    faces = TalkingFaces(np.zeros((10, 160, 160), np.uint8), above, track, np.array(["a.mp4"] * 10))
    assert faces.windows(3).tolist() == [0, 1, 4]
    assert faces.windows(11).tolist() == []
