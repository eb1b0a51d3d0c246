"""A target: what takes bytes or structures from outside, and what it promises whatever they are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from social_perception.core.errors import SocialPerceptionError


class BrokenPromiseError(AssertionError):
    """What came out is none of what is promised."""


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        promise: what comes out of any input, as a sentence.
        run: takes an input; raises a SocialPerceptionError where it is refused, and nothing else.
        seeds: makes valid inputs, from which the others are bred; they come from this program alone.
        max_bytes: of the longest input tried.
        limit_s: processor time in s that an input may take.
        memory_mb: what the process may grow by; a length that is merely announced must not exceed it.
        check: the hypothesis test that a property is; None for targets that take bytes.
    """

    promise: str
    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    max_bytes: int = 4096
    limit_s: float = 5.0
    memory_mb: int = 512
    check: Callable[[], None] | None = None


def try_input(target: Target, data: bytes) -> bool:
    """Run a target on an input; return whether it was taken rather than refused.

    Raises:
        BrokenPromiseError: the refusal is not one line of a length that can be read.
        Exception: whatever else comes out is a finding.
    """
    try:
        target.run(data)
    except SocialPerceptionError as error:
        check_text(error)
        return False
    return True


def check_text(error: SocialPerceptionError) -> None:
    """Check that a refusal is one line of a length that can be read."""
    text = str(error)
    if not text or "\n" in text or len(text) > 2000:
        raise BrokenPromiseError(f"the error's text is not one line: {text[:200]!r}") from error


def may_refuse(check: Any) -> Any:
    """A property for which a SocialPerceptionError is a right answer, too."""

    @functools.wraps(check)
    def wrapped(*arguments: Any, **named: Any) -> None:
        try:
            check(*arguments, **named)
        except SocialPerceptionError as error:
            check_text(error)

    return wrapped


def promise(kept: bool, text: str) -> None:
    """Raise BrokenPromiseError with the text unless the promise is kept."""
    if not kept:
        raise BrokenPromiseError(text)


@contextmanager
def lowered(module: Any, name: str, value: int) -> Iterator[None]:
    """Set a limit of a module for a while, so that what passes it shows at once and costs little."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


PROPERTY = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
"""Of the properties: the same examples in every run of the tests; the long run finds its own."""


def of_property(text: str, check: Any, **limits: Any) -> Target:
    """The target of a hypothesis test: the input is what its choices are made by."""

    def run(data: bytes) -> object:
        return check.hypothesis.fuzz_one_input(data)

    return Target(text, run, _noise, check=check, **limits)


def _noise() -> list[bytes]:
    pattern = bytes(range(256))
    return [bytes(64), pattern, pattern[::-1] * 4, b"\x01" * 512, bytes(i * 37 % 251 for i in range(2048))]
