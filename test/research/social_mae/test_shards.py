"""Shards: recordings cut into examples, written, and streamed."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from made_videos import gray, tone, write_video

from social_perception.core.errors import ConfigurationError, SourceError
from social_perception.research.social_mae import shard_files, streaming
from social_perception.research.social_mae import shards as shards_module
from social_perception.research.social_mae.clips import ClipSettings, EncodedExample, read_examples
from social_perception.research.social_mae.examples import ExampleShape
from social_perception.research.social_mae.recordings import SPLITS, TRAIN, Recording
from social_perception.research.social_mae.shard_files import INDEX, read_index, read_shard
from social_perception.research.social_mae.shards import ShardSettings, shard_settings, write_shards
from social_perception.research.social_mae.streaming import ShardLoader, ShardStream
from social_perception.sources.sample import SampleSource

SIDE = 32
CROPPED = ClipSettings(side=SIDE, cropped=True)
BATCH = 2
SHAPE = ExampleShape(frames=2, side=SIDE, steps=20, bins=8)


def test_windows_have_the_images_and_the_sound_of_their_time(tmp_path: Path) -> None:
    samples = np.concatenate([tone(4.0), np.zeros(32_000, np.float32), tone(3.0)])
    path = write_video(tmp_path / "a.mp4", gray(9.0), 10, samples)
    found = [example for _, example in read_examples([Recording(path, "anna")], CROPPED)]
    assert [len(each.images) for each in found] == [8, 8, 2]
    assert [len(each.samples) / 16_000 for each in found] == pytest.approx([4.0, 4.0, 0.9], abs=0.11)
    second = found[1].decode(8)
    assert second.video is not None
    # In the middle of each half second.
    expected = 20 * (4.25 + 0.5 * np.arange(8)) + 20
    np.testing.assert_allclose(second.video[:, 0, 16, 16], expected, atol=4)
    loud = np.abs(found[1].samples.reshape(8, -1)).mean(axis=1) > 1000
    assert loud.tolist() == [False] * 4 + [True] * 4


def test_parts_of_a_file_are_cut_in_one_pass(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", gray(8.0), 10, tone(8.0))
    parts = [Recording(path, "a", "x", 1.05, 2.5), Recording(path, "a", "y", 2.0, 7.0)]
    found = [(part.label, example) for part, example in read_examples(parts, CROPPED)]
    assert [label for label, _ in found] == ["x", "y", "y"]
    assert [len(example.samples) for _, example in found] == [23_200, 64_000, 16_000]
    assert [len(example.images) for _, example in found] == [3, 8, 2]


def test_the_largest_face_is_followed(tmp_path: Path) -> None:
    with SampleSource(people=1) as source:
        images = [cv2.resize(next(source).image, (640, 360))[:, 160:480] for _ in range(30)][::2]
    path = write_video(tmp_path / "a.mp4", images, 15, tone(1.0))
    ((_, example),) = read_examples([Recording(path, "a")], ClipSettings(side=64))
    video = example.decode(8).video
    assert video is not None
    assert video.shape[1:] == (3, 64, 64)
    # The face fills the crop: it is brighter and redder than the wall around it.
    center = video[:, :, 24:40, 24:40].mean(axis=(0, 2, 3))
    assert center[0] > center[2] + 10


@pytest.mark.parametrize(("label", "count"), [("x", 1), (None, 0)])
def test_without_a_face_a_labelled_window_is_sound_alone(
    tmp_path: Path, label: str | None, count: int
) -> None:
    path = write_video(tmp_path / "a.mp4", gray(1.0), 10, tone(1.0))
    found = [example for _, example in read_examples([Recording(path, "a", label)], ClipSettings(side=SIDE))]
    assert [each.images for each in found] == [()] * count


def test_video_without_sound_and_sound_without_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", gray(1.0), 10, None)
    ((_, example),) = read_examples([Recording(video, "a")], CROPPED)
    assert example.decode(8).sound is None
    sound = tmp_path / "a.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        block = av.AudioFrame.from_ndarray((tone(12.0) * 32768).astype(np.int16)[None], "s16", "mono")
        block.sample_rate = 16_000
        container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    found = [example.decode(8) for _, example in read_examples([Recording(sound, "a")], CROPPED)]
    assert [each.video for each in found] == [None, None]
    assert [len(each.sound) for each in found if each.sound is not None] == [1022, 174]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shares": [0.5, 0.5, 0.5]}, "add up to 1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"clips": {"rate_hz": 0}}, "rate_hz must be in"),
        ({"clips": {"side": 4}}, "side must be in"),
        ({"clip": {}}, "unknown setting clip"),
    ],
)
def test_invalid_settings_name_the_rule(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        shard_settings({"network": "social_mae_shards", **values})


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        write_video(folder / f"person{number}" / "a.mp4", gray(1.0), 10, tone(1.0))
    (folder / "person6").mkdir()
    (folder / "person6" / "broken.mp4").write_bytes(b"no video")
    return folder


def _settings(videos: Path, output: Path, **changes: object) -> ShardSettings:
    return replace(
        ShardSettings(folder=str(videos), output=str(output), shares=(0.8, 0.2, 0.0), clips=CROPPED),
        **changes,
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 2])
def test_broken_videos_are_skipped_and_counted(
    videos: Path, tmp_path: Path, workers: int, capsys, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(shards_module, "ProcessPoolExecutor", lambda count, _: ThreadPoolExecutor(count))
    folder = write_shards(_settings(videos, tmp_path, workers=workers))
    assert "1 of 7 recordings could not be read" in capsys.readouterr().out
    assert "broken.mp4 is not a video that can be read" in caplog.text
    index = read_index(folder)
    assert (index.complete, index.unreadable, index.done) == (True, 1, 7)
    people = {
        split: {
            each.person
            for shard in index.shards
            if shard.split == split
            for each in read_shard(folder / shard.file)
        }
        for split in SPLITS
    }
    assert sum(map(len, people.values())) == 6
    assert sorted(set().union(*people.values())) == [f"person{number}" for number in range(6)]


def test_all_broken_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"no recording in .* gave an example"):
        write_shards(_settings(tmp_path, tmp_path))


def test_an_interrupted_run_goes_on(videos: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        shards_module, "_pieces", lambda examples, limit: [list(examples)] if examples else []
    )
    settings = replace(_settings(videos, tmp_path, shares=(1.0, 0.0, 0.0)))
    whole = write_shards(replace(settings, name="whole"))
    encode, calls = shards_module._encode, []

    def interrupted(group, classes, settings):
        calls.append(group)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(group, classes=classes, settings=settings)

    monkeypatch.setattr(shards_module, "_encode", interrupted)
    # Each group is a shard of its own.
    monkeypatch.setattr(EncodedExample, "size", property(lambda self: 2**30))
    with pytest.raises(KeyboardInterrupt):
        write_shards(settings)
    folder = tmp_path / settings.name
    assert not read_index(folder).complete
    with pytest.raises(SourceError, match="is not complete"):
        ShardStream([folder], TRAIN, 8)
    write_shards(settings)
    assert len(calls) == 8  # the fourth was done again, and nothing else

    def people(path: Path) -> list[str]:
        return [each.person for shard in read_index(path).shards for each in read_shard(path / shard.file)]

    assert people(folder) == people(whole)


def test_other_settings_are_not_mixed(videos: Path, tmp_path: Path) -> None:
    settings = _settings(videos, tmp_path)
    write_shards(settings)
    with pytest.raises(ConfigurationError, match="holds shards of other recordings or settings"):
        write_shards(replace(settings, clips=replace(CROPPED, side=16)))


def _folder(path: Path, counts: list[int], label: object = 1) -> Path:
    """Shards of sound whose people are numbered."""
    path.mkdir()
    index = shard_files.ShardIndex("", "folder", ("a", "b"), (), complete=True)
    shards, number = [], 0
    for row, count in enumerate(counts):
        examples = [
            EncodedExample((), np.zeros(800, np.int16), label, f"{number + each}")  # type: ignore[arg-type]
            for each in range(count)
        ]
        number += count
        shards.append(shard_files.Shard(f"train-{row:05d}.npz", TRAIN, count))
        shard_files.write_shard(path / shards[-1].file, examples)
    shard_files.write_index(path, replace(index, shards=tuple(shards)))
    return path


@pytest.mark.parametrize("label", [None, 0, 5, (0.25, 0.5)])
def test_labels_are_kept(tmp_path: Path, label: object) -> None:
    folder = _folder(tmp_path / "a", [1], label)
    (example,) = ShardStream([folder], TRAIN, 8)
    assert example.label == label


def _people(stream: ShardStream, workers: int, world: int, monkeypatch) -> list[list[list[str]]]:
    """Batches of each process, as a loader with so many workers makes them."""
    processes = []
    for rank in range(world):
        stream.rank, stream.world = rank, world
        batches: list[list[str]] = []
        for worker in range(max(1, workers)):
            info = SimpleNamespace(num_workers=workers, id=worker) if workers else None
            monkeypatch.setattr(streaming, "get_worker_info", lambda info=info: info)
            people = [example.person for example in stream]
            batches += [people[first : first + BATCH] for first in range(0, len(people), BATCH)]
        assert len(batches) == stream.batches(workers)
        processes.append(batches)
    return processes


@pytest.mark.parametrize("counts", [[20], [5, 5, 5, 5], [8, 1, 1, 10]])
@pytest.mark.parametrize(("workers", "world"), [(0, 1), (2, 1), (0, 2)])
def test_in_the_order_of_the_files_each_example_is_read_once(
    tmp_path: Path, counts: list[int], workers: int, world: int, monkeypatch
) -> None:
    stream = ShardStream([_folder(tmp_path / "a", counts)], TRAIN, 8, batch=BATCH)
    batches = _people(stream, workers, world, monkeypatch)
    read = [person for process in batches for batch in process for person in batch]
    assert sorted(map(int, read)) == list(range(20))


@pytest.mark.parametrize("counts", [[20], [5, 5, 5, 5], [8, 1, 1, 10], [1]])
@pytest.mark.parametrize(("workers", "world"), [(0, 1), (2, 1), (0, 3)])
def test_in_random_order_all_processes_have_the_same_number_of_full_batches(
    tmp_path: Path, counts: list[int], workers: int, world: int, monkeypatch
) -> None:
    stream = ShardStream([_folder(tmp_path / "a", counts)], TRAIN, 8, seed=1, batch=BATCH, buffer=4)
    batches = _people(stream, workers, world, monkeypatch)
    assert len({len(process) for process in batches}) == 1
    assert {len(batch) for process in batches for batch in process} == {BATCH}
    read = Counter(person for process in batches for batch in process for person in batch)
    if counts == [20] and world == 1:
        assert set(read.values()) == {1}  # each once, and all of them
        assert len(read) == 20


def test_epochs_differ_and_can_be_repeated(tmp_path: Path) -> None:
    stream = ShardStream([_folder(tmp_path / "a", [10, 10])], TRAIN, 8, seed=1, batch=5)
    loader = ShardLoader(stream, SHAPE, 0)
    first, second = ([batch["person"] for batch in loader] for _ in range(2))
    assert first != second
    assert len(first) == len(loader) == 4
    resumed = ShardLoader(stream, SHAPE, 0, epoch=lambda: 1)
    assert [batch["person"] for batch in resumed] == second


def test_a_process_of_torchrun_has_its_own_part(tmp_path: Path, monkeypatch) -> None:
    stream = ShardStream([_folder(tmp_path / "a", [10, 10])], TRAIN, 8, batch=5)
    people = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        people += [person for batch in ShardLoader(stream, SHAPE, 0) for person in batch["person"]]
    assert people == [str(number) for number in range(20)]


def test_only_the_buffer_and_one_shard_are_in_memory(tmp_path: Path, monkeypatch) -> None:
    folder = _folder(tmp_path / "a", [4] * 20)
    read = []
    monkeypatch.setattr(
        streaming,
        "read_shard",
        lambda path: read.append(path) or read_shard(path),
    )
    stream = iter(ShardStream([folder], TRAIN, 8, seed=1, buffer=6))
    for number in range(1, 20):
        next(stream)
        assert len(read) <= (number + 6) / 4 + 1


def test_folders_with_other_labels_are_not_mixed(tmp_path: Path) -> None:
    one, other = _folder(tmp_path / "a", [1]), _folder(tmp_path / "b", [1])
    shard_files.write_index(other, replace(read_index(other), classes=("x",)))
    with pytest.raises(SourceError, match="other labels"):
        ShardStream([one, other], TRAIN, 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no shards"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"version": 9}', "is of another version"),
    ],
)
def test_a_damaged_index_is_an_error(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / INDEX).write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        read_index(tmp_path)


def test_a_damaged_shard_is_an_error(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", [3])
    path = folder / "train-00000.npz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SourceError, match=r"the shard .* cannot be read"):
        list(ShardStream([folder], TRAIN, 8))
