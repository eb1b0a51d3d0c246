"""Files that are no network's weights: one line that names the file, and a status that is not 0.

Each kind of damage is tested where the files are read (test/perception); here the commands meet some. The
weights of the detector are part of the package and are not chosen: a damaged package stands for them.
"""

from __future__ import annotations

import os
import pickle

import cv2
import pytest
import torch

from social_perception.cli.main import main
from social_perception.perception.smile.weights import shipped_path


class Evil:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark) -> None:
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


MODELS = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "longer": lambda path: path.write_bytes(shipped_path().read_bytes() + b"more"),
    "text": lambda path: path.write_text("no weights at all\n" * 1000),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Evil(path.parent / "pwned"))),
    "torch's own": lambda path: torch.save({"evil": Evil(path.parent / "pwned")}, path),
}


@pytest.fixture
def picture(tmp_path, people) -> str:
    path = str(tmp_path / "picture.png")
    cv2.imwrite(path, people[0])
    return path


@pytest.mark.parametrize("name", MODELS)
def test_what_is_no_smile_network_is_one_line_and_status_1(name, tmp_path, picture, capsys) -> None:
    path = tmp_path / "model.safetensors"
    MODELS[name](path)
    output = tmp_path / "scores.csv"
    assert main(["score", picture, "--output", str(output), "--model", str(path)]) == 1
    assert not output.exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("social-perception: error: ")
    assert str(path) in line
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("backend", ["mmod-torch", "mmod-dlib"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_detector_is_one_line_and_status_1(
    backend, damage, tmp_path, monkeypatch, picture, capsys
) -> None:
    from social_perception.perception.detection import factory

    if backend == "mmod-dlib":
        pytest.importorskip("dlib")
    path = tmp_path / "detector.dat"
    whole = factory.weights_path().read_bytes()
    {
        "missing": lambda: None,
        "truncated": lambda: path.write_bytes(whole[:-1000]),
    }[damage]()
    monkeypatch.setattr(factory, "weights_path", lambda: path)
    output = str(tmp_path / "scores.csv")
    assert main(["score", picture, "--output", output, "--backend", backend]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("social-perception: error: ")
    assert str(path) in line
