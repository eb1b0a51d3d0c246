"""The annotations of First Impressions: what raters think of people, as pickles, JSON or CSV."""

from __future__ import annotations

import json
import logging
import pickletools
import re
from pathlib import Path
from typing import Any

from social_perception.core.errors import SourceError
from social_perception.core.files import read_limited
from social_perception.research.social_mae.recordings import (
    TEST,
    TRAIN,
    VALIDATION,
    VIDEO_SUFFIXES,
    Corpus,
    Recording,
    files,
)
from social_perception.research.tables import read_table

TRAITS = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "openness", "interview")
"""Values of First Impressions, in [0, 1]: what raters think of people, and would they invite them."""

_MAX_ANNOTATION_BYTES = 2**26

_logger = logging.getLogger(__name__)


def read_first_impressions(folder: Path) -> Corpus:
    """``annotation_training.pkl``, ``_validation``, ``_test``, or these as .json or .csv; VIDEO.NNN.mp4.

    A table has ``name`` and a column for each of TRAITS; the others hold ``{trait: {name: value}}``.
    """
    splits = {"training": TRAIN, "validation": VALIDATION, "test": TEST}
    videos = {path.name: path for path in files(folder, VIDEO_SUFFIXES)}
    recordings, missing = [], 0
    for path in sorted(folder.rglob("annotation*")):
        if path.suffix not in (".pkl", ".json", ".csv"):
            continue
        split = next((split for word, split in splits.items() if word in path.stem), "")
        for name, values in _impressions(path).items():
            if name in videos:
                person = re.sub(r"\.\d+$", "", Path(name).stem)
                recordings.append(Recording(videos[name], person, values, split=split))
            else:
                missing += 1
    if missing:
        _logger.warning("%s: %d annotated videos are not there", folder, missing)
    return Corpus(tuple(recordings), values=TRAITS)


def _impressions(path: Path) -> dict[str, tuple[float, ...]]:
    if path.suffix == ".csv":
        table = read_table(path, ["name", *TRAITS], dtype={"name": str})
        content: Any = {trait: dict(zip(table["name"], table[trait])) for trait in TRAITS}
    else:
        try:
            data = read_limited(path, _MAX_ANNOTATION_BYTES)
            content = json.loads(data) if path.suffix == ".json" else _read_pickle(data)
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
        # A damaged pickle raises nearly anything.
        except Exception as error:
            raise SourceError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from error
    try:
        names = list(content[TRAITS[0]])
        values = {str(name): tuple(float(content[trait][name]) for trait in TRAITS) for name in names}
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{path} must hold {{trait: {{video: value}}}} for {', '.join(TRAITS)}") from error
    wrong = next((name for name, each in values.items() if not all(0.0 <= v <= 1.0 for v in each)), None)
    if wrong is not None:
        raise SourceError(f"{path}: the values of {wrong} must be in [0, 1], got {values[wrong]}")
    return values


_CONSTANTS = frozenset({
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "FLOAT", "BINFLOAT", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
})  # fmt: skip
"""Opcodes of pickles for strings and numbers."""


def _read_pickle(data: bytes) -> Any:
    """Read the dicts, strings and numbers of a pickle; other opcodes, which could run code, are errors."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        match opcode.name:
            case name if name in _CONSTANTS:
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                marks.append(len(stack))
            case "DICT":
                stack.append(_pop_items(stack, marks.pop()))
            case "SETITEM" | "SETITEMS" as name:
                items = _pop_items(stack, len(stack) - 2 if name == "SETITEM" else marks.pop())
                stack[-1].update(items)
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                memo[len(memo) if argument is None else argument] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case name if name not in ("PROTO", "FRAME", "STOP"):
                raise ValueError(f"it holds more than dicts, strings and numbers: {name}")
    return stack.pop()


def _pop_items(stack: list[Any], first: int) -> dict[Any, Any]:
    """Remove keys and values from the stack."""
    keys_and_values = stack[first:]
    del stack[first:]
    return dict(zip(keys_and_values[::2], keys_and_values[1::2], strict=True))
