"""Pre-training and fine-tuning of the Social-MAE: ten examples are learned by heart, and runs go on."""

from __future__ import annotations

import sys
import wave
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from social_perception.core.errors import (
    ConfigurationError,
    MissingDependencyError,
    ModelError,
    SocialPerceptionError,
    SourceError,
)
from social_perception.research.social_mae import checkpoints, network
from social_perception.research.social_mae import settings as social_settings
from social_perception.research.social_mae.examples import Example, collate
from social_perception.research.social_mae.finetuning import Finetuning, finetune
from social_perception.research.social_mae.network import SOUND, VIDEO, Classifier, NetworkSizes, SocialMae
from social_perception.research.social_mae.pretraining import Pretraining, pretrain
from social_perception.research.social_mae.runs import batches
from social_perception.research.social_mae.settings import FinetuningSettings, PretrainingSettings
from social_perception.research.social_mae.train import train

SMALL = NetworkSizes(
    frames=4, side=16, steps=32, bins=16, video_patch=8, sound_patch=8, width=48, heads=2, blocks=1,
    decoder_width=32, decoder_heads=2, decoder_blocks=1,
)  # fmt: skip
RUN = {
    "size": "small", "frames": 4, "epochs": 3, "batch": 10, "learning_rate": 5e-3, "schedule": "one_cycle",
    "precision": "32-true", "devices": 1, "workers": 0,
}  # fmt: skip


