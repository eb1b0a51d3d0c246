"""The protocol of all sources: an iterator of frames that can be closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from social_perception.core.types import Frame

MIN_RATE_HZ, MAX_RATE_HZ = 0.1, 10_000.0
"""Rates outside are of a clock that jumped."""

Self = TypeVar("Self", bound="Source")


class Source(Protocol):
    """Delivers frames, first to last, each with its time and its index from 0.

    A live source (camera, TCP stream) delivers the newest image and drops those that were not requested in
    time; any other delivers every image, as fast as it is requested.

    Attributes:
        name: a short description for people, for example ``camera 0``.
        live: whether images arrive at their own pace.
        rate_hz: images per second; None when unknown.
        frame_count: about how many frames will come; None when unknown or endless.
        sound_rate_hz: samples per second of the frames' sound; None: the source has no sound, or none was
            requested.
        unread: how many images of a folder could not be read so far.
    """

    name: str
    live: bool
    rate_hz: float | None
    frame_count: int | None
    sound_rate_hz: int | None = None
    unread: int = 0

    def __next__(self) -> Frame:
        """Return the next frame.

        Raises:
            StopIteration: there are no more.
            SourceTimeout: a live source had none for too long; it can be called again.
            SourceError: the source failed for good.
        """
        ...

    def close(self) -> None:
        """Release the device, file or port; closing twice is allowed."""

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def plausible_rate(rate_hz: float | None) -> float | None:
    """The rate; None where no camera has it, as in recordings whose clock was set."""
    return rate_hz if rate_hz is not None and MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ else None
