"""Reads weights of the Social-MAE: our own, and the public checkpoints of CAV-MAE and Social-MAE.

The public checkpoints have other names and are pickles, of which only tensors are unpickled. CAV-MAE sees
single images: its patches are copied along time (J. Carreira and A. Zisserman, 2017). The public Social-MAE
orders the tokens of video by place and then time, but the patches that its decoder restores by time and then
place; that decoder does not fit here, where both orders are the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from social_perception.core.errors import ModelError
from social_perception.perception.smile.weights import RESEARCH_ONLY, to_half
from social_perception.research.social_mae.first_impressions import TRAITS
from social_perception.research.social_mae.network import SOUND, VIDEO, NetworkSizes
from social_perception.research.training.checkpoints import read_checkpoint

_MAX_SIZE, _MAX_TOKENS = 4096, 1 << 14

_MODALITIES = {"a": SOUND, "v": VIDEO}
_PARTS = {"attn.qkv": "qkv", "attn.proj": "out", "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.2"}

_RULES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"patch_embed_([av])\.proj", "encoder.branches.{0}.patches"),
        (r"modality_([av])", "encoder.branches.{0}.modality"),
        (r"pos_embed_([av])", "encoder.branches.{0}.position"),
        (r"blocks_([av])\.(\d+)\.(norm[12])", "encoder.branches.{0}.blocks.{1}.{2}.own"),
        (r"blocks_([av])\.(\d+)\.((?:attn|mlp)\.\w+)", "encoder.branches.{0}.blocks.{1}.{2}"),
        (r"blocks_u\.(\d+)\.(norm[12])_([av])", "encoder.joint.{0}.{1}.{2}"),
        (r"blocks_u\.(\d+)\.(norm[12])", "encoder.joint.{0}.{1}.both"),
        (r"blocks_u\.(\d+)\.((?:attn|mlp)\.\w+)", "encoder.joint.{0}.{1}"),
        (r"norm_([av])", "encoder.norm.{0}"),
        (r"norm", "encoder.norm.both"),
        (r"decoder_embed", "decoder.embed"),
        (r"mask_token", "decoder.mask_token"),
        (r"decoder_modality_([av])", "decoder.modality.{0}"),
        (r"decoder_pos_embed_([av])", "decoder.position.{0}"),
        (r"decoder_blocks\.(\d+)\.(norm[12])", "decoder.blocks.{0}.{1}.own"),
        (r"decoder_blocks\.(\d+)\.((?:attn|mlp)\.\w+)", "decoder.blocks.{0}.{1}"),
        (r"decoder_norm", "decoder.norm"),
        (r"decoder_pred_([av])", "decoder.predict.{0}"),
        (r"mlp_head\.([01])", "head.{0}"),
    )
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded of a checkpoint.

    Attributes:
        names: the tensors of the network that were read.
        missing: those that the checkpoint does not have, or not in this shape; they stay as they were.
        unused: tensors of the checkpoint that the network has no place for.
    """

    names: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.names)} tensors loaded"]
        for title, names in (("not in the checkpoint", self.missing), ("not used", self.unused)):
            if names:
                lines.append(f"{title} ({len(names)}): {', '.join(names)}")
        return "\n".join(lines)


def load_weights(network: nn.Module, path: Path) -> Loaded:
    """Load what fits of a checkpoint into a network; the rest of the network stays as it is.

    Args:
        network: a :class:`.network.SocialMae` or :class:`.network.Classifier`.
        path: our safetensors, a checkpoint of a training run (.ckpt), or a public checkpoint of CAV-MAE or
            Social-MAE (.pth, .pt or .safetensors).

    Raises:
        ModelError: the file cannot be read, or nothing in it fits.
    """
    own = network.state_dict()
    try:
        tensors = translate(_read(path), network.sizes)  # type: ignore[arg-type]
        fitting = {
            name: value.float()
            for name, value in tensors.items()
            if name in own and own[name].shape == value.shape and value.float().isfinite().all()
        }
    except (RuntimeError, NotImplementedError, ValueError) as error:  # of tensors that cannot be reshaped
        raise ModelError(f"{path} is no checkpoint of such a network: {error}") from error
    if not fitting:
        raise ModelError(f"{path} has no weights that fit the network")
    network.load_state_dict(fitting, strict=False)
    return Loaded(
        tuple(fitting),
        tuple(name for name in own if name not in fitting),
        tuple(name for name in tensors if name not in fitting),
    )


