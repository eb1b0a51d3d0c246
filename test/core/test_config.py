"""Settings check themselves and say what is wrong."""

from __future__ import annotations

import pytest

from social_perception.core import config
from social_perception.core.errors import ConfigurationError

KINDS = [
    config.DetectionConfig,
    config.TrackingConfig,
    config.SmileConfig,
    config.GroupConfig,
    config.WebConfig,
    config.ReportConfig,
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_is_described_and_its_default_is_legal(kind):
    kind()
    for item in config.settings_of(kind):
        assert item.description, item.name
        assert isinstance(item.default, item.type)
        if item.type in (int, float):
            assert item.low is not None, f"{item.name} has no range"
            assert item.high is not None, f"{item.name} has no range"


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (config.TrackingConfig, {"min_iou": 1.5}, "min_iou must be in [0.01, 1], got 1.5"),
        (config.TrackingConfig, {"min_iou": float("nan")}, "min_iou must be in [0.01, 1], got nan"),
        (config.DetectionConfig, {"detection_interval": 0}, "detection_interval must be in [1, 300], got 0"),
        (
            config.DetectionConfig,
            {"detection_interval": 2.5},
            "detection_interval must be of type int, got 2.5",
        ),
        (
            config.DetectionConfig,
            {"detection_interval": True},
            "detection_interval must be of type int, got True",
        ),
        (
            config.DetectionConfig,
            {"backend": "yolo"},
            "backend must be one of mmod-torch, mmod-dlib, hog, got yolo",
        ),
        (config.GroupConfig, {"window": 3.0}, "unknown setting window; known are"),
    ],
)
def test_wrong_values_are_refused_with_field_value_and_rule(kind, values, message):
    with pytest.raises(ConfigurationError) as caught:
        config.from_mapping(kind, values)
    assert message in str(caught.value)


def test_whole_numbers_are_legal_for_real_settings():
    assert config.from_mapping(config.GroupConfig, {"window_s": 3}).window_s == 3
