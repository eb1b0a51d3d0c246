"""The long run's worker: a fault that is planted is found, saved, and reported once."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

PLANTED = """
import sys, types
from fuzzing import registry, target, worker

def run(data):
    if len(data) > 3:
        return bytearray(1 << 33) if data[0] == 255 else 1 // 0

module = types.ModuleType("fuzzing.planted")
seeds = lambda: [b"abc"]
module.TARGETS = {"planted": target.Target("nothing", run, seeds, memory_mb=256)}
sys.modules["fuzzing.planted"] = module
registry.MODULES["planted"] = "planted"
worker.main()
"""


def load_run():
    spec = importlib.util.spec_from_file_location("fuzz_run", HERE / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_run"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "blind"])
def test_a_planted_fault_is_found_and_saved(tmp_path, guided):
    if guided:
        pytest.importorskip("atheris", reason="tools/requirements-fuzz.txt is not installed")
    program = PLANTED if guided else f"import sys\nsys.modules['atheris'] = None\n{PLANTED}"
    options = ["--seconds", "2", "--home", str(tmp_path), "--seed", "1"]
    command = [sys.executable, "-c", program, "planted", *options]
    done = subprocess.run(command, cwd=HERE, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((tmp_path / "reports" / "planted.json").read_text())
    assert report["inputs"] > 100
    kinds = sorted(key.split("-")[0] for key in report["findings"])
    # What an input merely asks for is found, too: eight GB are refused by the limit.
    assert kinds == ["MemoryError", "ZeroDivisionError"]
    saved = sorted((tmp_path / "findings" / "planted").glob("*.bin"))
    assert [len(path.read_bytes()) > 3 for path in saved] == [True, True]

    run = load_run()
    result, log = run.Result("planted"), tmp_path / "log"
    log.write_bytes(b"#5 NEW cov: 12 ft: 3\n#9 DONE cov: 14 ft: 3\n")
    run._take_in(result, tmp_path, log)
    assert (result.inputs, result.edges, len(result.findings)) == (report["inputs"], 14, 2)
    assert run.table([result]).splitlines()[-1].endswith("| 2 |")


def test_an_unknown_target_is_wrong_usage(capsys, monkeypatch):
    run = load_run()
    monkeypatch.setattr(sys, "argv", ["run.py", "nothing"])
    assert run.main() == 2
    assert "image_file" in capsys.readouterr().err
