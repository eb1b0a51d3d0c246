"""Failover: if a GPU fails at run time, a network continues on the CPU.

A GPU can run out of memory, lose its driver or be unplugged; slow results are better than none for a robot in
front of people. This module does not import torch, so that all networks can share it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TypeVar

from social_perception.core.errors import ConfigurationError

_logger = logging.getLogger(__name__)

Owner = TypeVar("Owner")
Result = TypeVar("Result")

CPU = "cpu"

# torch has AcceleratorError since 2.8; before that, and for its libraries, only the message tells.
_DEVICE_ERRORS = frozenset({"OutOfMemoryError", "AcceleratorError"})
_LIBRARIES = re.compile(r"cuda|cudnn|cublas|cusolver|nvrtc|nvml|\bhip\b|miopen|rocblas", re.IGNORECASE)
_MEMORY = re.compile(r"out of memory|ALLOC_FAILED", re.IGNORECASE)


def is_device_failure(error: BaseException) -> bool:
    """Return whether an error was caused by the GPU rather than by the request."""
    if type(error).__name__ in _DEVICE_ERRORS:
        return True
    return isinstance(error, RuntimeError) and _LIBRARIES.search(str(error)) is not None


def error_summary(error: BaseException) -> str:
    """Return the first line of an error's message; those of torch are long."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def make_on_device(name: str, requested: str, has_gpu: bool, make: Callable[[str], Owner]) -> Owner:
    """Create an object on the device of a ``device`` setting; auto uses the GPU if it works.

    Args:
        name: name of the object for messages, for example ``smile network``.
        requested: auto, cpu or cuda.
        has_gpu: whether torch finds a GPU.
        make: creates the object on the given device.

    Raises:
        ConfigurationError: cuda is requested, but is not available or does not work.
    """
    if requested == "cuda" and not has_gpu:
        raise ConfigurationError("device is cuda, but torch finds no CUDA device; use cpu or auto")
    if requested == CPU or not has_gpu:
        return make(CPU)
    try:
        return make("cuda")
    except RuntimeError as error:
        if not is_device_failure(error):
            raise
        reason = error_summary(error)
        if requested == "cuda":
            raise ConfigurationError(
                f"device is cuda, but it cannot be used ({reason}); use cpu or auto"
            ) from error
    _logger.warning("%s: cuda cannot be used (%s); it runs on the CPU", name, reason)
    return make(CPU)


class Failover:
    """Runs the work of a network, with a fallback to the CPU.

    If the GPU runs out of memory, unused memory is freed and the work is retried once. If that fails as
    well, or the GPU fails in another way, the network moves to the CPU permanently: a device with
    intermittent failures would fail again for every frame. One warning is logged.

    Args:
        name: name of the network for messages, for example ``smile network``.
        device: torch name of the initial device.
        to_cpu: moves the network to the CPU; data on the device may be lost.

    Attributes:
        device: the current device.
        failure: why the network fell back to the CPU, in one line; empty: it did not.
    """

    def __init__(self, name: str, device: str, to_cpu: Callable[[], None]) -> None:
        self.device = device
        self.failure = ""
        self._name, self._to_cpu = name, to_cpu

    def run(self, work: Callable[[], Result], free_memory: Callable[[], None]) -> Result:
        """Run the work and return its result.

        Args:
            work: started up to three times, so it must not change state before it has succeeded.
            free_memory: frees unused device memory and makes the work use less.

        Raises:
            RuntimeError: the work failed on the CPU, or for another reason than the device.
        """
        try:
            return work()
        except RuntimeError as error:
            if not self._is_device_failure(error):
                raise
            reason, out_of_memory = error_summary(error), _out_of_memory(error)
        # Not in the except block, where the error keeps the tensors of the failed attempt alive.
        if out_of_memory:
            try:
                free_memory()
                return work()
            except RuntimeError as error:
                if not self._is_device_failure(error):
                    raise
                reason = error_summary(error)
        self._fall_back(reason)
        return work()

    def _is_device_failure(self, error: RuntimeError) -> bool:
        return self.device != CPU and is_device_failure(error)

    def _fall_back(self, reason: str) -> None:
        self.failure = f"{self._name}: {self.device} failed ({reason}); it runs on the CPU from now on"
        self.device = CPU
        self._to_cpu()
        _logger.warning("%s", self.failure)


def _out_of_memory(error: RuntimeError) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or _MEMORY.search(str(error)) is not None
