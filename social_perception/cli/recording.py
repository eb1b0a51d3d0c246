"""What ``--record`` does while a command runs: results into a bag, and once a second who smiles with whom."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from social_perception.core.config import DynamicsConfig
from social_perception.core.errors import ConfigurationError, OutputError
from social_perception.core.types import Frame, FrameAffect, ImageArray
from social_perception.perception.group.dynamics import DynamicsEstimator
from social_perception.sinks.recorder import Recorder
from social_perception.views.blur import LookBack

_logger = logging.getLogger(__name__)

_EVERYBODY = "show everybody in front of the camera"


class Recording:
    """A recorder, and the dynamics that the pipeline leaves to whoever wants them.

    Use it as a context manager; ``add`` raises OutputError where the file cannot be written.

    Args:
        path: see :class:`Recorder`.
        images: whether the frames are recorded, too.
        people: whether single people are recorded; false: the group alone.
        blur: whether faces in the frames are hidden; the pictures then come two seconds later.
    """

    def __init__(self, path: Path, *, images: bool = False, people: bool = True, blur: bool = False) -> None:
        self._recorder = Recorder(path, images=images, people=people)
        self._people = people
        self._look_back = LookBack() if images and blur else None
        self._config = DynamicsConfig()
        self._dynamics = DynamicsEstimator(self._config)
        self._told_s: float | None = None

    def add(self, affect: FrameAffect, image: ImageArray | None) -> None:
        """Record what was found in a frame; image None: there was none, and the group is stale."""
        if self._look_back is None or image is None:
            self._recorder.add(affect, image)
        else:
            self._add_images(self._look_back.add(Frame(image, affect.stamp_s, affect.index), affect))
            self._recorder.add_results(affect, is_of_frame=True)
        if image is None or not self._people:
            return
        self._dynamics.add(affect.faces, affect.stamp_s, affect.epoch)
        period_s = 1.0 / self._config.dynamics_rate_hz
        # Stamps may go back: a bag that is played again.
        if self._told_s is None or abs(affect.stamp_s - self._told_s) >= period_s:
            self._told_s = affect.stamp_s
            self._recorder.add_dynamics(self._dynamics.estimate())

    def _add_images(self, hidden: Iterable[tuple[Frame, FrameAffect]]) -> None:
        for frame, _ in hidden:
            self._recorder.add_image(frame.image, frame.stamp_s)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, *unused: object) -> None:
        if self._look_back is not None and (kind is None or not issubclass(kind, OutputError)):
            self._add_images(self._look_back.finish())
        self._recorder.__exit__(kind)


class Output(Protocol):
    """A recording or a table; ``add`` raises OutputError where it cannot be written."""

    @property
    def add(self) -> Callable[..., None]: ...

    def __exit__(self, *error: Any) -> None: ...


class Tolerant:
    """An output that a run outlives: where the disk is full it ends with one line, and the run goes on.

    A robot's perception must not stop because nobody can write down any more what it sees.

    Args:
        output: a recording or a table, opened.

    Attributes:
        failed: whether it ended early.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.failed = False

    def add(self, *what: Any) -> None:
        """As the output's own."""
        if self.failed:
            return
        try:
            self._output.add(*what)
        except OutputError as error:
            self._fail(error)

    def __enter__(self) -> Tolerant:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self._output.__exit__(OutputError if self.failed else kind, *rest)
        except OutputError as error:
            self._fail(error)

    def _fail(self, error: OutputError) -> None:
        self.failed = True
        _logger.error("%s; nothing more is recorded, what was before can be read", error)


def add_recording_options(parser: argparse.ArgumentParser) -> None:
    """The flags of a command that records."""
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE.mcap",
        help="record face_affect, group_affect and group_dynamics as ROS 2 messages, for Foxglove and "
        "ros2 bag; a name without .mcap: as a rosbag2 folder (needs rosbags)",
    )
    parser.add_argument(
        "--record-images", action="store_true", help="record the pictures, too: everybody in them can be seen"
    )


def open_recording(
    options: argparse.Namespace, *, people: bool = True, blur: bool = False
) -> Tolerant | None:
    """The recording that was asked for; see :class:`Recording`.

    Raises:
        ConfigurationError: pictures without a recording.
        OutputError: it cannot be begun.
        MissingDependencyError: rosbags is not installed.
    """
    if options.record is None:
        if options.record_images:
            raise ConfigurationError("--record-images needs --record FILE.mcap")
        return None
    if options.record_images:
        shown = "show the camera's pictures, with the faces that are found hidden" if blur else _EVERYBODY
        _logger.warning("%s will %s", options.record, shown)
    recording = Recording(options.record, images=options.record_images, people=people, blur=blur)
    return Tolerant(recording)
