"""Records a paced stream, with and without ROS, and computes its figures."""

from __future__ import annotations

import argparse
import bisect
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.core.config import DEVICES, TrackingConfig
from social_perception.research.benchmarks.image_loop import FRAMES
from social_perception.research.benchmarks.report import Latency, Stream, Usage
from social_perception.research.benchmarks.stability import (
    Flow,
    IdHistory,
    QueueDepth,
    Stability,
    Trend,
    delay_change,
)
from social_perception.sources.sample import RATE_HZ

TOPICS, NO_ROS = "topics", "no ROS"
WARM_UP_S = 4.0
START_S = 90.0
"""Timeout of the first detection: a slow machine needs seconds for its first search."""

PROGRESS_S = 60.0

ID_EXPIRY_S = TrackingConfig().max_lost_s + 2.0
"""A search that started while a lost track was kept may still find its face: on a busy machine it takes up
to two seconds. Absences in the loop take five.
"""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """The parameters of a stream, passed as arguments to the process that plays it.

    Attributes:
        people: number of people, 1 to 16.
        seconds: duration of the measurement.
        device: the setting ``device`` of detector and network.
        frames: images of the loop.
        warm_up_s: duration of the warm-up before the measurement.
        coming_and_going: whether people leave and return.
        rate_hz: images per second.
        parts: number of parts of the measurement, to compare the first with the last; 0: stability is not
            measured.
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
        """Return the command line for :meth:`parse`."""
        arguments = ["--people", f"{self.people}", "--seconds", f"{self.seconds}", "--device", self.device]
        arguments += ["--frames", f"{self.frames}", "--warm-up", f"{self.warm_up_s}"]
        arguments += ["--rate", f"{self.rate_hz}", "--parts", f"{self.parts}"]
        return [*arguments, *["--coming-and-going"] * self.coming_and_going]

    @classmethod
    def parse(cls, program: str, arguments: Sequence[str] | None) -> StreamRequest:
        """Parse the command line of a process that plays a stream; exits if it is invalid."""
        parser = argparse.ArgumentParser(prog=program, description="Part of social-perception bench.")
        parser.add_argument("--people", type=int, required=True)
        parser.add_argument("--seconds", type=float, required=True)
        parser.add_argument("--device", choices=DEVICES, default="auto")
        parser.add_argument("--frames", type=int, default=FRAMES)
        parser.add_argument("--warm-up", type=float, default=WARM_UP_S)
        parser.add_argument("--coming-and-going", action="store_true")
        parser.add_argument("--rate", type=float, default=RATE_HZ)
        parser.add_argument("--parts", type=int, default=0)
        options = parser.parse_args(arguments)
        loop = (options.frames, options.warm_up, options.coming_and_going, options.rate, options.parts)
        return cls(options.people, options.seconds, options.device, *loop)


class _Results:
    """The time of each image's result; a few bytes each, so that hours do not look like a leak."""

    def __init__(self) -> None:
        self._stamps_ns, self._times_ns, self._people = array("q"), array("q"), array("H")
        self.disordered = 0

    def __len__(self) -> int:
        return len(self._stamps_ns)

    @property
    def newest_ns(self) -> int:
        return self._stamps_ns[-1] if self._stamps_ns else -1

    def add(self, stamp_ns: int, now_ns: int, people: int) -> None:
        """Add a result if it is the first of its image; results of older images are only counted."""
        self.disordered += stamp_ns < self.newest_ns
        if stamp_ns > self.newest_ns:
            self._people.append(people)
            self._times_ns.append(now_ns)
            self._stamps_ns.append(stamp_ns)

    def of_images(self, sent_ns: Sequence[int]) -> tuple[npt.NDArray[np.int64], ...]:
        """Return delays in ns, numbers of people and stamps (N,) of the answered images among those sent."""
        stamps_ns = np.array(self._stamps_ns, np.int64)
        known = np.isin(stamps_ns, np.array(sent_ns, np.int64))
        delays_ns = np.array(self._times_ns, np.int64)[known] - stamps_ns[known]
        return delays_ns, np.array(self._people, np.int64)[known], stamps_ns[known]

    def last(self, count: int) -> npt.NDArray[np.int64]:
        """Return the delays in ns of the newest results."""
        newest = slice(len(self._stamps_ns) - count, None)
        return np.array(self._times_ns[newest], np.int64) - np.array(self._stamps_ns[newest], np.int64)


