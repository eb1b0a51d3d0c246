"""rosdep and bloom find a Debian package for each dependency; images are made of what exists.

rosdep_keys.txt is what rosdep answered; tools/list_rosdep_keys writes it anew.
"""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
DISTROS = ("humble", "jazzy", "kilted")
KNOWN = {
    tuple(line.split()[:2]): line.split(maxsplit=2)[2]
    for line in (ROOT / "test" / "architecture" / "rosdep_keys.txt").read_text().splitlines()
}
NOT_EVERYWHERE = {("kilted", "hri-msgs")}
"""What is optional and not released, which docs/install.md says."""

COPIED = {
    "Dockerfile": "CMakeLists.txt config launch msg package.xml resource social_perception",
    "library.Dockerfile": "README.md msg package.xml pyproject.toml setup.cfg setup.py social_perception",
}
"""What CMake and setuptools read."""


def keys_of_package_xml(distro: str) -> set[str]:
    conditions = {None: True, "$ROS_DISTRO != humble": distro != "humble"}
    return {
        each.text
        for each in ET.parse(ROOT / "package.xml").getroot()
        if each.tag.endswith("depend") and conditions[each.get("condition")]
    }


@pytest.mark.parametrize("distro", DISTROS)
def test_every_key_is_a_debian_package(distro):
    keys = keys_of_package_xml(distro)
    assert len(keys) > 30
    packages = {key: KNOWN.get((distro, key), "unknown") for key in sorted(keys)}
    wrong = {key: found for key, found in packages.items() if not re.fullmatch("#apt [a-z0-9-]+", found)}
    assert not wrong, "run tools/list_rosdep_keys"


@pytest.mark.parametrize("distro", DISTROS)
def test_packages_that_texts_name_are_released(distro):
    patterns = ("README.md", "docs/*.md", "docker/*", ".github/workflows/*.yml")
    texts = [path.read_text() for path in chain.from_iterable(map(ROOT.glob, patterns))]
    named = {
        name for text in texts for name in re.findall(r"ros-\$\{?ROS_DISTRO\}?-([a-z0-9-]*[a-z0-9])", text)
    }
    assert {"realsense2-camera", "usb-cam"} <= named
    released = {package.removeprefix("#apt ") for (where, _), package in KNOWN.items() if where == distro}
    missing = {name for name in named if f"ros-{distro}-{name}" not in released}
    assert missing == {name for where, name in NOT_EVERYWHERE if where == distro} & named


@pytest.mark.parametrize("name", COPIED)
def test_images_copy_what_the_build_reads(name):
    lines = re.findall("^COPY (.+) ", (ROOT / "docker" / name).read_text(), re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    assert copied >= set(COPIED[name].split())
    assert all((ROOT / source).exists() for source in copied)
