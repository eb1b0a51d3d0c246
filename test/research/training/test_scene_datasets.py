"""The layouts of VGAF and GAF-3.0, with made-up samples."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from social_perception.core.errors import SourceError
from social_perception.research.training.scene_datasets import read_gaf, read_vgaf


def make_vgaf(folder: Path, labels: str, videos: list[str]) -> None:
    (folder / "Train").mkdir()
    (folder / "Train_labels.txt").write_text(labels)
    for name in videos:
        (folder / "Train" / name).write_bytes(b"video")


def make_gaf(folder: Path, train: str = "Train", nested: bool = False) -> None:
    for name in ("Positive", "Neutral", "Negative"):
        inside = folder / train / name / name if nested else folder / train / name
        inside.mkdir(parents=True)
        for number in (1, 2):
            cv2.imwrite(str(inside / f"{name[:3].lower()}_{number}.jpg"), np.zeros((8, 8, 3), np.uint8))
        (inside / "Thumbs.db").write_bytes(b"\x00 not an image")


def test_the_labels_of_vgaf_are_read_with_their_source(tmp_path, capsys) -> None:
    make_vgaf(
        tmp_path, "Vid_name Label\n1_1 1\n1_2 2\n\n27_13 3\n5_1 1\n", ["1_1.mp4", "1_2.mp4", "27_13.avi"]
    )
    groups = read_vgaf(tmp_path, "train")
    assert [(each.path.name, each.label, each.source) for each in groups] == [
        ("1_1.mp4", 2, "1"),
        ("1_2.mp4", 1, "1"),
        ("27_13.avi", 0, "27"),
    ]
    assert "1 of 4 videos are missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("name,label\n1_1,1\n", "must begin with the line: Vid_name Label"),
        ("", "must begin with the line: Vid_name Label"),
        ("Vid_name Label\n1_1 4\n", "line 2 of .* must be a name and 1, 2 or 3, got '1_1 4'"),
        ("Vid_name Label\n1_1 1\n../../etc/x 1\n", "line 3 of"),
        ("Vid_name Label\n1_1\n", "line 2 of"),
        ("Vid_name Label\n9_9 1\n", "none of the 1 videos"),
    ],
)
def test_wrong_labels_of_vgaf_are_rejected_in_one_line(labels, message, tmp_path) -> None:
    make_vgaf(tmp_path, labels, ["1_1.mp4"])
    with pytest.raises(SourceError, match=message) as caught:
        read_vgaf(tmp_path, "train")
    assert "\n" not in str(caught.value)


def test_missing_labels_of_vgaf_are_reported(tmp_path) -> None:
    with pytest.raises(SourceError, match=r"cannot read the labels of VGAF in .*No such file"):
        read_vgaf(tmp_path, "valid")


@pytest.mark.parametrize("read", [read_vgaf, read_gaf])
def test_the_part_must_be_known(read, tmp_path) -> None:
    with pytest.raises(SourceError, match="part must be train or valid, got test"):
        read(tmp_path, "test")


@pytest.mark.parametrize(("train", "nested"), [("Train", False), ("Train", True), ("train", False)])
def test_the_images_of_gaf_are_read_by_class(train, nested, tmp_path) -> None:
    make_gaf(tmp_path, train, nested)
    groups = read_gaf(tmp_path, "train")
    assert [(each.path.name, each.label) for each in groups] == [
        ("neg_1.jpg", 0),
        ("neg_2.jpg", 0),
        ("neu_1.jpg", 1),
        ("neu_2.jpg", 1),
        ("pos_1.jpg", 2),
        ("pos_2.jpg", 2),
    ]


def test_another_layout_than_gafs_is_rejected(tmp_path) -> None:
    with pytest.raises(SourceError, match="no folder Validation or Val"):
        read_gaf(tmp_path, "valid")
    make_gaf(tmp_path)
    for path in (tmp_path / "Train" / "Neutral").glob("*.jpg"):
        path.unlink()
    with pytest.raises(SourceError, match=r"no images of GAF-3.0 in .*Neutral"):
        read_gaf(tmp_path, "train")
