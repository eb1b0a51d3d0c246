import re

import numpy as np
import pytest
from PIL import Image

from social_perception.cli.main import main


@pytest.mark.parametrize("command", ["score", "detect"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "missing does not exist"),
        ("empty", "empty has no image files"),
        ("broken", "none of the 2 images in .*broken can be read"),
        ("words.png", "words.png is not an image that can be read"),
    ],
)
def test_a_bad_folder_is_one_clear_line_and_status_1(tmp_path, command, name, message, scorer, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    for path in ("broken/1.png", "broken/2.jpg", "words.png"):
        (tmp_path / path).write_text("words")
    assert main([command, str(tmp_path / name), "--output", str(tmp_path / "table.csv")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("social-perception: error: ")
    assert re.search(message, last)
    assert not (tmp_path / "table.csv").exists()


def test_score_takes_the_largest_face_of_each_image(tmp_path, scorer, capsys, rows, gray_images):
    folder = gray_images(tmp_path, [100, 0, 250])
    (folder / "3.png").write_text("words")
    assert main(["score", str(folder), "--output", str(tmp_path / "scores.csv")]) == 1
    table = rows(tmp_path / "scores.csv")
    assert [row["name"] for row in table] == ["0.png", "1.png", "2.png", "3.png"]
    assert [row["found"] for row in table] == ["1", "0", "1", "0"]
    assert [row["width"] for row in table] == ["10", "", "14", ""]
    assert [row["intensity"] for row in table] == [str(round(100 / 255, 4)), "", str(round(250 / 255, 4)), ""]
    captured = capsys.readouterr()
    assert "2 of 4 images have a face" in captured.out
    assert "1 of 4 images were skipped: 3.png is not an image that can be read" in captured.err


def test_score_explains_each_face(tmp_path, scorer, rows, gray_images):
    folder = gray_images(tmp_path, [100, 0, 250])
    assert main(["score", str(folder), "--explain", "--output", str(tmp_path / "scores.csv")]) == 0
    parts = [
        [row[f"part_{name}"] for name in ("eyes", "cheeks", "mouth", "rest")]
        for row in rows(tmp_path / "scores.csv")
    ]
    assert parts[1] == [""] * 4
    for row, gray in (0, 100), (2, 250):
        # All of a gray crop is its mean color.
        assert list(map(float, parts[row])) == pytest.approx([0, 0, 0, gray / 255], abs=1e-3)


def test_score_scores_in_batches(tmp_path, scorer, rows, gray_images):
    gray_images(tmp_path, [100, 0] * 40)
    assert main(["score", str(tmp_path), "--output", str(tmp_path / "scores.csv")]) == 0
    assert scorer.batches == [32, 8]
    assert [row["found"] for row in rows(tmp_path / "scores.csv")] == ["1", "0"] * 40


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA", "P"])
def test_score_takes_a_single_image_of_any_kind(tmp_path, scorer, mode, rows):
    image = Image.fromarray(np.full((16, 16), 30_000, np.uint16)) if mode == "I;16" else None
    (image or Image.new("RGB", (16, 16), (120, 120, 120)).convert(mode)).save(tmp_path / "one.png")
    assert main(["score", str(tmp_path / "one.png"), "--output", str(tmp_path / "scores.csv")]) == 0
    assert rows(tmp_path / "scores.csv")[0]["found"] == "1"


def test_a_picture_of_one_pixel_has_no_face(tmp_path, rows):
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    output = tmp_path / "boxes.csv"
    assert main(["detect", str(tmp_path), "--output", str(output), "--backend", "mmod-torch"]) == 0
    assert rows(output) == []


def test_detect_writes_a_row_per_face(tmp_path, scorer, capsys, rows, gray_images):
    gray_images(tmp_path, [250, 0, 100])
    assert main(["detect", str(tmp_path), "--output", str(tmp_path / "boxes.csv")]) == 0
    table = rows(tmp_path / "boxes.csv")
    assert [row["image"] for row in table] == ["0.png", "0.png", "2.png"]
    assert list(table[0].values()) == ["0.png", "2", "2", "10", "10", "0.9"]
    assert "3 faces in 3 images, 1 of them without a face" in capsys.readouterr().out
