"""Takes times in turns, so that whatever else the machine does meets all sides alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from social_perception.core.errors import SocialPerceptionError
from social_perception.research.benchmarks.report import Side


@dataclass(frozen=True, slots=True)
class Contender:
    """One side of a comparison: its name, one call of it, and the device that must then have finished."""

    name: str
    call: Callable[[], object]
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is spent on a side.

    Attributes:
        rounds: how often everybody's turn comes.
        slice_s: for how long a side is called in its turn, in s; at least once.
        budget_s: time in s after which a side gets no further turn. One whose first call, the
            warm-up, has used it up is measured by that call.
        limit_s: calls expected to take longer than this, in s, are left out.
    """

    rounds: int = 5
    slice_s: float = 0.3
    budget_s: float = 8.0
    limit_s: float = 20.0


QUICK = Effort(rounds=2, slice_s=0.02, budget_s=0.5, limit_s=6.0)


@dataclass(slots=True)
class _Turns:
    """What was measured of one side; a time per call for every turn."""

    times_s: list[float] = field(default_factory=list)
    calls: int = 0
    spent_s: float = 0.0
    failure: str = ""


def finish(device: str) -> None:
    """Wait until a GPU has done what it was given; nothing to wait for on a CPU."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def interleaved(
    contenders: Sequence[Contender], effort: Effort, clock: Callable[[], float] = time.perf_counter
) -> tuple[Side, ...]:
    """Measure all contenders in turns; each gets one call to warm up first.

    A contender that fails (SocialPerceptionError) is a side without figures and with the reason.
    """
    turns = [_Turns() for _ in contenders]
    for contender, mine in zip(contenders, turns):
        _take_turn(contender, mine, 0.0, clock)
        if mine.spent_s < effort.budget_s:
            mine.times_s, mine.calls = [], 0
    for _ in range(effort.rounds):
        for contender, mine in zip(contenders, turns):
            if not mine.failure and (not mine.times_s or mine.spent_s < effort.budget_s):
                _take_turn(contender, mine, effort.slice_s, clock)
    return tuple(_side(contender.name, mine) for contender, mine in zip(contenders, turns))


def _take_turn(contender: Contender, mine: _Turns, slice_s: float, clock: Callable[[], float]) -> None:
    begun_s, calls, passed_s = clock(), 0, 0.0
    try:
        while not calls or passed_s < slice_s:
            contender.call()
            finish(contender.device)
            calls += 1
            passed_s = clock() - begun_s
    except SocialPerceptionError as error:
        mine.failure = str(error)
        return
    mine.times_s.append(passed_s / calls)
    mine.calls += calls
    mine.spent_s += passed_s


def _side(name: str, mine: _Turns) -> Side:
    if mine.failure:
        return Side.missing(name, mine.failure)
    median_s = statistics.median(mine.times_s)
    return Side(name, median_s, 1.0 / median_s, min(mine.times_s), max(mine.times_s), mine.calls)
