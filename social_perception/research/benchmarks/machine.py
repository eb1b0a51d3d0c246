"""Describes the machine: CPU, memory, GPU, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import torch

from social_perception import __version__
from social_perception.research.benchmarks.report import Machine

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16")
"""CPU features (x86 and ARM) that determine the speed of matrix products."""

_PACKAGES = ("torch", "numpy", "opencv-python-headless", "dlib-bin", "dlib", "mediapipe")


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    info = _read("/proc/cpuinfo")
    has_gpu = torch.cuda.is_available()
    return Machine(
        cpu=_field(info, "model name") or platform.processor() or platform.machine(),
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        flags=_flags(info),
        gpu=torch.cuda.get_device_name() if has_gpu else None,
        memory_gb=round(_meminfo_bytes("MemTotal") / 1e9, 1),
        load=os.getloadavg()[0],
        versions=_versions(),
    )


def usable_cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_bytes(device: str) -> float:
    """Return the free memory of the machine or the GPU in bytes; infinite if unknown."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    return _meminfo_bytes("MemAvailable") or float("inf")


def _flags(info: str) -> tuple[str, ...]:
    features = set((_field(info, "flags") or _field(info, "Features")).split())
    return tuple(flag for flag in FLAGS if flag in features)


def _versions() -> tuple[str, ...]:
    packages = [f"{name} {version}" for name in _PACKAGES if (version := _version(name))]
    ros = [f"ROS {os.environ['ROS_DISTRO']}"] if "ROS_DISTRO" in os.environ else []
    kernel = f"{platform.system()} {platform.release()}"
    return (
        f"social_perception {__version__}",
        f"Python {platform.python_version()}",
        *packages,
        *ros,
        kernel,
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _field(text: str, name: str) -> str:
    for line in text.splitlines():
        if line.partition(":")[0].strip() == name:
            return line.partition(":")[2].strip()
    return ""


def _meminfo_bytes(name: str) -> float:
    kilobytes = _field(_read("/proc/meminfo"), name).split()
    return float(kilobytes[0]) * 1024 if kilobytes else 0.0


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
