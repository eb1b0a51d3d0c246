"""What is noted of a long stream beside its mean figures: how they went over time, and each image's fate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

_BLOCKS = 10
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Trend:
    """How something that should stay as it is went.

    Attributes:
        name: what it is.
        unit: its unit.
        start: at the first image measured.
        end: at the last.
        slope_per_min: of the second half, by least squares; None: too short to say.
        low: lower end of the slope's confidence interval (95 %).
        high: its upper end.
    """

    name: str
    unit: str
    start: float
    end: float
    slope_per_min: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """The delay at the beginning and at the end of the time measured.

    Attributes:
        parts: into so many equal parts the time was divided.
        first_p95_ms: 95 % of the images of the first part were answered within this time.
        last_p95_ms: the same of the last part.
        images: answered in the part with fewer of them.
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
class Depth:
    """What waited at one place: the most that was seen there, and what may wait there at most."""

    place: str
    most: int
    bound: int


@dataclass(frozen=True, slots=True)
class Step:
    """The messages that one step accounts for, as it says itself.

    Attributes:
        name: of the node, or of what stands for it.
        received: that arrived.
        processed: of these, worked on.
        dropped: of these, replaced by a newer one before.
        lost: that did not arrive.
        waiting: of those that arrived, not yet worked on.
    """

    name: str
    received: int
    processed: int
    dropped: int
    lost: int
    waiting: int = 0

    def since(self, before: Step) -> Step:
        """What was added since an earlier report of the same step."""
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
        """Messages that arrived and came to nothing else."""
        return self.received - self.processed - self.dropped - self.waiting


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of every image: each step passes on to the next what it has processed.

    Attributes:
        sent: images sent.
        steps: in the order of the way.
        unheard: answers that did not reach the benchmark itself, counted by their numbers.
        answered: images whose answer did.
        warned_after_s: from the first image to the first warning on /diagnostics that a node falls behind;
            None: there was none.
        warned_at_end: whether the last report before the end still said so.
        warning: its words.
    """

    sent: int
    steps: tuple[Step, ...]
    unheard: int
    answered: int
    warned_after_s: float | None = None
    warned_at_end: bool = False
    warning: str = ""

    @property
    def dropped(self) -> int:
        """Replaced by a newer one, at any step."""
        return sum(step.dropped for step in self.steps)

    @property
    def lost(self) -> int:
        """Not arrived, at any step."""
        return sum(step.lost for step in self.steps)

    @property
    def failed(self) -> int:
        """Arrived and neither processed nor dropped."""
        return sum(step.failed for step in self.steps)

    @property
    def unaccounted(self) -> int:
        """Images of which nobody says what became of them, or of which too many say it."""
        wrong, given = 0, self.sent
        for step in self.steps:
            wrong += abs(given - step.received - step.lost) + step.waiting + max(0, -step.failed)
            given = step.processed
        return wrong + abs(given - self.unheard - self.answered)


@dataclass(frozen=True, slots=True)
class Course:
    """How a stream went over time.

    Attributes:
        trends: of memory and of what is in it.
        ends: the delays at the beginning and at the end; None: too few answers.
        depths: what waited, place by place.
        reused: ids that came back after they had been gone for too long.
        longest_gap_s: for which an id was not told and then came back.
        disordered: answers to an image older than one answered before.
        outdated: images taken although a newer one was there; None: cannot be seen from outside.
        oldest_ms: age of the oldest answer.
        under_way: mean number of images under way: answers per second times their mean age (Little's law).
        flow: what became of the images.
    """

    trends: tuple[Trend, ...]
    ends: Ends | None
    depths: tuple[Depth, ...]
    reused: int
    longest_gap_s: float
    disordered: int
    outdated: int | None
    oldest_ms: float | None
    under_way: float | None
    flow: Flow


def trend(name: str, unit: str, times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Follow a value over time.

    The slope is that of the second half, because at first caches fill and allocators take what they will
    keep. What lies near in time is alike, so that single samples would promise more than they know: the
    line is fitted to the means of ten blocks, and the interval is Student's for these ten.

    Args:
        name: of the value.
        unit: of the value.
        times_s: in s, growing.
        values: at these times; at least one.
    """
    times, found = np.array(times_s, float), np.array(values, float)
    late = times >= (times[0] + times[-1]) / 2.0
    minutes, found_late = times[late] / 60.0, found[late]
    if len(minutes) < 2 * _BLOCKS:
        return Trend(name, unit, float(found[0]), float(found[-1]))
    blocks = [[part.mean() for part in np.array_split(series, _BLOCKS)] for series in (minutes, found_late)]
    line = stats.linregress(*blocks)
    half = float(stats.t.ppf((1.0 + _CONFIDENCE) / 2.0, _BLOCKS - 2) * line.stderr)
    slope = float(line.slope)
    return Trend(name, unit, float(found[0]), float(found[-1]), slope, slope - half, slope + half)


_FEWEST_IMAGES = 60
"""A 95th percentile of fewer says nothing."""


def ends(stamps_ns: npt.NDArray[np.int64], delays_ns: npt.NDArray[np.int64], parts: int) -> Ends | None:
    """Compare the delays of the first part of the time with those of the last; None: too few images."""
    if not len(stamps_ns):
        return None
    span = (stamps_ns[-1] - stamps_ns[0]) / parts
    first, last = delays_ns[stamps_ns <= stamps_ns[0] + span], delays_ns[stamps_ns >= stamps_ns[-1] - span]
    images = min(len(first), len(last))
    if images < _FEWEST_IMAGES:
        return None
    first_p95_ms, last_p95_ms = (float(np.percentile(part, 95) / 1e6) for part in (first, last))
    return Ends(parts, first_p95_ms, last_p95_ms, images)


class IdBook:
    """Notes who was told of when, and who came back although gone for too long.

    Args:
        forgotten_s: an id that was not told for longer is never told again.
    """

    def __init__(self, forgotten_s: float) -> None:
        self._forgotten_s = forgotten_s
        self._seen_ns: dict[str, int] = {}
        self.reused = 0
        self.longest_gap_s = 0.0

    def __len__(self) -> int:
        return len(self._seen_ns)

    def note(self, stamp_ns: int, ids: Sequence[str]) -> None:
        """Note the ids told of an image; images come in the order of their stamps."""
        for each in ids:
            gap_s = (stamp_ns - self._seen_ns.get(each, stamp_ns)) * 1e-9
            self.reused += gap_s > self._forgotten_s
            self.longest_gap_s = max(self.longest_gap_s, gap_s)
            self._seen_ns[each] = stamp_ns
