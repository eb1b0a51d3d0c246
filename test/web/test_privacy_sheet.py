"""The sheet beside the robot: one printed page of A4, in two languages, with room for what operators say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SHEET = Path(__file__).parents[2] / "docs" / "privacy_sheet.html"
BLANKS = {"Operator", "Contact", "Purpose", "Legal basis", "What is kept", "Who receives it"}


@pytest.fixture
def sheet(open_page):
    return open_page(SHEET.as_uri(), wait=False)


def test_it_fits_on_one_page(sheet) -> None:
    pdf = sheet.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", pdf)) == 1
    (box,) = set(re.findall(rb"/MediaBox\s*\[([^\]]+)\]", pdf))
    width, height = (float(number) / 72 * 25.4 for number in box.split()[2:])
    assert (width, height) == (pytest.approx(210, abs=1), pytest.approx(297, abs=1))


def test_nothing_is_cut_off_also_when_the_lines_are_filled_in(sheet) -> None:
    lines = sheet.locator(".blank .line")
    for number in range(lines.count()):
        lines.nth(number).fill(
            "Municipal Library, reading room 2, Example Street 1; a line and a half of text, as is usual"
        )
    body = sheet.locator(".sheet").evaluate(
        "(it) => [it.scrollHeight, it.clientHeight, it.scrollWidth, it.clientWidth]"
    )
    assert body[0] <= body[1]
    assert body[2] <= body[3]
    columns, blanks = (sheet.locator(name).bounding_box() for name in (".columns", ".blanks"))
    assert columns["y"] + columns["height"] <= blanks["y"]


def test_it_says_in_two_languages_what_must_be_said(sheet) -> None:
    text = sheet.locator(".sheet").inner_text()
    labels = sheet.locator(".blank").all_inner_texts()
    assert {name for name in BLANKS if any(label.startswith(name) for label in labels)} == BLANKS
    assert sheet.locator("[lang=de]").count() >= 5
    for heading in ("What happens", "Was geschieht", "Your rights", "Ihre Rechte", "If you do not want this"):
        assert heading in text
    assert sheet.locator("svg[role=img][aria-label]").is_visible()


def test_it_asks_for_nothing_from_elsewhere(sheet) -> None:
    assert sheet.log.requests == [SHEET.as_uri()]
