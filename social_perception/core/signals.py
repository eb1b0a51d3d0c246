"""Signals: what an estimator reports of a face, a pair of people, the group or the scene, each declared once.

A signal is a frozen dataclass whose fields are made with :func:`value`; :func:`signal` registers it for
its subject. Table columns, Parquet types, the JSON of the web page, the fields of messages and their
checks, the rows of reports and the help of the command are derived from the declaration.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any, TypeVar

from social_perception.core.errors import MessageError

S = TypeVar("S")

Cell = str | int | float
"""One cell of a table; an empty string is a value that is not known."""

ROUNDING = 1e-3
"""float32 and sums of probabilities may leave a range by this much."""


class Subject(Enum):
    """Whom a signal describes."""

    FACE = "face"
    GROUP = "group"
    PAIR = "pair"
    DYNAMICS = "dynamics"
    SCENE = "scene"


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a signal.

    Attributes:
        name: attribute of the dataclass.
        type: float, int, bool, an IntEnum, or tuple (of texts, or of one float per column).
        label: short name for people.
        unit: for example ``1/s``; empty: none.
        low: smallest value; None: no limit.
        high: largest value; None: no limit.
        unknown: the value that means "unknown"; for a field that is always known its neutral value.
        can_be_unknown: whether the value may be unknown.
        digits: decimals in tables.
        display: format of the value for people, as :func:`format` takes it.
        columns: names of the table columns; empty: not in tables.
        key: name in the web page's JSON; empty: not there.
        message: name in the subject's .msg file.
    """

    name: str
    type: type
    label: str
    unit: str
    low: float | None
    high: float | None
    unknown: Any
    can_be_unknown: bool
    digits: int
    display: str
    columns: tuple[str, ...]
    key: str
    message: str

    @property
    def is_number(self) -> bool:
        """Whether the value is a single number that can be averaged over time."""
        return self.type in (float, int)

    @property
    def bounds(self) -> str:
        """The range as text, for example ``[0, 1]`` or ``[0, inf)``; empty for values without one."""
        if self.low is None and self.high is None:
            return ""
        low = "(-inf" if self.low is None else f"[{self.low:g}"
        return f"{low}, inf)" if self.high is None else f"{low}, {self.high:g}]"

    def is_known(self, value: Any) -> bool:
        """Whether a value differs from the one that means "unknown"."""
        if not self.can_be_unknown:
            return True
        if self.type is tuple:
            return not any(isinstance(each, float) and math.isnan(each) for each in value)
        # The mean of whole numbers is a float, too.
        return not (math.isnan(value) if isinstance(value, float) else value == self.unknown)

    def cells(self, value: Any) -> tuple[Cell, ...]:
        """The value as table cells, one for each of ``columns``; empty where it is unknown."""
        if self.type is tuple and len(self.columns) > 1:
            return tuple(_cell(each, self.digits) for each in value)
        if not self.columns:
            return ()
        if not self.is_known(value):
            return ("",)
        if self.type is tuple:
            return (";".join(value),)
        return (_cell(value, self.digits),)

    def json(self, value: Any) -> Any:
        """The value for JSON; None where it is unknown."""
        if self.type is tuple:
            return [_json_number(each, self.digits) if isinstance(each, float) else each for each in value]
        if not self.is_known(value):
            return None
        if self.type is bool:
            return bool(value)
        return _json_number(value, 4) if self.type is float else int(value)

    def text(self, value: Any) -> str:
        """The value with its unit for people; ``-`` where it is unknown."""
        if not self.is_known(value):
            return "-"
        if self.type is bool:
            return "yes" if value else "no"
        display = self.display or (".2f" if isinstance(value, float) else "")
        shown = format(value, display).replace("%", " %")
        return f"{shown} {self.unit}".rstrip()

    def check(self, value: Any, where: str, *, must_be_known: bool = False) -> None:
        """Check a value that another program sent.

        Args:
            value: as the message has it; a sequence for tuples.
            where: whose value it is, for example ``of face 'anna'``.
            must_be_known: whether the value may not be unknown here.

        Raises:
            MessageError: the value is outside its range.
        """
        if issubclass(self.type, IntEnum):
            if int(value) not in {int(each) for each in self.type}:
                raise MessageError(f"{self.message} {where} must be one of the LEVEL constants, got {value}")
            return
        if self.type is tuple and len(self.columns) > 1:
            for each in value:
                self._check_number(float(each), where, must_be_known)
        elif self.is_number:
            self._check_number(value, where, must_be_known)

    def _check_number(self, value: float, where: str, must_be_known: bool) -> None:
        if math.isnan(value) and self.can_be_unknown and not must_be_known:
            return
        low = -math.inf if self.low is None else self.low - ROUNDING
        high = math.inf if self.high is None else self.high + ROUNDING
        if not (math.isfinite(value) and low <= value <= high):
            rule = f"in {self.bounds}" if self.bounds else "finite"
            raise MessageError(f"{self.message} {where} must be {rule}, got {value:g}")


def _cell(value: Any, digits: int) -> Cell:
    if isinstance(value, float):
        return "" if math.isnan(value) else round(value, digits)
    return int(value)


def _json_number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


_NEUTRAL: dict[type, Any] = {bool: False, int: 0, float: math.nan, tuple: ()}


