"""Files of weights: dlib's detector and the smile networks."""

from __future__ import annotations

import json
import math
import struct
import tempfile
from pathlib import Path

import numpy as np
import torch

from fuzzing.target import Target, promise
from social_perception.perception.detection.mmod_file import MmodModel, read_mmod
from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.perception.smile.reference_network import ReferenceConfig, ReferenceNetwork
from social_perception.perception.smile.weights import load_network, save_network

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_weights_")
_FILE = Path(_FOLDER.name) / "weights"


def detector_file(filters: int = 2) -> bytes:
    """A detector of two convolutions as dlib writes it: see ``mmod_file`` for the format."""
    parts = [_int(1), _text("loss_mmod_"), _int(1), _int(40), _int(40)]
    parts += [_real(1.0)] * 3 + [_real(0.5)] * 4
    parts += [_int(2), _int(2), _int(2), _int(3), _text("input_rgb_image_pyramid")] + [_real(120.0)] * 3
    first = [_text("con_4"), _convolution(3, filters), _state(bottom=True)]
    second = [_text("bn_con2"), _normalisation(filters), _state()]
    third = [_text("relu_"), _state()]
    last = [_text("con_4"), _convolution(filters, 1), _state()]
    return b"".join([*parts, *first, *second, *third, *last])


def _int(value: int) -> bytes:
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def _real(value: float) -> bytes:
    mantissa, exponent = math.frexp(value)
    return _int(int(mantissa * 2**24)) + _int(exponent - 24)


def _text(text: str) -> bytes:
    return _int(len(text)) + text.encode()


def _tensor(*shape: int) -> bytes:
    values = np.linspace(0.1, 1.0, math.prod(shape), dtype="<f4")
    return b"".join([_int(2), *map(_int, (*shape, 1, 1, 1, 1)[:4]), values.tobytes()])


def _convolution(channels: int, filters: int) -> bytes:
    sizes = (filters, 3, 3, 2, 2, 0, 0)
    alias = b"".join(map(_int, (1, 1, 1, 1, 1)))
    params = _tensor(filters * channels * 9 + filters)
    return b"".join([params, *map(_int, sizes), alias, alias, *[_real(1.0)] * 4])


def _normalisation(filters: int) -> bytes:
    alias = b"".join(map(_int, (1, 1, 1, 1, 1)))
    each = _tensor(filters)
    return b"".join([_tensor(2 * filters), alias, alias, *[each] * 4, _int(1), _int(100), *[_real(1.0)] * 5])


def _state(*, bottom: bool = False) -> bytes:
    return b"000" + _tensor(0) * 3 + (_int(1) if bottom else b"")


def _detector(data: bytes) -> None:
    _FILE.write_bytes(data)
    check_detector(read_mmod(_FILE))


def check_detector(model: MmodModel) -> None:
    """Check that a network can be built of it."""
    channels = 3
    for each in model.convolutions:
        promise(each.weight.shape[1] == channels and min(each.weight.shape) > 0, f"{each.weight.shape}")
        promise(each.bias.shape == each.weight.shape[:1], f"{each.bias.shape} for {each.weight.shape}")
        promise(each.stride >= 1 and each.padding >= 0, f"stride {each.stride}, padding {each.padding}")
        finite = np.isfinite(each.weight).all() and np.isfinite(each.bias).all()
        promise(bool(finite), "weights that are not finite")
        channels = each.weight.shape[0]
    promise(min(model.window_width, model.window_height) > 0, "an empty window")
    promise(
        all(map(math.isfinite, (*model.mean_rgb, model.overlap.iou, model.overlap.covered))), "not finite"
    )


SMALL = NetworkConfig(channels=(1, 1, 2, 2), features=2, hidden=2)
SMALL_REFERENCE = ReferenceConfig(channels=(1, 1, 1, 1, 1), features=2, hidden=2, layers=1)


def _smile_files() -> list[bytes]:
    torch.manual_seed(1)
    files = []
    for network in (SmileNetwork(SMALL), ReferenceNetwork(SMALL_REFERENCE)):
        save_network(network, _FILE, {"seed": 1})
        files.append(_FILE.read_bytes())
    return files


def smile_seeds() -> list[bytes]:
    """Whole files (0), header and numbers apart (1), and sizes to put in a good file (2)."""
    files = _smile_files()
    sizes = [
        {"channels": [1, 1, 2, 2], "features": 2, "hidden": 2},
        {"channels": [60000] * 4, "features": 60000, "hidden": 2},
        {"channels": [1, 1, 2, 2], "features": 2, "hidden": 10**30},
        {"channels": "ab", "features": True, "hidden": 2.0, "layers": None},
    ]
    whole = [b"\0" + each for each in files]
    apart = [b"\1" + _header(each) + b"\0" + each[8 + len(_header(each)) :] for each in files]
    return whole + apart + [b"\2" + json.dumps(each).encode() for each in sizes]


def _header(file: bytes) -> bytes:
    (length,) = struct.unpack_from("<Q", file)
    return file[8 : 8 + length]


def smile_file(data: bytes) -> bytes:
    """The file that an input stands for."""
    kind, rest = data[:1], data[1:]
    if kind == b"\1":
        header, _, numbers = rest.partition(b"\0")
        return struct.pack("<Q", len(header)) + header + numbers
    if kind == b"\2":
        file = _GOOD[0]
        header = json.loads(_header(file))
        header["__metadata__"]["config"] = rest.decode("utf-8", "replace")
        packed = json.dumps(header).encode()
        return struct.pack("<Q", len(packed)) + packed + file[8 + len(_header(file)) :]
    return rest


_GOOD = _smile_files()


def _smile(data: bytes) -> None:
    _FILE.write_bytes(smile_file(data))
    network = load_network(_FILE)
    with torch.inference_mode():
        logits = network.still(torch.zeros(1, 3, 96, 96))
    promise(logits.shape == (1, 3), f"logits of shape {tuple(logits.shape)}")
    promise(bool(torch.isfinite(logits).all()), "logits that are not finite")


TARGETS = {
    "detector_weights": Target(
        "convolutions that fit one another, with finite numbers, or ModelError",
        _detector,
        lambda: [detector_file(), detector_file(3)],
        memory_mb=128,
    ),
    "smile_weights": Target(
        "a network that answers with finite numbers, or ModelError; its sizes are those of the file",
        _smile,
        smile_seeds,
        max_bytes=16384,
        memory_mb=384,
    ),
}
