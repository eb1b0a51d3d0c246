"""The report as a real browser shows it: no request, no overflow, keyboard, sorting, paper."""

from __future__ import annotations

import numpy as np
import pytest

from social_perception.core.timelines import Timeline
from social_perception.views.report import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SECONDS, RATE_HZ = 60, 10
HOSTILE = '<img src=x onerror="document.title=1">'
PEOPLE = ("anna", HOSTILE, "c" * 60, "cleo")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A report of four people who come one after the other; the second smiles most."""
    faces = []
    for place in range(len(PEOPLE)):
        frames = np.arange(100 * place, 100 * place + 200)
        values = (0.9 if place == 1 else 0.2 * place) * np.abs(np.sin(frames / 20))
        levels = np.floor(3 * values + 0.5).astype(np.uint8)
        faces.append(Timeline(PEOPLE[place], frames / RATE_HZ, frames, values, levels))
    frames = np.arange(SECONDS * RATE_HZ)
    values = frames / len(frames)
    levels = np.floor(3 * values + 0.5).astype(np.uint8)
    sizes = sum(
        (np.isin(frames, face.frames).astype(np.int64) for face in faces), np.zeros(len(frames), np.int64)
    )
    unknown = np.full(len(frames), np.nan)
    numbers = {"group_size": sizes, "valid_faces": sizes, "mean_intensity": values}
    numbers |= {"dispersion": unknown, "synchrony": unknown}
    group = Timeline("group", frames / RATE_HZ, frames, values, levels, numbers)
    target = tmp_path_factory.mktemp("report") / "report.html"
    write_report(target, faces, group, video="party.mp4")
    return target


@pytest.fixture
def open_report(browser, path):
    """Opens a report from its file; any complaint or request of a page fails the test at its end."""
    complaints, contexts = [], []

    def opened(width=1280, height=900, report=path, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url))
        page.goto(report.as_uri())
        complaints.remove(report.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("width", [320, 703, 705, 1023, 1026, 2560])
def test_nothing_reaches_over_the_edge(open_report, width):
    page = open_report(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.unseen') && "
        "e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert wide == []


def test_names_are_text(open_report):
    page = open_report()
    assert page.title().startswith("party.mp4")
    assert page.locator("img").count() == 0
    assert page.locator(".person .name").all_inner_texts() == list(PEOPLE)
    assert page.locator(".person svg").nth(1).get_attribute("aria-label").startswith(HOSTILE)


def test_every_chart_has_a_sentence(open_report):
    for chart in open_report().get_by_role("img").all():
        assert len(chart.get_attribute("aria-label").split()) >= 3


def names(page):
    return [cell.inner_text() for cell in page.locator("tbody th").all()]


def test_the_table_is_sorted_by_a_click_and_by_the_keyboard(open_report):
    page = open_report()
    assert names(page) == list(PEOPLE)
    mean = page.get_by_role("button", name="Mean")
    mean.click()
    assert names(page)[0] == HOSTILE
    assert page.locator("th[aria-sort]").all_inner_texts() == ["Mean"]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    mean.press("Enter")
    assert names(page)[-1] == HOSTILE
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="First seen").press("Space")
    assert names(page) == list(PEOPLE)


def cell(page, place):
    return page.locator(".person .value").nth(place)


def test_the_pointer_reads_the_values_of_all_charts_at_once(open_report):
    page = open_report(height=1600)
    box = page.locator(".group .plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    sync_api.expect(page.locator("#readout")).to_have_text("0:15.0 · group 0.25 Low · 2 in view")
    sync_api.expect(page.locator(".value-title")).to_have_text("at 0:15.0")
    expected = 0.9 * abs(np.sin(150 / 20))
    sync_api.expect(cell(page, 1)).to_have_text(f"{expected:.2f}")
    sync_api.expect(cell(page, 3)).to_have_text("–")
    line, plot = page.locator(".cursor").bounding_box(), page.locator(".person .plot").first.bounding_box()
    assert abs(line["x"] - (plot["x"] + plot["width"] * 0.25)) < 2


def test_the_keyboard_moves_through_time(open_report):
    page = open_report(height=1600)
    slider = page.get_by_role("slider", name="Time")
    slider.focus()
    slider.press("End")
    sync_api.expect(slider).to_have_attribute("aria-valuetext", "1:00.0 · group 1.00 High · 0 in view")
    slider.press("ArrowLeft")
    sync_api.expect(page.locator("#readout")).to_contain_text("0:59.9")
    resting = cell(page, 1).get_attribute("data-rest")
    slider.press("Escape")
    sync_api.expect(cell(page, 1)).to_have_text(resting)
    sync_api.expect(page.locator(".cursor")).to_be_hidden()


def test_all_is_there_without_scripts(open_report):
    page = open_report(java_script_enabled=False)
    assert page.get_by_role("slider").count() == 0
    assert page.locator("thead button").count() == 0
    assert page.locator(".person path.mean").count() == len(PEOPLE)
    assert names(page) == list(PEOPLE)


CONTRAST = """(selector) => [...document.querySelectorAll(selector)].map((element) => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const behind = (each) => {
    const color = channels(getComputedStyle(each).backgroundColor);
    return color.length === 4 && color[3] === 0 ? behind(each.parentElement) : color;
  };
  const light = (color) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = color.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ink = light(channels(getComputedStyle(element).color));
  const [low, high] = [ink, light(behind(element))].sort((a, b) => a - b);
  return [(high + 0.05) / (low + 0.05), element.textContent.trim().slice(0, 30)];
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(open_report, scheme):
    page = open_report(color_scheme=scheme)
    found = page.evaluate(
        CONTRAST, "h1, h2, p, dt, dd, th, td, .name, .value, .stack b, .ticks span, a, thead button"
    )
    assert len(found) > 100
    assert [(ratio, words) for ratio, words in found if ratio < 4.5] == []


def test_on_paper_everything_is_open_and_fits(open_report):
    page = open_report(width=688)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.scrollWidth") == 688
    sync_api.expect(page.locator(".scrub")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.querySelector('thead')).display") == "table-header-group"
    assert len(page.pdf(format="A4")) > 10_000


def line(name, frames, value):
    frames = np.array(frames, np.int64)
    level = 255 if np.isnan(value) else int(3 * value + 0.5)
    return Timeline(
        name, frames / RATE_HZ, frames, np.full(len(frames), value), np.full(len(frames), level, np.uint8)
    )


@pytest.mark.parametrize(
    ("faces", "words"),
    [
        ((), "no frame"),
        ((line("a", [0], 0.5),), "0:00.0 · group – · 0 in view"),
        ((line("a", range(50), np.nan), line("b", [20], np.nan)), "0:00.0 · group – · 0 in view"),
        (tuple(line(f"p{n}", range(n, n + 9), 0.7) for n in range(300)), "0:00.0 · group – · 0 in view"),
    ],
    ids=["no-frames", "one-frame", "all-unknown", "300-people"],
)
def test_odd_reports_work_too(open_report, tmp_path, faces, words):
    odd = tmp_path / "odd.html"
    write_report(odd, faces, None, video="odd.mp4")
    page = open_report(report=odd)
    if faces:
        page.get_by_role("slider", name="Time").focus()
        page.get_by_role("button", name="Mean").click()
        assert len(names(page)) == len(faces)
    sync_api.expect(page.locator("main")).to_contain_text(words)
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
