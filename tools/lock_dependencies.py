#!/usr/bin/env python3
"""Write the locks: each package of the environment with its version and the SHA-256 of its files.

    tools/lock_dependencies.py              after a change of requirements*.txt; all others stay as they are
    tools/lock_dependencies.py --upgrade    the newest that requirements*.txt allow

uv resolves for Python 3.10 to 3.13 against the public index, whatever index this machine uses otherwise.
There are three locks, because tools/setup installs them in turn: what installs them, everything else, and
torch with its CUDA packages, which a machine may have from another index.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
REQUIREMENTS = ("build", "", "test", "ros")
UV = "uv==0.13.9"
OLDEST_PYTHON = "3.10"

BUILD, ALL, TORCH = (TOOLS / f"lock{part}.txt" for part in ("-build", "", "-torch"))
HEADS = {
    BUILD: "What installs all other packages, and builds those that have no wheel. It is installed first.",
    ALL: "Everything else of the environment but torch. It is installed without looking for dependencies.",
    TORCH: "torch of the public index, with what it brings for CUDA. A build from another index has other\n"
    "# hashes and dependencies; tools/setup takes it where pip finds one, and says so.",
}
TORCH_NAMES = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
BUILD_NAMES = re.compile(r"pip|setuptools|wheel")


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--upgrade"]):
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        entries = entries_of(resolved(Path(scratch), arguments))
    for path, head in HEADS.items():
        kept = [text for name, text in entries if place_of(name) == path]
        path.write_text(
            f"# Written by tools/lock_dependencies.py.\n# {head}\n" + "".join(kept), encoding="utf-8"
        )
        print(f"{path.relative_to(TOOLS.parent)}: {len(kept)} packages")
    return 0


def resolved(scratch: Path, arguments: list[str]) -> str:
    """What uv finds for all requirements together."""
    uv, lock = scratch / "bin" / "uv", scratch / "lock.txt"
    venv.create(scratch, with_pip=True)
    subprocess.run([scratch / "bin" / "python", "-m", "pip", "install", "-q", UV], check=True)
    # uv keeps the versions that it finds where it is to write.
    lock.write_text(
        "".join(path.read_text(encoding="utf-8") for path in HEADS if path.is_file()), encoding="utf-8"
    )
    inputs = [TOOLS / f"requirements{'-' * bool(name)}{name}.txt" for name in REQUIREMENTS]
    options = [
        "--universal",
        "--python-version",
        OLDEST_PYTHON,
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
    ]
    # Without configuration uv asks the public index, and never the one in pip's settings.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    command = [uv, "pip", "compile", "-q", "--no-config", *options, *arguments, *inputs, "-o", lock]
    subprocess.run(command, check=True, env=plain)
    return lock.read_text(encoding="utf-8")


def entries_of(text: str) -> list[tuple[str, str]]:
    """Name and lines of each package of a lock."""
    entries = re.findall(r"^([A-Za-z0-9._-]+)((?:.*\\\n)*.*\n)", text, re.MULTILINE)
    return [(name, name + rest) for name, rest in entries]


def place_of(name: str) -> Path:
    """The lock that a package belongs to."""
    if TORCH_NAMES.fullmatch(name):
        return TORCH
    return BUILD if BUILD_NAMES.fullmatch(name) else ALL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
