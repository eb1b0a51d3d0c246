import csv
import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from social_perception.cli.main import main

SETTINGS = ["--resamples", "100", "--min-group", "10"]


def write_folder(folder, rows):
    """Write gray images with labels: the fake scorer's intensity is the brightness."""
    folder.mkdir()
    columns = list(rows[0])
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [name for name in columns if name != "gray"])
        table.writeheader()
        for row in rows:
            table.writerow({name: value for name, value in row.items() if name != "gray"})
    for row in rows:
        if "gray" in row:
            Image.new("RGB", (16, 16), (int(row["gray"]),) * 3).save(folder / row["name"])
    return folder


def picture(number, camera="new", truth=None, **more):
    smiling = number % 2
    truth = (0.75 if smiling else 0.15) if truth is None else truth
    # The scores of the old camera's images are too low.
    result = truth - (0.2 if camera == "old" and smiling else 0.0)
    gray = 255 * result + number % 5
    return {"name": f"{number}.png", "gray": gray, "intensity": truth, "camera": camera, **more}


@pytest.fixture
def folder(tmp_path):
    rows = [picture(n, "old" if n % 3 == 0 else "new", seconds=n * 1.5) for n in range(90)]
    rows += [picture(n, "old") | {"gray": 0} for n in range(90, 96)]  # dark: no face
    rows += [picture(n, "rare") for n in range(96, 100)]
    return write_folder(tmp_path / "pictures", rows)


def run(folder, tmp_path, *more, settings=SETTINGS):
    argv = ["audit", str(folder), "--labels", str(folder / "labels.csv"), "--output", str(tmp_path / "out")]
    return main([*argv, *settings, *more])


def tidy(folder, **asked):
    with (folder / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if all(row[name] == value for name, value in asked.items())]


def test_groups_are_compared_and_a_simulated_bias_is_detected(folder, tmp_path, scorer, capsys):
    groups = "camera,seconds,picture_lightness,apparent_ita"
    assert run(folder, tmp_path, "--changes", "none", "--groups", groups) == 0
    out = tmp_path / "out"
    (bias,) = tidy(out, kind="group", attribute="camera", group="old", measure="bias")
    assert float(bias["value"]) == pytest.approx(-0.09, abs=0.03)
    assert float(bias["difference_high"]) < -0.05
    assert bias["differs"] == "True"
    (found,) = tidy(out, kind="group", attribute="camera", group="old", measure="found")
    assert (found["pictures"], float(found["value"])) == ("36", pytest.approx(30 / 36))
    (rare,) = tidy(out, kind="group", attribute="camera", group="rare", measure="found")
    assert (rare["too_small"], rare["value"]) == ("True", "")
    # Numbers are split into quantiles, and the pictures themselves are measured.
    assert len(tidy(out, kind="group", attribute="seconds", measure="intensity")) == 4
    assert tidy(out, kind="group", attribute="picture_lightness", measure="found")
    assert not tidy(out, attribute="apparent_ita")  # the pictures are gray
    assert not tidy(out, kind="change")
    result = json.loads((out / "audit.json").read_text())
    assert [(each["pictures"], each["found"]) for each in result["sets"]] == [(100, 94)]
    assert any("equal opportunity" in each["criterion"] for each in result["sets"][0]["criteria"])
    text = (out / "audit.md").read_text()
    assert "| rare | too small (4) |" in text
    assert re.search(r"mean error \|.*old: \*\*-0", text)
    console = capsys.readouterr().out
    assert "94 of 100 images have a face" in console
    assert re.search(r"camera old +mean error", console)


