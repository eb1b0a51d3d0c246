#!/usr/bin/env python3
"""Find words that a ROS, vision or Python engineer would not search for, and name the term to use instead.

    tools/check_words.py [FILE...]     all files of the repository by default; status 1 where one was found

Names in code are split first, so that ``way_of_one_frame`` and ``WayOfOneFrame`` are found, too.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = {".html", ".js", ".md", ".msg", ".py", ".yaml", ".yml"}
# They quote the words.
QUOTING = {"tools/check_words.py", "test/architecture/test_words.py"}

TERMS = {
    r"unprocessed|left out": "dropped",
    r"told(?! smile\b)|said of|(?:is|are|was|were) said": "reported, published, returned",
    r"wanted|asked for": "requested, enabled",
    r"(?:camera|newest|next|whole) pictures?": "image",
    r"pictures? (?:of (?:a|the) (?:camera|video|topic)|per second)": "image",
    r"(?:every|the|other|own) rooms|room of (?:its|their) own|every room's": "module, package",
    r"ways? of (?:one|a|the|each) frame|(?:whole|normal) way": "pipeline",
    r"what cannot be(?! \w+(?:ed|en|wn|ne|de|od|ad|ut)\b)": "invalid",
    r"(?:that|which|it|they|one) cannot be(?=[,.;:)])": "invalid",
    r"(?<!not )(?<!word )in words": "message, description",
    r"heard": "received",
    r"mend(?:s|ed|ing)?": "fixed, fixes",
    r"equipment": "DeviceInfo, device",
    r"tolerant": "FailSafeSink",
    r"crowds?(?! 1080p)": "group, many faces",
    r"shar(?:e|es|ed|ing) out": "split_search, split",
    r"uproot(?:s|ed|ing)?": "detach",
    r"situation": "NodeStatus, state",
    r"for the night": "nightly",
    r"whence": "from which",
    r"in vain": "timed out",
    r"by itself": "automatically, alone",
    r"in good order": "cleanly",
}
PATTERNS = {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): term for words, term in TERMS.items()}
_SEAM = re.compile(r"_|(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Finding:
    """A word that is not to be used: where, which, and the term instead of it."""

    path: str
    line: int
    words: str
    term: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words!r}: use {self.term}"


def find_words(path: str, text: str) -> Iterator[Finding]:
    """The words of a file's text that are not to be used, line by line."""
    for number, line in enumerate(text.splitlines(), start=1):
        plain = _SEAM.sub(" ", line)
        for pattern, term in PATTERNS.items():
            for match in pattern.finditer(plain):
                yield Finding(path, number, match.group(), term)


def is_checked(path: str) -> bool:
    return Path(path).suffix in SUFFIXES and path not in QUOTING


def repository_files() -> list[str]:
    """All files of the repository, committed or new, that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.splitlines() if (ROOT / path).is_file()]


def main(arguments: list[str]) -> int:
    paths = [path for path in arguments or repository_files() if is_checked(path)]
    found = [each for path in paths for each in find_words(path, (ROOT / path).read_text(encoding="utf-8"))]
    print("\n".join(map(str, found)) if found else f"{len(paths)} files use the field's words")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
