"""What is noted of a paced stream, with ROS and without, and the figures made of it."""

from __future__ import annotations

import argparse
import bisect
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.core.config import DEVICES, TrackingConfig
from social_perception.research.benchmarks.course import Course, Depth, Flow, IdBook, Trend, ends
from social_perception.research.benchmarks.loop import FRAMES
from social_perception.research.benchmarks.report import Latency, Stream, Usage
from social_perception.sources.sample import RATE_HZ

TOPICS, NO_ROS = "topics", "no ROS"
WARM_UP_S = 4.0
START_S = 90.0
"""For how long the first face is waited for: a slow machine needs seconds for its first search."""

PROGRESS_S = 60.0

FORGOTTEN_S = TrackingConfig().max_lost_s + 2.0
"""A search that began while a lost face was still awaited may find it: on a busy machine it ends up to two
seconds later. Who is away in the loop is away for five."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a stream is to be; handed to the process that plays it as arguments.

    Attributes:
        people: in the pictures, 1 to 16.
        seconds: for how long is measured.
        device: the setting ``device`` of detector and network.
        frames: pictures of the loop.
        warm_up_s: for how long images are sent before that.
        coming_and_going: whether people leave and return.
        rate_hz: images per second.
        parts: how finely the time is divided to compare its beginning with its end; 0: the stream is not
            followed over time.
    """

    people: int
    seconds: float
    device: str = "auto"
    frames: int = FRAMES
    warm_up_s: float = WARM_UP_S
    coming_and_going: bool = False
    rate_hz: float = RATE_HZ
    parts: int = 0

    def arguments(self) -> list[str]:
        """The command line that :meth:`parse` reads."""
        given = ["--people", f"{self.people}", "--seconds", f"{self.seconds}", "--device", self.device]
        given += ["--frames", f"{self.frames}", "--warm-up", f"{self.warm_up_s}"]
        given += ["--rate", f"{self.rate_hz}", "--parts", f"{self.parts}"]
        return [*given, *["--coming-and-going"] * self.coming_and_going]

    @classmethod
    def parse(cls, program: str, arguments: Sequence[str] | None) -> StreamRequest:
        """Read the command line of a process that plays a stream; ends it if that is wrong."""
        parser = argparse.ArgumentParser(prog=program, description="Part of social-perception bench.")
        parser.add_argument("--people", type=int, required=True)
        parser.add_argument("--seconds", type=float, required=True)
        parser.add_argument("--device", choices=DEVICES, default="auto")
        parser.add_argument("--frames", type=int, default=FRAMES)
        parser.add_argument("--warm-up", type=float, default=WARM_UP_S)
        parser.add_argument("--coming-and-going", action="store_true")
        parser.add_argument("--rate", type=float, default=RATE_HZ)
        parser.add_argument("--parts", type=int, default=0)
        given = parser.parse_args(arguments)
        loop = (given.frames, given.warm_up, given.coming_and_going, given.rate, given.parts)
        return cls(given.people, given.seconds, given.device, *loop)


class _Answers:
    """When something was told of each image; a few bytes each, so that hours do not look like a leak."""

    def __init__(self) -> None:
        self._stamps_ns, self._times_ns, self._people = array("q"), array("q"), array("H")
        self.disordered = 0

    def __len__(self) -> int:
        return len(self._stamps_ns)

    @property
    def newest_ns(self) -> int:
        return self._stamps_ns[-1] if self._stamps_ns else -1

    def add(self, stamp_ns: int, now_ns: int, people: int) -> None:
        """Note an answer, if it is the first for its image; those to older images are only counted."""
        self.disordered += stamp_ns < self.newest_ns
        if stamp_ns > self.newest_ns:
            self._people.append(people)
            self._times_ns.append(now_ns)
            self._stamps_ns.append(stamp_ns)

    def of(self, sent_ns: Sequence[int]) -> tuple[npt.NDArray[np.int64], ...]:
        """The delays in ns, the numbers of people and the stamps of the images sent that were answered."""
        stamps_ns = np.array(self._stamps_ns, np.int64)
        known = np.isin(stamps_ns, np.array(sent_ns, np.int64))
        delays_ns = np.array(self._times_ns, np.int64)[known] - stamps_ns[known]
        return delays_ns, np.array(self._people, np.int64)[known], stamps_ns[known]

    def last(self, count: int) -> npt.NDArray[np.int64]:
        """The delays in ns of the newest answers."""
        newest = slice(len(self._stamps_ns) - count, None)
        return np.array(self._times_ns[newest], np.int64) - np.array(self._stamps_ns[newest], np.int64)


