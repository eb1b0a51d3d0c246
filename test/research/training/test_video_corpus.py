"""Annotated videos: face detection and cache, assignment to people, split, sequences and a training run."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from social_perception.core.errors import ConfigurationError, SourceError
from social_perception.core.timelines import Timeline
from social_perception.core.types import Box, Face, Frame
from social_perception.perception.smile.reference_network import ReferenceNetwork
from social_perception.perception.smile.weights import load_network
from social_perception.research.training import video_corpus
from social_perception.research.training.reference_settings import VideoSettings, reference_settings
from social_perception.research.training.run import main
from social_perception.research.training.settings import read_yaml
from social_perception.research.training.video_corpus import (
    FrameSequences,
    PersonFrames,
    class_balance,
    read_corpus,
    split_by_video,
)
from social_perception.research.training.video_faces import VideoFaces, _detect_frames, assign_people
from social_perception.sinks.elan import write_elan

CONFIG = Path(__file__).resolve().parents[3] / "config" / "train_reference.yaml"


class Script:
    """A detector with scripted results."""

    threshold = 0.0

    def __init__(self, *found: list[Box]) -> None:
        self._found = iter(found)

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        return tuple(Face(box, 1.0) for box in next(self._found))


def frames(count: int) -> list[Frame]:
    return [Frame(np.zeros((4, 4, 3), np.uint8), i / 30, i) for i in range(count)]


def test_boxes_are_interpolated_between_detections() -> None:
    there, gone, moved = Box(0, 0, 40, 40), Box(200, 0, 40, 40), Box(12, 0, 40, 40)
    boxed = list(_detect_frames(frames(6), Script([there, gone], [moved]), every=3))
    lefts = [[box.left for box in boxes] for _, boxes in boxed]
    assert [frame.index for frame, _ in boxed] == list(range(6))
    assert lefts == [[0, 200], [4], [8], [12], [12], [12]]


def found(*boxes_of_frames: list[tuple[float, float]]) -> VideoFaces:
    """Faces given as (centre, width), frame after frame."""
    rows = [(frame, x - w / 2, w) for frame, boxes in enumerate(boxes_of_frames) for x, w in boxes]
    box = np.array([(left, 0, w, w) for _, left, w in rows], np.float32).reshape(-1, 4)
    frame = np.array([row[0] for row in rows], np.int64)
    stamps_s = np.arange(len(boxes_of_frames)) / 30
    return VideoFaces(stamps_s, frame, box, np.zeros((len(rows), 96, 96, 3), np.uint8))


@pytest.mark.parametrize(
    ("faces", "people", "expected"),
    [
        (found([(50, 10), (90, 30)], [], [(20, 5)]), 1, [-1, 0, 0]),
        (found([(90, 20), (10, 20)]), 2, [1, 0]),
        (found([(10, 20), (90, 20)], [(85, 20)], [(14, 20)]), 2, [0, 1, 1, 0]),  # one is hidden
        (found([(10, 20), (90, 20)], [(50, 20)]), 2, [0, 1, -1]),  # too far from both
        (found([(10, 20), (50, 4), (90, 20)]), 2, [0, -1, 1]),  # somebody in the background
        (found([(10, 20)]), 2, [-1]),  # nobody knows yet who it is
        (found([]), 2, []),
    ],
)
def test_faces_are_assigned_to_people_by_position(
    faces: VideoFaces, people: int, expected: list[int]
) -> None:
    assert assign_people(faces, people).tolist() == expected


@pytest.mark.parametrize(
    ("videos", "sizes"), [(30, (24, 3, 3)), (10, (8, 1, 1)), (5, (3, 1, 1)), (3, (1, 1, 1)), (2, (1, 1, 0))]
)
def test_the_split_covers_the_videos(videos: int, sizes: tuple[int, int, int]) -> None:
    names = [f"video{i}" for i in range(videos)]
    split = split_by_video(names * 2, (0.8, 0.1, 0.1), seed=1)
    parts = (split.train, split.validation, split.test)
    assert tuple(map(len, parts)) == sizes
    assert sorted(sum(parts, ())) == sorted(names)
    assert split == split_by_video(names[::-1], (0.8, 0.1, 0.1), seed=1)
    assert videos < 10 or split != split_by_video(names, (0.8, 0.1, 0.1), seed=2)


def test_one_video_cannot_be_split() -> None:
    with pytest.raises(SourceError, match="at least 2"):
        split_by_video(["a", "a"], (0.8, 0.1, 0.1), seed=1)


def person(stamps_s: np.ndarray, video: str = "a") -> PersonFrames:
    count = len(stamps_s)
    crops = np.zeros((count, 96, 96, 3), np.uint8)
    crops[:, 0, 0, 0] = np.arange(count)
    return PersonFrames(video, "anna", crops, np.arange(count), np.arange(count) % 4, stamps_s, count)


@pytest.mark.parametrize("breaks", [[], [20], [21], [22], [5, 30]])
def test_sequences_cover_each_segment_and_span_no_gap(breaks: list[int]) -> None:
    stamps_s = np.arange(45) / 30
    for place in breaks:
        stamps_s[place:] += 3.0
    sequences = FrameSequences([person(stamps_s)], 20, max_gap_s=0.5)
    got = [int(sequences[i][0][0, 0, 0, 0]) for i in range(len(sequences))]
    for first, (crops, levels) in zip(got, (sequences[i] for i in range(len(sequences)))):
        assert crops.shape == (20, 96, 96, 3)
        assert crops[:, 0, 0, 0].tolist() == list(range(first, first + 20))
        assert levels.tolist() == [i % 4 for i in range(first, first + 20)]
        assert np.diff(stamps_s[first : first + 20]).max() < 0.5
    covered = {frame for first in got for frame in range(first, first + 20)}
    segments = np.split(np.arange(45), breaks)
    assert covered == {int(frame) for segment in segments if len(segment) >= 20 for frame in segment}


def test_class_balance_counts_frames_by_level() -> None:
    table = class_balance({"train": [person(np.arange(8.0)), person(np.arange(4.0), "b")], "test": []})
    assert table.splitlines()[1].split() == ["train", "2", "12", "25.0%", "25.0%", "25.0%", "25.0%"]
    assert table.splitlines()[2].split()[:3] == ["test", "0", "0"]


def annotate(clip: Path, levels: pd.DataFrame, folder: Path) -> int:
    """Write a clip's first rater as an ELAN file, each rating holding until the next; return the frames."""
    video = cv2.VideoCapture(str(clip))
    count, rate = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
    video.release()
    every = np.arange(min(count, int(levels["frame"].max()) + 1))
    place = np.searchsorted(levels["frame"], every, side="right") - 1
    level = levels["rater1"].fillna(0).to_numpy()[place].astype(np.uint8)
    face = Timeline("anna", every / rate, every, np.zeros(len(every)), level)
    write_elan(folder / f"{clip.stem}.eaf", (face,), face, clip)
    return len(every)