class Record:
    """Records the stamps of sent images and the times of their results, in ns of one clock.

    One thread may record sent images while another records results.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Discard everything recorded, after the warm-up."""
        self._sent = array("q")
        self._faces, self._groups = _Results(), _Results()
        self.ids = IdHistory(ID_EXPIRY_S)
        self._progress_count = 0

    def sent(self, stamp_ns: int) -> None:
        """Record an image that is about to be sent."""
        self._sent.append(stamp_ns)

    def faces(self, stamp_ns: int, now_ns: int, ids: Sequence[str]) -> None:
        """Record the faces reported for the image with this stamp."""
        self.ids.add(max(stamp_ns, self.newest_ns), ids)
        self._faces.add(stamp_ns, now_ns, len(ids))

    def group(self, stamp_ns: int, now_ns: int, people: int) -> None:
        """Record the group reported with the stamp of its newest image."""
        self._groups.add(stamp_ns, now_ns, people)

    @property
    def people(self) -> int:
        """Number of different ids so far."""
        return len(self.ids)

    @property
    def answered(self) -> int:
        """Number of answered images so far."""
        return len(self._faces)

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest answered image; -1 before the first."""
        return self._faces.newest_ns

    def sent_before(self, time_ns: int) -> int:
        """Return the number of images sent before a time."""
        return bisect.bisect_left(self._sent, time_ns)

    def progress(self) -> str:
        """Format the progress since the last call."""
        self._progress_count, count = len(self._faces), len(self._faces) - self._progress_count
        delays = latency(self._faces.last(count)) if count else None
        p95 = "none" if delays is None else f"{delays.p95_ms:.0f} ms"
        answered = f"{self.answered} of {len(self._sent)} images answered"
        return f"{answered}, 95 % of the last {count} within {p95}, {self.people} ids"

    def stability(
        self,
        request: StreamRequest,
        seconds: float,
        *,
        trends: tuple[Trend, ...],
        depths: tuple[QueueDepth, ...],
        flow: Flow,
        outdated: int | None = None,
    ) -> Stability:
        """Return the stability of a stream of this duration; the other arguments were measured elsewhere."""
        delays_ns, _, stamps_ns = self._faces.of_images(self._sent)
        any_results = len(delays_ns) > 0
        return Stability(
            trends,
            delay_change(stamps_ns, delays_ns, request.parts),
            depths,
            self.ids.reused,
            self.ids.longest_gap_s,
            self._faces.disordered,
            outdated,
            float(delays_ns.max() / 1e6) if any_results else None,
            float(delays_ns.sum() * 1e-9 / seconds) if any_results else None,
            flow,
        )

    def figures(
        self, mode: str, request: StreamRequest, seconds: float, pipeline: Usage | None, sender: Usage | None
    ) -> Stream:
        """Return the figures of all sent images; ``seconds`` is the duration of the stream."""
        delays_ns, people, _ = self._faces.of_images(self._sent)
        sent, answered = len(self._sent), len(delays_ns)
        return Stream(
            mode=mode,
            device=request.device,
            people=request.people,
            seconds=seconds,
            sent=sent,
            answered=answered,
            per_second=answered / seconds,
            dropped_share=1.0 - answered / sent if sent else None,
            faces=float(np.median(people)) if answered else None,
            ids=len(self.ids),
            to_faces=latency(delays_ns),
            to_group=latency(self._groups.of_images(self._sent)[0]),
            pipeline=pipeline,
            sender=sender,
        )


def latency(delays_ns: npt.NDArray[np.int64]) -> Latency | None:
    """Return the quantiles of delays (N,) in ns; None for N = 0."""
    if not len(delays_ns):
        return None
    median, p95, p99 = np.percentile(delays_ns / 1e6, [50, 95, 99]).tolist()
    return Latency(median, p95, p99, len(delays_ns))


class Pace:
    """A schedule of images at a constant rate.

    Args:
        rate_hz: images per second.
        start_s: time of the first image.
        number: number of the first image.
    """

    def __init__(self, rate_hz: float, start_s: float, number: int = 0) -> None:
        self.rate_hz, self._start_s, self._first = rate_hz, start_s, number
        self.number = number

    def wait_s(self, now_s: float) -> float:
        """Return the time in s until the next image is due, and advance; a late image is due immediately."""
        due_s = self._start_s + (self.number - self._first) / self.rate_hz
        self.number += 1
        return max(0.0, due_s - now_s)
