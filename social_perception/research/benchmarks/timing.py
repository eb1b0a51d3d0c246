"""Measures several calls interleaved, so that other load on the machine affects all of them equally."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from social_perception.core.errors import SocialPerceptionError
from social_perception.research.benchmarks.report import Side


@dataclass(frozen=True, slots=True)
class Candidate:
    """One side of a comparison: its name, the call, and the device to synchronize with."""

    name: str
    call: Callable[[], object]
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Effort:
    """The effort per side.

    Attributes:
        rounds: number of rounds.
        slice_s: duration in s for which a side is called per round; at least one call.
        budget_s: time in s after which a side is not called any more. If the first call, the warm-up, uses
            it up, that call is the measurement.
        limit_s: calls expected to take longer than this, in s, are skipped.
    """

    rounds: int = 5
    slice_s: float = 0.3
    budget_s: float = 8.0
    limit_s: float = 20.0


QUICK = Effort(rounds=2, slice_s=0.02, budget_s=0.5, limit_s=6.0)


@dataclass(slots=True)
class _Measured:
    """The measurements of one side; a time per call for every round."""

    times_s: list[float] = field(default_factory=list)
    calls: int = 0
    spent_s: float = 0.0
    failure: str = ""


def synchronize(device: str) -> None:
    """Wait for the pending work of a GPU; does nothing on a CPU."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def measure_interleaved(
    candidates: Sequence[Candidate], effort: Effort, clock: Callable[[], float] = time.perf_counter
) -> tuple[Side, ...]:
    """Measure all candidates interleaved, after one warm-up call each.

    A candidate that fails (SocialPerceptionError) becomes a side without values and with the reason.

    Args:
        candidates: the calls to measure.
        effort: rounds and time limits.
        clock: monotonic clock in s.
    """
    all_measured = [_Measured() for _ in candidates]
    for candidate, measured in zip(candidates, all_measured):
        _measure_round(candidate, measured, 0.0, clock)
        if measured.spent_s < effort.budget_s:
            measured.times_s, measured.calls = [], 0
    for _ in range(effort.rounds):
        for candidate, measured in zip(candidates, all_measured):
            if not measured.failure and (not measured.times_s or measured.spent_s < effort.budget_s):
                _measure_round(candidate, measured, effort.slice_s, clock)
    return tuple(_side(candidate.name, measured) for candidate, measured in zip(candidates, all_measured))


def _measure_round(
    candidate: Candidate, measured: _Measured, slice_s: float, clock: Callable[[], float]
) -> None:
    start_s, calls, passed_s = clock(), 0, 0.0
    try:
        while not calls or passed_s < slice_s:
            candidate.call()
            synchronize(candidate.device)
            calls += 1
            passed_s = clock() - start_s
    except SocialPerceptionError as error:
        measured.failure = str(error)
        return
    measured.times_s.append(passed_s / calls)
    measured.calls += calls
    measured.spent_s += passed_s


def _side(name: str, measured: _Measured) -> Side:
    if measured.failure:
        return Side.missing(name, measured.failure)
    median_s = statistics.median(measured.times_s)
    return Side(name, median_s, 1.0 / median_s, min(measured.times_s), max(measured.times_s), measured.calls)
