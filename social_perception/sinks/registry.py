"""The sinks by name: a new file format is a module with its sink and a line in ``SINKS``.

``annotate`` writes the file of each format into a video's folder, and has an option for each that has a
description; ``live --output`` chooses among the formats that grow line by line, by the file's suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from social_perception.core.timelines import Timelines
from social_perception.core.types import Frame, FrameAffect, ImageArray
from social_perception.sinks.json_lines import JsonLinesSink
from social_perception.sinks.sink import Draw, Dynamics, FaceHider, Sink
from social_perception.sinks.tables import FaceTable, GroupTable, SceneTable, SoundTable

FACES, GROUP, SCENE = "faces.csv", "group.csv", "scene.csv"


def _undrawn(frame: Frame, affect: FrameAffect) -> ImageArray:
    return frame.image


@dataclass(frozen=True, slots=True)
class Run:
    """What a sink may need to know of the run whose results it receives.

    Attributes:
        people: whether single people are reported; false: the group alone.
        scene: whether the scene is reported, and neither people nor a group.
        images: whether recordings contain the frames, too.
        sound: whether speech and laughter are estimated.
        rate_hz: approximate number of frames per second; None: unknown.
        draw: draws a frame's results.
        make_hider: makes what hides the faces in images; None: they are not hidden.
        dynamics: returns the group's dynamics where they are due; None: they are not recorded.
        video: the video or bag that is annotated.
        media: the video that ELAN plays instead of it; None: the video itself.
        annotations: ELAN files that people may have made of the video; their time origin is kept.
        shortest_s: shorter annotations of the ELAN file are merged into their neighbours.
        settings: by which the results were made, for formats that keep them.
        timelines: the tables of the video, for sinks that are made from them.
    """

    people: bool = True
    scene: bool = False
    images: bool = False
    sound: bool = False
    rate_hz: float | None = None
    draw: Draw = _undrawn
    make_hider: Callable[[], FaceHider] | None = None
    dynamics: Dynamics | None = None
    video: Path = Path()
    media: Path | None = None
    annotations: Sequence[Path] = ()
    shortest_s: float = 0.0
    settings: Mapping[str, str] = field(default_factory=dict)
    timelines: Timelines | None = None

    def hider(self) -> FaceHider | None:
        """A new one; None: faces are not hidden."""
        return None if self.make_hider is None else self.make_hider()


@dataclass(frozen=True, slots=True)
class SinkFormat:
    """A file format, and when it is written.

    Attributes:
        file: name in a video's folder of results; ``{stem}`` stands for the video's.
        make: makes the sink from the file's path.
        description: for the help of its option; empty: it has none.
        enabled: whether ``annotate`` writes it unless the option says otherwise.
        of_people: whether it reports single people; not written where they are not reported.
        of_group: whether it reports the group of people.
        of_scene: whether it reports the scene, where no single people are processed.
        has_images: whether people can be seen in it.
        is_table: whether it grows line by line; accepted by ``live --output``.
        keeps_stamps: whether stamps stay times of day where a video's other results begin at 0.
        keeps_backup: whether people correct it by hand: an earlier one that differs is kept as ``FILE.bak``.
        needs_hearing: whether it is written where speech and laughter are estimated, and not otherwise.
        is_optional: whether it is dropped, with a warning, where its library is not installed.
    """

    file: str
    make: Callable[[Path, Run], Sink]
    description: str = ""
    enabled: bool = True
    of_people: bool = False
    of_group: bool = True
    of_scene: bool = False
    has_images: bool = False
    is_table: bool = False
    keeps_stamps: bool = False
    keeps_backup: bool = False
    needs_hearing: bool = False
    is_optional: bool = False


def _mcap(path: Path, run: Run) -> Sink:
    from social_perception.sinks.mcap import McapSink

    hider = run.hider() if run.images else None
    return McapSink(
        path,
        images=run.images,
        people=run.people,
        scene=run.scene,
        sound=run.sound,
        dynamics=run.dynamics,
        hider=hider,
    )


def _video(path: Path, run: Run) -> Sink:
    from social_perception.sinks.video import VideoSink

    return VideoSink(path, run.rate_hz, run.draw, run.hider())


def _elan(path: Path, run: Run) -> Sink:
    from social_perception.sinks.elan import ElanSink
    from social_perception.sinks.elan_media import origin_of

    timelines = run.timelines or Timelines(path.with_name(FACES), path.with_name(GROUP))
    media = run.media or run.video
    origins = (origin_of(each, media) for each in run.annotations if each.is_file())
    origin_ms = next(filter(None, origins), 0)
    return ElanSink(path, timelines, run.video, run.shortest_s, run.media, origin_ms)


def _parquet(path: Path, run: Run) -> Sink:
    from social_perception.sinks.parquet import ParquetSink

    return ParquetSink(path, path.with_suffix(".csv"), run.settings)


SINKS: dict[str, SinkFormat] = {
    "faces": SinkFormat(
        FACES, lambda path, run: FaceTable(path, in_place=True), of_people=True, is_table=True
    ),
    "group": SinkFormat(GROUP, lambda path, run: GroupTable(path, in_place=True), is_table=True),
    "scene": SinkFormat(
        SCENE, lambda path, run: SceneTable(path, in_place=True), is_table=True, of_group=False, of_scene=True
    ),
    "sound": SinkFormat(
        "sound.csv", lambda path, run: SoundTable(path, in_place=True), enabled=False, needs_hearing=True
    ),
    "mcap": SinkFormat(
        "results.mcap", _mcap, "results as ROS 2 messages in results.mcap, for Foxglove and ros2 bag "
        "(needs rosbags)", enabled=False, keeps_stamps=True, of_scene=True,
    ),
    "json": SinkFormat(
        "results.jsonl", lambda path, run: JsonLinesSink(path, in_place=True),
        "results as JSON lines in results.jsonl, an object per frame", enabled=False, is_table=True,
        of_scene=True,
    ),
    "video": SinkFormat("annotated.mp4", _video, "make no annotated video", of_people=True, has_images=True),
    "elan": SinkFormat("{stem}.eaf", _elan, of_people=True, keeps_backup=True),
    "faces_parquet": SinkFormat("faces.parquet", _parquet, of_people=True, is_optional=True),
    "group_parquet": SinkFormat("group.parquet", _parquet, is_optional=True),
}  # fmt: skip
"""In the order in which they are opened; they are closed in the reverse order."""


def formats(*, people: bool, scene: bool = False) -> dict[str, SinkFormat]:
    """The formats by name; those of single people only where they are reported.

    Args:
        people: whether single people are reported.
        scene: whether the scene is reported, and neither people nor a group.
    """
    if scene:
        return {name: each for name, each in SINKS.items() if each.of_scene}
    return {name: each for name, each in SINKS.items() if each.of_group and (people or not each.of_people)}


def table_format(path: Path, *, people: bool, scene: bool = False) -> SinkFormat:
    """The format of a file that grows line by line, by its suffix; a CSV table for any other suffix."""
    tables = [each for each in formats(people=people, scene=scene).values() if each.is_table]
    fitting = [each for each in tables if Path(each.file).suffix == path.suffix.lower()]
    return (fitting or tables)[0]
