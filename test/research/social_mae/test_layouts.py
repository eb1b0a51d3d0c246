"""The layouts of the public data sets, each from a few made-up files."""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pympi.Elan import Eaf

from social_perception.core.errors import ConfigurationError, SourceError
from social_perception.research.social_mae.first_impressions import TRAITS
from social_perception.research.social_mae.layouts import EMOTIONS, read_corpus
from social_perception.research.social_mae.recordings import (
    TEST,
    TRAIN,
    VALIDATION,
    Recording,
    split_by_person,
)

Rows = list[tuple[str, str, str, str]]


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _rows(layout: str, folder: Path, **options: bool) -> Rows:
    found = read_corpus(layout, folder, **options).recordings
    return [(str(each.path.relative_to(folder)), each.person, str(each.label), each.split) for each in found]


def test_folder_without_labels(tmp_path: Path) -> None:
    _touch(tmp_path, "anna/a.mp4", "anna/deep/b.MOV", "ben.wav", "notes.txt")
    assert _rows("folder", tmp_path) == [
        ("anna/a.mp4", "anna", "None", ""),
        ("anna/deep/b.MOV", "anna", "None", ""),
        ("ben.wav", "ben", "None", ""),
    ]


def test_folder_with_labels(tmp_path: Path) -> None:
    _touch(tmp_path, "anna/a.mp4", "b.mp4", "unused.mp4")
    table = "name,label,person,start_s,end_s,split\nanna/a.mp4,laugh,,1.5,3,\nb.mp4,none,07,,,test\n"
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    corpus = read_corpus("folder", tmp_path)
    assert corpus.classes == ("laugh", "none")
    first, second = corpus.recordings
    assert (first.person, first.start_s, first.end_s, first.split) == ("anna", 1.5, 3.0, "")
    assert (second.person, second.start_s, second.end_s, second.split) == ("07", 0.0, np.inf, TEST)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,label\na.mp4,\n", "each row needs name and label"),
        ("name,label,split\na.mp4,x,dev\n", "split must be one of train, validation, test, got dev"),
        ("name,label,start_s\na.mp4,x,soon\n", "times of a.mp4 must be numbers"),
        ("file,label\na.mp4,x\n", "name"),
    ],
)
def test_invalid_labels_name_the_rule(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        read_corpus("folder", tmp_path)


def test_voxceleb2(tmp_path: Path) -> None:
    _touch(
        tmp_path, "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "test/mp4/id00017/5MkXgwdrmJw/00002.mp4", "x.mp4"
    )
    assert [row[1:] for row in _rows("voxceleb2", tmp_path)] == [
        ("id00012", "None", TRAIN),
        ("id00017", "None", TEST),
    ]


def test_voxceleb2_with_its_table(tmp_path: Path) -> None:
    _touch(tmp_path, "mp4/id00012/21Uxsk56VDQ/00001.mp4", "mp4/id00017/5MkXgwdrmJw/00002.mp4")
    meta = "VoxCeleb2 ID \tGender \tSet \nid00012 \tm \tdev\nid00017 \tm \ttest\n"
    (tmp_path / "vox2_meta.csv").write_text(meta, encoding="utf-8")
    assert [row[1:] for row in _rows("voxceleb2", tmp_path)] == [
        ("id00012", "None", TRAIN),
        ("id00017", "None", TEST),
    ]


def test_cremad_takes_the_video_before_its_sound(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "AudioWAV/1002_IEO_HAP_HI.wav",
        "AudioWAV/1002_IEO_JOY_HI.wav",
    )
    assert _rows("cremad", tmp_path) == [
        ("VideoFlash/1001_DFA_ANG_XX.flv", "1001", "anger", ""),
        ("AudioWAV/1002_IEO_HAP_HI.wav", "1002", "happy", ""),
    ]
    assert read_corpus("cremad", tmp_path).classes == EMOTIONS


@pytest.mark.parametrize(("intensity", "labels"), [(False, ["laughs", "none", "smiles"]), (True, None)])
def test_ndcme_clips(tmp_path: Path, intensity: bool, labels: list[str] | None) -> None:
    _touch(
        tmp_path,
        "13_1_A_M_Laughs_low_3.mp4",
        "13_1_B_F_Smiles_subtle_1.mp4",
        "13_1_A_M_None_0.mp4",
        "x_1.mp4",
    )
    rows = _rows("ndcme", tmp_path, intensity=intensity)
    assert [row[2] for row in rows] == (labels or ["laughs low", "none", "smiles subtle"])
    assert [row[1] for row in rows] == ["13A", "13A", "13B"]


def _elan(path: Path, tiers: dict[str, list[tuple[int, int, str]]]) -> None:
    eaf = Eaf()
    eaf.remove_tier("default")
    for name, rows in tiers.items():
        eaf.add_tier(name)
        for row in rows:
            eaf.add_annotation(name, *row)
    eaf.to_file(str(path))


def test_ndcme_tiers(tmp_path: Path) -> None:
    _touch(tmp_path, "13_1_A_M.mp4")
    tiers = {
        "Laughs_0": [(10_000, 11_500, "Low")],
        "Smiles_0": [(11_000, 13_000, "high"), (14_000, 15_000, "huge")],
        "Role": [(0, 20_000, "spk")],
    }
    _elan(tmp_path / "13_1_A_M.eaf", tiers)
    corpus = read_corpus("ndcme", tmp_path)
    assert corpus.classes == ("laughs", "smiles", "none")
    assert [(each.person, each.label, each.start_s, each.end_s) for each in corpus.recordings] == [
        ("13A", "none", 3.0, 7.0),
        ("13A", "laughs", 10.0, 11.5),
        ("13A", "smiles", 11.0, 13.0),
    ]


def test_ndcme_table_with_an_unknown_label(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("name,label\na.mp4,grin\n", encoding="utf-8")
    with pytest.raises(SourceError, match="unknown label 'grin'; known are laughs low"):
        read_corpus("ndcme", tmp_path)


IMPRESSIONS = {
    trait: {"J4GQm9j0JZ0.003.mp4": 0.1 * row, "zEyRyTnIw5I.005.mp4": 0.5} for row, trait in enumerate(TRAITS)
}


def _pickle_python2(path: Path) -> None:
    path.write_bytes(pickle.dumps(IMPRESSIONS, protocol=0))


def _pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(IMPRESSIONS))


def _json(path: Path) -> None:
    path.with_suffix(".json").write_text(json.dumps(IMPRESSIONS), encoding="utf-8")


def _csv(path: Path) -> None:
    pd.DataFrame(IMPRESSIONS).rename_axis("name").to_csv(path.with_suffix(".csv"))


@pytest.mark.parametrize("write", [_pickle_python2, _pickle, _json, _csv])
def test_first_impressions(
    tmp_path: Path, write: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    _touch(tmp_path, "train/J4GQm9j0JZ0.003.mp4")
    write(tmp_path / "annotation_training.pkl")
    corpus = read_corpus("first_impressions", tmp_path)
    (recording,) = corpus.recordings
    assert corpus.values == TRAITS
    assert (recording.person, recording.split) == ("J4GQm9j0JZ0", TRAIN)
    assert recording.label == pytest.approx((0.0, 0.1, 0.2, 0.3, 0.4, 0.5))
    assert "1 annotated videos are not there" in caplog.text


class _Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"extraversion": _Malicious()}), "it holds more than dicts, strings and numbers"),
        (pickle.dumps(np.float64(0.5)), "it holds more than dicts, strings and numbers"),
        (pickle.dumps({"extraversion": {"a.mp4": 0.5}}), "must hold {trait: {video: value}}"),
        (pickle.dumps({trait: {"a.mp4": 1.5} for trait in TRAITS}), r"a.mp4 must be in \[0, 1\]"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "must hold"),  # Python's reader would make a list of 32 GB
        (b"\x80\x04garbage", "cannot be read"),
    ],
)
def test_annotations_run_no_code(tmp_path: Path, content: bytes, message: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "annotation_test.pkl").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_corpus("first_impressions", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_emogator_files(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"data/mp3/{name}.mp3" for name in ("000001-02-1", "000120-30-2", "000251-02-1", "x")))
    assert [row[1:] for row in _rows("emogator", tmp_path)] == [
        ("speaker 1", "02", TRAIN),
        ("speaker 120", "30", TEST),
    ]


