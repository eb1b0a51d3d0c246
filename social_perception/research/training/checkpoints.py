"""Reads the checkpoints of a training run, to resume it.

Lightning writes pickles. Only tensors and plain containers are unpickled, so that an untrusted
checkpoint cannot execute code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from social_perception.core.errors import ModelError

LAST = "last.ckpt"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU.

    Raises:
        ModelError: the file is damaged, or holds objects other than tensors and plain containers.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises errors of many kinds
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ModelError(f"the checkpoint {path} cannot be read: {reason}") from error
    if not isinstance(checkpoint, dict):
        raise ModelError(f"{path} is not a checkpoint")
    return checkpoint


def resume_checkpoint(folder: Path, resume: str) -> Path | None:
    """Return the last checkpoint of an earlier run if there is one and ``resume`` is ``auto``, else None.

    Raises:
        ModelError: the checkpoint cannot be read.
    """
    path = folder / LAST
    if resume != "auto" or not path.is_file():
        return None
    read_checkpoint(path)
    return path
