"""The reference pages of the documentation show what the code has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from social_perception.core.config import DetectionConfig, GroupConfig
from social_perception.core.settings import settings_of
from social_perception.core.signals import Subject, signals_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    """In a process of its own, because it replaces packages that are not installed."""
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, ROOT / "tools" / "docs_reference.py", folder]
    subprocess.run(command, check=True, cwd=ROOT, timeout=100)
    texts = {path.name: path.read_text(encoding="utf-8") for path in (folder / "reference").iterdir()}
    return {name: text.replace("\N{NO-BREAK SPACE}", " ") for name, text in texts.items()}


def section(page: str, heading: str) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("node", "config"), [("face_tracker", DetectionConfig), ("group_affect", GroupConfig)]
)
def test_each_setting_is_a_row_with_its_default_range_and_meaning(pages, node, config) -> None:
    rows = section(pages["parameters.md"], node).splitlines()
    for item in settings_of(config):
        (row,) = (row for row in rows if row.startswith(f"| `{item.name}` |"))
        default, limits, changes, meaning = (cell.strip() for cell in row.strip("|").split(" | ")[1:])
        shown = str(item.default).lower() if isinstance(item.default, bool) else str(item.default)
        assert default == (f"`{shown}`" if shown else "empty")
        assert limits == (
            f"{item.low:g} to {item.high:g}" if item.low is not None else ", ".join(item.choices)
        )
        assert changes == ("yes" if item.dynamic else "")
        assert meaning == item.description


def test_each_value_of_each_signal_is_a_row(pages) -> None:
    for subject in Subject:
        for one in signals_of(subject):
            rows = section(pages["signals.md"], one.kind.__name__)
            for each in one.fields:
                assert f"| `{each.name}` | {each.label} | {each.unit or '-'} | {each.bounds or '-'} |" in rows


def test_topics_have_type_publisher_qos_and_subscribers(pages) -> None:
    (row,) = (row for row in pages["topics.md"].splitlines() if row.startswith("| `tracked_faces` |"))
    kind, publishers, subscribers = (cell.strip() for cell in row.strip("|").split("|")[1:])
    assert kind == "[TrackedFaceArray](messages.md#trackedfacearray)"
    assert publishers == "face_tracker, ros4hri_faces (reliable, depth 10)"
    assert subscribers == "ros4hri, smile_intensity (reliable, depth 1)"


def test_each_field_of_each_message_has_its_comment(pages) -> None:
    for path in (ROOT / "msg").glob("*.msg"):
        text = section(pages["messages.md"], path.stem)
        fields = [line.split() for line in path.read_text().splitlines() if line and line[0] not in "# "]
        for _, name, *value in fields:
            assert (f"`{name} {' '.join(value)}`" if value else f"| `{name}` |") in text, (
                f"{path.stem}.{name}"
            )
    assert "| `valid` | `bool` | Whether the values of the smile" in section(
        pages["messages.md"], "FaceAffect"
    )


def test_each_option_of_each_command_is_listed(pages) -> None:
    page = pages["command_line.md"]
    assert "| `--min-face-px INT` |" in section(page, "live")
    assert "| `--engine {processes,ray}` |" in section(page, "annotate")
    assert "%(" not in page


def test_no_stand_in_of_a_missing_package_is_shown(pages) -> None:
    assert not [name for name, text in pages.items() if "Mock" in text]
