"""The checkpoints that a run leaves behind and goes on from.

Lightning writes pickles. They are read as numbers and plain containers only, so that a checkpoint from
anywhere runs nothing.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from social_perception.core.errors import ModelError

LAST = "last.ckpt"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU.

    Raises:
        ModelError: it is damaged, or holds more than numbers.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ModelError(f"the checkpoint {path} cannot be read: {reason}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is no checkpoint")
    return found


def to_go_on_from(folder: Path, resume: str) -> Path | None:
    """The last checkpoint of an earlier run, if there is one and it is asked for (``resume`` auto).

    Raises:
        ModelError: it cannot be gone on from.
    """
    path = folder / LAST
    if resume != "auto" or not path.is_file():
        return None
    read_checkpoint(path)
    return path
