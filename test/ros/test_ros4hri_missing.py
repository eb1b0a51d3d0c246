"""Without hri_msgs, which is optional."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", ["ros4hri", "ros4hri_faces"])
def test_the_program_reports_how_to_install_it(program: str) -> None:
    code = (
        "import sys\n"
        "sys.modules['hri_msgs'] = sys.modules['hri_msgs.msg'] = None\n"
        f"from social_perception.ros.nodes.{program} import main\n"
        "sys.exit(main([]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: the messages of ROS4HRI are not installed: apt install")
