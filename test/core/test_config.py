"""Settings check themselves and say what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from social_perception.core import config, settings
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
    for item in settings.settings_of(kind):
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
        (
            config.TrackingConfig,
            {"id_prefix": "Left"},
            "id_prefix must be up to 8 lower-case letters, got 'Left'",
        ),
        (
            config.TrackingConfig,
            {"id_prefix": "camerasone"},
            "id_prefix must be up to 8 lower-case letters, got 'camerasone'",
        ),
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
            {"cpu_budget": 0.5, "reproducible": True},
            "cpu_budget must be 0 if reproducible is true, got 0.5",
        ),
        (
            config.DetectionConfig,
            {"backend": "yolo"},
            "backend must be one of cascade, mmod-torch, mmod-dlib, hog, got yolo",
        ),
        (config.GroupConfig, {"window": 3.0}, "unknown setting window; known are"),
    ],
)
def test_wrong_values_are_refused_with_field_value_and_rule(kind, values, message):
    with pytest.raises(ConfigurationError) as caught:
        settings.from_mapping(kind, values)
    assert message in str(caught.value)


@dataclass(frozen=True)
class Lists(settings.Checked):
    names: tuple = settings.setting(("",), "some names")


def test_a_setting_may_be_a_list_of_texts():
    assert settings.from_mapping(Lists, {"names": ["a", "b"]}).names == ("a", "b")
    assert Lists().names == ("",)


@pytest.mark.parametrize("value", ["a", 3, (1, 2), ["a", None]])
def test_a_list_of_something_else_is_refused(value):
    with pytest.raises(ConfigurationError, match="names must be a list of texts, got"):
        Lists(value)


def test_whole_numbers_are_legal_for_real_settings():
    assert settings.from_mapping(config.GroupConfig, {"window_s": 3}).window_s == 3