class Record:
    """Who sends notes the stamps; who listens notes what is said of them. Times are ns of one clock.

    One thread may send while another listens.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything, after the warm-up."""
        self._sent = array("q")
        self._faces, self._groups = _Answers(), _Answers()
        self.ids = IdBook(FORGOTTEN_S)
        self._told = 0

    def sent(self, stamp_ns: int) -> None:
        """An image with this stamp is about to be sent."""
        self._sent.append(stamp_ns)

    def faces(self, stamp_ns: int, now_ns: int, ids: Sequence[str]) -> None:
        """The faces of the image with this stamp were told."""
        self.ids.note(max(stamp_ns, self.newest_ns), ids)
        self._faces.add(stamp_ns, now_ns, len(ids))

    def group(self, stamp_ns: int, now_ns: int, people: int) -> None:
        """The group was told, with the image of this stamp as its newest."""
        self._groups.add(stamp_ns, now_ns, people)

    @property
    def people(self) -> int:
        """How many different ids were told so far."""
        return len(self.ids)

    @property
    def answered(self) -> int:
        """Images answered so far."""
        return len(self._faces)

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest image answered; -1 before the first."""
        return self._faces.newest_ns

    def sent_before(self, time_ns: int) -> int:
        """How many images were sent before a time."""
        return bisect.bisect_left(self._sent, time_ns)

    def news(self) -> str:
        """What happened since this was asked last, in a line."""
        self._told, count = len(self._faces), len(self._faces) - self._told
        delays = latency(self._faces.last(count)) if count else None
        p95 = "none" if delays is None else f"{delays.p95_ms:.0f} ms"
        answered = f"{self.answered} of {len(self._sent)} images answered"
        return f"{answered}, 95 % of the last {count} within {p95}, {self.people} ids"

    def course(
        self,
        request: StreamRequest,
        seconds: float,
        *,
        trends: tuple[Trend, ...],
        depths: tuple[Depth, ...],
        flow: Flow,
        outdated: int | None = None,
    ) -> Course:
        """How the stream went, which took so long; the rest was seen by others."""
        delays_ns, _, stamps_ns = self._faces.of(self._sent)
        some = len(delays_ns) > 0
        return Course(
            trends,
            ends(stamps_ns, delays_ns, request.parts),
            depths,
            self.ids.reused,
            self.ids.longest_gap_s,
            self._faces.disordered,
            outdated,
            float(delays_ns.max() / 1e6) if some else None,
            float(delays_ns.sum() * 1e-9 / seconds) if some else None,
            flow,
        )

    def figures(
        self, way: str, request: StreamRequest, seconds: float, pipeline: Usage | None, sender: Usage | None
    ) -> Stream:
        """The figures of all images sent; seconds is for how long that went on."""
        delays_ns, people, _ = self._faces.of(self._sent)
        sent, answered = len(self._sent), len(delays_ns)
        return Stream(
            way=way,
            device=request.device,
            people=request.people,
            seconds=seconds,
            sent=sent,
            answered=answered,
            per_second=answered / seconds,
            unprocessed=1.0 - answered / sent if sent else None,
            faces=float(np.median(people)) if answered else None,
            ids=len(self.ids),
            to_faces=latency(delays_ns),
            to_group=latency(self._groups.of(self._sent)[0]),
            pipeline=pipeline,
            sender=sender,
        )


def latency(delays_ns: npt.NDArray[np.int64]) -> Latency | None:
    """The quantiles of delays in ns; None of none."""
    if not len(delays_ns):
        return None
    median, p95, p99 = np.percentile(delays_ns / 1e6, [50, 95, 99]).tolist()
    return Latency(median, p95, p99, len(delays_ns))


class Pace:
    """When the next image is due.

    Args:
        rate_hz: images per second.
        begun_s: time of the first.
        number: of the first.
    """

    def __init__(self, rate_hz: float, begun_s: float, number: int = 0) -> None:
        self.rate_hz, self._begun_s, self._first = rate_hz, begun_s, number
        self.number = number

    def wait_s(self, now_s: float) -> float:
        """Time in s until the next image is due; counts it as taken. One that is late is due at once."""
        due_s = self._begun_s + (self.number - self._first) / self.rate_hz
        self.number += 1
        return max(0.0, due_s - now_s)
