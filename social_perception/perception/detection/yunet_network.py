"""YuNet on torch: the network and its weights, those of libfacedetection v3 without the landmarks."""

from __future__ import annotations

import copy
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from social_perception.core.failover import CPU, Failover
from social_perception.core.types import ImageArray
from social_perception.perception.detection.yunet import STRIDES
from social_perception.perception.weight_files import copy_weights, read_safetensors

WEIGHTS = "yunet.safetensors"
WEIGHTS_SHA256 = "560273b4aa02c13cc2b785e6a60401a99a05af2429801c488e27306974f437d9"
MAX_FILE_BYTES = 2**24


class Separable(nn.Module):
    """A pointwise and a depthwise 3x3 convolution: (N, C, H, W) -> (N, D, H, W)."""

    def __init__(self, channels: int, filters: int, relu: bool = True) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, filters, 1)
        self.depthwise = nn.Conv2d(filters, filters, 3, padding=1, groups=filters)
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.depthwise(self.pointwise(x))
        return F.relu_(x) if self.relu else x


class YuNet(nn.Module):
    """(N, 3, H, W) RGB in [0, 255], H and W multiples of 32 -> one tensor per stride s.

    Each is (N, 6, H / s, W / s) float32: the logits of face and objectness, and the box as offset of its
    center from the cell and logarithm of its sides, both in units of s.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        # No ReLU before a maximum: it gives the same after it, on a quarter of the values.
        self.stage0 = Separable(16, 16, relu=False)
        self.stage1 = nn.Sequential(Separable(16, 16), Separable(16, 32))
        self.stage2 = nn.Sequential(Separable(32, 32), Separable(32, 64, relu=False))
        self.stage3 = nn.Sequential(Separable(64, 64), Separable(64, 64))
        self.stage4 = nn.Sequential(Separable(64, 64), Separable(64, 64))
        self.stage5 = nn.Sequential(Separable(64, 64), Separable(64, 64))
        self.lateral = nn.ModuleList(Separable(64, 64) for _ in STRIDES)
        self.heads = nn.ModuleList(Separable(64, 6, relu=False) for _ in STRIDES)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = F.relu_(self.stem(image))
        x = F.relu_(F.max_pool2d(self.stage0(x), 2))
        x = F.relu_(F.max_pool2d(self.stage2(self.stage1(x)), 2))
        fine = self.stage3(x)
        middle = self.stage4(F.max_pool2d(fine, 2))
        coarse = self.stage5(F.max_pool2d(middle, 2))
        coarse = self.lateral[2](coarse)
        middle = self.lateral[1](middle + F.interpolate(coarse, scale_factor=2.0))
        fine = self.lateral[0](fine + F.interpolate(middle, scale_factor=2.0))
        return [head(level).float() for head, level in zip(self.heads, (fine, middle, coarse))]


def weights_path() -> Path:
    """Return the path of the shipped weights."""
    return Path(str(resources.files("social_perception.perception.detection") / "weights" / WEIGHTS))


def load_yunet(path: Path, sha256: str = "") -> YuNet:
    """Load the network, in float32 on the CPU.

    Args:
        path: path of the file.
        sha256: expected SHA-256, 64 hexadecimal digits; empty: not checked.

    Raises:
        ModelError: the file is missing, damaged or has other weights.
    """
    content = "network of YuNet"
    _, tensors = read_safetensors(path, content, MAX_FILE_BYTES, sha256)
    network = YuNet()
    copy_weights(network, tensors, path, content)
    return network.requires_grad_(False).eval()


class TorchYuNet:
    """YuNet as :class:`social_perception.perception.detection.cascade.Proposer`, with a fallback to the CPU.

    Args:
        network: from :func:`load_yunet`; it is copied.
        device: torch device.
        dtype: floating-point type.
        cpu_dtype: the one after a fallback to the CPU.
    """

    def __init__(
        self,
        network: YuNet,
        device: str = CPU,
        dtype: torch.dtype = torch.float32,
        cpu_dtype: torch.dtype = torch.float32,
    ) -> None:
        self._source, self._cpu_dtype = network, cpu_dtype
        self._failover = Failover("face proposals", device, self._move_to_cpu)
        self._network = self._copy(device, dtype)

    @property
    def failure(self) -> str:
        """Why it fell back to the CPU; empty: it did not."""
        return self._failover.failure

    def __call__(self, image: ImageArray) -> list[npt.NDArray[np.float32]]:
        return self._failover.run(partial(self._levels, image), torch.cuda.empty_cache)

    def _levels(self, image: ImageArray) -> list[npt.NDArray[np.float32]]:
        weight = self._network.stem.weight
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(weight.device)
        with torch.inference_mode():
            levels = self._network(pixels.permute(2, 0, 1)[None].to(weight.dtype))
        return [level[0].cpu().numpy() for level in levels]

    def _copy(self, device: str, dtype: torch.dtype) -> YuNet:
        network = copy.deepcopy(self._source).to(device, dtype)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _move_to_cpu(self) -> None:
        self._network = self._copy(CPU, self._cpu_dtype)
