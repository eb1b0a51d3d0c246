"""A file format of a test: all that a new one needs is in this file."""

from __future__ import annotations

from social_perception.core.types import Frame, FrameAffect
from social_perception.sinks.registry import SINKS, SinkFormat
from social_perception.sinks.sink import Sink
from social_perception.sinks.tables import TextFile


class TallySink(TextFile, Sink):
    """A line per frame with a stroke for each face, and a last one when it is complete."""

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        self.write(f"{affect.index} {'|' * len(affect.faces)}\n")

    def close(self) -> None:
        self.write("end\n")
        super().close()


SINKS["tally"] = SinkFormat("faces.tally", lambda path, run: TallySink(path), "a tally", False, is_table=True)
