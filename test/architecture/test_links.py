"""The links of the documentation lead to files that exist; make docs checks the anchors, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")
PATH = re.compile(r"`((?:test|config|tools|docs|social_perception)/[\w./-]+\.\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page) -> None:
    text = page.read_text(encoding="utf-8")
    links = {page.parent / target for target in LINK.findall(text)}
    generated = {path for path in links if path.is_relative_to(ROOT / "docs" / "reference")}
    paths = {ROOT / path for path in PATH.findall(text)}
    assert not [str(path) for path in (links - generated) | paths if not path.exists()]
