"""Opens user-supplied files: regular files only, up to a size limit, whatever their names are.

A path may name anything: an endless device, a pipe without a writer, a disk image. The caller passes the
maximum size.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from social_perception.core.errors import ModelError

_BLOCK_BYTES = 1 << 20


def read_limited(path: str | Path, max_bytes: int) -> bytes:
    """Read a file.

    Args:
        path: path of the file.
        max_bytes: maximum size; a larger file is rejected.

    Raises:
        OSError: the file cannot be read, is not a regular file, or is larger; ``strerror`` has the reason.
    """
    with open(path, "rb", opener=_open) as file:
        size = _check(os.fstat(file.fileno()), max_bytes)
        blocks = [file.read(size + 1)]
        total = len(blocks[0])
        # Longer than its size: the file grows, or is one without a size, as in /proc.
        while total > size and (block := file.read(_BLOCK_BYTES)):
            blocks.append(block)
            total += len(block)
            if total > max_bytes:
                raise _too_large(max_bytes)
    if total > max_bytes:
        raise _too_large(max_bytes)
    return b"".join(blocks)


def read_weights(path: str | Path, max_bytes: int, sha256: str = "") -> bytes:
    """Read a file of weights and check its hash.

    Args:
        path: path of the file.
        max_bytes: maximum size; a larger file is rejected.
        sha256: expected SHA-256, 64 hexadecimal digits; empty: not checked.

    Raises:
        OSError: as :func:`read_limited`.
        ModelError: the file has another hash.
    """
    content = read_limited(path, max_bytes)
    actual, expected = hashlib.sha256(content).hexdigest(), sha256.lower()
    if expected and actual != expected:
        raise ModelError(f"{path} is not the expected file: its SHA-256 is {actual}, not {expected}")
    return content


def check_file(path: str | Path, max_bytes: int) -> None:
    """Check a file before another library reads it.

    Raises:
        OSError: the file does not exist, is not a regular file, or is larger; ``strerror`` has the reason.
    """
    _check(os.stat(path), max_bytes)


def ffmpeg_url(path: str | Path) -> str:
    """The URL of a file for FFmpeg, which otherwise reads a protocol in a name with a colon."""
    return f"file:{os.path.abspath(path)}"


def _open(path: str, flags: int) -> int:
    # Opening a named pipe blocks until a writer opens it; opening some devices blocks, too.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check(status: os.stat_result, max_bytes: int) -> int:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if status.st_size > max_bytes:
        raise _too_large(max_bytes)
    return status.st_size


def _too_large(max_bytes: int) -> OSError:
    limit = f"{max_bytes / 2**20:g} MB" if max_bytes >= 2**20 else f"{max_bytes / 2**10:g} kB"
    return OSError(errno.EFBIG, f"it is larger than {limit}")