@pytest.fixture(scope="module")
def corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, int]]:
    """A folder with annotations of three clips, the cache with their faces, and their frames."""
    folder, cache = tmp_path_factory.mktemp("videos"), tmp_path_factory.mktemp("cache")
    rated = pd.read_csv(shared / "clips" / "clip_levels.csv")
    frames = {
        Path(clip).stem: annotate(shared / "clips" / clip, rated[rated["clip"] == clip], folder)
        for clip in ("single_face.mp4", "talker_d0.mp4", "face_leaves.mov")
    }
    return folder, cache, frames


@pytest.mark.slow
def test_clips_give_faces_with_levels_and_count_what_is_missing(corpus, capsys, monkeypatch) -> None:
    folder, cache, frames = corpus
    settings = VideoSettings(str(folder), detect_every=10)
    people = {person.video: person for person in read_corpus(settings, cache)}
    assert {name: each.annotated for name, each in people.items()} == pytest.approx(frames, abs=1)
    assert people["single_face"].without_face == 0
    assert people["face_leaves"].without_face > 10  # the face is outside the image for a while
    smile = people["single_face"]
    assert set(np.unique(smile.level)) >= {0, 2}
    assert smile.crops.shape[1:] == (96, 96, 3)
    assert np.asarray(smile.crops[smile.rows]).std(axis=(1, 2, 3)).min() > 15  # faces, not black squares
    assert f"{people['face_leaves'].without_face} dropped without a face" in capsys.readouterr().out
    # The second time no detector runs.
    monkeypatch.setattr(video_corpus, "make_detector", lambda config: Script())
    again = read_corpus(settings, cache)
    assert [len(each.rows) for each in again] == [len(each.rows) for each in people.values()]


@pytest.mark.slow
def test_the_command_trains_from_a_folder_of_videos(corpus, tmp_path: Path, capsys) -> None:
    folder, cache, _ = corpus
    values = {
        **read_yaml(CONFIG),
        "epochs": 2, "batch": 4, "at_once": 2, "workers": 0, "threads": 1,
        "learning_rate": 1e-3, "cache": str(cache), "output": str(tmp_path / "runs"),
        "sizes": {"channels": [4, 4, 8, 8, 8], "features": 16, "hidden": 8},
        "videos": {"folder": str(folder), "detect_every": 10},
    }  # fmt: skip
    config = tmp_path / "train.yaml"
    config.write_text(yaml.safe_dump(values))
    path = main(config)
    output = capsys.readouterr().out
    network = load_network(path)
    assert isinstance(network, ReferenceNetwork)
    assert path == tmp_path / "runs" / "reference" / "smile_reference.safetensors"
    assert "annotated (rows) and predicted" in output
    assert "Neutral" in output
    assert main(config, resume="auto") == path


def test_the_shipped_recipe_is_the_references() -> None:
    settings = reference_settings(read_yaml(CONFIG))
    assert (settings.learning_rate, settings.decay, settings.epochs) == (1e-5, 0.97, 10)
    assert (settings.batch, settings.sequence, settings.videos.shares) == (320, 20, (0.8, 0.1, 0.1))
    assert settings == reference_settings({})


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"batches": 3}, "unknown setting batches"),
        ({"videos": {"fold": "a"}}, "unknown setting fold"),
        ({"videos": {"subtle": "medum"}}, "subtle must be one of"),
        ({"videos": {"shares": [0.8, 0.1]}}, "shares must be 3 numbers"),
        ({"videos": {"detect_every": 0}}, "detect_every must be at least 1"),
        ({"batch": 20, "at_once": 16}, "multiple of at_once"),
        ({"sequence": 0}, "sequence must be at least 1"),
    ],
)
def test_invalid_settings_are_reported(values: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        reference_settings(values)


def test_an_unknown_network_is_reported(tmp_path: Path) -> None:
    config = tmp_path / "train.yaml"
    config.write_text("network: huge\n")
    with pytest.raises(ConfigurationError, match=r"network must be one of small, aligner, .*, got huge"):
        main(config)


def test_a_folder_without_annotations_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no ELAN files \(.eaf\)"):
        read_corpus(VideoSettings(str(tmp_path)), tmp_path)
