"""The locks hold what requirements*.txt ask for, each file by its hash, and the audit says what it found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import audit_dependencies as audit
import lock_dependencies as lock
import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOOLS = Path(__file__).resolve().parents[2] / "tools"
LOCKS = ("lock-build.txt", "lock.txt", "lock-torch.txt")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
ASKED = [
    Requirement(line.partition("#")[0].strip())
    for part in ("-build", "", "-test", "-ros")
    for line in (TOOLS / f"requirements{part}.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
]


def entries():
    """Each requirement of the locks with the lines of its hashes."""
    for name in LOCKS:
        for _, text in lock.entries_of((TOOLS / name).read_text()):
            head, *hashes = text.replace("\\\n", "\n").strip().splitlines()
            yield Requirement(head), [each.strip() for each in hashes]


def locked(python):
    """The versions that are installed with a Python on x86-64 Linux, by name."""
    here = {
        **default_environment(), "python_version": python, "python_full_version": f"{python}.5",
        "sys_platform": "linux", "platform_machine": "x86_64", "platform_python_implementation": "CPython",
    }  # fmt: skip
    found = {}
    for each, _ in entries():
        if each.marker is None or each.marker.evaluate(here):
            assert canonicalize_name(each.name) not in found
            found[canonicalize_name(each.name)] = str(each.specifier)
    return found, here


@pytest.mark.parametrize("python", PYTHONS)
def test_requirements_are_locked(python):
    found, here = locked(python)
    asked = [each for each in ASKED if each.marker is None or each.marker.evaluate(here)]
    assert len(asked) > 40
    for each in asked:
        assert found[canonicalize_name(each.name)] == str(each.specifier), "run tools/lock_dependencies.py"


def test_every_package_is_known_by_its_hashes():
    found = list(entries())
    assert len(found) > 250
    for each, hashes in found:
        assert re.fullmatch("==[^,]+", str(each.specifier)), each
        assert hashes, each
        assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", line) for line in hashes), each


def test_the_setup_takes_nothing_without_its_hash_but_another_build_of_torch():
    text = (TOOLS / "setup").read_text()
    body = text[text.index("\ninstall_packages() {") :]
    body = body[: body.index("\n}\n")].partition("    return\n")[2]
    installed = re.findall(r'^ *"\$\{pip\[@\]\}" (.*)$', body, re.MULTILINE)
    assert [each for each in installed if not each.startswith('"${locked[@]}"')] == ['"torch==$torch"']
    assert sorted(each.rpartition("tools/")[2] for each in installed if "-r" in each) == sorted(LOCKS)
    assert "locked=(--require-hashes --no-deps)" in text


ANSWER = json.dumps({
    "dependencies": [
        {"name": "clean", "version": "1.0", "vulns": []},
        {"name": "hurt", "version": "2.0", "vulns": [
            {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1"]},
            {"id": "GHSA-2", "aliases": [], "fix_versions": []},
        ]},
        {"name": "odd", "skip_reason": "not found"},
    ]
})  # fmt: skip


@pytest.mark.parametrize(
    ("accepted", "found"),
    [
        ({}, ["hurt 2.0: PYSEC-1, fixed in 2.1", "hurt 2.0: GHSA-2, fixed in no version"]),
        ({"CVE-1": "why"}, ["hurt 2.0: GHSA-2, fixed in no version"]),
        ({"PYSEC-1": "why", "GHSA-2": "why"}, []),
    ],
)
def test_vulnerabilities_are_reported_unless_accepted(accepted, found):
    assert audit.vulnerabilities(ANSWER, accepted) == found


@pytest.mark.parametrize(("answer", "status"), [(ANSWER, 1), ('{"dependencies": []}', 0)])
def test_a_vulnerability_fails_and_its_absence_does_not(monkeypatch, capsys, answer, status):
    looked_up = []
    monkeypatch.setattr(audit, "is_reachable", lambda _, service: service == "osv")
    monkeypatch.setattr(audit, "audit", lambda _, service, part: looked_up.append((service, part)) or answer)
    assert audit.main() == status
    assert {service for service, _ in looked_up} == {"osv"}
    # Every version of every lock is asked about, and none twice in one go.
    pins = sorted({f"{each.name}{each.specifier}" for each, _ in entries()})
    assert sorted(pin for _, part in looked_up for pin in part) == pins
    assert all(len({pin.partition("==")[0] for pin in part}) == len(part) for _, part in looked_up)
    assert ("hurt" if status else "no known vulnerability") in capsys.readouterr().out


@pytest.mark.parametrize("failure", [ValueError("no JSON"), OSError("no pip-audit")])
def test_what_cannot_be_audited_is_reported_and_fails_nothing(monkeypatch, capsys, failure):
    def fail(*_):
        raise failure

    monkeypatch.setattr(audit, "is_reachable", lambda *_: True)
    monkeypatch.setattr(audit, "audit", fail)
    assert audit.main() == 0
    assert "NOT AUDITED" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "reachable"),
    [
        (ANSWER, True),
        ('{"dependencies": [{"name": "flask", "version": "0.5", "vulns": []}]}', False),
        ('{"dependencies": [{"name": "flask", "skip_reason": "a mirror without advisories"}]}', False),
        ("{}", False),
    ],
)
def test_only_who_knows_vulnerabilities_is_asked(monkeypatch, tmp_path, answer, reachable):
    monkeypatch.setattr(audit, "audit", lambda *_: answer)
    assert audit.is_reachable(tmp_path, "pypi") is reachable


def test_without_advisories_nothing_is_audited(monkeypatch, capsys):
    monkeypatch.setattr(audit, "is_reachable", lambda *_: False)
    assert audit.main() == 0
    assert "NOT AUDITED" in capsys.readouterr().err
