"""Reads ``mmod_human_face_detector.dat``, a CNN face detector serialized by dlib.

Source of the format: dlib's ``serialize.h`` (integers: a control byte with the sign in its top bit
and the number of little-endian bytes in its low four; reals: mantissa and exponent as integers),
``cuda/tensor.h``, ``dnn/layers.h``, ``dnn/loss.h`` and ``dnn/core.h``. The network (D. E. King,
"Max-Margin Object Detection", arXiv:1502.00046, and dlib's ``dnn_mmod_face_detection_ex.cpp``) is a
chain of convolutions, each followed by batch normalization and a ReLU, except the last.

Nothing in the file is executed. Every length is checked against the remaining bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from social_perception.core.errors import ModelError
from social_perception.core.files import read_weights

MAX_FILE_BYTES = 64 * 2**20
_MAX_SIZE = 1 << 16
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """One convolution with its batch normalization folded in; weight (out, in, rows, columns)."""

    weight: FloatArray
    bias: FloatArray
    stride: int
    padding: int
    relu: bool


@dataclass(frozen=True, slots=True)
class BoxOverlap:
    """dlib's ``test_box_overlap``: boxes match if either ratio is exceeded."""

    iou: float
    covered: float


@dataclass(frozen=True, slots=True, eq=False)
class MmodModel:
    """The weights and parameters of the detector."""

    convolutions: tuple[Convolution, ...]
    window_width: int
    window_height: int
    overlap: BoxOverlap
    mean_rgb: tuple[float, float, float]
    pyramid_padding: int
    pyramid_outer_padding: int

    def to_input(self, row: int, column: int) -> tuple[float, float]:
        """Return the center (x, y) in the input of the receptive field of an output cell."""
        x, y = float(column), float(row)
        for layer in reversed(self.convolutions):
            shift = layer.weight.shape[2] // 2 - layer.padding
            x, y = x * layer.stride + shift, y * layer.stride + shift
        return x, y


