"""Breeds inputs without coverage: for the tests, and for Pythons that atheris has no wheel for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_HOSTILE = (
    b"\x00", b"\xff", b"\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f",
    b"\x00" * 8, b"\xff" * 8, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\x01\x00\x00\x00",
    b"99999999999999999999", b"-1", b"nan", b"inf", b"1e999", b"{}", b"[[[[[[[[", b"null", b"\r\n\r\n",
    b"../../", b"%00", b"\xc3\x28", b"\xed\xa0\x80",
)  # fmt: skip


def bred(seeds: Sequence[bytes], count: int, max_bytes: int, number: int = 1) -> Iterator[bytes]:
    """Yield the seeds, then so many inputs bred from them; the same ones for the same number."""
    yield from seeds
    rng = random.Random(number)
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            _change(data, seeds, rng)
        yield bytes(data[:max_bytes])


def _change(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    place = rng.randrange(len(data) + 1)
    length = rng.choice((1, 2, 4, 8, 64, len(data)))
    way = rng.randrange(7)
    if way == 0 and place < len(data):
        data[place] ^= 1 << rng.randrange(8)
    elif way == 1 and place < len(data):
        data[place] = rng.randrange(256)
    elif way == 2:
        hostile = rng.choice(_HOSTILE)
        data[place : place + len(hostile)] = hostile
    elif way == 3:
        data[place:place] = rng.choice(_HOSTILE)
    elif way == 4:
        del data[place : place + length]
    elif way == 5:
        data[place:place] = data[place : place + length]
    else:
        other = rng.choice(seeds)
        start = rng.randrange(len(other) + 1)
        data[place : place + length] = other[start : start + length]
