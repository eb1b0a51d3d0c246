"""What ``--record`` does while a command runs: results into a bag, and once a second who smiles with whom."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from social_perception.core.config import DynamicsConfig
from social_perception.core.errors import ConfigurationError, OutputError
from social_perception.core.types import FrameAffect, ImageArray
from social_perception.group.dynamics import DynamicsEstimator
from social_perception.views.recorder import Recorder

_logger = logging.getLogger(__name__)


class Recording:
    """A recorder, and the dynamics that the pipeline leaves to whoever wants them.

    Use it as a context manager; ``add`` raises OutputError where the file cannot be written.

    Args:
        path: see :class:`Recorder`.
        images: whether the frames are recorded, too.
    """

    def __init__(self, path: Path, *, images: bool = False) -> None:
        self._recorder = Recorder(path, images=images)
        self._config = DynamicsConfig()
        self._dynamics = DynamicsEstimator(self._config)
        self._told_s: float | None = None

    def add(self, affect: FrameAffect, image: ImageArray | None) -> None:
        """Record what was found in a frame; image None: there was none, and the group is stale."""
        self._recorder.add(affect, image)
        if image is None:
            return
        self._dynamics.add(affect.faces, affect.stamp_s)
        period_s = 1.0 / self._config.dynamics_rate_hz
        # Stamps may go back: a bag that is played again.
        if self._told_s is None or abs(affect.stamp_s - self._told_s) >= period_s:
            self._told_s = affect.stamp_s
            self._recorder.add_dynamics(self._dynamics.estimate())

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, *unused: object) -> None:
        self._recorder.__exit__(kind)


class TolerantRecording:
    """A recording that a run outlives: where the disk is full it ends with one line, and the run goes on.

    Attributes:
        failed: whether it ended early.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.failed = False

    def add(self, affect: FrameAffect, image: ImageArray | None) -> None:
        """As :meth:`Recording.add`."""
        if self.failed:
            return
        try:
            self._recording.add(affect, image)
        except OutputError as error:
            self._fail(error)

    def __enter__(self) -> TolerantRecording:
        return self

    def __exit__(self, kind: type[BaseException] | None, *unused: object) -> None:
        try:
            self._recording.__exit__(OutputError if self.failed else kind)
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


def open_recording(options: argparse.Namespace) -> TolerantRecording | None:
    """The recording that was asked for.

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
        _logger.warning("%s will show everybody in front of the camera", options.record)
    return TolerantRecording(Recording(options.record, images=options.record_images))