def save_weights(
    network: nn.Module, path: Path, settings: Mapping[str, object], names: Sequence[str] = ()
) -> None:
    """Write the weights in half precision, with the network's sizes and the training's settings.

    Weights whose outputs are impressions of personality are marked, and rejected outside research.

    Args:
        network: what is written.
        path: of the file.
        settings: of the training.
        names: of the outputs.
    """
    tensors = {name: to_half(value.detach().cpu()) for name, value in network.state_dict().items()}
    sizes = asdict(network.sizes)  # type: ignore[call-overload]
    metadata = {
        "architecture": "social_perception.research.SocialMae",
        "sizes": json.dumps(sizes),
        "names": json.dumps(list(names)),
        "training": json.dumps(dict(settings), default=str),
    }
    if set(names) & set(TRAITS):
        metadata[RESEARCH_ONLY] = "apparent personality"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)


def read_sizes(path: Path) -> NetworkSizes:
    """The sizes of a network that :func:`save_weights` wrote.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with safe_open(path, "pt") as file:
            values = json.loads((file.metadata() or {})["sizes"])
        if not all(type(value) is int and 1 <= value <= _MAX_SIZE for value in values.values()):
            raise ValueError(f"sizes must be numbers from 1 to {_MAX_SIZE}")
        sizes = NetworkSizes(**values)
        if max(map(math.prod, sizes.grids.values())) > _MAX_TOKENS:
            raise ValueError(f"it has more than {_MAX_TOKENS} tokens")
    except (
        OSError,
        SafetensorError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        raise ModelError(f"{path} is not a Social-MAE of this package: {error}") from error
    return sizes


def translate(tensors: Mapping[str, Tensor], sizes: NetworkSizes) -> dict[str, Tensor]:
    """Give the tensors of a public checkpoint our names and shapes; ours stay as they are."""
    tensors = {
        name.removeprefix("module.").removeprefix("network."): value for name, value in tensors.items()
    }
    if "patch_embed_v.proj.weight" not in tensors:
        return dict(tensors)
    is_of_images = tensors["patch_embed_v.proj.weight"].ndim == 4
    translated = {}
    for name, value in tensors.items():
        ours = _our_name(name)
        if ours.endswith("video.patches.weight"):
            value = _along_time(value, sizes) if is_of_images else value.permute(0, 1, 4, 2, 3)
        elif "position.video" in ours or "video.position" in ours:
            value = _positions(value, sizes, is_of_images)
        elif "predict.video" in ours and is_of_images:
            value = value.repeat(sizes.tubelet, *[1] * (value.ndim - 1))
        elif "predict.video" in ours:
            ours = name
        translated[ours] = value
    return translated


def _our_name(name: str) -> str:
    for pattern, ours in _RULES:
        match = pattern.match(name)
        rest = name[match.end() :] if match else ""
        if match and re.fullmatch(r"(\.(weight|bias))?", rest):
            groups = [_MODALITIES.get(group, _PARTS.get(group, group)) for group in match.groups()]
            return ours.format(*groups) + rest
    return name


def _along_time(weight: Tensor, sizes: NetworkSizes) -> Tensor:
    """A kernel (W, 3, height, width) of images for tubelets, such that an image that stays gives the same."""
    return weight[:, :, None].repeat(1, 1, sizes.tubelet, 1, 1) / sizes.tubelet


def _positions(table: Tensor, sizes: NetworkSizes, is_of_images: bool) -> Tensor:
    """Positions of video in the order time, height, width; those of images are the same at all times."""
    time, rows, columns = sizes.grids[VIDEO]
    if is_of_images:
        return table.repeat(1, time, 1)
    if table.shape[1] != time * rows * columns:
        return table
    return table.view(1, rows, columns, time, -1).permute(0, 3, 1, 2, 4).flatten(1, 3)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"the weights {path} cannot be read: {error}") from error
    content = read_checkpoint(path)
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping):
        raise ModelError(f"{path} is not a checkpoint")
    return {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}
