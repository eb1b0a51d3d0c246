"""Whoever annotates a corpus, the tables and ELAN files are the same to the byte."""

import os
from importlib.util import find_spec
from pathlib import Path

import av
import pytest

from social_perception.cli.main import main

SAME = (".csv", ".eaf", ".parquet")
SETTINGS = ["--no-video", "--no-plot", "--no-report", "--min-face-px", "80"]


def has_ray():
    # Not by importing it: it reads its settings when it is.
    return find_spec("ray") is not None


def cut(clip, path, first, frames):
    """Write some frames of a clip as a video."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(clip)) as source, av.open(str(path), "w") as container:
        shape = source.streams.video[0]
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, "yuv420p"
        stream.bit_rate = 4_000_000
        for number, picture in enumerate(source.decode(video=0)):
            if first <= number < first + frames:
                frame = av.VideoFrame.from_ndarray(picture.to_ndarray(format="rgb24"), format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def alone(shared, tmp_path_factory):
    """A folder with two tiny videos of a face and a broken one, and what --jobs 1 makes of them."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus = folder / "in"
    corpus.mkdir()
    cut(shared / "clips" / "single_face.mp4", corpus / "one.mp4", 0, 20)
    cut(shared / "clips" / "single_face.mp4", corpus / "b" / "two ü.mp4", 60, 16)
    (corpus / "b" / "broken.mp4").write_text("words")
    argv = ["annotate", str(corpus), "--output", str(folder / "alone"), *SETTINGS, "--jobs", "1"]
    assert main(argv) == 1
    return corpus, contents(folder / "alone")


def contents(output):
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.suffix in SAME
    }


@pytest.mark.slow
@pytest.mark.timeout(400)  # Ray takes half a minute to start on a busy machine
@pytest.mark.parametrize(
    "engine",
    [
        ["--jobs", "2"],
        ["--jobs", "2", "--threads", "2"],
        pytest.param(
            ["--engine", "ray", "--jobs", "2", "--threads", "1"],
            marks=pytest.mark.skipif(not has_ray(), reason="ray is optional and not installed"),
        ),
    ],
    ids=["processes", "more-threads", "ray"],
)
def test_results_do_not_depend_on_who_makes_them(alone, engine):
    corpus, expected = alone
    output = corpus.parent / f"by-{'-'.join(engine)}"
    assert main(["annotate", str(corpus), "--output", str(output), *SETTINGS, *engine]) == 1
    found = contents(output)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    tables = [name for name in found if Path(name).name == "faces.csv"]
    assert tables == ["b/two ü/faces.csv", "one/faces.csv"]
    # Faces were found and scored: equal files are not empty ones.
    assert all(len(found[name].splitlines()) > 10 for name in tables)
    assert not [name for name in os.listdir(output) if name.endswith(".part")]
