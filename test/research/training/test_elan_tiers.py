"""Smile levels from ELAN files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pympi.Elan import Eaf

from social_perception.core.errors import SourceError
from social_perception.research.training.elan_tiers import NOT_ANNOTATED, find_video, read_tiers

Row = tuple[int, int, str]
LEVELS: list[Row] = [(0, 400, "Neutral"), (400, 900, "low"), (1000, 1500, "High ")]


def write(path: Path, tiers: dict[str, list[Row]], video: Path | None = None) -> Path:
    eaf = Eaf()
    eaf.remove_tier("default")
    for name, rows in tiers.items():
        eaf.add_tier(name)
        for start, end, word in rows:
            eaf.add_annotation(name, start, end, word)
    if video is not None:
        eaf.add_linked_file(video.as_uri(), relpath=f"./{video.name}", mimetype="video/mp4")
    eaf.to_file(str(path))
    return path


def test_levels_hold_from_start_to_end(tmp_path: Path) -> None:
    (tier,) = read_tiers(write(tmp_path / "a.eaf", {"anna": LEVELS}))
    stamps_s = np.array([-0.1, 0.0, 0.399, 0.4, 0.95, 1.0, 1.5])
    assert tier.name == "anna"
    assert tier.at(stamps_s).tolist() == [-1, 0, 0, 1, -1, 3, -1]


@pytest.mark.parametrize(
    ("subtle", "level"), [("drop", NOT_ANNOTATED), ("neutral", 0), ("low", 1), ("high", 3)]
)
def test_subtle_is_dropped_or_read_as_a_level(subtle: str, level: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.eaf", {"anna": [*LEVELS, (2000, 2500, "Subtle")]})
    (tier,) = read_tiers(path, subtle=subtle)
    assert tier.at(np.array([2.2])).tolist() == [level]


def test_tiers_without_levels_are_ignored(tmp_path: Path) -> None:
    speech = [(0, 300, "hello"), (300, 700, "Low")]
    path = write(tmp_path / "a.eaf", {"left": LEVELS, "speech": speech, "right": LEVELS[:1], "empty": []})
    assert [tier.name for tier in read_tiers(path)] == ["left", "right"]
    assert [tier.name for tier in read_tiers(path, tier="right")] == ["right"]


@pytest.mark.parametrize(
    ("tier", "rule"),
    [
        ("ben", "no tier ben; it has speech"),
        ("speech", r"has 'hello' at 0\.30 s"),
        ("", "no tier with levels"),
    ],
)
def test_annotations_that_are_not_levels_are_reported(tier: str, rule: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.eaf", {"speech": [(300, 700, "hello")]})
    with pytest.raises(SourceError, match=rule):
        read_tiers(path, tier)


@pytest.mark.parametrize("content", [None, "", "no xml", "<ANNOTATION_DOCUMENT/>"])
def test_a_damaged_file_is_reported(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "broken.eaf"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SourceError, match=r"broken\.eaf"):
        read_tiers(path)


@pytest.mark.parametrize("place", ["linked", "moved", "same_name"])
def test_the_video_is_found(place: str, tmp_path: Path) -> None:
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir()
    here.mkdir()
    linked = elsewhere / "talk.mp4"
    video = {"linked": linked, "moved": here / "talk.mp4", "same_name": here / "a.mov"}[place]
    video.touch()
    path = write(here / "a.eaf", {"anna": LEVELS}, None if place == "same_name" else linked)
    assert find_video(path).resolve() == video.resolve()


def linking(path: Path, *links: dict[str, object]) -> Path:
    eaf = Eaf(str(write(path, {"anna": LEVELS})))
    eaf.media_descriptors = [
        {"MEDIA_URL": "", "RELATIVE_MEDIA_URL": None, "MIME_TYPE": "video/mp4", **link} for link in links
    ]
    eaf.to_file(str(path))
    return path


SOUND: dict[str, object] = {"MEDIA_URL": "file:///talk.wav", "MIME_TYPE": "audio/x-wav", "TIME_ORIGIN": 77}


@pytest.mark.parametrize(
    ("links", "origin_s"),
    [
        ([{"RELATIVE_MEDIA_URL": "./talk.mp4", "TIME_ORIGIN": 500}], 0.5),
        ([{"RELATIVE_MEDIA_URL": "./talk.mp4", "TIME_ORIGIN": -250}], -0.25),
        ([{"RELATIVE_MEDIA_URL": "./talk.mp4"}], 0.0),
        ([SOUND, {"MEDIA_URL": "file:///C:/Users/me/talk.mp4", "TIME_ORIGIN": 500}], 0.5),
        (
            [
                {"MEDIA_URL": "file:///gone.mp4", "TIME_ORIGIN": 1},
                {"MEDIA_URL": "talk.mp4", "TIME_ORIGIN": 2},
            ],
            0.002,
        ),
        ([SOUND, {"MEDIA_URL": "file:///gone.mp4", "TIME_ORIGIN": 500}], 0.5),
    ],
)
def test_levels_are_on_the_clock_of_the_video(
    links: list[dict[str, object]], origin_s: float, tmp_path: Path
) -> None:
    (tmp_path / "talk.mp4").touch()
    (tier,) = read_tiers(linking(tmp_path / "a.eaf", *links))
    assert tier.start_s == pytest.approx(np.array([0.0, 0.4, 1.0]) + origin_s)
    assert tier.end_s == pytest.approx(np.array([0.4, 0.9, 1.5]) + origin_s)


def test_an_origin_that_is_no_number_is_reported(tmp_path: Path) -> None:
    path = linking(tmp_path / "a.eaf", {"MEDIA_URL": "talk.mp4", "TIME_ORIGIN": "half"})
    with pytest.raises(SourceError, match="TIME_ORIGIN must be a whole number of ms, got half"):
        read_tiers(path)


@pytest.mark.parametrize(
    "url",
    [
        "../a%20b/talk.mp4",
        "../a b/talk.mp4",
        "file:../a b/talk.mp4",
        "file:/../a b/talk.mp4",
        "..\\a b\\talk.mp4",
    ],
)
def test_a_relative_link_is_found_as_any_program_writes_it(url: str, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "a b" / "talk.mp4").touch()
    path = linking(tmp_path / "annotations" / "a.eaf", {"RELATIVE_MEDIA_URL": url})
    assert find_video(path).samefile(tmp_path / "a b" / "talk.mp4")


def test_a_missing_video_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its video was found neither"):
        find_video(write(tmp_path / "a.eaf", {"anna": LEVELS}, tmp_path / "gone.mp4"))
