"""The long run: feeds every target with bad input for a while, and says what came of it.

    test/fuzz/run.py [TARGET ...] [--seconds S] [--home runs/fuzz]
    test/fuzz/run.py TARGET --replay FILE

One process at a time, each with a limit on memory and on the time for one input. What is worth keeping of
the inputs stays in runs/fuzz/corpus and is where the next run begins; an input that breaks a promise is
saved in runs/fuzz/findings (an exception) or runs/fuzz/crashes (a dead or hanging process). Exit status: 0
nothing was found, 1 something was.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from fuzzing import registry  # noqa: E402

HOME = HERE.parent.parent / "runs" / "fuzz"
_MOST_RESTARTS = 10
_START_S = 400.0
"""What a process may take to begin and to end, beside its time."""


@dataclass
class Result:
    """What came of a target; edges are the branches reached, where libFuzzer counted them."""

    target: str
    inputs: int = 0
    taken: int = 0
    edges: int | None = None
    slowest_s: float = 0.0
    growth_mb: float = 0.0
    findings: dict[str, str] = field(default_factory=dict)


def work_on(target: str, seconds: int, home: Path) -> Result:
    """Give a target its time; a process that dies is a finding, and another one goes on."""
    result, end_s = Result(target), time.monotonic() + seconds
    for attempt in range(_MOST_RESTARTS):
        left_s = max(1, round(end_s - time.monotonic()))
        before = set((home / "crashes" / target).glob("*"))
        log = home / "logs" / f"{target}.{attempt}.log"
        status = _process(target, left_s, home, log, attempt)
        _take_in(result, home, log)
        if status == 0:
            break
        inputs = sorted(path.name for path in set((home / "crashes" / target).glob("*")) - before)
        result.findings[f"process-{attempt}"] = f"{_death(status, log)} ({', '.join(inputs) or 'no input'})"
        if time.monotonic() >= end_s:
            break
    return result


def _process(target: str, seconds: int, home: Path, log: Path, attempt: int) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    (home / "reports" / f"{target}.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "fuzzing.worker", target]
    command += ["--seconds", str(seconds), "--home", str(home), "--seed", str(int(time.time()) + attempt)]
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env=environment, start_new_session=True, cwd=HERE.parent.parent
        )
        try:
            return process.wait(seconds + _START_S)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _take_in(result: Result, home: Path, log: Path) -> None:
    report = home / "reports" / f"{result.target}.json"
    found: dict[str, Any] = json.loads(report.read_text()) if report.is_file() else {}
    result.inputs += found.get("inputs", 0)
    result.taken += found.get("taken", 0)
    result.slowest_s = max(result.slowest_s, found.get("slowest_s", 0.0))
    result.growth_mb = max(result.growth_mb, found.get("growth_mb", 0.0))
    result.findings.update(found.get("findings", {}))
    edges = [int(each) for each in re.findall(rb"cov: (\d+)", log.read_bytes())]
    if edges:
        result.edges = max(*edges, result.edges or 0, 0)


def _death(status: int, log: Path) -> str:
    reason = re.findall(r"ERROR: libFuzzer: (.*)", log.read_text(errors="replace"))
    return reason[-1] if reason else f"the process ended with status {status}, see {log.name}"


def table(results: list[Result]) -> str:
    """The results as a table in Markdown."""
    rows = ["| target | inputs | taken | edges | slowest ms | growth MB | findings |", "|---" * 7 + "|"]
    rows += [
        f"| {each.target} | {each.inputs} | {each.taken} | {'-' if each.edges is None else each.edges} "
        f"| {1000 * each.slowest_s:.0f} | {each.growth_mb:.0f} | {len(each.findings)} |"
        for each in results
    ]
    return "\n".join(rows)


def replay(target: str, file: Path) -> None:
    """Run a target on one saved input; what comes out of it is not caught."""
    from fuzzing.target import try_input

    taken = try_input(registry.load(target), file.read_bytes())
    print("taken" if taken else "refused as it should be")


def main() -> int:
    """Run the selected targets; return the exit status."""
    options = _parser().parse_args()
    unknown = sorted(set(options.targets) - set(registry.MODULES))
    if unknown:
        print(f"no target {unknown[0]}; there are {', '.join(registry.MODULES)}", file=sys.stderr)
        return 2
    if options.replay is not None:
        replay(options.targets[0], options.replay)
        return 0
    home = options.home.resolve()
    results = []
    for target in options.targets or registry.MODULES:
        print(f"{target} ...", end=" ", flush=True)
        results.append(work_on(target, options.seconds, home))
        print(f"{results[-1].inputs} inputs, {len(results[-1].findings)} findings", flush=True)
    print(f"\n{table(results)}")
    for each in results:
        for key, text in each.findings.items():
            print(f"\n{each.target}: {key}\n  {text}")
    if any(not each.inputs for each in results):
        print("\na target tried nothing: see its log", file=sys.stderr)
    (home / "report.json").write_text(json.dumps([vars(each) for each in results], indent=1))
    return int(any(each.findings or not each.inputs for each in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(registry.MODULES))
    parser.add_argument("--seconds", type=int, default=60, help="time for each target (default 60)")
    parser.add_argument("--home", type=Path, default=HOME, help="where corpus and findings are kept")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the one target on this input")
    return parser


if __name__ == "__main__":
    sys.exit(main())