def read_mmod(path: Path, sha256: str = "") -> MmodModel:
    """Read the detector from a file.

    Args:
        path: path of the file.
        sha256: expected SHA-256, 64 hexadecimal digits; empty: not checked.

    Raises:
        ModelError: the file is missing, too large, truncated or not an mmod face detector.
    """
    try:
        return _Reader(read_weights(path, MAX_FILE_BYTES, sha256)).model()
    except OSError as error:
        raise ModelError(f"cannot read the face detector {path}: {error.strerror or error}") from error
    except (ValueError, struct.error, OverflowError) as error:
        raise ModelError(f"{path} is not a dlib CNN face detector: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class _RawConvolution:
    params: FloatArray
    filters: int
    rows: int
    columns: int
    stride: int
    padding: int


class _Reader:
    """A cursor over the file; raises ValueError for unexpected content."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def model(self) -> MmodModel:
        self._expect(self._int(), 1, "version of the loss layer")
        window, overlap = self._loss_options()
        depth = self._nesting()
        mean, padding, outer_padding = self._input_layer()
        convolutions = self._layers(depth)
        return MmodModel(convolutions, *window, overlap, mean, padding, outer_padding)

    # Scalars -----------------------------------------------------------------------------------

    def _bytes(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._content):
            raise ValueError("the file ends early")
        content = self._content[self._at : self._at + count]
        self._at += count
        return content

    def _int(self) -> int:
        control = self._bytes(1)[0]
        length = control & 0x0F
        if control & 0x70 or not 1 <= length <= 8:
            raise ValueError(f"no integer at byte {self._at - 1}")
        value = int.from_bytes(self._bytes(length), "little")
        return -value if control & 0x80 else value

    def _real(self) -> float:
        mantissa, exponent = self._int(), self._int()
        if not -2000 < exponent < 2000:
            raise ValueError(f"no real number at byte {self._at}")
        return float(np.ldexp(float(mantissa), exponent))

    def _bool(self) -> bool:
        value = self._bytes(1)
        if value not in (b"0", b"1"):
            raise ValueError(f"no boolean at byte {self._at - 1}")
        return value == b"1"

    def _text(self) -> str:
        return self._bytes(self._int()).decode("ascii")

    def _tensor(self) -> FloatArray:
        self._expect(self._int(), 2, "version of a tensor")
        shape = [self._int() for _ in range(4)]
        if min(shape) < 0 or max(shape) > MAX_FILE_BYTES:
            raise ValueError(f"a tensor of shape {shape}")
        count = shape[0] * shape[1] * shape[2] * shape[3]
        return np.frombuffer(self._bytes(4 * count), "<f4").reshape(shape).copy()

    @staticmethod
    def _expect(found: object, expected: object, what: str) -> None:
        if found != expected:
            raise ValueError(f"{what} is {found!r}, not {expected!r}")

    # Layers ------------------------------------------------------------------------------------

    def _loss_options(self) -> tuple[tuple[int, int], BoxOverlap]:
        self._expect(self._text(), "loss_mmod_", "the loss layer")
        self._expect(self._int(), 1, "version of the detector's options")
        window = (self._int(), self._int())
        for _ in ("loss per false alarm", "loss per missed target", "truth match threshold"):
            self._real()
        overlap = BoxOverlap(self._real(), self._real())
        BoxOverlap(self._real(), self._real())  # for boxes ignored in training
        return window, overlap

    def _nesting(self) -> int:
        # dlib writes the version of each layer (2, or 3 for the bottom) before the layer below it.
        for depth in range(1, 1000):
            if self._int() == 3:
                return depth
        raise ValueError("no input layer")

    def _input_layer(self) -> tuple[tuple[float, float, float], int, int]:
        self._expect(self._text(), "input_rgb_image_pyramid", "the input layer")
        mean = (self._real(), self._real(), self._real())
        return mean, 10, 11  # dlib's paddings for this version of the input layer

    def _layers(self, depth: int) -> tuple[Convolution, ...]:
        pending: _RawConvolution | None = None
        done: list[Convolution] = []
        channels = 3
        for level in range(depth):
            version = self._text()
            if version == "con_4":
                pending = self._convolution()
            elif version == "bn_con2" and pending is not None:
                gamma, beta = self._batch_normalization()
                done.append(_fold(pending, channels, gamma, beta))
                channels, pending = pending.filters, None
            elif version != "relu_":
                raise ValueError(f"an unknown layer {version!r}")
            self._layer_state(bottom=level == 0)
        if pending is None:
            raise ValueError("the last layer is not a convolution")
        ones, zeros = np.ones(pending.filters, np.float32), np.zeros(pending.filters, np.float32)
        last = _fold(pending, channels, ones, zeros)
        return (*done, Convolution(last.weight, last.bias, last.stride, last.padding, relu=False))

    def _layer_state(self, *, bottom: bool) -> None:
        for _ in range(3):
            self._bool()
        for _ in range(3):
            self._tensor()
        if bottom:
            self._int()

    def _convolution(self) -> _RawConvolution:
        params = self._tensor().ravel()
        filters, rows, columns, stride, stride_x, padding, padding_x = (self._int() for _ in range(7))
        if (
            min(filters, rows, columns, stride) < 1
            or padding < 0
            or max(filters, stride, padding) > _MAX_SIZE
        ):
            raise ValueError(f"a convolution of {filters} filters, stride {stride}, padding {padding}")
        self._expect((stride_x, padding_x), (stride, padding), "stride and padding across")
        for _ in range(2):  # how parameters are split into filters and biases
            self._alias_tensor()
        for _ in range(4):  # learning rates and weight decays
            self._real()
        return _RawConvolution(params, filters, rows, columns, stride, padding)

    def _batch_normalization(self) -> tuple[FloatArray, FloatArray]:
        params = self._tensor().ravel()
        self._alias_tensor()
        self._alias_tensor()
        self._tensor()  # means of the last batch
        self._tensor()  # inverse deviations of the last batch
        mean, variance = self._tensor().ravel(), self._tensor().ravel()
        for _ in ("updates", "size of the running window"):
            self._int()
        for _ in range(4):  # learning rates and weight decays
            self._real()
        epsilon = self._real()
        gain, offset = np.split(params, 2)
        with np.errstate(all="ignore"):  # values that are not finite are rejected with the convolution
            gamma = (gain / np.sqrt(variance + epsilon)).astype(np.float32)
            return gamma, (offset - gamma * mean).astype(np.float32)

    def _alias_tensor(self) -> None:
        self._expect(self._int(), 1, "version of an alias tensor")
        for _ in range(4):
            self._int()


def _fold(raw: _RawConvolution, channels: int, gamma: FloatArray, beta: FloatArray) -> Convolution:
    count = raw.filters * channels * raw.rows * raw.columns
    if len(raw.params) != count + raw.filters or len(gamma) != raw.filters:
        raise ValueError(f"a convolution of {raw.filters} filters with {len(raw.params)} parameters")
    weight = raw.params[:count].reshape(raw.filters, channels, raw.rows, raw.columns)
    bias = raw.params[count:]
    with np.errstate(over="ignore", invalid="ignore"):
        weight, bias = weight * gamma[:, None, None, None], bias * gamma + beta
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ValueError("a convolution has weights that are not finite")
    return Convolution(weight, bias, raw.stride, raw.padding, relu=True)
