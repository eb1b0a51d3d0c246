from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from social_perception.core import config as core
from social_perception.core.errors import ConfigurationError
from social_perception.core.settings import settings_of
from social_perception.ros.nodes.affect_dashboard import AffectDashboardNode
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.scene_affect import SceneAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.nodes.sound_events import SoundEventsNode
from social_perception.ros.support.config import (
    DepthConfig,
    ImageInputConfig,
    MarkersConfig,
    NodeConfig,
    OverlayConfig,
    SceneSoundConfig,
    SoundConfig,
    SoundInputConfig,
    TrackedFacesConfig,
    TrackersConfig,
)

NODES = {
    FaceTrackerNode: (
        core.DetectionConfig,
        core.TrackingConfig,
        ImageInputConfig,
        DepthConfig,
        TrackedFacesConfig,
    ),
    SmileIntensityNode: (core.SmileConfig, TrackersConfig, SoundConfig),
    GroupAffectNode: (core.GroupConfig, core.DynamicsConfig, SoundConfig),
    AffectOverlayNode: (ImageInputConfig, OverlayConfig),
    SoundEventsNode: (SoundInputConfig, core.LaughterConfig),
    SceneAffectNode: (core.SceneConfig, ImageInputConfig, SceneSoundConfig, SoundInputConfig),
    AffectMarkersNode: (MarkersConfig,),
    AffectDashboardNode: (core.WebConfig,),
}


@pytest.mark.parametrize("kind", NODES)
def test_each_setting_is_a_described_parameter_with_its_default(kind: type, ros) -> None:
    node = ros.create(kind)
    for item in (each for config in (NodeConfig, *NODES[kind]) for each in settings_of(config)):
        value = node.get_parameter(item.name).value
        assert (tuple(value) if item.type is tuple else value) == item.default
        said = node.describe_parameter(item.name)
        assert said.description == item.description
        assert said.read_only is not item.dynamic
        if item.choices:
            assert said.additional_constraints == f"one of: {', '.join(item.choices)}"
        if item.low is not None:
            (span,) = said.integer_range if item.type is int else said.floating_point_range
            assert (span.from_value, span.to_value) == (item.low, item.high)


@pytest.mark.parametrize(
    ("kind", "name", "value", "reason"),
    [
        (GroupAffectNode, "center_weight", 1.5, "center_weight (must|out).*1.5"),
        (GroupAffectNode, "center_weight", float("nan"), "center_weight (must|out).*nan"),
        (GroupAffectNode, "window_s", 500, r"window_s must be in \[0.5, 120\], got 500"),
        (GroupAffectNode, "window_s", "5", "window_s must be of type float, got '5'"),
        (GroupAffectNode, "smiling_level", 4, "smiling_level (must|out).*4"),
        (GroupAffectNode, "smiling_level", 2.0, "smiling_level must be of type int, got 2.0"),
        (GroupAffectNode, "publish_rate_hz", 5.0, "read-only.*publish_rate_hz|publish_rate_hz.*read-only"),
        (FaceTrackerNode, "reliability", "reliable", "read-only.*reliability|reliability.*read-only"),
        (FaceTrackerNode, "publish_crops", 1, "publish_crops must be of type bool, got 1"),
        (SmileIntensityNode, "warmup_frames", 0, "warmup_frames (must|out).*0"),
    ],
)
def test_a_bad_change_is_refused_with_the_reason(kind, name, value, reason, ros) -> None:
    node = ros.create(kind)
    before = node.get_parameter(name).value
    result = ros.set(node, name, value)
    assert not result.successful
    assert re.search(reason, result.reason), result.reason
    assert node.get_parameter(name).value == before
    for config in NODES[kind]:
        if hasattr(node.parameters[config], name):
            assert getattr(node.parameters[config], name) == before


def test_a_whole_number_is_a_float_too(ros) -> None:
    node = ros.create(GroupAffectNode, {"window_s": 7})
    assert node.parameters[core.GroupConfig].window_s == 7.0
    assert ros.set(node, "window_s", 9).successful
    assert node.parameters[core.GroupConfig].window_s == 9.0


@pytest.mark.parametrize(
    ("kind", "given", "problem"),
    [
        (FaceTrackerNode, {"min_iou": 1.5}, "min_iou"),
        (FaceTrackerNode, {"reliability": "maybe"}, "must be one of auto, best_effort, reliable, got maybe"),
        (SmileIntensityNode, {"device": "tpu"}, "device must be one of auto, cpu, cuda, got tpu"),
        (GroupAffectNode, {"window_s": "long"}, "window_s"),
        (FaceTrackerNode, {"id_prefix": "left camera"}, "id_prefix must be up to 8 lower-case letters"),
        (SmileIntensityNode, {"trackers": "left"}, "trackers must be a list of texts, got 'left'"),
        (SmileIntensityNode, {"trackers": [1, 2]}, "trackers must be a list of texts, got"),
        (SmileIntensityNode, {"trackers": ["left", "left"]}, "trackers must be distinct namespaces"),
        (SmileIntensityNode, {"trackers": ["left eye"]}, "namespaces such as left, got 'left eye'"),
    ],
)
def test_a_bad_value_at_start_is_refused_by_name(kind, given, problem, ros) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ros.create(kind, given)


def commented_as_set(text: str) -> str:
    """The file with its commented settings set."""
    lines = (line.replace("    # ", "    ", 1) for line in text.splitlines() if not line.startswith("#"))
    return "\n".join(line.replace("ros__parameters: {}", "ros__parameters:") for line in lines)


@pytest.mark.parametrize("prepare", [str, commented_as_set])
def test_the_robots_file_names_only_what_exists_and_repeats_no_default(prepare) -> None:
    path = Path(__file__).parents[2] / "config" / "group_smile.yaml"
    given = yaml.safe_load(prepare(path.read_text()))
    known = {
        "/**/face_tracker": NODES[FaceTrackerNode],
        "/**/smile_intensity": NODES[SmileIntensityNode],
        "/**/group_affect": NODES[GroupAffectNode],
        "/**/affect_overlay": NODES[AffectOverlayNode],
        "/**/affect_markers": NODES[AffectMarkersNode],
        "/**/sound_events": NODES[SoundEventsNode],
        "/**/scene_affect": NODES[SceneAffectNode],
        "/**/affect_dashboard": NODES[AffectDashboardNode],
    }
    assert set(given) == set(known)
    for name, body in given.items():
        items = {item.name: item for kind in (NodeConfig, *known[name]) for item in settings_of(kind)}
        for key, value in body["ros__parameters"].items():
            assert key in items, f"{name} has no parameter {key}"
            items[key].check(value)
            assert value != items[key].default, f"{key} repeats its default"
