"""The network of the Social-MAE: its sizes, what it hides and what it restores."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from social_perception.core.errors import ConfigurationError
from social_perception.research.social_mae import network as nets
from social_perception.research.social_mae.network import (
    BASE,
    SOUND,
    TINY,
    VIDEO,
    Classifier,
    NetworkSizes,
    SocialMae,
)

SMALL = NetworkSizes(
    frames=4, side=16, steps=32, bins=16, video_patch=8, sound_patch=8, width=24, heads=2, blocks=1,
    decoder_width=16, decoder_heads=2, decoder_blocks=1,
)  # fmt: skip


def inputs_of(count: int, sizes: NetworkSizes = SMALL) -> dict[str, torch.Tensor]:
    return {
        VIDEO: torch.randn(count, 3, sizes.frames, sizes.side, sizes.side),
        SOUND: torch.randn(count, 1, sizes.steps, sizes.bins),
    }


def block_size(width: int, norms: int = 1) -> int:
    """Attention 4 W^2, perceptron 8 W^2, their biases, and two norms."""
    return 12 * width**2 + 9 * width + norms * 4 * width


def count(module: torch.nn.Module, trained: bool = False) -> int:
    return sum(each.numel() for each in module.parameters() if each.requires_grad or not trained)


def test_the_base_is_as_published():
    with torch.device("meta"):
        network = SocialMae(BASE)
        restored = network(inputs_of(1, BASE))
    assert {name: math.prod(grid) for name, grid in BASE.grids.items()} == {VIDEO: 784, SOUND: 512}
    assert restored[VIDEO].patches.shape == (1, 784, 1536)
    assert restored[SOUND].patches.shape == (1, 512, 256)
    assert restored[VIDEO].summary.shape == (1, 768)
    patches = 768 * (1536 + 1) + 768 * (256 + 1)
    encoder = 22 * block_size(768) + block_size(768, norms=3) + patches + 2 * 768 + 3 * 2 * 768
    decoder = 8 * block_size(512) + 769 * 512 + 3 * 512 + 2 * 512 + 513 * (1536 + 256)
    assert count(network.encoder, trained=True) == encoder
    assert count(network.decoder, trained=True) == decoder
    assert encoder == pytest.approx(164.4e6, rel=1e-3)


def test_the_tiny_one_has_at_most_six_million_parameters():
    with torch.device("meta"):
        network = SocialMae(TINY)
    assert count(network) <= 6_000_000
    assert {name: math.prod(grid) for name, grid in TINY.grids.items()} == {VIDEO: 144, SOUND: 64}


@pytest.mark.parametrize("modality", [VIDEO, SOUND])
def test_patches_are_the_parts_of_the_input_in_the_order_of_the_tokens(modality):
    inputs = inputs_of(2)[modality]
    patches = nets.to_patches(modality, inputs, SMALL)
    assert torch.equal(nets.from_patches(modality, patches, SMALL), inputs)
    branch = SocialMae(SMALL).encoder.branches[modality]
    given = inputs.transpose(2, 3) if modality == SOUND else inputs
    changed = given.clone()
    changed[..., -1, -1] += 1  # the last bin in the last step, or the last pixel of each frame
    token = (branch.patches(given) != branch.patches(changed)).flatten(2).any(dim=1)
    again = changed.transpose(2, 3) if modality == SOUND else changed
    patch = (nets.to_patches(modality, again, SMALL) != patches).any(dim=2)
    assert token.sum() == 2 * (2 if modality == VIDEO else 1)
    assert torch.equal(token, patch)


def test_a_share_of_the_tokens_is_hidden_elsewhere_in_each_example():
    torch.manual_seed(1)
    visible = nets.hide(torch.arange(40.0).view(1, 40, 1).expand(6, -1, -1), 0.75)
    assert visible.tokens.shape == (6, 10, 1)
    assert torch.equal(visible.hidden.sum(dim=1), torch.full((6,), 30))
    for row in range(6):
        assert set(visible.tokens[row, :, 0].int().tolist()) == set(
            (~visible.hidden[row]).nonzero()[:, 0].tolist()
        )
    assert len({tuple(row.tolist()) for row in visible.hidden}) == 6


@pytest.mark.parametrize("modality", [VIDEO, SOUND])
def test_what_is_hidden_cannot_be_seen(modality):
    """A change of hidden patches changes nothing that is restored."""
    network, inputs = SocialMae(SMALL).eval(), inputs_of(1)
    torch.manual_seed(3)
    before = network(inputs)[modality]
    patches = nets.to_patches(modality, inputs[modality], SMALL)
    patches[before.hidden] += 5.0
    inputs[modality] = nets.from_patches(modality, patches, SMALL)
    torch.manual_seed(3)
    after = network(inputs)[modality]
    assert torch.equal(before.hidden, after.hidden)
    assert torch.equal(before.patches, after.patches)


def test_one_modality_suffices_and_has_its_own_norms():
    network = Classifier(SMALL, 3).eval()
    inputs = inputs_of(2)
    for names in ((VIDEO,), (SOUND,), (VIDEO, SOUND)):
        assert network({name: inputs[name] for name in names}).shape == (2, 3)
    before = {name: network({name: inputs[name]}) for name in (VIDEO, SOUND)}
    with torch.no_grad():
        network.encoder.joint[0].norm1[SOUND].weight.mul_(2)
    assert torch.equal(network({VIDEO: inputs[VIDEO]}), before[VIDEO])
    assert not torch.equal(network({SOUND: inputs[SOUND]}), before[SOUND])


def test_the_contrast_is_small_for_matched_pairs_only():
    own = torch.eye(4, 8)
    assert nets.contrast(own, own) < 1e-6
    assert nets.contrast(own, own.roll(1, dims=0)) > 10
    assert nets.contrast(own, torch.ones(4, 8)) == pytest.approx(math.log(4))


def test_only_hidden_patches_count():
    patches, target = torch.zeros(1, 2, 3), torch.tensor([[[1.0] * 3, [9.0] * 3]])
    assert nets.masked_error(patches, target, torch.tensor([[True, False]])) == 1.0


def test_positions_of_tokens_differ_along_each_axis():
    table = nets.positions((4, 3, 2), 48)
    assert table.shape == (1, 24, 48)
    assert len(torch.unique(table[0], dim=0)) == 24


def test_a_batch_is_split_by_what_its_examples_have():
    batch = {
        VIDEO: torch.arange(4.0), SOUND: torch.arange(4.0) + 10,
        "has_video": torch.tensor([True, False, True, True]),
        "has_sound": torch.tensor([True, True, False, True]),
    }  # fmt: skip
    found = [(rows.tolist(), {name: each.tolist() for name, each in inputs.items()})
             for rows, inputs in nets.by_kind(batch)]  # fmt: skip
    assert found == [
        ([0, 3], {SOUND: [10, 13], VIDEO: [0, 3]}),
        ([1], {SOUND: [11]}),
        ([2], {VIDEO: [2]}),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 3}, "frames must be a multiple of tubelet, got 3, 2"),
        ({"bins": 20}, "bins must be a multiple of sound_patch, got 20, 8"),
        ({"heads": 5}, "width must be a multiple of heads, got 24, 5"),
    ],
)
def test_sizes_that_do_not_fit_are_rejected(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        replace(SMALL, **changes)