def test_changes_are_tried_on_neutral_and_smiling_pictures(folder, tmp_path, scorer, capsys):
    names = ["--groups", "camera", "--changes", "brightness,mirror", "--change-pictures", "20"]
    assert run(folder, tmp_path, *names) == 0
    out = tmp_path / "out"
    change = {
        (row["attribute"], row["group"], row["measure"]): row for row in tidy(out, kind="change")
    }  # fmt: skip
    assert float(change["brightness", "1", "intensity_change_neutral"]["low"]) > 0.01
    assert float(change["brightness", "-1", "intensity_change_smiling"]["high"]) < -0.05
    assert float(change["mirror", "1", "intensity_change_smiling"]["value"]) == 0
    assert float(change["brightness", "-4", "lost_neutral"]["value"]) == 1  # the fake detector wants light
    assert change["brightness", "-4", "intensity_change_neutral"]["value"] == ""
    assert change["brightness", "1", "lost_smiling"]["pictures"] == "10"
    assert {row["attribute"] for row in tidy(out, kind="group")} == {"camera"}
    figures = {path.name: cv2.imread(str(path)) for path in out.glob("*.png")}
    assert set(figures) == {
        "groups_pictures_camera.png", "changes_pictures.png", "lost_pictures.png",
    }  # fmt: skip
    assert all(image.std() > 5 for image in figures.values())
    assert "brightness -1 stops" in capsys.readouterr().out


def test_the_same_audit_twice_is_the_same(folder, tmp_path, scorer):
    texts = []
    for _ in range(2):
        more = ("--changes", "noise", "--change-pictures", "4", "--groups", "camera")
        assert run(folder, tmp_path, *more) == 0
        texts.append((tmp_path / "out" / "audit.csv").read_text())
    assert texts[0] == texts[1]


def test_levels_and_smiles_are_labels_too(tmp_path, scorer):
    rows = [
        {"name": f"{n}.png", "gray": 60 * (n % 4) + 40, "level": n % 4, "smile": n % 2 if n else ""}
        for n in range(48)
    ]
    assert run(write_folder(tmp_path / "p", rows), tmp_path, "--changes", "none", "--groups", "face_px") == 0
    overall = {row["measure"]: row for row in tidy(tmp_path / "out", kind="overall")}
    assert float(overall["within_one"]["value"]) == 1
    # A given smile goes before what the level says; the one that is empty follows from its level.
    assert overall["intensity_neutral"]["pictures"] == "24"
    assert overall["bias"]["pictures"] == "48"


def broken_csv(text):
    def write(folder):
        (folder / "labels.csv").write_text(text)

    return write


def remove_pictures(folder):
    for path in folder.glob("*.png"):
        path.unlink()


def darken_pictures(folder):
    for path in folder.glob("*.png"):
        Image.new("RGB", (16, 16)).save(path)


def spoil_pictures(folder):
    for path in folder.glob("*.png"):
        path.write_text("words")


