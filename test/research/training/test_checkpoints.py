"""Training resumes from checkpoints, and unsafe ones are rejected."""

from __future__ import annotations

from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging

from social_perception.core.errors import ModelError
from social_perception.research.training.checkpoints import read_checkpoint, resume_checkpoint
from social_perception.research.training.trainers import make_trainer


class Tiny(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, _):
        return self.layer(batch).square().mean()

    def validation_step(self, batch, _):
        self.log("valid/auc", self.layer(batch).mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), 0.1)


def fit(folder: Path, epochs: int, resume: str) -> lightning.Trainer:
    callbacks = EMAWeightAveraging(decay=0.9, use_buffers=True), EarlyStopping("valid/auc", patience=99)
    trainer = make_trainer(folder, epochs, "32-true", *callbacks)
    data = torch.utils.data.DataLoader(torch.rand(4, 2), batch_size=2)
    trainer.fit(Tiny(), data, data, ckpt_path=resume_checkpoint(folder, resume), weights_only=True)
    return trainer


def test_the_small_network_resumes_from_a_checkpoint(tmp_path: Path) -> None:
    fit(tmp_path, 1, "auto")
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 2
    assert fit(tmp_path, 2, "auto").global_step == 4
    assert resume_checkpoint(tmp_path, "no") is None
    assert resume_checkpoint(tmp_path / "elsewhere", "auto") is None


class Attack:
    def __reduce__(self):
        return (print, ("run by the pickle",))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", {"more": Attack()}, [1, 2]])
def test_invalid_checkpoints_are_rejected_and_not_executed(tmp_path: Path, content, capsys) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ModelError, match=r"last\.ckpt") as caught:
        resume_checkpoint(tmp_path, "auto")
    assert "\n" not in str(caught.value)
    assert "run by the pickle" not in capsys.readouterr().out
