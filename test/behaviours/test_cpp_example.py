"""The C++ of docs/behaviour_trees.md: compiled against the generated messages, and run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from social_perception.behaviours import Hysteresis, Switch

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "cpp"
STAND_IN = Path(__file__).parent / "behaviortree_cpp_stand_in"
COMPILER = [os.environ.get("CXX", "c++"), "-std=c++17", "-Wall", "-Wextra", "-Werror"]
PROGRAM = Path(__file__).parent / "group_smile_program.cpp"


def prefixes() -> list[Path]:
    return [Path(entry) for entry in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]


def include_dirs() -> list[str]:
    """A ROS package's headers lie in include/PACKAGE/PACKAGE, or in include/PACKAGE (up to Foxy)."""
    found = []
    for prefix in prefixes():
        found += [prefix / "include", *(path for path in (prefix / "include").glob("*") if path.is_dir())]
    return [f"-isystem{path}" for path in found]


@pytest.fixture(scope="session")
def _messages():
    here = [prefix for prefix in prefixes() if list((prefix / "include").rglob("msg/group_affect.hpp"))]
    if not here and os.environ.get("CI") != "true":
        pytest.skip("the messages are not built or not on the path: . ./env.sh")
    assert here, "group_affect.hpp is not below any AMENT_PREFIX_PATH"
    assert shutil.which(COMPILER[0]), f"{COMPILER[0]} is not there"


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir()))
def test_the_page_includes_the_file_that_is_compiled(name) -> None:
    page = (ROOT / "docs" / "behaviour_trees.md").read_text(encoding="utf-8")
    assert f'--8<-- "examples/cpp/{name}"' in page


@pytest.fixture(scope="session")
def program(tmp_path_factory, _messages):
    """Answers rows of "TIME RECEIVED SHARE STALE" with a line of + and -."""
    binary = tmp_path_factory.mktemp("cpp") / "group_smile"
    command = [*COMPILER, *include_dirs(), f"-I{EXAMPLES}", str(PROGRAM), "-o", str(binary)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-4000:]

    def run(rows) -> str:
        text = "".join(f"{now} {received} {share} {int(stale)}\n" for now, received, share, stale in rows)
        return subprocess.run(
            [binary], input=text, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    return run


def rows(shares, begin=100.0, step=0.25, *, stale=False):
    return [(begin + step * index, begin + step * index, share, stale) for index, share in enumerate(shares)]


@pytest.mark.parametrize(
    "shares",
    [
        [1.0] * 6,
        [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [0.5, 0.4, 0.31, 0.4, 0.3, 0.29, 0.29, 0.29, 0.5],
        [1.0] * 5 + [0.0] + [1.0] * 3 + [0.0] * 4,
        [1.0] * 5 + [float("nan")] + [1.0] * 5,
    ],
    ids=["held", "interrupted", "between the thresholds", "a dip", "unknown"],
)
def test_the_answers_are_those_of_the_python_switch(program, shares) -> None:
    switch = Switch(Hysteresis(on=0.5, off=0.3, on_dwell_s=1.0, off_dwell_s=0.5))
    expected = "".join("+" if switch.update(share, now) else "-" for now, _, share, _ in rows(shares))
    assert program(rows(shares)) == expected
    assert "+" in expected, "a row that is never a yes shows nothing"


def test_stale_old_and_future_data_is_a_no_and_begins_anew(program) -> None:
    happy = [1.0] * 6
    assert program([*rows(happy), *rows(happy, 101.5, stale=True), *rows(happy, 103.0)]) == "----++" + (
        "------" + "----++"
    )
    silent = [(101.25 + 0.25 * index, 101.25, 1.0, False) for index in range(1, 7)]
    assert program([*rows(happy), *silent]) == "----++" + "++++--"
    assert program([*rows(happy), (101.5, 105.0, 1.0, False)]) == "----++-"


@pytest.mark.usefixtures("_messages")
def test_the_node_compiles_with_behaviortree_cpp() -> None:
    """With the real headers where they are, else with the few declarations that the node uses."""
    source = f'#include "{EXAMPLES / "is_group_smiling.hpp"}"\n'
    real = [path for prefix in prefixes() for path in (prefix / "include").rglob("bt_factory.h")]
    place = real[0].parent.parent if real else STAND_IN
    command = [*COMPILER, *include_dirs(), f"-isystem{place}", "-fsyntax-only", "-x", "c++", "-"]
    built = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-4000:]
