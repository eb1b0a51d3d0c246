"""What is done when a GPU fails in the middle of a run: the work goes on, on the CPU.

Another program takes the GPU's memory, its driver dies, it is unplugged: a robot that stands before
people is better served slowly than not at all. Torch is not needed here, so that every network can
share this.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TypeVar

from social_perception.core.errors import ConfigurationError

_logger = logging.getLogger(__name__)

Made = TypeVar("Made")
Result = TypeVar("Result")

CPU = "cpu"

# torch has the second one from 2.8 on; before, and for its libraries, only the text tells.
_KINDS = frozenset({"OutOfMemoryError", "AcceleratorError"})
_LIBRARIES = re.compile(r"cuda|cudnn|cublas|cusolver|nvrtc|nvml|\bhip\b|miopen|rocblas", re.IGNORECASE)
_MEMORY = re.compile(r"out of memory|ALLOC_FAILED", re.IGNORECASE)


def is_device_failure(error: BaseException) -> bool:
    """Tell whether it is the GPU that failed, and not what was asked of it."""
    if type(error).__name__ in _KINDS:
        return True
    return isinstance(error, RuntimeError) and _LIBRARIES.search(str(error)) is not None


def reason_of(error: BaseException) -> str:
    """What a failed GPU says, in one line: torch's texts are long."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def make_on_device(what: str, asked: str, has_gpu: bool, make: Callable[[str], Made]) -> Made:
    """Make a network's owner where a ``device`` setting wants it: auto takes the GPU if that works.

    Args:
        what: is made, in words for people.
        asked: auto, cpu or cuda.
        has_gpu: whether torch finds one.
        make: makes it on the device it is given.

    Raises:
        ConfigurationError: cuda is asked for, and is not there or cannot be used.
    """
    if asked == "cuda" and not has_gpu:
        raise ConfigurationError("device is cuda, but torch finds no CUDA device; use cpu or auto")
    if asked == CPU or not has_gpu:
        return make(CPU)
    try:
        return make("cuda")
    except RuntimeError as error:
        if not is_device_failure(error):
            raise
        reason = reason_of(error)
        if asked == "cuda":
            raise ConfigurationError(
                f"device is cuda, but it cannot be used ({reason}); use cpu or auto"
            ) from error
    _logger.warning("%s: cuda cannot be used (%s); it runs on the CPU", what, reason)
    return make(CPU)


class Failover:
    """Does a network's work where it can be done.

    If the GPU has too little memory, what can be spared is given back and the work is tried once more.
    If that fails too, or the GPU fails in another way, the network goes to the CPU, for good: a device
    that comes and goes would be a fault with every frame. One warning is logged.

    Args:
        what: is computed, in words for people, for example ``smile network``.
        device: torch's name of where it is computed first.
        to_cpu: moves the network to the CPU; nothing on the device can be relied upon.

    Attributes:
        device: where it is computed now.
        trouble: why that is the CPU though it began elsewhere, in one line; empty: nothing happened.
    """

    def __init__(self, what: str, device: str, to_cpu: Callable[[], None]) -> None:
        self.device = device
        self.trouble = ""
        self._what, self._to_cpu = what, to_cpu

    def run(self, work: Callable[[], Result], relieve: Callable[[], None]) -> Result:
        """Do the work.

        Args:
            work: is begun up to three times, so that it must change nothing before it is done.
            relieve: gives back what memory of the device can be spared, and lets the work take less.

        Raises:
            RuntimeError: it failed on the CPU, or for another reason than the device.
        """
        try:
            return work()
        except RuntimeError as error:
            if not self._is_to_blame(error):
                raise
            reason, wants_memory = reason_of(error), _wants_memory(error)
        # Not in the except block: the error keeps the arrays of the failed attempt in memory.
        if wants_memory:
            try:
                relieve()
                return work()
            except RuntimeError as error:
                if not self._is_to_blame(error):
                    raise
                reason = reason_of(error)
        self._give_up(reason)
        return work()

    def _is_to_blame(self, error: RuntimeError) -> bool:
        return self.device != CPU and is_device_failure(error)

    def _give_up(self, reason: str) -> None:
        self.trouble = f"{self._what}: {self.device} failed ({reason}); it runs on the CPU from now on"
        self.device = CPU
        self._to_cpu()
        _logger.warning("%s", self.trouble)


def _wants_memory(error: RuntimeError) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or _MEMORY.search(str(error)) is not None
