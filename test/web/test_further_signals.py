"""The live page shows signals that it knows by their declaration alone, in a real Chromium."""

import json
import math
from dataclasses import dataclass

import pytest

from social_perception.core.signals import Subject, signal, unregister, value
from social_perception.core.types import Voice


@pytest.fixture
def signals():
    """A face signal and a group signal, declared for the length of a test."""

    @signal(Subject.FACE)
    @dataclass(frozen=True, slots=True)
    class Yawn:
        yawn: float = value("yawn", unit="mm", low=0.0, unknown=math.nan, display=".1f")
        tired: bool = value("tired")

    @signal(Subject.GROUP)
    @dataclass(frozen=True, slots=True)
    class Tiredness:
        tiredness: float = value("tiredness", low=-1.0, high=1.0, unknown=math.nan, display="+.0%")
        yawns: int = value("yawns", unit="1/min", low=0)

    yield Yawn, Tiredness
    unregister(Yawn)
    unregister(Tiredness)


def texts(page, selector):
    return [each.replace("\xa0", " ") for each in page.locator(selector).all_text_contents()]


def send_json(room, message):
    room.dashboard._loop.call_soon_threadsafe(room.dashboard._hub._send, json.dumps(message))


def test_values_have_their_label_and_unit_on_the_stage_in_the_table_and_beside_the_gauge(
    signals, room, open_page
):
    yawn, tiredness = signals
    page = open_page(room.url)
    room.show(
        room.person("f1", 0.3, intensity=0.5, further=[yawn(12.34567, True)]),
        room.person("f2", 0.7, intensity=None, further=[yawn(math.nan, False)]),
        further=[tiredness(-0.256, 3)],
    )
    page.wait_for_function("() => document.querySelectorAll('#people .further').length === 2")
    assert texts(page, ".person-further") == ["yawn 12.3 mm tired yes", "yawn – tired no"]
    assert texts(page, "#people .further") == ["yawn 12.3 mm, tired yes", "yawn –, tired no"]
    assert texts(page, ".group-further:not([hidden]) dt") == ["tiredness", "yawns"]
    assert texts(page, ".group-further:not([hidden]) dd") == ["−26 %", "3 1/min"]
    page.wait_for_function(
        "() => document.getElementById('stage-text').textContent.includes('f1: Medium 0.50, yawn')"
    )
    rows = page.locator("#people tr").all_inner_texts()
    assert [row.replace("\xa0", " ").split()[0] for row in rows] == ["f1", "yawn", "f2", "yawn"]
    room.show(room.person("f2", 0.7, further=[yawn(1.0, False)]), further=[tiredness(math.nan, 0)])
    shown = ".group-further:not([hidden]) dd"
    page.wait_for_function(f"() => document.querySelector('{shown}').textContent === '–'")
    page.wait_for_function("() => document.querySelectorAll('#people tr').length === 2")


def test_several_people_have_their_values_in_the_table_alone(signals, room, open_page):
    yawn, _ = signals
    page = open_page(room.url)
    room.show(*(room.person(f"f{number}", number / 6, further=[yawn(1.0, True)]) for number in range(5)))
    page.wait_for_function("() => document.querySelectorAll('#people .further').length === 5")
    assert page.locator(".person-further").first.is_hidden()
    room.show(*(room.person(f"f{number}", number / 6, further=[yawn(1.0, True)]) for number in range(4)))
    page.wait_for_function("() => !document.getElementById('stage').classList.contains('several')")
    assert page.locator(".person-further").first.is_visible()


def test_without_further_signals_there_is_no_place_for_them(room, open_page):
    page = open_page(room.url)
    room.show(room.person("f1"))
    page.wait_for_function("() => document.querySelectorAll('#people tr').length === 1")
    assert page.locator(".further, .group-further:not([hidden])").count() == 0
    assert page.locator(".person-further").is_hidden()


@pytest.mark.parametrize("invalid", ["12", [1.0], {"mm": 1}])
def test_a_value_that_is_no_number_boolean_or_null_is_unknown_and_reported(signals, room, open_page, invalid):
    page = open_page(room.url)
    face = {"id": "f1", "x": 0.5, "y": 0.5, "size": 0.1, "yawn": invalid, "tired": False}
    with page.expect_event("console", lambda received: "yawn is no finite number" in received.text):
        send_json(
            room, {"type": "state", "t": 1.0, "width": 640, "height": 360, "faces": [face], "group": None}
        )
    page.wait_for_selector(".person-further", state="attached")
    assert texts(page, ".person-further") == ["yawn – tired no"]


def test_who_speaks_or_laughs_has_a_bubble(room, open_page):
    page = open_page(room.url)
    voices = [Voice(0.9, 0.1), Voice(0.9, 0.9), Voice(0.4, math.nan)]
    room.show(*(room.person(f"f{n}", 0.2 + 0.3 * n, further=[each]) for n, each in enumerate(voices)))
    page.wait_for_function("() => document.querySelectorAll('.person').length === 3")
    shown = page.locator(".person").evaluate_all(
        "all => all.map((each) => [each.dataset.id, getComputedStyle(each, '::before').content])"
    )
    assert dict(shown) == {"f0": '"\u2026"', "f1": '"ha ha"', "f2": "none"}
