"""Whatever a path names, a reader answers in one line: it neither waits for it nor takes it into memory."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from social_perception.cli.manifest import MANIFEST, read_manifest
from social_perception.core.errors import SocialPerceptionError, SourceError
from social_perception.perception.smile.reference_network import ReferenceConfig, ReferenceNetwork
from social_perception.perception.smile.vgg_face import load_vgg_face
from social_perception.perception.smile.weights import load_network
from social_perception.research.benchmarks.report import read_report
from social_perception.research.evaluation.detection_recall import photo_examples
from social_perception.research.training.elan_tiers import read_tiers
from social_perception.research.training.settings import read_yaml
from social_perception.sources.factory import open_source
from social_perception.sources.images import read_image

TINY = ReferenceConfig(channels=(1, 1, 1, 1, 1), features=1, hidden=1)

READERS = {
    "image": read_image,
    "source": lambda path: open_source(str(path)),
    "yaml": read_yaml,
    "elan": read_tiers,
    "bench": read_report,
    "weights": load_network,
    "vgg_face": lambda path: load_vgg_face(ReferenceNetwork(TINY), path),
}


@pytest.fixture
def places(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "endless").symlink_to("/dev/zero")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(10 * 2**30)
    return tmp_path


@pytest.mark.parametrize("place", ["pipe", "pipe.mp4", "endless"])
@pytest.mark.parametrize("reader", READERS)
def test_what_never_ends_is_refused(places: Path, reader: str, place: str) -> None:
    with pytest.raises(
        SocialPerceptionError, match=r"not a regular file|neither a file nor a folder"
    ) as caught:
        READERS[reader](places / place)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", [name for name in READERS if name != "source"])
def test_what_is_too_large_is_refused(places: Path, reader: str) -> None:
    with pytest.raises(SocialPerceptionError, match=r"larger than \d+ MB") as caught:
        READERS[reader](places / "huge")
    assert "\n" not in str(caught.value)


def test_a_table_of_photos_that_never_ends_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "boxes.csv")
    with pytest.raises(SourceError, match="not a regular file"):
        next(photo_examples(tmp_path))


def test_a_manifest_that_never_ends_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST)
    assert read_manifest(tmp_path) is None


def test_an_elan_file_with_entities_is_refused(tmp_path: Path) -> None:
    """A few lines that would become gigabytes."""
    path = tmp_path / "laughs.eaf"
    entities = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    path.write_text(
        f'<!DOCTYPE a [<!ENTITY a0 "ha">{entities}]><ANNOTATION_DOCUMENT>&a9;</ANNOTATION_DOCUMENT>'
    )
    with pytest.raises(SourceError, match="it declares a document type"):
        read_tiers(path)


def test_a_yaml_file_makes_no_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("name: !!python/object/apply:builtins.print [run by the yaml]\n")
    with pytest.raises(SocialPerceptionError, match="cannot read the settings"):
        read_yaml(path)
    assert not capsys.readouterr().out


PLAYLISTS = {
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}/part.ts\n#EXT-X-ENDLIST\n",
    "concat.mp4": "ffconcat version 1.0\nfile '{url}/part.mp4'\n",
    "dash.mpd": '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>{url}/part.mp4</BaseURL><SegmentBase/></Representation>"
    "</AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_video_that_names_others_reaches_for_nothing(tmp_path: Path, name: str) -> None:
    """FFmpeg knows lists of what to fetch; one that is given as a video must not make it call anybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / name).write_text(
            PLAYLISTS[name].format(url=f"http://127.0.0.1:{server.getsockname()[1]}")
        )
        with pytest.raises(SourceError, match="is not a video that can be read") as caught:
            open_source(str(tmp_path / name))
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()
    assert "\n" not in str(caught.value)