def test_emogator_table(tmp_path: Path) -> None:
    table = {"name": ["a", "b"], "speaker": [7, 251], "emotion": ["Fear", "Fear"], "audio": [b"mp3", b"mp3"]}
    pd.DataFrame(table).to_parquet(tmp_path / "emogator.parquet")
    (recording,) = read_corpus("emogator", tmp_path).recordings
    assert (recording.person, recording.label, recording.audio) == ("speaker 7", "fear", b"mp3")


@pytest.mark.parametrize(
    ("layout", "error", "message"),
    [
        ("kitti", ConfigurationError, "layout must be one of folder, voxceleb2"),
        ("cremad", SourceError, "has no recordings in the layout cremad"),
    ],
)
def test_wrong_layout(tmp_path: Path, layout: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_corpus(layout, tmp_path)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a folder"):
        read_corpus("folder", tmp_path / "none")


def _recordings(splits: dict[str, str]) -> list[Recording]:
    return [
        Recording(Path(f"{name}{part}"), name, split=split) for name, split in splits.items() for part in "ab"
    ]


@pytest.mark.parametrize(
    ("splits", "counts"),
    [
        (dict.fromkeys("abcdefghij", ""), {TRAIN: 8, VALIDATION: 1, TEST: 1}),
        (dict.fromkeys("ab", ""), {TRAIN: 1, VALIDATION: 1}),
        (dict.fromkeys("a", ""), {TRAIN: 1}),
        # Validation from the people of the training; the test stays.
        (dict.fromkeys("abcde", TRAIN) | dict.fromkeys("xyz", TEST), {TRAIN: 4, VALIDATION: 1, TEST: 3}),
        ({"a": TRAIN, "b": VALIDATION, "c": TEST}, {TRAIN: 1, VALIDATION: 1, TEST: 1}),
    ],
)
def test_nobody_is_in_two_splits(splits: dict[str, str], counts: dict[str, int]) -> None:
    assigned = split_by_person(_recordings(splits), (0.8, 0.1, 0.1), 1)
    people = {(each.person, each.split) for each in assigned}
    assert len(people) == len(splits)
    found = [split for _, split in people]
    assert {split: found.count(split) for split in set(found)} == counts
    kept = {(person, split) for person, split in splits.items() if split == TEST}
    assert kept <= people


def test_people_in_several_official_splits_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Recording(Path(split), "a", split=split) for split in (TRAIN, VALIDATION)]
    with caplog.at_level(logging.WARNING):
        assigned = split_by_person(rows, (0.8, 0.1, 0.1), 1)
    assert [each.split for each in assigned] == [TRAIN, VALIDATION]
    assert "1 people are in several of the set's own splits" in caplog.text
