"""Random ids of people, which carry no information about the person or the time.

Five lower-case letters, as the ROS4HRI convention (REP-155) and hri_face_detect use. A prefix per
camera keeps the ids of several cameras apart: ids with different prefixes differ in length or in their first
letters.
"""

from __future__ import annotations

import random
import string
from hashlib import blake2b

ID_LENGTH = 5
NAMES = len(string.ascii_lowercase) ** ID_LENGTH
"""11 881 376 ids."""

_LEFT, _RIGHT = len(string.ascii_lowercase) ** 3, len(string.ascii_lowercase) ** 2
_ROUNDS = 4


class RandomIds:
    """Generates random ids of five lower-case letters after a prefix; no id repeats until all were used.

    The ids are a random permutation of all ids, determined by a secret key, so that used ids need not be
    stored. The permutation is a Feistel network, which is bijective for any round function (M. Luby and C.
    Rackoff, "How to construct pseudorandom permutations from pseudorandom functions", SIAM Journal on
    Computing 17(2), 1988: four rounds reveal nothing about the key).
    """

    def __init__(self, random_source: random.Random | None = None, prefix: str = "") -> None:
        self._prefix = prefix
        self._key = (random_source or random.SystemRandom()).getrandbits(128).to_bytes(16, "big")
        self._count = 0

    def __call__(self) -> str:
        index, self._count = self._count, (self._count + 1) % NAMES
        left, right = divmod(index, _RIGHT)
        for number in range(0, _ROUNDS, 2):
            left = (left + self._round_function(number, right)) % _LEFT
            right = (right + self._round_function(number + 1, left)) % _RIGHT
        return self._prefix + _letters(left * _RIGHT + right)

    def _round_function(self, number: int, value: int) -> int:
        digest = blake2b(value.to_bytes(4, "big"), key=self._key, person=bytes([number]), digest_size=8)
        return int.from_bytes(digest.digest(), "big")


def _letters(number: int) -> str:
    letters = ""
    for _ in range(ID_LENGTH):
        number, letter = divmod(number, len(string.ascii_lowercase))
        letters += string.ascii_lowercase[letter]
    return letters
