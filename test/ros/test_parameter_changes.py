"""Parameters that change while a node runs, those that are refused, and names that nobody knows."""

from __future__ import annotations

import re

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from social_perception.core.config import (
    DetectionConfig,
    DynamicsConfig,
    GroupConfig,
    SmileConfig,
    TrackingConfig,
)
from social_perception.core.errors import ConfigurationError
from social_perception.core.settings import settings_of
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.support.config import MarkersConfig, NodeConfig, OverlayConfig
from social_perception.ros.support.stage import Stage
from test.ros.fakes import FakeTracking

KINDS = {
    FaceTrackerNode: (NodeConfig, DetectionConfig, TrackingConfig),
    SmileIntensityNode: (SmileConfig,),
    GroupAffectNode: (GroupConfig, DynamicsConfig),
    AffectOverlayNode: (OverlayConfig,),
    AffectMarkersNode: (MarkersConfig,),
}
DYNAMIC = [
    pytest.param(kind, config, item, id=f"{kind.__name__}-{item.name}")
    for kind, configs in KINDS.items()
    for config in configs
    for item in settings_of(config)
    if item.dynamic
]


def another(item):
    """A legal value that is not the default."""
    if item.type is bool:
        return not item.default
    if item.choices:
        return next(each for each in item.choices if each != item.default)
    middle = item.type((item.low + item.high) / 2)
    return middle if middle != item.default else item.type(item.high)


@pytest.fixture(scope="module")
def nodes():
    """One node of each kind for all changes of this file: making nodes takes longest."""
    from test.ros.conftest import RosHarness

    harness, made = RosHarness(), {}

    def of(kind):
        if kind not in made:
            made[kind] = harness.create(kind)
        return made[kind]

    yield of
    harness.close()


@pytest.mark.parametrize(("kind", "config", "item"), DYNAMIC)
def test_a_dynamic_parameter_takes_effect_and_its_limits_are_kept(kind, config, item, nodes) -> None:
    node, value = nodes(kind), another(item)
    assert value != item.default
    (result,) = node.set_parameters([Parameter(item.name, value=value)])
    assert result.successful, result.reason
    assert getattr(node.parameters[config], item.name) == value
    assert node.get_parameter(item.name).value == value
    if item.high is not None:
        (refused,) = node.set_parameters([Parameter(item.name, value=item.type(item.high * 2 + 1))])
        assert not refused.successful
        assert item.name in refused.reason
        assert getattr(node.parameters[config], item.name) == value


READ_ONLY = [
    pytest.param(kind, item, id=f"{kind.__name__}-{item.name}")
    for kind, configs in KINDS.items()
    for config in configs
    for item in settings_of(config)
    if not item.dynamic
]


@pytest.mark.parametrize(("kind", "item"), READ_ONLY)
def test_the_others_are_read_only_and_say_so(kind, item, nodes) -> None:
    node = nodes(kind)
    value = another(item) if item.low is not None or item.choices or item.type is bool else "other"
    (result,) = node.set_parameters([Parameter(item.name, value=value)])
    assert not result.successful
    assert re.search("read-only", result.reason), result.reason
    assert item.name in result.reason
    assert node.get_parameter(item.name).value == item.default


@pytest.mark.parametrize(
    "bad",
    [
        Parameter("center_weight", value=-1.0),
        Parameter("publish_rate_hz", value=5.0),
        Parameter("use_sim_time", value="perhaps"),
    ],
    ids=["range", "read-only", "not ours"],
)
@pytest.mark.parametrize("first", [True, False])
def test_parameters_set_together_are_all_taken_or_none(bad, first, ros) -> None:
    node = ros.create(GroupAffectNode)
    good = Parameter("window_s", value=9.0)
    result = node.set_parameters_atomically([good, bad] if first else [bad, good])
    assert not result.successful
    assert node.get_parameter("window_s").value == GroupConfig().window_s
    assert node.parameters[GroupConfig] == GroupConfig()


def test_what_a_node_cannot_take_over_is_refused_and_taken_back(ros) -> None:
    class Choosy(Stage):
        def reconfigure(self) -> None:
            if self.parameters[GroupConfig].window_s > 10.0:
                raise ConfigurationError("window_s must be at most 10 with this camera")

    node = ros.add(Choosy("choosy", (GroupConfig,), context=ros.context, namespace=ros.namespace))
    result = ros.set(node, "window_s", 20.0)
    assert (result.successful, result.reason) == (False, "window_s must be at most 10 with this camera")
    assert node.parameters[GroupConfig].window_s == GroupConfig().window_s
    assert ros.set(node, "window_s", 8.0).successful
    assert node.parameters[GroupConfig].window_s == 8.0


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        ({"windows_s": 9.0}, "parameter windows_s is unknown and has no effect.*did you mean window_s?"),
        ({"zzz": 1}, "parameter zzz is unknown and has no effect.*ros2 param list /.*group_affect"),
        ({"device": "cpu"}, None),  # another node's: files and arguments reach all of a process
        ({"window_s": 9.0, "use_sim_time": False}, None),
        ({"qos_overrides./tf.publisher.depth": 9}, None),
    ],
)
def test_a_name_that_nobody_knows_is_reported(given, reported, ros, capfd) -> None:
    ros.create(GroupAffectNode, given)
    said = capfd.readouterr().err
    assert (re.search(reported, said) is not None) if reported else "unknown" not in said, said


def test_the_limits_of_falling_behind_can_be_changed_while_it_falls_behind(ros, image_message) -> None:
    node = ros.start(FaceTrackerNode, {"diagnostics_period_s": 0.1}, make=lambda config: FakeTracking())
    statuses = ros.statuses(node)
    publisher = ros.publisher(Image, "image")

    def said(level, text):
        stamp = ros.stamp(3.0)
        publisher.publish(image_message(sec=stamp.sec, nanosec=stamp.nanosec))
        return any(each.level == level and text in each.message for each in statuses)

    ros.until(lambda: said(DiagnosticStatus.WARN, "results are 3."), "it falls behind")
    for name, value in (("warn_age_s", 60.0), ("warn_dropped_share", 1.0)):
        assert ros.set(node, name, value).successful
    statuses.clear()
    ros.until(lambda: said(DiagnosticStatus.OK, "running"), "it no longer counts as falling behind")
