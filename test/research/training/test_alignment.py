"""The training data of the alignment: crops of turned faces and their points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from social_perception.core.errors import SourceError
from social_perception.perception.smile.networks import POINTS, Aligner
from social_perception.research.training import alignment
from social_perception.research.training.alignment import (
    BOX_POINTS,
    LandmarkFaces,
    RolledFaces,
    box_of_points,
    find_points,
    landmark_faces,
)
from social_perception.research.training.labels import is_held_out

BOX = np.array([20.0, 30.0, 60.0, 60.0], np.float32)


def points_in(box: np.ndarray) -> np.ndarray:
    return (box[:2] + BOX_POINTS * box[2:]).astype(np.float32)


def image_of(points: np.ndarray) -> np.ndarray:
    """An image that is black but for a bright dot at each point."""
    image = np.zeros((130, 120), np.uint8)
    for x, y in np.floor(points).astype(int):
        image[y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


def test_the_box_of_an_upright_face_is_that_of_the_detector() -> None:
    assert box_of_points(points_in(BOX)) == pytest.approx(BOX, abs=1e-3)


@pytest.mark.parametrize("roll", [-50.0, 30.0])
def test_the_box_of_a_turned_face_has_its_size_and_center(roll: float) -> None:
    center, angle = BOX[:2] + BOX[2:] / 2, np.deg2rad(roll)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (points_in(BOX) - center) @ rotation.T + center
    assert box_of_points(turned.astype(np.float32)) == pytest.approx(BOX, abs=1e-3)


def test_points_are_where_they_are_in_the_turned_crop() -> None:
    points = points_in(BOX)
    faces = LandmarkFaces((image_of(points),), points[None])
    torch.manual_seed(0)
    for crop, at in (RolledFaces(faces, 40, seed=1)[i] for i in range(40)):
        assert at.shape == (POINTS, 2)
        pixel = ((at + 1) * 48).floor().long().clamp(3, 92)
        found = [crop[y - 3 : y + 4, x - 3 : x + 4].max() > crop.median() for x, y in pixel]
        assert sum(found) >= 3  # some are covered, blurred, or dark in the dark


def test_points_are_found_in_pixels_of_the_image() -> None:
    class Fixed(Aligner):
        def points(self, gray: torch.Tensor) -> torch.Tensor:
            return torch.tensor((BOX_POINTS - 0.5) * 2 / 1.25).expand(len(gray), -1, -1)

    found = find_points(Fixed().eval(), [np.zeros((130, 120), np.uint8)] * 2, np.stack([BOX, BOX + 5]))
    assert found[0] == pytest.approx(points_in(BOX), abs=1e-3)
    assert found[1] == pytest.approx(points_in(BOX + 5), abs=1e-3)


def test_a_missing_table_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no points of genki_train: .*genki_train\.csv does not exist"):
        landmark_faces(["genki_train"], tmp_path)


def test_faces_have_the_points_of_their_name_unless_it_is_ambiguous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name for name in map("{}.png".format, range(20)) if not is_held_out(name)][:2]
    labels = pd.DataFrame({"name": [names[0], names[1], names[1], "without.png"]})
    images = tuple(np.full((9, 9), value, np.uint8) for value in range(4))
    monkeypatch.setattr(alignment, "read_images", lambda name: (images, labels))
    columns = [f"{name}_{axis}" for name in alignment.COLUMNS for axis in "xy"]
    rows = [",".join([name, *map(str, range(10, 20))]) for name in (names[0], names[1], names[1])]
    rows[0] = ",".join([names[0], "10", "11", "30", "11", *map(str, range(14, 20))])
    (tmp_path / "set.csv").write_text("\n".join([",".join(["name", *columns]), *rows]))
    faces = landmark_faces(["set"], tmp_path)
    assert len(faces) == 1
    assert (faces.images[0] == 0).all()
    assert faces.points[0, :2].tolist() == [[10, 11], [30, 11]]
