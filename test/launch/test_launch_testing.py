"""Runs the tests of launch_testing, each in a process of its own with a domain of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("launch_testing", reason="needs launch_testing")
pytest.importorskip("social_perception.msg", reason="needs the messages: build the package and source it")

TIMEOUT_S = 115


@pytest.mark.slow
@pytest.mark.ros
def test_a_clip_is_replayed(shared, tmp_path) -> None:
    file = Path(__file__).with_name("replay_clip.py")
    report = tmp_path / "report.xml"
    run = subprocess.run(
        [
            sys.executable, "-m", "launch_testing.launch_test", "--junit-xml", str(report), str(file),
            f"source:={shared / 'clips' / 'single_face.mp4'}",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-5000:]
    cases = {case.get("name") for case in ET.parse(report).iter("testcase")}
    assert cases >= {
        "test_group_affect_tells_the_size_of_the_group",
        "test_every_process_ends_with_0_on_ctrl_c",
    }
