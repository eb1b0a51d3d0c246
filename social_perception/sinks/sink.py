"""The protocol of sinks: what receives the results of each frame and writes, publishes or shows them."""

from __future__ import annotations

import io
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from social_perception.core.errors import MissingDependencyError, OutputError
from social_perception.core.types import Frame, FrameAffect, GroupDynamics, ImageArray

_logger = logging.getLogger(__name__)

O = TypeVar("O", bound="Output")  # noqa: E741

Draw = Callable[[Frame, FrameAffect], ImageArray]
"""Draws the results of a frame into a copy of its image."""

Dynamics = Callable[[FrameAffect], "GroupDynamics | None"]
"""Receives each frame; returns the group's dynamics where they are due."""


class FaceHider(Protocol):
    """Hides faces also before they were found: frames come out of it later, with their faces hidden."""

    def add(self, frame: Frame, affect: FrameAffect) -> Sequence[tuple[Frame, FrameAffect]]: ...

    def finish(self) -> Sequence[tuple[Frame, FrameAffect]]: ...


class Output:
    """Something that is written bit by bit; a context manager that completes it, or aborts it on an error."""

    def close(self) -> None:
        """Complete the output and release it.

        Raises:
            OutputError: it cannot be written.
        """

    def abort(self) -> None:
        """Release the output without completing it; what was written before stays."""
        self.close()

    def __enter__(self: O) -> O:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class Sink(Output, ABC):
    """Receives the results of each frame, in order; see ``registry`` for those with a name.

    One whose result depends on all frames does its work in ``close``, which is called while the tables
    are complete.
    """

    @abstractmethod
    def add(self, frame: Frame, affect: FrameAffect) -> None:
        """Receive the results of a frame.

        Raises:
            OutputError: they cannot be written.
        """

    def stale(self, affect: FrameAffect | None, reason: str) -> None:
        """The source delivers no frames.

        Args:
            affect: of the last frame, without faces and with the group's present values; None: there was
                no frame yet.
            reason: for people, for example ``no image for 2 s``.

        Raises:
            OutputError: it cannot be written.
        """


class FailSafeSink(Sink):
    """A sink whose failure does not end the run: it is logged once, and nothing more is written.

    The perception of a robot must not stop because the disk is full, nor the tables because of the video.

    Args:
        sink: the sink, opened.
        consequence: of a failure, for the log.

    Attributes:
        error: why it ended early; empty: it did not.
    """

    def __init__(
        self, sink: Sink, consequence: str = "nothing more is recorded, what was before can be read"
    ) -> None:
        self._sink, self._consequence = sink, consequence
        self.error = ""

    @property
    def failed(self) -> bool:
        """Whether it ended early."""
        return bool(self.error)

    def add(self, frame: Frame, affect: FrameAffect) -> None:
        self._attempt(lambda: self._sink.add(frame, affect))

    def stale(self, affect: FrameAffect | None, reason: str) -> None:
        self._attempt(lambda: self._sink.stale(affect, reason))

    def close(self) -> None:
        if self.failed:
            self._sink.abort()
        else:
            self._attempt(self._sink.close)

    def _attempt(self, call: Callable[[], None]) -> None:
        if self.failed:
            return
        try:
            call()
        except MissingDependencyError:
            raise
        except Exception as error:
            self.error = failure_text(error)
            _logger.log(logging.ERROR, "%s; %s", self.error, self._consequence)


def failure_text(error: Exception) -> str:
    """Why an output failed, in one line: the message alone, for a full disk is no defect of the program."""
    text = " ".join(str(error).split())
    return text if isinstance(error, OutputError) else f"{type(error).__name__}: {text}"


def output_error(path: Path, error: Exception) -> OutputError:
    """The error of a file that cannot be written."""
    return OutputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}")


def append(file: io.FileIO, path: Path, data: bytes, size: int) -> int:
    """Append to a file as a whole or not at all.

    Args:
        file: opened without a buffer.
        path: of the file, for errors.
        data: what is appended, for example whole lines or records.
        size: of the file in bytes.

    Returns:
        The new size.

    Raises:
        OutputError: the file cannot be written; it then ends where it did before.
    """
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        # Half a line or record must not stay; where even this fails, there is no space for more either.
        with suppress(OSError):
            os.ftruncate(file.fileno(), size)
        raise output_error(path, error) from error
    return size + len(data)
