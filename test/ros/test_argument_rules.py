"""Values of launch arguments: which are accepted, and what is reported of the others."""

from __future__ import annotations

import pytest

from social_perception.ros.support.argument_rules import check_value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("web", "8080"), ("web", ""), ("web", "0"), ("min_group_size", "3"), ("namespace", ""),
        ("namespace", "robot"), ("namespace", "/robot/left"), ("image_topic", "/eye/image_raw"),
        ("image_topic", "eye/image"), ("depth_topic", "~/depth"), ("delay", "0.5"), ("width", "640"),
        ("color_profile", "1280x720x30"), ("color_profile", "640,480,15"), ("source", "any text"),
    ],
)  # fmt: skip
def test_valid_values_are_unchanged(name, value) -> None:
    assert check_value(name, value) == value


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("web", "true", r"a whole number in \[0, 65535\] or empty"),
        ("web", "70000", r"a whole number in \[0, 65535\] or empty"),
        ("min_group_size", "0", r"a whole number in \[1, 100\]"),
        ("min_group_size", "", r"a whole number in \[1, 100\]"),
        ("rate", "-5", r"a whole number in \[1, 1000\]"),
        ("width", "1e3", "a whole number"),
        ("height", "٣", "a whole number"),
        ("delay", "-1", "a time in s, 0 or more"),
        ("delay", "nan", "a time in s, 0 or more"),
        ("color_profile", "1280x720", "WIDTHxHEIGHTxRATE"),
        ("image_topic", "/a b", "the name of a topic .topic name must not contain characters other"),
        ("left_depth_topic", "", "the name of a topic .topic name must not be empty"),
        ("namespace", "a//b", "a namespace .namespace must not contain repeated"),
        ("camera_name", "4", "a namespace .namespace must not have a token that starts with a number"),
    ],
)
def test_invalid_values_break_a_rule(name, value, rule) -> None:
    with pytest.raises(ValueError, match=f"^must be {rule}") as caught:
        check_value(name, value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("value", "used"), [("true", "true"), ("True", "true"), ("FALSE", "false")])
def test_choices_may_be_in_upper_case(value, used) -> None:
    assert check_value("composed", value, ["true", "false"]) == used


def test_other_words_are_no_choice() -> None:
    with pytest.raises(ValueError, match="must be true or false"):
        check_value("composed", "maybe", ["true", "false"])


def test_a_device_is_no_parameter_file() -> None:
    with pytest.raises(ValueError, match="it is not a regular file"):
        check_value("params_file", "/dev/zero")


def test_a_parameter_file_in_the_home_is_found(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "robot.yaml").write_text("/**: {ros__parameters: {min_face_px: 60}}")
    assert check_value("params_file", "~/robot.yaml") == str(tmp_path / "robot.yaml")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "that can be read .No such file or directory"),
        (b"a: [1\n", "line 2: expected"),
        (b"[1, 2]", "with the parameters of nodes"),
        (b"", "with the parameters of nodes"),
        (b"a: \xff", "its content cannot be read"),
        (b"a: \x00", "its content cannot be read"),
        (b"a: 2026-99-99", "its content cannot be read"),
        (b"[" * 100_000, "its content cannot be read"),
        (b"#" * 1_000_001, "that can be read"),
    ],
)
def test_a_file_without_parameters_breaks_a_rule(content, rule, tmp_path) -> None:
    path = tmp_path / "robot.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^must be a YAML file .*{rule}") as caught:
        check_value("params_file", str(path))
    assert "\n" not in str(caught.value)
