"""Runs the exported networks by onnxruntime, without torch, on the CPU.

``tools/export_networks.py`` exports them from the shipped weights. Importing torch takes over a second of
processor time and 190 MB; importing onnxruntime takes a tenth of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import resources, util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from social_perception.core.errors import ConfigurationError, MissingDependencyError, ModelError
from social_perception.core.files import read_weights

ONNXRUNTIME = "onnxruntime"
MAX_FILE_BYTES = 2**24


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
    "b36d5a7749b51d920ecba6a8f77a7ddadbbd785671c75c1d0793eb1a7424e0d4",
    "9970fff901a136d38dce137f180c99eea4ac727dfc08721a243ad26541841765",
)
YUNET = Exported(
    "detection/weights/yunet.onnx",
    "dbe50e8bf3d26803fd1709be7e190674c73991a62845c538a7e0b2fc86636c66",
    "560273b4aa02c13cc2b785e6a60401a99a05af2429801c488e27306974f437d9",
)
MMOD = Exported(
    "detection/weights/mmod_human_face_detector.onnx",
    "a265e258fa6a458e202f68c87768d3cee25c7ab58332f76861a0e1e9be74a280",
    "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
)


def uses_onnxruntime(runtime: str, unsupported: str = "") -> bool:
    """Return whether a network runs by onnxruntime; ``auto`` uses it where there is no torch.

    Args:
        runtime: ``DetectionConfig.runtime`` or ``SmileConfig.runtime``.
        unsupported: the setting that only torch supports, as ``name value``; empty: none.

    Raises:
        ConfigurationError: onnxruntime is requested together with such a setting.
    """
    requested = runtime == ONNXRUNTIME or (runtime == "auto" and util.find_spec("torch") is None)
    if requested and unsupported:
        raise ConfigurationError(f"{unsupported} needs runtime torch, and torch installed")
    return requested


class OnnxNetwork:
    """A network in one thread: arrays in, arrays out.

    Args:
        exported: the shipped network.

    Raises:
        ModelError: its file is missing or was modified.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, exported: Exported) -> None:
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
