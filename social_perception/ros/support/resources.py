"""The device that a node computes on, and the memory of the process."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_STATM = Path("/proc/self/statm")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt (malloc.h)."""

_LARGEST_KEPT_BYTES, _KEPT_BYTES = 1 << 25, 1 << 30
"""Size of the largest block that is not mapped separately, the most that every glibc accepts, and the free
memory that is kept.
"""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """The device that a node computes on.

    Attributes:
        device: ``cpu`` or ``cuda``.
        precision: arithmetic of its network; empty: the node has no network.
        failure: why this is not the device that it started on; empty: it is.
    """

    device: str = "cpu"
    precision: str = ""
    failure: str = ""

    @classmethod
    def of(cls, owner: object) -> DeviceInfo:
        """The device of an object with a network; an object without these attributes computes on the CPU."""
        return cls(
            getattr(owner, "device", "cpu"), getattr(owner, "precision", ""), getattr(owner, "failure", "")
        )


@functools.cache
def hardware_id(device: str) -> str:
    """The name of the device; with the model's name for a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return device
    try:
        return f"{device} ({torch.cuda.get_device_name(device)})"
    except (RuntimeError, AssertionError):  # the GPU has vanished, or torch was built without CUDA
        return device


def resident_mb() -> float | None:
    """Resident memory of this process in MB (1e6 bytes); None where the system does not report it."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") * 1e-6


def cuda_mb() -> float | None:
    """GPU memory in MB that torch holds in this process; None: it does not use a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.memory_reserved()) * 1e-6


def keep_freed_memory() -> None:
    """Keep freed memory for the next image, until :func:`release_memory`.

    By default, glibc returns the blocks of each image to the system, which then clears thousands of pages for
    the next one.
    """
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def release_memory() -> None:
    """Return freed memory to the system: reference cycles, torch's cache on the GPU, glibc's heaps."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        # A GPU that has vanished holds no memory any more.
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _glibc(name: str) -> ctypes._NamedFuncPointer | None:
    """A function of glibc; None with another C library."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
