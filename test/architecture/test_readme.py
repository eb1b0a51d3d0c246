"""The Python of the README runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/standalone.md"])
def test_the_python_example_runs(page: str, shared: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?make_pipeline.*?)```", (ROOT / page).read_text(), re.S)
    assert code.count("\n") <= 9
    clip = shared / "clips" / "single_face.mp4"
    code = code.replace('"meeting.mp4"', repr(str(clip)))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 72
    assert re.search(r"'(Neutral|Low|Medium|High)'", run.stdout)
