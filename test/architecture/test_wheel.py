"""What ``pip install .`` brings: modules, the command, the weights and the messages' definitions."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_the_weights_the_web_page_the_messages_and_the_command(tmp_path):
    # A copy, because a build leaves folders behind.
    source = tmp_path / "source"
    source.mkdir()
    for name in (
        "setup.py",
        "setup.cfg",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "NOTICE",
        "msg",
        "social_perception",
    ):
        (source / name).symlink_to(ROOT / name)
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=100)
    (wheel,) = tmp_path.glob("social_perception-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for expected in (
        "social_perception/perception/detection/weights/mmod_human_face_detector.dat",
        "social_perception/perception/detection/weights/yunet.safetensors",
        "social_perception/perception/smile/weights/smile_small.safetensors",
        "social_perception/sources/portrait.png",
        "social_perception/views/web/static/index.html",
        "social_perception/views/report/templates/report.html",
        "social_perception/core/types.py",
        "social_perception/cli/main.py",
    ):
        assert expected in names
    messages = {path.name for path in (ROOT / "msg").glob("*.msg")}
    assert messages == {
        name.rpartition("/")[2] for name in names if "/data/share/social_perception/msg/" in name
    }
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert "social-perception = social_perception.cli.main:main" in text
