"""The page of the group alone: nothing of single people reaches the browser, and nothing is missed there."""

from __future__ import annotations

import pytest

from social_perception.core.config import WebConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.signals import Signals
from social_perception.core.types import FrameAffect, Scene, SceneAffect
from social_perception.views.web.server import Dashboard

NAMES = ("annak", "berta")


@pytest.fixture
def group_room(room):
    """A room whose page is of the group alone, though the pipeline reports everybody."""
    with Dashboard(WebConfig(port=0, rate_hz=30.0), "test", silent_after_s=60.0, people=False) as dashboard:
        room.dashboard.close()
        room.dashboard = dashboard
        yield room


def talk(room, page=None):
    """Four seconds of a group that begins to smile."""
    for step in range(40):
        people = [room.person(name, intensity=0.2 + 0.6 * step / 40) for name in NAMES]
        room.show(*people, synchrony=0.4, trend=0.15)
        if page is not None:
            page.wait_for_timeout(5)


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 720}, {"width": 390, "height": 844}])
def test_the_group_is_all_that_is_shown(viewport, group_room, open_page, tmp_path) -> None:
    talk(group_room)
    page = open_page(group_room.url, viewport=viewport)
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(frame)))
    page.reload()
    page.wait_for_function("() => document.getElementById('group-size').textContent.includes('2')")
    talk(group_room, page)
    page.wait_for_function("() => document.getElementById('group-number').textContent.startsWith('0.7')")
    for name in (".stage-card", ".people-card", "#mirror-button", "#image-button"):
        assert not page.locator(name).is_visible(), name
    for name in (".group-card", ".chart-card", "#theme-button", "#help-button"):
        assert page.locator(name).is_visible(), name
    chart = page.locator(".chart-space").bounding_box()
    assert chart["height"] > 150
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".person").count() == 0
    everything = page.content() + "".join(map(str, received))
    assert "history" in everything, "what was sent before is sent, too"
    assert not any(name in everything for name in NAMES)
    page.screenshot(path=tmp_path / f"page_{viewport['width']}.png")


def test_the_help_describes_what_is_shown(group_room, open_page) -> None:
    page = open_page(group_room.url)
    group_room.show(*(group_room.person(name, intensity=0.5) for name in NAMES))
    page.click("#help-button")
    shown = page.locator("#help").inner_text()
    assert "Synchrony" in shown
    assert "mirror" not in shown
    assert "Every emoji" not in shown


def test_a_page_without_people_shows_no_image() -> None:
    with pytest.raises(ConfigurationError, match="picture must be false"):
        Dashboard(WebConfig(port=0, picture=True), "test", people=False)


def test_unknown_values_are_reported_as_unknown(group_room, open_page) -> None:
    page = open_page(group_room.url)
    group_room.show(group_room.person("annak", intensity=None))
    page.wait_for_function("() => document.getElementById('group-size').textContent.includes('1')")
    assert page.locator("#group-level").inner_text() == "Not known"


def test_of_a_scene_its_values_are_all_that_is_shown(group_room, open_page) -> None:
    page = open_page(group_room.url)
    affect = SceneAffect((0.1, 0.3, 0.6), 0.5, with_sound=True)
    scene = Scene(1.0, Signals(affect))
    group_room.dashboard.show(FrameAffect(1.0, 0, 640, 360, scene=scene))
    page.wait_for_function("() => document.documentElement.dataset.scene === 'shown'")
    shown = [
        each.replace("\xa0", " ") for each in page.locator("#group-figures dt:visible").all_text_contents()
    ]
    assert shown == ["negative", "neutral", "positive", "valence", "with sound"]
    values = page.locator("#group-figures dd:visible").all_text_contents()
    assert [each.replace("\xa0", " ") for each in values] == ["10 %", "30 %", "60 %", "+0.50", "yes"]
    for name in (".stage-card", ".people-card", ".chart-card", "#gauge"):
        assert not page.locator(name).is_visible(), name
