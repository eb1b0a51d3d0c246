"""Packages that are not installed: the programs name them and how to install them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from social_perception.core.errors import INVALID_CONFIGURATION

HRI = "error: the messages of ROS4HRI are not installed: apt install"


@pytest.mark.parametrize(
    ("program", "arguments", "missing", "reported"),
    [
        ("ros4hri", [], "hri_msgs", HRI),
        ("ros4hri_faces", [], "hri_msgs", HRI),
        ("image_publisher", ["--source", "a.mp4"], "av", "error: the Python package av is not installed; "),
        (
            "image_publisher",
            ["--source", "a.bag"],
            "rosbags",
            "error: a.bag needs rosbags: pip install",
        ),
    ],
)
def test_the_program_reports_it_in_a_line(program, arguments, missing, reported, tmp_path) -> None:
    for name in arguments[1:]:
        (tmp_path / name).touch()
    code = (
        "import sys\n"
        f"sys.modules['{missing}'] = sys.modules['{missing}.msg'] = None\n"
        f"from social_perception.ros.nodes.{program} import main\n"
        f"sys.exit(main({arguments}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    assert run.returncode == INVALID_CONFIGURATION
    (line,) = run.stderr.splitlines()
    assert line.startswith(reported)


@pytest.mark.parametrize(
    ("imported", "status", "reported"),
    [
        (
            "import no_such_package",
            INVALID_CONFIGURATION,
            ["error: No module named 'no_such_package'; social-perception doctor shows how to install it"],
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT, []),
    ],
)
def test_an_import_that_is_missing_or_interrupted_has_no_traceback(
    imported, status, reported, tmp_path
) -> None:
    (tmp_path / "aiohttp.py").write_text(imported)
    program = next(
        path
        for place in os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)
        if (path := Path(place, "lib", "social_perception", "affect_dashboard")).exists()
    )
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    run = subprocess.run(
        [str(program)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == status
    assert run.stderr.splitlines() == reported


def test_nodes_without_sound_load_no_ffmpeg() -> None:
    modules = "social_perception.ros.nodes.social_perception_all, social_perception.perception.pipeline"
    code = f"import sys, {modules}\nsys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
