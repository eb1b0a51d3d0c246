"""Files that somebody gives us are read up to a limit, and only where they are files.

A path may name anything: a device that never ends, a pipe that nobody writes to, a disk image. Who reads
it says how large what is expected can be.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from social_perception.core.errors import ModelError

_BLOCK_BYTES = 1 << 20


def read_limited(path: str | Path, most_bytes: int) -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        most_bytes: that are read; a larger file is refused.

    Raises:
        OSError: the file cannot be read, is no regular file, or is larger; ``strerror`` tells it.
    """
    with open(path, "rb", opener=_open) as file:
        size = _checked(os.fstat(file.fileno()), most_bytes)
        blocks = [file.read(size + 1)]
        total = len(blocks[0])
        # Longer than it said: it grows, or it is one of those of /proc that have no size.
        while total > size and (block := file.read(_BLOCK_BYTES)):
            blocks.append(block)
            total += len(block)
            if total > most_bytes:
                raise _too_large(most_bytes)
    if total > most_bytes:
        raise _too_large(most_bytes)
    return b"".join(blocks)


def read_weights(path: str | Path, most_bytes: int, sha256: str = "") -> bytes:
    """The content of a file of weights, which is known by its hash where one is given.

    Args:
        path: of the file.
        most_bytes: that are read; a larger file is refused.
        sha256: of the content, in 64 hexadecimal digits; empty: any content will do.

    Raises:
        OSError: as :func:`read_limited`.
        ModelError: the file holds something else.
    """
    content = read_limited(path, most_bytes)
    found, wanted = hashlib.sha256(content).hexdigest(), sha256.lower()
    if wanted and found != wanted:
        raise ModelError(f"{path} is not the file that is expected: its SHA-256 is {found}, not {wanted}")
    return content


def check_file(path: str | Path, most_bytes: int) -> None:
    """Refuse what another library is about to read as a file.

    Raises:
        OSError: it is not there, is no regular file, or is larger; ``strerror`` tells it.
    """
    _checked(os.stat(path), most_bytes)


def _open(path: str, flags: int) -> int:
    # Opening a named pipe waits for somebody who writes; opening some devices waits, too.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _checked(status: os.stat_result, most_bytes: int) -> int:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    if status.st_size > most_bytes:
        raise _too_large(most_bytes)
    return status.st_size


def _too_large(most_bytes: int) -> OSError:
    limit = f"{most_bytes / 2**20:g} MB" if most_bytes >= 2**20 else f"{most_bytes / 2**10:g} kB"
    return OSError(errno.EFBIG, f"it is larger than {limit}")
