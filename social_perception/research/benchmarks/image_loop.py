"""An endless image sequence of people, rendered in advance and played forward and backward.

Rendering during the measurement would cost CPU time. Playing backward avoids a jump at the end of the loop,
which would confuse the tracker.
"""

from __future__ import annotations

from social_perception.core.types import ImageArray
from social_perception.sources.sample import RATE_HZ, SampleFace, SampleSource

FRAMES = 150
"""Images of a loop: five seconds in one direction, 415 MB."""

ABSENCE = 0.5
"""Share of the loop for which each person is absent if people come and go. Forward and backward together
this is five seconds, longer than lost tracks are kept.
"""


class Loop:
    """The sample as a loop.

    Args:
        people: 1 to 16.
        frames: number of rendered images, at least 2.
        coming_and_going: whether each person is absent for half of the loop, at different times.
    """

    rate_hz = RATE_HZ

    def __init__(self, people: int, frames: int = FRAMES, *, coming_and_going: bool = False) -> None:
        self._source = SampleSource(people)
        self.people, self.frames = people, frames
        self.images: list[ImageArray] = [
            self._source.image(index, self._present(index) if coming_and_going else None)
            for index in range(frames)
        ]

    def index(self, number: int) -> int:
        """Return the index of the image number ``number`` of the stream: 0, 1 ... n - 1, n - 2 ... 1, 0, 1
        ...
        """
        last = self.frames - 1
        step = number % (2 * last)
        return step if step <= last else 2 * last - step

    def __getitem__(self, number: int) -> ImageArray:
        return self.images[self.index(number)]

    def truth(self, number: int) -> tuple[SampleFace, ...]:
        """Return the faces in image number ``number`` of the stream, as if everybody were present."""
        return self._source.truth(self.index(number))

    def _present(self, index: int) -> set[int]:
        """Return the people in an image: each is absent for ABSENCE of the loop, at different times."""
        begins = [person * self.frames // self.people for person in range(self.people)]
        absent = ABSENCE * self.frames
        return {person for person, begin in enumerate(begins) if (index - begin) % self.frames >= absent}

    def release(self) -> None:
        """Free the images, if they are kept in another form."""
        self.images.clear()