TIMES = 40
"""How often each of the ten examples occurs in an epoch."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(social_settings, "SIZES", {**social_settings.SIZES, "small": SMALL})


def examples(count: int = 10, video: bool = True, sound: bool = True, labels: str = "class") -> list[Example]:
    """Examples of which each has a colour and a tone of its own; the label goes with both."""
    made = []
    for index in range(count):
        generator = np.random.default_rng(index)
        colour = generator.integers(0, 256, (1, 3, 1, 1), np.uint8).repeat(16, 2).repeat(16, 3)
        tones = generator.normal(-6, 12, (1, SMALL.bins)).astype(np.float32)
        value = index % 3
        made.append(
            Example(
                colour.repeat(4, 0) if video else None,
                tones.repeat(SMALL.steps, 0) if sound else None,
                value if labels == "class" else (value / 2, 1 - value / 2),
                f"person {index}",
            )
        )
    return made


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def figure(folder: Path, name: str) -> list[float]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [each.value for each in events.Scalars(name)]


@pytest.mark.parametrize(("video", "sound"), [(True, True), (True, False), (False, True)])
def test_pretraining_restores_ten_examples(tmp_path, video, sound):
    settings = PretrainingSettings(**RUN, output=str(tmp_path), contrast_weight=1.0)
    data = examples(video=video, sound=sound)
    path = pretrain(batches(TIMES * data, data, settings), settings, "no")
    names = [name for name, there in ((VIDEO, video), (SOUND, sound)) if there]
    for name in names:
        inputs = collate(data, SMALL.shape)[name]
        mean_patch = network.to_patches(name, inputs, SMALL).var(dim=0).mean()
        assert figure(tmp_path / "social_mae", f"valid/{name}")[-1] < 0.7 * mean_patch
    if video and sound:
        assert figure(tmp_path / "social_mae", "train/contrast")[-1] < 1.0  # of ln 10 = 2.3
    events = EventAccumulator(str(tmp_path / "social_mae"))
    events.Reload()
    assert sorted(events.Tags()["images"]) == sorted(f"{'_'.join(sorted(names))}/{name}" for name in names)
    restored = SocialMae(checkpoints.read_sizes(path))
    assert not checkpoints.load_weights(restored, path).missing


@pytest.mark.parametrize(
    ("video", "sound", "sound_only"),
    [(True, True, False), (True, False, False), (False, True, False), (True, True, True)],
)
def test_finetuning_learns_ten_examples(tmp_path, video, sound, sound_only):
    values = {"outputs": 3, "head_rate": 3.0, "sound_only": sound_only}
    settings = FinetuningSettings(**RUN, **values, output=str(tmp_path))
    data = examples(video=video, sound=sound)
    path = finetune(batches(TIMES * data, data, settings), settings, "no")
    trained = Classifier(checkpoints.read_sizes(path), 3)
    assert not checkpoints.load_weights(trained, path).missing
    batch = collate(data, SMALL.shape)
    used = ((VIDEO, video and not sound_only), (SOUND, sound))
    inputs = {name: batch[name] for name, there in used if there}
    assert torch.equal(trained(inputs).argmax(dim=1), batch["label"])


def test_values_are_learned_by_regression(tmp_path):
    settings = FinetuningSettings(**RUN, output=str(tmp_path), labels="values", outputs=2, head_rate=3.0)
    data = examples(labels="values")
    finetune(batches(TIMES * data, data, settings), settings, "no")
    assert max(figure(tmp_path / "social_mae", "valid/score")) > 0.9


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    values = {**RUN, "epochs": 4, "batch": 5, "schedule": "halving"}
    settings = PretrainingSettings(**values, output=str(tmp_path))
    made = batches(examples(), None, settings)
    steps = made.steps(settings)
    pretrain(made, replace(settings, epochs=2), "no")
    pretrain(made, settings, "auto")
    state = torch.load(tmp_path / "social_mae" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 3
    assert state["global_step"] == steps == 8


def test_a_one_cycle_run_is_not_resumed_with_more_epochs(tmp_path):
    settings = PretrainingSettings(**{**RUN, "epochs": 2}, output=str(tmp_path))
    pretrain(batches(examples(), None, settings), settings, "no")
    longer = replace(settings, epochs=3)
    with pytest.raises(ConfigurationError, match="it has 2 steps, got settings for 3; choose another name"):
        pretrain(batches(examples(), None, longer), longer, "auto")


def test_heads_have_a_learning_rate_of_their_own():
    settings = FinetuningSettings(**RUN, outputs=3, head_rate=50.0)
    for schedule in social_settings.SCHEDULES:
        module = Finetuning(Classifier(SMALL, 3), replace(settings, schedule=schedule), 10)
        optimizer = module.configure_optimizers()["optimizer"]
        head, trunk = (group["lr"] for group in optimizer.param_groups)
        assert head / trunk == pytest.approx(50.0)
        assert {id(each) for each in optimizer.param_groups[0]["params"]} == {
            id(each) for each in module.network.head.parameters()
        }


def test_a_linear_probe_trains_the_head_only(tmp_path):
    settings = FinetuningSettings(**{**RUN, "epochs": 2}, output=str(tmp_path), outputs=3, frozen=True)
    torch.manual_seed(settings.seed)
    module = Finetuning(Classifier(SMALL, 3), settings, 10)
    optimizer = module.configure_optimizers()["optimizer"]
    assert len(optimizer.param_groups) == 1
    assert not any(each.requires_grad for each in module.network.encoder.parameters())


def test_the_rate_halves_every_five_epochs_from_the_tenth():
    module = Pretraining(SocialMae(SMALL), PretrainingSettings(**{**RUN, "schedule": "halving"}), 10)
    made = module.configure_optimizers()
    schedule = made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(16):
        rates.append(schedule.get_last_lr()[0] / module.settings.learning_rate)
        made["optimizer"].step()
        schedule.step()
    assert rates == [1.0] * 10 + [0.5] * 5 + [0.25]


def test_mixtures_have_the_targets_of_both():
    torch.manual_seed(2)
    module = Finetuning(Classifier(SMALL, 3), FinetuningSettings(**RUN, outputs=3, mixup=1.0), 10)
    hot = torch.eye(3)
    mixed, target = module._mix({SOUND: hot.view(3, 1, 3, 1)}, hot)
    assert torch.allclose(mixed[SOUND].view(3, 3), target)
    assert torch.allclose(target.sum(dim=1), torch.ones(3))
    assert ((target > 0.01) & (target < 0.99)).any()


def test_rare_classes_weigh_as_much_as_frequent_ones():
    module = Finetuning(Classifier(SMALL, 2), FinetuningSettings(**RUN, outputs=2, balanced=True), 10)
    hot = module._targets(torch.tensor([0, 0, 0, 1]))
    assert hot[:3].sum() == pytest.approx(hot[3].sum())


@pytest.mark.parametrize(("labels", "given"), [("class", "values"), ("values", "class")])
def test_labels_of_the_wrong_kind_are_reported(labels, given, tmp_path):
    settings = FinetuningSettings(**RUN, output=str(tmp_path), labels=labels, outputs=2)
    with pytest.raises(SourceError, match=f"no labels of the kind {labels}"):
        finetune(batches(examples(labels=given), None, settings), settings, "no")


@pytest.mark.parametrize(
    ("make", "values", "message"),
    [
        ("pretraining_settings", {"masked": 1.0}, r"masked must be in \(0, 1\), got 1.0"),
        ("pretraining_settings", {"size": "large"}, "size must be one of base, tiny, small, got large"),
        ("pretraining_settings", {"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ("pretraining_settings", {"outputs": 3}, "unknown setting outputs"),
        ("finetuning_settings", {"outputs": 1}, "outputs must be at least 2, got 1"),
        ("finetuning_settings", {"mixup": 2.0}, r"mixup must be in \[0, 1\], got 2.0"),
        ("finetuning_settings", {"labels": "words"}, "labels must be one of class, values, got words"),
    ],
)
def test_invalid_settings_are_reported(make, values, message):
    with pytest.raises(ConfigurationError, match=message):
        getattr(social_settings, make)({"network": "social_mae", "size": "small", **values})


def test_too_few_examples_for_a_batch_are_reported():
    settings = PretrainingSettings(**{**RUN, "batch": 11})
    with pytest.raises(ConfigurationError, match="batch must be at most the number of examples, got 11"):
        batches(examples(), None, settings)


def public_state(sizes: NetworkSizes, of_images: bool) -> dict[str, torch.Tensor]:
    """Random tensors with the names and shapes of the public checkpoints."""
    width, decoder = sizes.width, sizes.decoder_width
    time, rows, columns = sizes.grids[VIDEO]
    bins, steps = sizes.grids[SOUND]
    patch, side = sizes.video_patch, sizes.sound_patch
    depth = 1 if of_images else sizes.tubelet
    places = rows * columns * (1 if of_images else time)
    kernel = (width, 3, patch, patch) if of_images else (width, 3, patch, patch, depth)
    shapes = {
        "patch_embed_a.proj.weight": (width, 1, side, side), "patch_embed_a.proj.bias": (width,),
        "patch_embed_v.proj.weight": kernel, "patch_embed_v.proj.bias": (width,),
        "modality_a": (1, 1, width), "modality_v": (1, 1, width),
        "pos_embed_a": (1, bins * steps, width), "pos_embed_v": (1, places, width),
        "decoder_embed.weight": (decoder, width), "decoder_embed.bias": (decoder,),
        "mask_token": (1, 1, decoder), "decoder_modality_a": (1, 1, decoder),
        "decoder_modality_v": (1, 1, decoder), "decoder_pos_embed_a": (1, bins * steps, decoder),
        "decoder_pos_embed_v": (1, places, decoder), "decoder_norm.weight": (decoder,),
        "decoder_norm.bias": (decoder,), "decoder_pred_a.weight": (side**2, decoder),
        "decoder_pred_a.bias": (side**2,), "decoder_pred_v.weight": (patch**2 * 3 * depth, decoder),
        "decoder_pred_v.bias": (patch**2 * 3 * depth,),
    }  # fmt: skip
    for norm in ("norm", "norm_a", "norm_v"):
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for block, size in (
        ("blocks_a", width),
        ("blocks_v", width),
        ("blocks_u", width),
        ("decoder_blocks", decoder),
    ):
        layers = {"attn.qkv": (3 * size, size), "attn.proj": (size, size),
                  "mlp.fc1": (4 * size, size), "mlp.fc2": (size, 4 * size)}  # fmt: skip
        for name, shape in layers.items():
            shapes |= {f"{block}.0.{name}.weight": shape, f"{block}.0.{name}.bias": shape[:1]}
        for norm in ("norm1", "norm1_a", "norm1_v", "norm2", "norm2_a", "norm2_v"):
            shapes |= {f"{block}.0.{norm}.weight": (size,), f"{block}.0.{norm}.bias": (size,)}
    return {f"module.{name}": torch.randn(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("of_images", [True, False], ids=["CAV-MAE", "Social-MAE"])
def test_public_checkpoints_are_loaded_and_what_does_not_fit_is_listed(of_images, tmp_path):
    state = public_state(SMALL, of_images)
    torch.save(state, tmp_path / "public.pth")
    loaded_network = SocialMae(SMALL)
    loaded = checkpoints.load_weights(loaded_network, tmp_path / "public.pth")
    # Norms that the public code makes, but never uses.
    unused = {name for name in loaded.unused if ".norm" in name}
    assert unused == {
        f"{block}.0.norm{number}_{modality}.{part}"
        for block in ("blocks_a", "blocks_v", "decoder_blocks")
        for number in (1, 2) for modality in "av" for part in ("weight", "bias")
    }  # fmt: skip
    rest = set(loaded.unused) - unused
    assert rest == (set() if of_images else {"decoder_pred_v.weight", "decoder_pred_v.bias"})
    assert set(loaded.missing) == (
        set() if of_images else {"decoder.predict.video.weight", "decoder.predict.video.bias"}
    )
    assert "not used" in str(loaded)
    own = loaded_network.state_dict()
    assert torch.equal(own["encoder.joint.0.norm1.sound.weight"], state["module.blocks_u.0.norm1_a.weight"])
    assert torch.equal(own["encoder.joint.0.mlp.2.weight"], state["module.blocks_u.0.mlp.fc2.weight"])
    # A video as the public code sees it: (3, height, width, time), tokens in the order height, width, time.
    video = torch.randn(1, 3, 4, 16, 16)
    kernel, bias = (state[f"module.patch_embed_v.proj.{part}"] for part in ("weight", "bias"))
    branch = loaded_network.encoder.branches[VIDEO]
    ours = branch.patches(video) + branch.position.view(1, 2, 2, 2, -1).permute(0, 4, 1, 2, 3)
    place = state["module.pos_embed_v"]
    if of_images:
        video = video[:, :, :1].repeat(1, 1, 4, 1, 1)
        ours = branch.patches(video) + branch.position.view(1, 2, 2, 2, -1).permute(0, 4, 1, 2, 3)
        theirs = torch.nn.functional.conv2d(video[:, :, 0], kernel, bias, 8)
        theirs = (theirs + place.view(1, 2, 2, -1).permute(0, 3, 1, 2))[:, :, None].expand_as(ours)
    else:
        theirs = torch.nn.functional.conv3d(video.permute(0, 1, 3, 4, 2), kernel, bias, (8, 8, 2))
        theirs = (theirs + place.view(1, 2, 2, 2, -1).permute(0, 4, 1, 2, 3)).permute(0, 1, 4, 2, 3)
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_weights_are_found_in_the_checkpoint_of_a_run(tmp_path):
    settings = PretrainingSettings(**{**RUN, "epochs": 1}, output=str(tmp_path))
    pretrain(batches(examples(), None, settings), settings, "no")
    classifier = Classifier(SMALL, 3)
    loaded = checkpoints.load_weights(classifier, tmp_path / "social_mae" / "last.ckpt")
    assert set(loaded.missing) == {f"head.{layer}.{part}" for layer in (0, 1) for part in ("weight", "bias")}
    assert all(name.startswith("decoder.") for name in loaded.unused)


@pytest.mark.parametrize("content", [b"", b"no tensors", {"of": "nothing"}])
def test_files_that_are_no_weights_are_reported(content, tmp_path):
    for path in (tmp_path / "a.pth", tmp_path / "a.safetensors"):
        torch.save(content, path) if isinstance(content, dict) else path.write_bytes(content)
        with pytest.raises(ModelError, match=path.name):
            checkpoints.load_weights(SocialMae(SMALL), path)


def test_another_network_s_weights_do_not_fit(tmp_path):
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="no weights that fit"):
        checkpoints.load_weights(network.SocialMae(SMALL), tmp_path / "other.pth")


def test_runs_are_trained_on_shards(tmp_path, capsys):
    """From recordings to weights, as by the commands."""
    for person in range(8):
        folder = tmp_path / "voices" / f"person{person}"
        folder.mkdir(parents=True)
        tone = np.sin(np.arange(8000) * (0.1 if person % 2 else 0.4))
        write_wav(folder / "a.wav", 0.2 * tone)
    rows = "".join(f"person{each}/a.wav,{'low' if each % 2 else 'high'},p{each}\n" for each in range(8))
    (tmp_path / "voices" / "labels.csv").write_text(f"name,label,person\n{rows}")
    shards = {"folder": str(tmp_path / "voices"), "output": str(tmp_path), "shares": [0.5, 0.25, 0.25]}
    assert train("social_mae_shards", shards, "no") == tmp_path / "videos"
    values = {
        **RUN,
        "schedule": "halving",
        "batch": 2,
        "epochs": 2,
        "shards": [str(tmp_path / "videos")],
        "output": str(tmp_path),
    }
    first = train("social_mae_pretraining", {**values, "name": "pre"}, "no")
    tuned = {**values, "name": "tuned", "weights": str(first), "outputs": 2, "mixup": 0.5}
    second = train("social_mae_finetuning", tuned, "no")
    assert "not used" in capsys.readouterr().out  # the decoder
    assert checkpoints.read_sizes(second) == SMALL
    with pytest.raises(ConfigurationError, match=r"labels in the shards \(high, low\), got 3"):
        train("social_mae_finetuning", {**tuned, "outputs": 3}, "no")
    assert train("social_mae_pretraining", {**values, "name": "pre", "epochs": 3}, "auto") == first
    assert torch.load(tmp_path / "pre" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_a_ray_that_does_not_start_is_reported(monkeypatch):
    def init(**_):
        raise RuntimeError("The current node timed out\nduring startup.")

    made = {"": {"init": init, "shutdown": lambda: None}, ".train": {"RunConfig": 1, "ScalingConfig": 1},
            ".train.torch": {"TorchTrainer": 1}}  # fmt: skip
    for name, content in made.items():
        monkeypatch.setitem(sys.modules, f"ray{name}", SimpleNamespace(**content))
    with pytest.raises(SocialPerceptionError, match=r"ray: The current node timed out during startup\."):
        train("social_mae_pretraining", {**RUN, "engine": "ray"}, "no")


def test_ray_reports_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.train", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ray\[train\]'"):
        train("social_mae_pretraining", {**RUN, "engine": "ray"}, "no")
