"""The keystore program: what it grants for a robot's names, and, with sros2, what it writes."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from social_perception.core.errors import INVALID_CONFIGURATION
from social_perception.ros.security import keystores, make_keystore
from social_perception.ros.security.policies import grants

MY_POLICY = """<policy version="0.2.0"><enclaves><enclave path="/viewer"><profiles>
<profile ns="/" node="rviz"><topics subscribe="ALLOW"><topic>affect_markers</topic></topics></profile>
</profiles></enclave></enclaves></policy>"""

EYE = ["--image-topic", "/eye/image"]


def shown(capsys, *arguments: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """What the program says it would permit."""
    assert make_keystore.main(["unused", "--show", *arguments]) == 0
    return grants(ET.fromstring(capsys.readouterr().out))


def test_by_default_the_names_are_those_of_the_launch_file(capsys) -> None:
    read = shown(capsys)["/social_perception/social_perception_all"]["subscribe"]
    assert {name for name in read if name.startswith("/camera/")} == {
        "/camera/camera/color/image_raw",
        "/camera/camera/color/image_raw/compressed",
        "/camera/camera/color/camera_info",
        "/camera/camera/aligned_depth_to_color/image_raw",
    }


@pytest.mark.parametrize(
    ("arguments", "program", "mode", "expected"),
    [
        (EYE, "face_tracker", "subscribe", "/eye/camera_info"),
        ([*EYE, "--namespace", "robot"], "face_tracker", "subscribe", "/robot/depth"),
        (["--image-topic", "cam", "--namespace", "robot"], "image_publisher", "publish", "/robot/cam"),
        (["--depth-topic", "/d"], "face_tracker", "subscribe", "/d"),
        (["--camera-info-topic", "/i"], "affect_markers", "subscribe", "/i"),
        (["--remap", "group_affect:=/mood"], "group_affect", "publish", "/mood"),
        (["--remap", "group_affect:=/mood"], "consumer", "subscribe", "/mood"),
        (["--consumer", "/a/brain"], "consumer", "reply", "/a/brain/get_parameters"),
        (["--node", "image_publisher:=/webcam/me"], "image_publisher", "reply", "/webcam/me/get_parameters"),
        (["--humans", "/people"], "ros4hri", "publish", "/people/faces/*/roi"),
        (["--picture"], "affect_dashboard", "subscribe", "/affect_overlay/compressed"),
    ],
)  # fmt: skip
def test_a_robots_names(arguments, program, mode, expected, capsys) -> None:
    enclave = f"/social_perception/{program}"
    assert expected in shown(capsys, *arguments)[enclave][mode]
    assert expected not in shown(capsys)[enclave][mode]


def test_enclaves_lie_elsewhere_and_policies_come_from_elsewhere(capsys, tmp_path) -> None:
    (tmp_path / "my.xml").write_text(MY_POLICY)
    found = shown(
        capsys, "--enclaves", "/fleet/one", "--namespace", "r", "--policy", str(tmp_path / "my.xml")
    )
    assert found["/viewer"]["subscribe"] == ("/r/affect_markers",)
    assert {path.rpartition("/")[0] for path in found} == {"/fleet/one", ""}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--image-topic", "/eye/*"], "'/eye/*' is an invalid name in ROS"),
        (["--namespace", "a b"], "'/a b' is an invalid name in ROS"),
        (["--consumer", "*"], "is an invalid name"),
        (["--remap", "depth"], "--remap must be NAME:=OTHER, each name once, got depth"),
        (["--policy", "gone.xml"], "gone.xml cannot be read"),
    ],
)
def test_invalid_arguments_are_refused_in_a_line(arguments, complaint, capsys) -> None:
    assert make_keystore.main(["unused", "--show", *arguments]) == INVALID_CONFIGURATION
    reported = capsys.readouterr().err
    assert reported.startswith("error: ")
    assert complaint in reported
    assert reported.count("\n") == 1


def test_without_sros2_it_says_how_to_get_it(monkeypatch, capsys, tmp_path) -> None:
    for name in ("sros2", "sros2.keystore", "sros2.policy"):
        monkeypatch.setitem(sys.modules, name, None)
    assert make_keystore.main([str(tmp_path / "keys")]) == INVALID_CONFIGURATION
    assert "sudo apt install ros-$ROS_DISTRO-sros2" in capsys.readouterr().err
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(("version", "hint"), [("45.0.7", ""), ("46.0.1", " (cryptography is 46.0.1; ")])
def test_a_cryptography_too_new_for_sros2_is_named_and_nothing_is_left(
    version, hint, monkeypatch, capsys, tmp_path
) -> None:
    def create(folder: Path) -> None:
        (folder / "public").mkdir(parents=True)
        raise TypeError("curve must be an EllipticCurve instance")

    sros2 = SimpleNamespace(is_valid_keystore=lambda folder: False, create_keystore=create)
    monkeypatch.setattr(keystores, "_sros2", lambda: (sros2, lambda path: None))
    monkeypatch.setattr(keystores.importlib.metadata, "version", lambda name: version)
    assert make_keystore.main([str(tmp_path / "keys")]) == INVALID_CONFIGURATION
    reported = capsys.readouterr().err
    assert f"error: sros2 failed: TypeError: curve must be an EllipticCurve instance{hint}" in reported
    assert ("pip install 'cryptography<46'" in reported) == bool(hint)
    assert not (tmp_path / "keys").exists(), "a second run with another release can create it"


# With sros2.


@pytest.fixture(scope="module")
def sros2() -> None:
    pytest.importorskip("sros2", reason="sros2 is not installed (apt install ros-$ROS_DISTRO-sros2)")


@pytest.fixture(scope="module")
def keystore(sros2, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("security") / "keys"
    assert make_keystore.main([str(folder), "--image-topic", "/eye/image", "--domain-id", "7"]) == 0
    return folder


def test_its_files_are_complete_and_the_owners_alone(keystore) -> None:
    enclaves = {f"/{path.parent.relative_to(keystore / 'enclaves')}" for path in keystore.rglob("key.pem")}
    assert enclaves >= {"/social_perception/consumer", "/social_perception/face_tracker"}
    pytest.importorskip("launch_ros", reason="what follows needs launch_ros")
    from social_perception.ros.security.securing import check_enclaves

    check_enclaves(str(keystore), enclaves)
    for path in (keystore, *keystore.rglob("*")):
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_its_permissions_are_signed_by_its_ca(keystore) -> None:
    signed = keystore / "enclaves/social_perception/consumer/permissions.p7s"
    ca = keystore / "public/permissions_ca.cert.pem"
    run = subprocess.run(
        ["openssl", "smime", "-verify", "-text", "-in", str(signed), "-CAfile", str(ca)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    grant = ET.fromstring(run.stdout).find("permissions/grant")
    assert grant.findtext("default") == "DENY"
    assert {each.text for each in grant.iterfind("*/domains/id")} == {"7"}
    read = {each.text for each in grant.iterfind("allow_rule/subscribe/topics/topic")}
    assert {name for name in read if not name.endswith("Request")} == {
        "rt/group_affect",
        "rt/face_affect",
        "rt/clock",
        "ros_discovery_info",
    }
    written = {each.text for each in grant.iterfind("allow_rule/publish/topics/topic")}
    assert {name for name in written if not name.endswith("Reply")} == {
        "rt/rosout",
        "rt/parameter_events",
        "ros_discovery_info",
    }


def test_a_second_run_keeps_the_keys_and_follows_the_names(keystore, capsys) -> None:
    before = {path: path.read_bytes() for path in keystore.rglob("*.pem")}
    assert make_keystore.main([str(keystore), "--image-topic", "/other/image", "--domain-id", "7"]) == 0
    reported = capsys.readouterr().out
    assert "created /" not in reported
    assert {path: path.read_bytes() for path in keystore.rglob("*.pem")} == before
    permissions = (keystore / "enclaves/social_perception/face_tracker/permissions.xml").read_text()
    assert "rt/other/image" in permissions
    assert "rt/eye/image" not in permissions


def test_what_others_could_read_is_taken_from_them(keystore, capsys) -> None:
    key = keystore / "enclaves/social_perception/greeter/key.pem"
    key.chmod(0o644)
    assert make_keystore.main([str(keystore), "--domain-id", "7"]) == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert f"restricted {key} to its owner" in capsys.readouterr().out


def test_a_keystore_of_another_domain_is_left_alone(keystore, capsys) -> None:
    assert make_keystore.main([str(keystore), "--domain-id", "8"]) == 1
    assert "is for domain 7, not 8" in capsys.readouterr().err


def test_a_keystore_without_its_ca_is_left_alone(keystore, capsys, tmp_path) -> None:
    robot = tmp_path / "robot"
    shutil.copytree(keystore, robot, symlinks=True)
    shutil.rmtree(robot / "private")
    assert make_keystore.main([str(robot), "--domain-id", "7"]) == 1
    assert "not a complete keystore" in capsys.readouterr().err
    assert not (robot / "private").exists()


@pytest.mark.parametrize("policy", ["<topics publish='PERHAPS'><topic>a</topic></topics>", "<dance/>"])
def test_what_sros2_refuses_is_not_begun(policy, sros2, capsys, tmp_path) -> None:
    path = tmp_path / "my.xml"
    path.write_text(MY_POLICY.replace("<topics sub", f"{policy}<topics sub"))
    assert make_keystore.main([str(tmp_path / "keys"), "--policy", str(path)]) == INVALID_CONFIGURATION
    assert capsys.readouterr().err.startswith("error: sros2 failed: ")
    assert not (tmp_path / "keys").exists()


def test_an_enclave_never_keeps_the_permission_for_everything(sros2, monkeypatch, tmp_path) -> None:
    from sros2 import keystore

    def fail(*unused) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(keystore, "create_permission", fail)
    assert make_keystore.main([str(tmp_path / "keys")]) == INVALID_CONFIGURATION
    assert list((tmp_path / "keys").rglob("key.pem"))
    assert not list((tmp_path / "keys").rglob("permissions.p7s"))
