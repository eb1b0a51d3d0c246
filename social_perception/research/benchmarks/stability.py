"""Measurements of a long stream over time: trends, delays, queue depths, ids, and image counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

PYTHON = "Python's memory"
HEAPS = "C library heaps"

_BLOCKS = 10
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Trend:
    """The trend of a quantity that should stay constant.

    Attributes:
        name: name of the quantity.
        unit: its unit.
        start: value at the first measured image.
        end: value at the last measured image.
        slope_per_min: least-squares slope of the second half; None: the series is too short.
        low: lower limit of the 95 % confidence interval of the slope.
        high: upper limit.
    """

    name: str
    unit: str
    start: float
    end: float
    slope_per_min: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class DelayChange:
    """The delays at the start and at the end of the measurement.

    Attributes:
        parts: number of equal parts of the measurement.
        first_p95_ms: 95th percentile of the delay in the first part.
        last_p95_ms: 95th percentile of the delay in the last part.
        images: smaller number of answered images of both parts.
    """

    parts: int
    first_p95_ms: float
    last_p95_ms: float
    images: int

    @property
    def ratio(self) -> float:
        """Last / first."""
        return self.last_p95_ms / self.first_p95_ms


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The observed maximum length of a queue, and its allowed maximum."""

    queue: str
    maximum: int
    bound: int


@dataclass(frozen=True, slots=True)
class Step:
    """The message counters of one pipeline step, as reported by the step.

    Attributes:
        name: name of the node or step.
        received: received messages.
        processed: received messages that were processed.
        dropped: received messages that a newer one replaced before processing.
        lost: messages that were not received.
        waiting: received messages that are not yet processed.
    """

    name: str
    received: int
    processed: int
    dropped: int
    lost: int
    waiting: int = 0

    def since(self, before: Step) -> Step:
        """Return the difference to an earlier report of the same step."""
        return Step(
            self.name,
            self.received - before.received,
            self.processed - before.processed,
            self.dropped - before.dropped,
            self.lost - before.lost,
            self.waiting,
        )

    @property
    def failed(self) -> int:
        """Received messages that were neither processed nor dropped."""
        return self.received - self.processed - self.dropped - self.waiting


@dataclass(frozen=True, slots=True)
class Flow:
    """The counts of all images on their path through the pipeline steps.

    Attributes:
        sent: images sent.
        steps: counters of the steps in pipeline order; each step forwards what it processed.
        not_received: results that the benchmark did not receive, by gaps in their sequence.
        answered: images whose result was received.
        warned_after_s: time from the first image to the first warning on /diagnostics that a node falls
            behind; None: no warning.
        warned_at_end: whether the last report was a warning.
        warning: message of the warning.
    """

    sent: int
    steps: tuple[Step, ...]
    not_received: int
    answered: int
    warned_after_s: float | None = None
    warned_at_end: bool = False
    warning: str = ""

    @property
    def dropped(self) -> int:
        """Messages dropped at all steps."""
        return sum(step.dropped for step in self.steps)

    @property
    def lost(self) -> int:
        """Messages lost at all steps."""
        return sum(step.lost for step in self.steps)

    @property
    def failed(self) -> int:
        """Messages that failed at all steps."""
        return sum(step.failed for step in self.steps)

    @property
    def unaccounted(self) -> int:
        """Images that are missing in the counts, or counted twice."""
        difference, forwarded = 0, self.sent
        for step in self.steps:
            difference += abs(forwarded - step.received - step.lost) + step.waiting + max(0, -step.failed)
            forwarded = step.processed
        return difference + abs(forwarded - self.not_received - self.answered)


@dataclass(frozen=True, slots=True)
class Stability:
    """The behavior of a stream over time.

    Attributes:
        trends: trends of memory use.
        delay_change: delays at the start and at the end; None: too few results.
        depths: queue lengths.
        reused: ids reported again after they had expired.
        longest_gap_s: for which an id was not reported and then came back.
        disordered: results for an image older than that of an earlier result.
        outdated: images processed although a newer one was available; None: unknown.
        oldest_ms: age of the oldest result.
        in_flight: mean number of images in the pipeline: results per second times their mean age (Little's
            law).
        flow: counts of the images.
    """

    trends: tuple[Trend, ...]
    delay_change: DelayChange | None
    depths: tuple[QueueDepth, ...]
    reused: int
    longest_gap_s: float
    disordered: int
    outdated: int | None
    oldest_ms: float | None
    in_flight: float | None
    flow: Flow


def trend(name: str, unit: str, times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Compute the trend of a time series.

    The slope is that of the second half, because caches fill and allocators reserve memory at first. Nearby
    samples are correlated: the line is fitted to the means of ten blocks, and the interval is Student's
    for these ten.

    Args:
        name: name of the quantity.
        unit: its unit.
        times_s: (N,) increasing times in s, N >= 1.
        values: (N,) values at these times.
    """
    times, series = np.array(times_s, float), np.array(values, float)
    late = times >= (times[0] + times[-1]) / 2.0
    minutes, late_values = times[late] / 60.0, series[late]
    if len(minutes) < 2 * _BLOCKS:
        return Trend(name, unit, float(series[0]), float(series[-1]))
    blocks = [[part.mean() for part in np.array_split(each, _BLOCKS)] for each in (minutes, late_values)]
    line = stats.linregress(*blocks)
    half = float(stats.t.ppf((1.0 + _CONFIDENCE) / 2.0, _BLOCKS - 2) * line.stderr)
    slope = float(line.slope)
    return Trend(name, unit, float(series[0]), float(series[-1]), slope, slope - half, slope + half)


_MIN_IMAGES = 60
"""Minimum number of images for a 95th percentile."""


def delay_change(
    stamps_ns: npt.NDArray[np.int64], delays_ns: npt.NDArray[np.int64], parts: int
) -> DelayChange | None:
    """Compare the delays (N,) of the first and the last part of the measurement; None: too few images."""
    if not len(stamps_ns):
        return None
    span = (stamps_ns[-1] - stamps_ns[0]) / parts
    first, last = delays_ns[stamps_ns <= stamps_ns[0] + span], delays_ns[stamps_ns >= stamps_ns[-1] - span]
    images = min(len(first), len(last))
    if images < _MIN_IMAGES:
        return None
    first_p95_ms, last_p95_ms = (float(np.percentile(part, 95) / 1e6) for part in (first, last))
    return DelayChange(parts, first_p95_ms, last_p95_ms, images)


class IdHistory:
    """Records when ids were reported, and counts those that were reported again after they expired.

    Args:
        expiry_s: an id that was not reported for longer must not be reported again.
    """

    def __init__(self, expiry_s: float) -> None:
        self._expiry_s = expiry_s
        self._reported_ns: dict[str, int] = {}
        self.reused = 0
        self.longest_gap_s = 0.0

    def __len__(self) -> int:
        return len(self._reported_ns)

    def add(self, stamp_ns: int, ids: Sequence[str]) -> None:
        """Add the ids reported for an image; images come in the order of their stamps."""
        for each in ids:
            gap_s = (stamp_ns - self._reported_ns.get(each, stamp_ns)) * 1e-9
            self.reused += gap_s > self._expiry_s
            self.longest_gap_s = max(self.longest_gap_s, gap_s)
            self._reported_ns[each] = stamp_ns