@pytest.mark.parametrize(
    ("spoil", "more", "message"),
    [
        (lambda folder: (folder / "labels.csv").unlink(), (), "labels.csv does not exist"),
        (remove_pictures, (), "has no image files"),
        (darken_pictures, (), "no face was detected in any of the 100 images"),
        (spoil_pictures, (), "none of the 100 images of pictures can be read"),
        (lambda folder: (folder / "7.png").unlink(), (), "1 of 100 names have no image in .*example 7.png"),
        (broken_csv("picture,level\n1.png,2\n"), (), "has no column name; it has picture, level"),
        (broken_csv("name,mood\n1.png,2\n"), (), "no label column; one of level, intensity, smile"),
        (broken_csv("name,level\n"), (), "no rows"),
        (broken_csv("name,level\n1.png,\n"), (), "no label in any row"),
        (broken_csv("name,level\n1.png,1\n1.png,2\n"), (), "lists 1.png twice"),
        (broken_csv("name,level\n1.png,1\n2.png,4\n"), (), r"level must be in \[0, 3\], got 4 for 2.png"),
        (broken_csv("name,intensity\n1.png,-0.1\n"), (), r"intensity must be in \[0, 1\], got -0.1"),
        (broken_csv("name,smile\n1.png,0.5\n"), (), "smile must be 0 or 1, got 0.5 for 1.png"),
        (broken_csv("name,level\n1.png,happy\n"), (), "level must be in .*, got happy for 1.png"),
        (broken_csv('name,level\n1.png,"2\n'), (), "labels.csv"),
        (lambda _: None, ("--groups", "age"), "no group column age; available: camera, seconds, pic"),
        (lambda _: None, ("--groups", "name_of_it"), "no group column name_of_it"),
        (lambda _: None, ("--changes", "hats"), "no change hats; there are brightness"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_clear_line_and_status_1(folder, tmp_path, scorer, capsys, spoil, more, message):
    spoil(folder)
    assert run(folder, tmp_path, *more) == 1
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("social-perception: error: ")]
    assert len(errors) == 1
    assert re.search(message, errors[0])
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["missing", "--labels", "labels.csv"], "labels.csv does not exist"),
        (["."], "needs --labels"),
        (["--data", "missing"], "no training data in missing"),
        (["--data", "--labels", "labels.csv"], "--labels goes with a folder"),
    ],
)
def test_wrong_arguments_are_one_clear_line(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOCIAL_PERCEPTION_DATA", str(tmp_path))  # and is put back afterwards
    assert main(["audit", *argv, "--output", "out"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_an_invalid_output_folder_is_reported_before_anything_is_scored(folder, tmp_path, scorer, capsys):
    (tmp_path / "out").touch()
    assert run(folder, tmp_path) == 1
    assert "cannot make the folder" in capsys.readouterr().err
    assert scorer.batches == []


def test_unreadable_and_unlabelled_images_are_dropped(folder, tmp_path, scorer, capsys):
    (folder / "3.png").write_text("words")
    Image.new("RGB", (16, 16)).save(folder / "unnamed.png")
    assert run(folder, tmp_path, "--changes", "none", "--groups", "face_px") == 1
    result = json.loads((tmp_path / "out" / "audit.json").read_text())["sets"][0]
    assert (result["pictures"], result["unread"], result["found"]) == (99, 1, 93)
    captured = capsys.readouterr().err
    assert "1 images in" in captured
    assert re.search(r"1 of 100 images were skipped: .*3\.png is not an image that can be read", captured)


def test_a_column_of_names_is_a_group_on_request_only(tmp_path, scorer, capsys):
    rows = [picture(n, person=f"p{n}") for n in range(60)]
    folder = write_folder(tmp_path / "p", rows)
    assert run(folder, tmp_path, "--changes", "none") == 0
    assert "column person has 60 different values" in capsys.readouterr().err
    assert run(folder, tmp_path, "--groups", "person") == 1
    assert "column person has 60 different values" in capsys.readouterr().err


@pytest.fixture
def portraits(tmp_path):
    """A drawn face with and without a smile, small enough to be searched quickly."""
    from social_perception.sources.portrait import load_portrait, smiling_busts

    folder = tmp_path / "portraits"
    folder.mkdir()
    lines = ["name,smile"]
    for number, bust in enumerate(smiling_busts(load_portrait(), [0.0, 1.0, 0.5])):
        small = cv2.resize(bust, (210, 200), interpolation=cv2.INTER_AREA)
        Image.fromarray(np.ascontiguousarray(small)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{int(number > 0)}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def test_faces_are_scored_as_score_does_and_a_covered_mouth_smiles_less(portraits, tmp_path, rows):
    assert main(["score", str(portraits), "--output", str(tmp_path / "scores.csv")]) == 0
    scores = [float(row["intensity"]) for row in rows(tmp_path / "scores.csv")]
    settings = ["--min-group", "2", "--resamples", "100", "--changes", "cover_mouth,brightness"]
    assert run(portraits, tmp_path, settings=settings) == 0
    result = json.loads((tmp_path / "out" / "audit.json").read_text())["sets"][0]
    overall = {row["measure"]: row["figure"]["value"] for row in result["comparison"]["overall"]}
    assert overall["found"] == 1
    assert overall["intensity"] == pytest.approx(np.mean(scores), abs=1e-4)
    assert overall["intensity_smiling"] == pytest.approx(np.mean(scores[1:]), abs=1e-4)
    effects = {(row["change"], row["strength"], row["kind"]): row for row in result["effects"]}
    covered = effects["cover_mouth", 1, "smiling"]
    assert covered["before"] == pytest.approx(np.mean(scores[1:]), abs=1e-4)
    assert covered["after"] < covered["before"]
    dimmed = effects["brightness", -1, "smiling"]
    assert dimmed["after"] == pytest.approx(dimmed["before"], abs=0.1)
