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
import urllib.error
import urllib.request
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
PIP_AUDIT = "pip-audit==2.10.1"
PATIENCE_S = 20.0

SERVICES = {
    "pypi": "https://pypi.org/pypi/Flask/0.5/json",
    "osv": "https://api.osv.dev/v1/vulns/PYSEC-2018-66",
}
"""The advisories, and what tells whether they can be reached: an answer about an old version that has some.

An index may mirror the packages and not the advisories; pip-audit finds nothing then, and says so.
"""

ACCEPTED: Mapping[str, str] = {}
"""Identifiers of vulnerabilities that do not concern the package, each with the reason."""


def main() -> int:
    service = next((name for name, url in SERVICES.items() if is_reachable(url)), None)
    if service is None:
        return not_audited(f"none of {', '.join(SERVICES.values())} answers as it should")
    locks = sorted(TOOLS.glob("lock*.txt"))
    pins = sorted({pin for path in locks for pin in pins_of(path.read_text(encoding="utf-8"))})
    with tempfile.TemporaryDirectory() as scratch:
        try:
            answers = [audit(Path(scratch), service, part) for part in parts_of(pins)]
        except (OSError, subprocess.SubprocessError, ValueError) as error:
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


def is_reachable(url: str) -> bool:
    """Whether the address answers with a JSON object that tells vulnerabilities."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            found = json.load(answer)
    except (OSError, urllib.error.URLError, ValueError):
        return False
    return isinstance(found, dict) and bool(found.get("vulnerabilities") or found.get("affected"))


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
    wanted = scratch / "wanted.txt"
    wanted.write_text("\n".join(requirements) + "\n", encoding="utf-8")
    options = ["--no-deps", "--disable-pip", "-s", service, "-f", "json", "--progress-spinner", "off"]
    command = [python, "-m", "pip_audit", *options, "-r", wanted]
    # It ends with 1 for vulnerabilities and for failures alike; only the former come with an answer.
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    json.loads(answer)
    return answer


def vulnerabilities(answer: str, accepted: Mapping[str, str] = ACCEPTED) -> list[str]:
    """A line for each vulnerability of an answer that is not accepted."""
    lines = []
    for package in json.loads(answer)["dependencies"]:
        for each in package.get("vulns", ()):
            if not {each["id"], *each.get("aliases", ())} & accepted.keys():
                mended = ", ".join(each["fix_versions"]) or "no version"
                lines.append(f"{package['name']} {package['version']}: {each['id']}, mended in {mended}")
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
