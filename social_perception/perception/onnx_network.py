"""Runs the exported networks by onnxruntime, without torch, on the CPU.

``tools/export_networks.py`` exports them from the shipped weights. Importing torch takes over a second of
processor time and 190 MB; importing onnxruntime takes a tenth of that.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from importlib import resources, util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from social_perception.core.config import DetectionConfig, SceneConfig, SmileConfig
from social_perception.core.errors import ConfigurationError, MissingDependencyError, ModelError
from social_perception.core.files import read_weights

ONNXRUNTIME = "onnxruntime"
MAX_FILE_BYTES = 2**24

GPU_DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")
"""What the drivers of GPUs that torch can use create: NVIDIA's, Jetson's, WSL's and AMD's."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A shipped network: its file relative to this package, its hash, and the hash of its weights."""

    name: str
    sha256: str
    weights_sha256: str

    @property
    def path(self) -> Path:
        """The path of the file."""
        return Path(str(resources.files("social_perception.perception"))) / self.name


SMILE = Exported(
    "smile/weights/smile_small.onnx",
    "da1fd053a7eabb28b46d2b3c2b82f90b4c19ca52e37282fe2fb933017e8f0a26",
    "e47840a7afdb84e64d549357a763622a4ac3d188d1bf0b6ab79143bf5a37665b",
)
SMILE_INT8 = Exported(
    "smile/weights/smile_small_int8.onnx",
    "1be19a3f70a82f08fa8e8e4d849da2f1e608e8710fad1ac3f1605b00fbb52fb0",
    SMILE.weights_sha256,
)
SMILE_ALIGNER = Exported(
    "smile/weights/smile_aligner.onnx",
    "0a8ba6a77bad24e9457a4df3ec4f2790fdbb97d310110c3705336e3a9fcc355a",
    SMILE.weights_sha256,
)
YUNET = Exported(
    "detection/weights/yunet.onnx",
    "dbe50e8bf3d26803fd1709be7e190674c73991a62845c538a7e0b2fc86636c66",
    "560273b4aa02c13cc2b785e6a60401a99a05af2429801c488e27306974f437d9",
)
MMOD = Exported(
    "detection/weights/mmod_human_face_detector.onnx",
    "b0f609b97c4418dd1eb1060ffffca1ae6b36cc0ffb3f5632d821561d68c53f02",
    "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
)
MMOD_INT8 = Exported(
    "detection/weights/mmod_human_face_detector_int8.onnx",
    "a2ce35c32dbf4f86f5f230a657c11d24deb43946c816954b4a3a9955ff7fcd2a",
    MMOD.weights_sha256,
)
LAUGHTER = Exported(
    "hearing/weights/laughter_small.onnx",
    "b4b00137cb508dc22a9ee798cbdf8305d50b89107be41d75e726d3350fa68269",
    "1dba1f0848d30e3021323e5b746554d06e829ab9792382e60a1cd598997fa86c",
)
SCENE = Exported(
    "scene/weights/scene_tiny.onnx",
    "cc519a0fc85ce9b8670545cca58a0bf40e408de9b8ecf2f47e6d21cf8ea9fa23",
    "eda94c04efaacf55ac4114d3d1de503948803770f96c2353ea9f5f132fab19f3",
)


def uses_onnxruntime(config: DetectionConfig | SmileConfig | SceneConfig, unsupported: str = "") -> bool:
    """Return whether a network runs by onnxruntime.

    ``auto`` uses it if it is installed, for what it supports, unless torch can use a GPU.

    Args:
        config: its runtime and device.
        unsupported: the setting that only torch supports, as ``name value``; empty: none.

    Raises:
        ConfigurationError: onnxruntime is requested, or torch is not installed, together with such a setting.
    """
    if config.runtime != "auto":
        requested = config.runtime == ONNXRUNTIME
    elif util.find_spec("torch") is None:
        requested = True
    elif unsupported or util.find_spec(ONNXRUNTIME) is None:
        requested = False
    else:
        requested = config.device == "cpu" or not _has_gpu()
    if requested and unsupported:
        raise ConfigurationError(f"{unsupported} needs runtime torch, and torch installed")
    return requested


def _has_gpu() -> bool:
    """Return whether torch can use a GPU; torch is only imported where there is a driver of one."""
    if sys.platform == "linux" and not any(Path(each).exists() for each in GPU_DRIVERS):
        return False
    import torch

    return torch.cuda.is_available()


class OnnxNetwork:
    """A network in one thread: arrays in, arrays out.

    Args:
        exported: the shipped network.
        plan_memory: whether onnxruntime keeps a plan and a block of memory for each shape of its inputs.

    Raises:
        ModelError: its file is missing or was modified.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, exported: Exported, *, plan_memory: bool = True) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(
                "runtime onnxruntime needs onnxruntime: pip install onnxruntime"
            ) from error
        try:
            content = read_weights(exported.path, MAX_FILE_BYTES, exported.sha256)
        except OSError as error:
            raise ModelError(f"cannot read the network {exported.path}: {error.strerror or error}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = plan_memory
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._run = partial(session.run, None)
        self._inputs = [item.name for item in session.get_inputs()]

    def __call__(self, *inputs: npt.NDArray[np.generic]) -> list[npt.NDArray[np.float32]]:
        """Return the network's outputs.

        Raises:
            RuntimeError: onnxruntime failed, for example out of memory.
        """
        try:
            return self._run(dict(zip(self._inputs, inputs, strict=True)))
        except Exception as error:
            raise RuntimeError(str(error)) from error
