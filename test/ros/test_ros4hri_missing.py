"""Without hri_msgs, which is optional."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from social_perception.core.errors import MissingDependencyError

MODULES = ("ros.support.ros4hri_messages", "ros.nodes.ros4hri_publisher", "ros.nodes.ros4hri_input")


@pytest.mark.parametrize("name", MODULES)
def test_importing_says_how_to_get_the_messages(name: str, monkeypatch) -> None:
    for each in MODULES:
        monkeypatch.delitem(sys.modules, f"social_perception.{each}", raising=False)
    monkeypatch.setitem(sys.modules, "hri_msgs", None)
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", None)
    with pytest.raises(MissingDependencyError, match=r"apt install ros-\$ROS_DISTRO-hri-msgs") as caught:
        importlib.import_module(f"social_perception.{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("program", ["ros4hri", "ros4hri_faces"])
def test_the_program_says_it_in_a_line(program: str) -> None:
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
