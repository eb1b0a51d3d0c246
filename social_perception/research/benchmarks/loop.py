"""Pictures of people drawn beforehand, played forwards and backwards without end.

Drawing would take processor time from what is measured. There and back, nobody jumps at the end of
the loop, which would confuse the tracker.
"""

from __future__ import annotations

from social_perception.core.types import ImageArray
from social_perception.sources.sample import RATE_HZ, SampleFace, SampleSource

FRAMES = 150
"""Pictures of a loop: five seconds one way, 415 MB."""

ABSENCE = 0.5
"""Share of the loop for which each person is away, where people come and go. There and back that is
five seconds, longer than a lost face is remembered."""


class Loop:
    """The sample as a loop.

    Args:
        people: 1 to 16.
        frames: pictures drawn, at least 2.
        coming_and_going: whether each person is away for half of the loop, one after the other.
    """

    rate_hz = RATE_HZ

    def __init__(self, people: int, frames: int = FRAMES, *, coming_and_going: bool = False) -> None:
        self._source = SampleSource(people)
        self.people, self.frames = people, frames
        self.pictures: list[ImageArray] = [
            self._source.image(index, self._present(index) if coming_and_going else None)
            for index in range(frames)
        ]

    def place(self, number: int) -> int:
        """Which picture is shown as the number-th of the stream: 0, 1 ... n - 1, n - 2 ... 1, 0, 1 ..."""
        last = self.frames - 1
        place = number % (2 * last)
        return place if place <= last else 2 * last - place

    def __getitem__(self, number: int) -> ImageArray:
        return self.pictures[self.place(number)]

    def truth(self, number: int) -> tuple[SampleFace, ...]:
        """Where everybody's face is in the number-th picture of the stream, if they are there."""
        return self._source.truth(self.place(number))

    def _present(self, index: int) -> set[int]:
        """The people in a picture: each is away for ABSENCE of the loop, beginning one after the other."""
        begins = [person * self.frames // self.people for person in range(self.people)]
        away = ABSENCE * self.frames
        return {person for person, begin in enumerate(begins) if (index - begin) % self.frames >= away}

    def release(self) -> None:
        """Let go of the pictures, where they are kept in another form."""
        self.pictures.clear()