def value(
    label: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    unknown: Any = None,
    digits: int = 4,
    display: str = "",
    columns: Sequence[str] | None = None,
    key: str | None = None,
    message: str | None = None,
) -> Any:
    """A dataclass field that carries its declaration; see :class:`Field`.

    Args:
        label: short name for people.
        unit: of the value.
        low: smallest value.
        high: largest value.
        unknown: the value that means "unknown"; None: the value is always known.
        digits: decimals in tables.
        display: format for people.
        columns: table columns (default: one of the field's name).
        key: in the web page's JSON (default: the field's name).
        message: name in the .msg file (default: the field's name).
    """
    extras = {"label": label, "unit": unit, "low": low, "high": high, "unknown": unknown, "digits": digits}
    extras |= {"display": display, "columns": columns, "key": key, "message": message}
    return dataclasses.field(metadata={"signal": MappingProxyType(extras)})


@dataclass(frozen=True, slots=True)
class Signal:
    """A declared signal.

    Attributes:
        kind: the dataclass.
        subject: whom it describes.
        fields: its declared values, in order.
        valid: name of the bool field without which the other values don't count; empty: they always do.
    """

    kind: type
    subject: Subject
    fields: tuple[Field, ...]
    valid: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Its table columns."""
        return tuple(column for each in self.fields for column in each.columns)

    def is_known(self, values: Any) -> bool:
        """Whether any of its values is known."""
        return any(each.is_known(getattr(values, each.name)) for each in self.fields)

    def cells(self, values: Any) -> Iterator[Cell]:
        """Its table cells; empty while the signal is not valid."""
        if self.valid and not getattr(values, self.valid):
            values = unknown_of(self.kind)
        for each in self.fields:
            yield from each.cells(getattr(values, each.name))

    def json(self, values: Any) -> dict[str, Any]:
        """Its entries of a JSON object."""
        return {each.key: each.json(getattr(values, each.name)) for each in self.fields if each.key}


_registered: dict[Subject, list[Signal]] = {subject: [] for subject in Subject}


def signal(subject: Subject, *, valid: str = "") -> Callable[[type[S]], type[S]]:
    """Register a dataclass as a signal of a subject; a class decorator above ``@dataclass``.

    Args:
        subject: whom it describes.
        valid: name of the bool field without which the other values don't count.

    Raises:
        ValueError: another signal of the subject has a column, key or message field of that name.
    """

    def register(kind: type[S]) -> type[S]:
        declared = Signal(kind, subject, tuple(_fields(kind)), valid)
        for other in _registered[subject]:
            _refuse_clash(declared, other)
        _registered[subject].append(declared)
        return kind

    return register


def unregister(kind: type) -> None:
    """Remove a signal again, as a test does with its own."""
    for declared in _registered.values():
        declared[:] = [each for each in declared if each.kind is not kind]
    _unknown.cache_clear()


def signals_of(subject: Subject) -> tuple[Signal, ...]:
    """The signals of a subject, in the order of their registration."""
    return tuple(_registered[subject])


def fields_of(subject: Subject, *, without: type | None = None) -> tuple[tuple[Signal, Field], ...]:
    """All declared values of a subject, except those of one signal."""
    return tuple(
        (each, item) for each in _registered[subject] if each.kind is not without for item in each.fields
    )


def declaration(kind: type) -> Signal:
    """The declaration of a signal.

    Raises:
        KeyError: the class is not registered.
    """
    for declared in _registered.values():
        for each in declared:
            if each.kind is kind:
                return each
    raise KeyError(f"{kind.__name__} is not a registered signal")


def unknown_of(kind: type[S]) -> S:
    """The signal of which nothing is known."""
    found: S = _unknown(kind)  # type: ignore[arg-type]
    return found


@functools.cache
def _unknown(kind: type) -> Any:
    return kind(**{each.name: each.unknown for each in declaration(kind).fields})


def _fields(kind: type) -> Iterator[Field]:
    hints = typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        if "signal" not in item.metadata:
            continue
        extras = dict(item.metadata["signal"])
        hint = hints[item.name]
        plain: type = typing.get_origin(hint) or hint
        columns = (item.name,) if extras["columns"] is None else tuple(extras["columns"])
        can_be_unknown = extras["unknown"] is not None
        extras["unknown"] = extras["unknown"] if can_be_unknown else _NEUTRAL.get(plain)
        extras["display"] = extras["display"] or (".2f" if plain is float else "")
        extras["key"] = item.name if extras["key"] is None else extras["key"]
        extras["message"] = extras["message"] or item.name
        extras["columns"] = columns
        yield Field(name=item.name, type=plain, can_be_unknown=can_be_unknown, **extras)


def _refuse_clash(new: Signal, other: Signal) -> None:
    for what in ("columns", "key", "message"):
        names = [_names(each, what) for each in (new, other)]
        for name in names[0] & names[1]:
            raise ValueError(f"{what} of {new.kind.__name__}: {name!r} belongs to {other.kind.__name__}")


def _names(declared: Signal, what: str) -> set[str]:
    if what == "columns":
        return set(declared.columns)
    return {getattr(each, what) for each in declared.fields} - {""}


class Signals(Mapping[type, Any]):
    """Signals of one subject, by their class: ``signals[Smile].intensity``.

    A signal that was not estimated is returned as unknown; ``in`` tells whether it was.
    """

    __slots__ = ("_values",)

    def __init__(self, *values: object) -> None:
        self._values = {type(each): each for each in values}

    def __getitem__(self, kind: type[S]) -> S:
        found = self._values.get(kind)
        return unknown_of(kind) if found is None else found  # type: ignore[return-value]

    def __contains__(self, kind: object) -> bool:
        return kind in self._values

    def __iter__(self) -> Iterator[type]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signals) and self._values == other._values

    def __hash__(self) -> int:
        return hash(tuple(self._values.values()))

    def __repr__(self) -> str:
        return f"Signals({', '.join(map(repr, self._values.values()))})"

    def __reduce__(self) -> tuple[type[Signals], tuple[object, ...]]:
        return Signals, tuple(self._values.values())
