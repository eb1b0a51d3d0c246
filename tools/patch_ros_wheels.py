"""Correct the include paths in the CMake files that the ROS 2 wheels install.

The wheels' exported targets name the Python and numpy headers of the machine they were built on;
CMake refuses to generate until they name those of this environment. Running it again does nothing.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

BUILD_MACHINE = r"/opt/python/[^/;\"]+"
NUMPY_HEADERS = re.compile(BUILD_MACHINE + r"/lib/python3\.\d+/site-packages/numpy/_?core/include")
PYTHON_HEADERS = re.compile(BUILD_MACHINE + r"/include/python3\.\d+")


def patched(text: str) -> str:
    """The text of a CMake file with this environment's include paths."""
    text = NUMPY_HEADERS.sub(lambda _: np.get_include(), text)
    return PYTHON_HEADERS.sub(lambda _: sysconfig.get_path("include"), text)


def main() -> None:
    for path in Path(sys.prefix, "share").rglob("*.cmake"):
        text = path.read_text(encoding="utf-8")
        if (new := patched(text)) != text:
            path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
