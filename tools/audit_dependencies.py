#!/usr/bin/env python3
"""Look for known vulnerabilities of the locked packages, with pip-audit.

It asks the advisories of PyPI, or those of OSV. Where neither can be reached it says that nothing was audited
and ends with 0, so that a machine without them is not held up; a vulnerability that is found ends with 1.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
PIP_AUDIT = "pip-audit==2.10.1"
PATIENCE_S = 300.0

FAILURES = (OSError, subprocess.SubprocessError, ValueError, KeyError)

SERVICES = ("pypi", "osv")
"""The advisories, by pip-audit's names."""

KNOWN = "flask==0.5"
"""A package with old vulnerabilities: who knows none of it has no advisories, only packages perhaps."""

ACCEPTED: Mapping[str, str] = {}
"""Identifiers of vulnerabilities that do not concern the package, each with the reason."""


def main() -> int:
    locks = sorted(TOOLS.glob("lock*.txt"))
    pins = sorted({pin for path in locks for pin in pins_of(path.read_text(encoding="utf-8"))})
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        service = next((each for each in SERVICES if is_reachable(scratch, each)), None)
        if service is None:
            return not_audited("no advisories can be reached (of PyPI, OSV)")
        try:
            answers = [audit(scratch, service, part) for part in parts_of(pins)]
        except FAILURES as error:
            return not_audited(f"pip-audit failed: {error}")
    skipped = [line for answer in answers for line in not_looked_at(answer)]
    print(*skipped, sep="\n", end="\n" * bool(skipped), file=sys.stderr)
    found = [line for answer in answers for line in vulnerabilities(answer)]
    audited = f"{len(pins) - len(skipped)} of {len(pins)} packages audited with {service}"
    print("\n".join(found) or f"{audited}: no known vulnerability")
    return int(bool(found))


def not_audited(reason: str) -> int:
    print(f"NOT AUDITED: {reason}", file=sys.stderr)
    return 0


def is_reachable(scratch: Path, service: str) -> bool:
    """Whether a service knows vulnerabilities; pip-audit itself takes silence for good news."""
    try:
        return bool(vulnerabilities(audit(scratch, service, [KNOWN]), accepted={}))
    except FAILURES:
        return False


def pins_of(lock: str) -> Iterator[tuple[str, str]]:
    """Name and version of each package of a lock, for whatever Python it is."""
    yield from re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE)


def parts_of(pins: Sequence[tuple[str, str]]) -> Iterator[list[str]]:
    """The pins as lists of requirements in which no package stands twice."""
    left = list(pins)
    while left:
        part = dict(reversed(left))
        left = [pin for pin in left if part[pin[0]] != pin[1]]
        yield [f"{name}=={version}" for name, version in sorted(part.items())]


def audit(scratch: Path, service: str, requirements: Iterable[str]) -> str:
    """What pip-audit answers, as JSON."""
    python = scratch / "bin" / "python"
    if not python.exists():
        venv.create(scratch, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PIP_AUDIT], check=True)
    file = scratch / "requirements.txt"
    file.write_text("\n".join(requirements) + "\n", encoding="utf-8")
    options = ["--no-deps", "--disable-pip", "-s", service, "-f", "json", "--progress-spinner", "off"]
    command = [python, "-m", "pip_audit", *options, "-r", file]
    # It ends with 1 for vulnerabilities and for failures alike; only the former come with an answer.
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False, timeout=PATIENCE_S
    ).stdout
    json.loads(answer)
    return answer


def vulnerabilities(answer: str, accepted: Mapping[str, str] = ACCEPTED) -> list[str]:
    """A line for each vulnerability of an answer that is not accepted."""
    lines = []
    for package in json.loads(answer)["dependencies"]:
        for each in package.get("vulns", ()):
            if not {each["id"], *each.get("aliases", ())} & accepted.keys():
                fixed = ", ".join(each["fix_versions"]) or "no version"
                lines.append(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    return lines


def not_looked_at(answer: str) -> list[str]:
    """A line for each package that the advisories do not know."""
    return [
        f"{package['name']} was not audited: {package['skip_reason']}"
        for package in json.loads(answer)["dependencies"]
        if "skip_reason" in package
    ]


if __name__ == "__main__":
    sys.exit(main())
