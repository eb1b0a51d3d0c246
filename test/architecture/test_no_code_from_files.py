"""Nothing that is read is run: no pickles, no YAML that makes objects, no eval, no shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("social_perception", "tools", "launch", "setup.py")

FORBIDDEN = {
    "eval", "exec", "compile", "__import__",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "tempfile.mktemp",
    "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.unsafe_load_all",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open",
    "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load",
    "pandas.read_pickle", "pd.read_pickle",
    "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter",
}  # fmt: skip

ALLOWED = {
    # Between the driver and its actors, over Ray's connection, which carries pickles anyhow; never from disk.
    ("social_perception/cli/ray_engine.py", "pickle.loads"),
}


def name_of(node: ast.expr) -> str:
    """``torch.load`` for such an expression; empty for what is no plain name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *parts[::-1]]) if isinstance(node, ast.Name) else ""


def full_names(tree: ast.Module) -> dict[str, str]:
    """What the names stand for that the module imports: ``load`` for ``torch.load``, ``np`` for ``numpy``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def offences(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each call that would run what it reads, or trust a broken hash."""
    tree = ast.parse(source)
    known = full_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, _, rest = name_of(node.func).partition(".")
        name = known.get(first, first) + ("." + rest if rest else "")
        given = {word.arg: word.value for word in node.keywords}

        def is_set(argument: str, value: bool, given: dict[str | None, ast.expr] = given) -> bool:
            found = given.get(argument)
            return isinstance(found, ast.Constant) and found.value is value

        if name in FORBIDDEN:
            yield node.lineno, name
        if name == "torch.load" and not is_set("weights_only", True):
            yield node.lineno, "torch.load without weights_only=True"
        if is_set("weights_only", False):
            yield node.lineno, "weights_only=False"
        if "allow_pickle" in given and not is_set("allow_pickle", False):
            yield node.lineno, "allow_pickle"
        if "shell" in given and not is_set("shell", False):
            yield node.lineno, "shell"
        if name in {"hashlib.md5", "hashlib.sha1"} and not is_set("usedforsecurity", False):
            yield node.lineno, f"{name} without usedforsecurity=False"


def test_nothing_that_is_read_is_run() -> None:
    paths = [
        path for place in PLACES for path in (ROOT / place, *(ROOT / place).rglob("*.py")) if path.is_file()
    ]
    assert len(paths) > 100
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in paths
        for line, name in offences(path.read_text(encoding="utf-8"))
        if (path.relative_to(ROOT).as_posix(), name) not in ALLOWED
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch\ntorch.load(path)", ["torch.load without weights_only=True"]),
        ("import torch\ntorch.load(path, weights_only=False)",
         ["torch.load without weights_only=True", "weights_only=False"]),
        ("import torch\ntorch.load(path, weights_only=True)", []),
        ("from torch import load as read\nread(path)", ["torch.load without weights_only=True"]),
        ("from safetensors.torch import load\nload(data)", []),
        ("trainer.fit(module, weights_only=False)", ["weights_only=False"]),
        ("import pickle\npickle.loads(data)", ["pickle.loads"]),
        ("import pickle as p\ndef f():\n    p.load(file)", ["pickle.load"]),
        ("from joblib import load\nload(path)", ["joblib.load"]),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", ["allow_pickle"]),
        ("import numpy as np\nnp.load(path)", []),
        ("import yaml\nyaml.load(text, Loader=yaml.Loader)", ["yaml.load"]),
        ("import yaml\nyaml.safe_load(text)", []),
        ("network.eval()", []),
        ("eval(text)", ["eval"]),
        ("import subprocess\nsubprocess.run(text, shell=True)", ["shell"]),
        ("import subprocess\nsubprocess.run(words)", []),
        ("import os\nos.system(text)", ["os.system"]),
        ("import tempfile\ntempfile.mktemp()", ["tempfile.mktemp"]),
        ("import hashlib\nhashlib.sha1(data)", ["hashlib.sha1 without usedforsecurity=False"]),
        ("import hashlib\nhashlib.sha1(data, usedforsecurity=False)", []),
    ],
)  # fmt: skip
def test_the_rule_sees_what_it_is_for(source: str, found: list[str]) -> None:
    assert [name for _, name in offences(source)] == found
