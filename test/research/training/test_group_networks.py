"""The published networks for group emotion: their sizes, shapes and losses."""

import pytest
import torch

from social_perception.core.errors import ConfigurationError
from social_perception.perception.scene.estimator import FEATURES
from social_perception.research.training.cross_attention_fusion import CrossAttentionFusion, FusionConfig
from social_perception.research.training.frozen_features import PACKAGE, SceneFeatures, load_extractor
from social_perception.research.training.ve_md import (
    VEMD,
    Structure,
    VEMDConfig,
    discrepancy,
    match,
    structure_loss,
    total_loss,
)

TINY_FUSION = FusionConfig(features=16, first=4, channels=(8, 8, 8, 8), hidden=16)
TINY = VEMDConfig(width=2, depths=(1, 1, 1, 1), latent=16, features=8, limbs=3, queries=4, layers=1, heads=2)


def millions(network: torch.nn.Module) -> float:
    return sum(each.numel() for each in network.parameters()) / 1e6


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: CrossAttentionFusion(FusionConfig()), 20.41),
        (lambda: VEMD(VEMDConfig()), 105.30),
        (lambda: VEMD(VEMDConfig(structure_to_head=True)), 114.93),
        (lambda: VEMD(VEMDConfig()).encoder, 24.56),
    ],
    ids=["fusion", "ve-md", "ve-md with structure", "resnet-50"],
)
def test_base_networks_have_the_published_sizes(make, expected) -> None:
    with torch.device("meta"):
        assert millions(make()) == pytest.approx(expected, abs=0.01)


def test_base_networks_have_the_published_shapes() -> None:
    with torch.device("meta"):
        fusion = CrossAttentionFusion(FusionConfig()).eval()
        assert fusion(torch.zeros(2, 75, 1024), torch.zeros(2, 5, 128, 128)).shape == (2, 3)
        outputs = VEMD(VEMDConfig()).eval()(torch.zeros(2, 3, 3, 224, 224), torch.zeros(2, 3, 1024))
    assert outputs.logits.shape == (2, 3)
    assert outputs.latent.shape == (6, 1024, 7, 7)
    assert outputs.structure.limbs.shape == (6, 100, 20, 4)
    assert outputs.structure.adjacency.shape == (6, 100, 20, 20)
    assert outputs.heat.shape == (6, 1, 56, 56)


def test_the_fusion_learns_from_sound_and_from_frames() -> None:
    torch.manual_seed(0)
    network = CrossAttentionFusion(TINY_FUSION)
    frames, sound = torch.randn(2, 4, 16, requires_grad=True), torch.randn(2, 3, 112, 112, requires_grad=True)
    network(frames, sound).square().sum().backward()
    for each in (frames, sound):
        assert each.grad is not None
        assert each.grad.abs().sum() > 0
    assert all(each.grad is not None for each in network.parameters())


@pytest.mark.parametrize("to_head", [False, True])
def test_the_emotion_depends_on_structure_only_where_it_is_fed(to_head) -> None:
    config = VEMDConfig(**{**{n: getattr(TINY, n) for n in TINY.__slots__}, "structure_to_head": to_head})
    network = VEMD(config)
    network(torch.randn(1, 2, 3, 224, 224), torch.randn(1, 2, 8)).logits.sum().backward()
    assert (network.query_decoder.ends.weight.grad is not None) is to_head
    assert network.heat_decoder.layers[-1].weight.grad is None


def test_all_parts_of_the_loss_reach_the_network() -> None:
    network = VEMD(TINY)
    outputs = network(torch.randn(1, 2, 3, 224, 224), torch.randn(1, 2, 8))
    limbs, joined = [torch.rand(2, 3, 4), torch.rand(0, 3, 4)], [torch.ones(2, 3, 3), torch.ones(0, 3, 3)]
    total_loss(outputs, torch.tensor([2]), limbs, joined, torch.rand(2, 1, 56, 56)).backward()
    assert [name for name, each in network.named_parameters() if each.grad is None] == []


def test_queries_are_matched_to_the_nearest_people() -> None:
    people = torch.tensor([0.1, 0.5, 0.9])[:, None, None].expand(3, 2, 4)
    predicted = torch.tensor([0.88, 0.3, 0.11, 0.52])[:, None, None].expand(4, 2, 4)
    queries, matched = match(predicted, people)
    assert dict(zip(queries.tolist(), matched.tolist())) == {0: 2, 2: 0, 3: 1}


def test_the_structure_loss_is_zero_where_structure_is_right_in_any_order() -> None:
    limbs, joined = torch.rand(3, 2, 4), (torch.rand(3, 2, 2) > 0.5).float()
    predicted = Structure(limbs.flip(0)[None], 100.0 * (2.0 * joined.flip(0)[None] - 1.0))
    assert structure_loss(predicted, [limbs], [joined]) == pytest.approx(0.0, abs=1e-6)
    assert structure_loss(predicted, [1.0 - limbs], [joined]) > 0.01
    assert structure_loss(predicted, [limbs[:0]], [joined[:0]]) == 0.0


def test_the_discrepancy_is_smallest_for_normal_features() -> None:
    torch.manual_seed(0)
    normal = torch.randn(256, 8)
    values = [discrepancy(each).item() for each in (normal, normal + 1.0, 3.0 * normal, 0.1 * normal)]
    assert values[0] < 0.02
    assert min(values[1:]) > 3 * values[0]


def test_the_packages_extractor_is_the_shipped_image_encoder() -> None:
    extractor = load_extractor(PACKAGE)
    found = extractor(torch.rand(2, 3, 48, 64))
    assert found.shape == (2, extractor.features) == (2, FEATURES)
    assert not found.requires_grad


def test_a_users_extractor_is_a_function_of_a_module(tmp_path, monkeypatch) -> None:
    (tmp_path / "own_features.py").write_text(
        "class Mean:\n    features = 3\n    def __call__(self, images): return images.mean((2, 3))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    extractor = load_extractor("own_features:Mean")
    assert extractor(torch.ones(2, 3, 4, 4)).shape == (2, extractor.features)


@pytest.mark.parametrize("name", ["clip", "no_such_module:make", "math:no_such_function", ""])
def test_an_unknown_extractor_is_rejected(name) -> None:
    with pytest.raises(ConfigurationError, match="features must be scene_tiny or module:function, got"):
        load_extractor(name)


def test_other_weights_give_other_features(tmp_path) -> None:
    from social_perception.perception.scene.network import SceneNetwork
    from social_perception.perception.scene.weights import save_scene_network

    save_scene_network(SceneNetwork(), tmp_path / "own.safetensors", {})
    shown = torch.rand(1, 3, 32, 32)
    assert not torch.allclose(SceneFeatures(tmp_path / "own.safetensors")(shown), SceneFeatures()(shown))
