"""Files of weights: dlib's detector, the smile networks, the Social-MAE and the scene network."""

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
from social_perception.perception.hearing.own_laughter import OwnLaughterDetector
from social_perception.perception.scene.network import SceneNetwork
from social_perception.perception.scene.weights import load_scene_network, save_scene_network
from social_perception.perception.smile.networks import NetworkConfig, SmileNetwork
from social_perception.perception.smile.reference_network import ReferenceConfig, ReferenceNetwork
from social_perception.perception.smile.weights import load_network, save_network
from social_perception.research.social_mae import checkpoints
from social_perception.research.social_mae.network import Classifier, NetworkSizes

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
    promise(logits.shape in ((1, 3), (1, 4)), f"logits of shape {tuple(logits.shape)}")
    promise(bool(torch.isfinite(logits).all()), "logits that are not finite")


TINY = NetworkSizes(
    frames=2, side=8, steps=8, bins=8, video_patch=8, sound_patch=8, width=2, heads=1, blocks=1,
    decoder_width=2, decoder_heads=1, decoder_blocks=1,
)  # fmt: skip


def social_mae_seeds() -> list[bytes]:
    """Our safetensors (s), and pickles of tensors as the public code writes them (p)."""
    network = Classifier(TINY, 2)
    checkpoints.save_weights(network, _FILE, {"seed": 1})
    seeds = [b"s" + _FILE.read_bytes()]
    kernel = torch.zeros(2, 3, 8, 8)
    for state in (
        {"state_dict": dict(network.state_dict())},
        {"module.patch_embed_v.proj.weight": kernel, "module.pos_embed_v": torch.zeros(1, 1, 2)},
        {"patch_embed_v.proj.weight": kernel[..., None], "blocks_u.0.norm1_a.bias": torch.zeros(2)},
    ):
        torch.save(state, _FILE)
        seeds.append(b"p" + _FILE.read_bytes())
    return seeds


def _social_mae(data: bytes) -> None:
    path = _FILE.with_suffix(".safetensors" if data[:1] == b"s" else ".pth")
    path.write_bytes(data[1:])
    network = Classifier(TINY, 2)
    loaded = checkpoints.load_weights(network, path)
    promise(bool(loaded.names), "nothing was loaded")
    values = network.state_dict().values()
    promise(all(bool(value.isfinite().all()) for value in values), "weights that are not finite")
    if path.suffix == ".safetensors":
        sizes = checkpoints.read_sizes(path)
        promise(max(map(math.prod, sizes.grids.values())) <= 1 << 14, f"{sizes}")


def laughter_seeds() -> list[bytes]:
    """A fine-tuned network with a class of laughter."""
    checkpoints.save_weights(Classifier(TINY, 2), _FILE, {"seed": 1}, ["laughter", "other"])
    return [_FILE.read_bytes()]


def _laughter(data: bytes) -> None:
    _FILE.write_bytes(data)
    logits = OwnLaughterDetector(_FILE).logits(np.zeros(1600, np.float32))
    promise(logits.shape == (1,), f"{logits.shape}")


_SCENE = SceneNetwork()
"""Its numbers of a file are zeros; only the header is mutated."""


def scene_seeds() -> list[bytes]:
    """Headers; the numbers, of which there are many, stay."""
    save_scene_network(_SCENE, _FILE, {"seed": 1})
    return [_header(_FILE.read_bytes())]


def _scene(data: bytes) -> None:
    sizes = (each.numel() * (2 if each.is_floating_point() else 8) for each in _SCENE.state_dict().values())
    numbers = bytes(sum(sizes))
    _FILE.write_bytes(struct.pack("<Q", len(data)) + data + numbers)
    values = load_scene_network(_FILE).state_dict().values()
    promise(all(bool(value.isfinite().all()) for value in values), "weights that are not finite")


TARGETS = {
    "detector_weights": Target(
        "convolutions that fit one another, with finite numbers, or ModelError",
        _detector,
        lambda: [detector_file(), detector_file(3)],
        memory_mb=128,
    ),
    "social_mae_weights": Target(
        "a network with finite weights, at least some of them of the file, or ModelError",
        _social_mae,
        social_mae_seeds,
        max_bytes=32768,
        memory_mb=384,
    ),
    "laughter_weights": Target(
        "a network with one logit per tenth of a second, or ModelError",
        _laughter,
        laughter_seeds,
        max_bytes=32768,
        memory_mb=384,
    ),
    "scene_weights": Target(
        "a network with finite weights, or ModelError", _scene, scene_seeds, max_bytes=32768, memory_mb=384
    ),
    "smile_weights": Target(
        "a network that answers with finite numbers, or ModelError; its sizes are those of the file",
        _smile,
        smile_seeds,
        max_bytes=16384,
        memory_mb=384,
    ),
}
