"""A yes or no that does not flicker: two thresholds, and a time for which each must hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

from social_perception.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """When a value counts as a yes, and when no more.

    ``on`` is the threshold from which a value is high, ``off`` the one below which it is low again;
    between the two it stays what it was. A yes needs a high value for ``on_dwell_s``, a no a low one
    for ``off_dwell_s``. After more than ``max_gap_s`` without a value it begins anew, at no: nobody
    has seen what was in between.
    """

    on: float
    off: float
    on_dwell_s: float = 0.0
    off_dwell_s: float = 0.0
    max_gap_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("on", "off"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigurationError(f"{name} must be finite, got {getattr(self, name)}")
        if self.off > self.on:
            raise ConfigurationError(f"off must not be above on ({self.on:g}), got {self.off:g}")
        for name in ("on_dwell_s", "off_dwell_s", "max_gap_s"):
            if not getattr(self, name) >= 0.0:  # nor NaN
                raise ConfigurationError(f"{name} must not be negative, got {getattr(self, name)}")


class Switch:
    """Applies a hysteresis to a row of values; times in s, of one clock."""

    def __init__(self, hysteresis: Hysteresis) -> None:
        self.hysteresis = hysteresis
        self.reset()

    def reset(self) -> None:
        """Go to no, as if no value had ever come."""
        self._is_on = False
        self._is_high = False
        self._changed_s = math.nan
        self._last_s = math.nan

    @property
    def is_on(self) -> bool:
        """The answer as of the last value."""
        return self._is_on

    @property
    def held_s(self) -> float:
        """Time in s for which the value had been high, or low, when the last one came."""
        return self._last_s - self._changed_s

    def update(self, value: float, time_s: float) -> bool:
        """Take in a value and return the answer. An unknown value (NaN) or a time that goes back resets."""
        gap_s = time_s - self._last_s
        if math.isnan(value) or not 0.0 <= gap_s <= self.hysteresis.max_gap_s:
            self.reset()
        if math.isnan(value):
            return False
        first = math.isnan(self._last_s)
        was_high = self._is_high
        self._is_high = value >= (self.hysteresis.off if was_high else self.hysteresis.on)
        if first or self._is_high != was_high:
            self._changed_s = time_s
        self._last_s = time_s
        dwell_s = self.hysteresis.on_dwell_s if self._is_high else self.hysteresis.off_dwell_s
        # Stamps are sums of floats: a dwell that is met but for a rounding error is met.
        if self._is_high != self._is_on and self.held_s >= dwell_s - 1e-6:
            self._is_on = self._is_high
        return self._is_on
