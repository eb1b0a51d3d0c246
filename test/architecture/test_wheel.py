"""What pip installs: the files of the wheel, their size, their metadata, and that a build can be repeated."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (
    "setup.py", "setup.cfg", "pyproject.toml", "package.xml", "README.md", "LICENSE", "NOTICE", "msg",
    "social_perception",
)  # fmt: skip
SHARE = "share/social_perception"
LARGEST_BYTES = 10_000_000
DISTRIBUTIONS = {
    "PIL": "Pillow", "cv2": "opencv-python-headless", "dlib": "dlib-bin", "jinja2": "Jinja2",
    "pympi": "pympi-ling", "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "PyYAML",
}  # fmt: skip
"""Packages whose names on PyPI differ from those of their modules."""
COME_WITH_OTHERS = {"torchmetrics", "lz4", "zstandard", "backports", "compression"}
"""Modules of lightning and rosbags; compression is of newer Pythons."""
LOADED_BY_OTHERS = {"tensorboard", "silero-vad"}
"""By lightning; by onnxruntime, which reads the network in silero-vad."""


def build(folder: Path, changed_s: float, umask: int) -> tuple[Path, Path]:
    """The source distribution of a copy of the sources, and the wheel that is built from it."""
    copy = folder / "copy"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, copy)
    for path in copy.rglob("*"):
        os.utime(path, (changed_s, changed_s))

    def run(source: Path, *command: str) -> None:
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
        full = (sys.executable, "setup.py", "-q", *command, "-d", str(folder))
        subprocess.run(
            full, cwd=source, env=environment, check=True, capture_output=True, timeout=100, umask=umask
        )

    run(copy, "sdist")
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked")
    run(folder / "unpacked" / sdist.name.removesuffix(".tar.gz"), "bdist_wheel")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("built"), 1_600_000_000, 0o022)


@pytest.fixture(scope="module")
def files(built):
    """The files of the wheel, with those of its data folder where pip puts them."""
    with zipfile.ZipFile(built[1]) as wheel:
        return {re.sub(r"^[^/]*\.data/data/", "", name): wheel.read(name) for name in wheel.namelist()}


def test_the_wheel_holds_all_that_the_package_reads_and_nothing_else(files, built):
    package = ROOT / "social_perception"
    folders = {"weights", "templates", "static"}
    expected = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.suffix in {".py", ".typed", ".png"} or (path.is_file() and path.parent.name in folders)
    }
    expected |= {
        f"{SHARE}/package.xml",
        *(f"{SHARE}/msg/{path.name}" for path in (ROOT / "msg").glob("*.msg")),
    }
    assert len(expected) > 250
    assert {name for name in files if ".dist-info/" not in name} == expected
    assert {name for name in expected if name.endswith("py.typed")} == {"social_perception/py.typed"}
    assert built[1].stat().st_size < LARGEST_BYTES


def test_metadata_are_those_of_package_xml(files, built):
    package = ET.parse(ROOT / "package.xml")
    (metadata,) = (text.decode() for name, text in files.items() if name.endswith(".dist-info/METADATA"))
    version, maintainer = package.findtext("version"), package.find("maintainer")
    assert f"\nVersion: {version}\n" in metadata
    assert f"\nMaintainer: {maintainer.text}\nMaintainer-email: {maintainer.get('email')}\n" in metadata
    assert [path.name.startswith(f"social_perception-{version}") for path in built] == [True, True]
    (commands,) = (text.decode() for name, text in files.items() if name.endswith("/entry_points.txt"))
    assert "social-perception = social_perception.cli.main:main" in commands


def test_the_wheel_knows_its_version(files, tmp_path):
    """Where pip puts them: the package below PREFIX/lib, package.xml below PREFIX/share."""
    installed = tmp_path / "lib" / "python3" / "site-packages" / "social_perception" / "__init__.py"
    share = tmp_path / SHARE / "package.xml"
    for path in (installed, share):
        path.parent.mkdir(parents=True)
    installed.write_bytes(files["social_perception/__init__.py"])
    share.write_bytes(files[f"{SHARE}/package.xml"].replace(b"<version>", b"<version>9."))
    command = [sys.executable, "-S", "-c", "import social_perception as it; print(it.__version__)"]
    environment = {"PYTHONPATH": str(installed.parents[1])}
    answer = subprocess.check_output(command, env=environment, cwd=tmp_path, text=True)
    assert answer == f"9.{ET.parse(ROOT / 'package.xml').findtext('version')}\n"


def test_two_builds_are_equal_byte_for_byte(built, tmp_path):
    for first, second in zip(built, build(tmp_path, 1_650_000_000, 0o077), strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_what_the_package_imports_is_a_dependency_and_each_extra_is_imported():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    extras = {name: text for name, text in settings["options.extras_require"].items() if name != "test"}
    lines = [settings["options"]["install_requires"], *extras.values()]
    asked = {re.split("[<>=]", line)[0].replace("_", "-") for line in "".join(lines).split()}
    imported = set()
    for path in (ROOT / "social_perception").rglob("*.py"):
        if path.relative_to(ROOT / "social_perception").parts[0] == "ros":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    imported -= {*sys.stdlib_module_names, "social_perception", *COME_WITH_OTHERS}
    assert asked - LOADED_BY_OTHERS == {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in imported}
