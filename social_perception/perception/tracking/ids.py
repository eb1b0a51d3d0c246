"""Names for people: random, so that they tell nothing about whom or when they name.

Five lower-case letters, as the ROS4HRI convention (REP-155) and hri_face_detect use. Those of several
cameras are kept apart by a prefix for each: names with different prefixes are of different lengths or
begin differently, so that none of them can be equal.
"""

from __future__ import annotations

import random
import string
from hashlib import blake2b

ID_LENGTH = 5
NAMES = len(string.ascii_lowercase) ** ID_LENGTH
"""There are 11 881 376 names."""

_LEFT, _RIGHT = len(string.ascii_lowercase) ** 3, len(string.ascii_lowercase) ** 2
_ROUNDS = 4


class RandomIds:
    """Gives random ids of five lower-case letters after a prefix; each once before any comes again.

    The n-th name is the n-th number's place in a random order of all names, which a secret key gives:
    nothing has to be kept of the names given, however many weeks a robot looks at passers-by. The order
    is a Feistel network, which exchanges all numbers with each other whatever its rounds compute
    (M. Luby and C. Rackoff, "How to construct pseudorandom permutations from pseudorandom functions",
    SIAM Journal on Computing 17(2), 1988: four rounds tell nothing of the key).
    """

    def __init__(self, random_source: random.Random | None = None, prefix: str = "") -> None:
        self._prefix = prefix
        self._key = (random_source or random.SystemRandom()).getrandbits(128).to_bytes(16, "big")
        self._given = 0

    def __call__(self) -> str:
        place, self._given = self._given, (self._given + 1) % NAMES
        left, right = divmod(place, _RIGHT)
        for number in range(0, _ROUNDS, 2):
            left = (left + self._mixed(number, right)) % _LEFT
            right = (right + self._mixed(number + 1, left)) % _RIGHT
        return self._prefix + _letters(left * _RIGHT + right)

    def _mixed(self, number: int, value: int) -> int:
        said = blake2b(value.to_bytes(4, "big"), key=self._key, person=bytes([number]), digest_size=8)
        return int.from_bytes(said.digest(), "big")


def _letters(number: int) -> str:
    letters = ""
    for _ in range(ID_LENGTH):
        number, place = divmod(number, len(string.ascii_lowercase))
        letters += string.ascii_lowercase[place]
    return letters
