"""Names for people: random, so that they tell nothing about whom or when they name.

Five lower-case letters, as the ROS4HRI convention (REP-155) and hri_face_detect use. Those of several
cameras are kept apart by a prefix for each: names with different prefixes are of different lengths or
begin differently, so that none of them can be equal.
"""

from __future__ import annotations

import random
import string

ID_LENGTH = 5


class RandomIds:
    """Gives random ids of five lower-case letters after a prefix, none of them twice."""

    def __init__(self, random_source: random.Random | None = None, prefix: str = "") -> None:
        self._prefix = prefix
        self._random = random_source or random.SystemRandom()
        self._used: set[str] = set()

    def __call__(self) -> str:
        while True:
            name = self._prefix + "".join(self._random.choices(string.ascii_lowercase, k=ID_LENGTH))
            if name not in self._used:
                self._used.add(name)
                return name
