"""Works on one target in a process of its own: ``worker.py TARGET --seconds S --home DIR``.

libFuzzer (atheris) breeds the inputs, guided by which branches they reach; where it is not installed they
are bred blindly. What a wrong input leads to is written down and the search goes on; only a crash of
the process, a hang or a lack of memory ends it, of which libFuzzer leaves the input.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import logging
import os
import re
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from fuzzing.mutate import bred

try:
    import atheris
except ImportError:
    atheris = None

TIMEOUT_S = 300
"""Wall time after which an input is a hang; several times the processor time allowed, for busy machines."""
_SAVE_S = 1.0


class Record:
    """What was tried and found, kept in a file that survives the process."""

    def __init__(self, home: Path, name: str, limit_s: float, memory_mb: int) -> None:
        self._path, self._findings = home / "reports" / f"{name}.json", home / "findings" / name
        self._limit_s, self._memory_kb = limit_s, memory_mb * 1024
        self._saved_s = 0.0
        self._begin_kb = _resident_kb()
        self.inputs, self.taken, self.slowest_s, self.growth_kb = 0, 0, 0.0, 0
        self.findings: dict[str, str] = {}

    def note(self, data: bytes, *, taken: bool, seconds: float) -> None:
        """Take in what an input cost."""
        self.inputs += 1
        self.taken += taken
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds > self._limit_s:
            self.find("slow", f"it took {seconds:.1f} s, {self._limit_s:g} s are allowed", data)
        if time.monotonic() - self._saved_s > _SAVE_S:
            self.growth_kb = max(self.growth_kb, _resident_kb() - self._begin_kb)
            if self.growth_kb > self._memory_kb:
                self.find("memory", f"the process has grown by {self.growth_kb // 1024} MB", data)
            self.save()

    def fail(self, data: bytes, error: BaseException) -> None:
        """Take in an exception that should not have come."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = type(error).__name__
        # One finding per place, however many inputs lead there.
        place = f"{what}-{Path(last.filename).stem}-{last.lineno}"
        if what == "BrokenPromiseError":
            place += "-" + re.sub(r"[^a-z]+", "-", str(error).lower())[:24]
        text = "".join(traceback.format_exception(error))
        self.find(place, text, data)

    def find(self, key: str, text: str, data: bytes) -> None:
        """Write a finding down, once."""
        if key in self.findings:
            return
        self.findings[key] = text.strip().splitlines()[-1][:300]
        self._findings.mkdir(parents=True, exist_ok=True)
        stem = self._findings / re.sub(r"[^A-Za-z0-9-]", "_", key)
        stem.with_suffix(".bin").write_bytes(data)
        stem.with_suffix(".txt").write_text(text)
        self.save()

    def save(self) -> None:
        """Write the file."""
        self._saved_s = time.monotonic()
        values = {name: getattr(self, name) for name in ("inputs", "taken", "slowest_s", "findings")}
        values["growth_mb"] = round(self.growth_kb / 1024, 1)
        self._path.write_text(json.dumps(values))


def _resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def _address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _load(name: str) -> Any:
    from fuzzing import registry

    if atheris is None:
        return registry.load(name)
    with atheris.instrument_imports(include=registry.instrumented(name)):
        return registry.load(name)


def _prepare(name: str, home: Path, target: Any) -> Path:
    corpus = home / "corpus" / name
    for folder in (corpus, home / "reports", home / "crashes" / name):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    return corpus


def main() -> None:
    """Run until the time is up."""
    options = _parser().parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    from fuzzing.target import try_input

    target = _load(options.target)
    corpus = _prepare(options.target, options.home, target)
    for seed in target.seeds():  # what is loaded or cached with the first inputs is no growth
        try_input(target, seed)
    record = Record(options.home, options.target, target.limit_s, target.memory_mb)
    record.save()

    def one_input(data: bytes) -> None:
        began_s = time.process_time()
        taken = False
        try:
            taken = try_input(target, data)
        except (Exception, SystemExit) as error:
            record.fail(data, error)
        record.note(data, taken=taken, seconds=time.process_time() - began_s)

    # An allocation beyond it fails, whether or not its memory would be touched.
    limit = _address_space_bytes() + (target.memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if atheris is None:
        faulthandler.enable()
        _blindly(one_input, target, options.seconds, record)
        return
    arguments = [
        sys.argv[0], f"-max_total_time={options.seconds}", f"-timeout={TIMEOUT_S}", "-rss_limit_mb=0",
        f"-max_len={target.max_bytes}", f"-artifact_prefix={options.home}/crashes/{options.target}/",
        f"-seed={options.seed}", "-use_value_profile=1", str(corpus),
    ]  # fmt: skip
    atheris.Setup(arguments, one_input)
    atheris.Fuzz()


def _blindly(one_input: Any, target: Any, seconds: int, record: Record) -> None:
    end_s = time.monotonic() + seconds
    number = time.time_ns()
    while time.monotonic() < end_s:
        number += 1
        for data in bred(target.seeds(), 200, target.max_bytes, number):
            one_input(data)
    record.save()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Works on one target; run.py is what calls it.")
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # for programs started from here
    main()
