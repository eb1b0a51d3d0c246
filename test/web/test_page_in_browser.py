"""What people see and screen readers announce on the live page, in a real Chromium."""

import math
import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from social_perception import __version__
from social_perception.core.types import SmileLevel
from social_perception.views.colors import LEVEL_COLORS, PERSON_COLORS

STATIC = Path(__file__).parents[2] / "social_perception" / "views" / "web" / "static"

PLACES = """() => {
  const stage = document.getElementById("stage").getBoundingClientRect();
  return Object.fromEntries([...document.querySelectorAll(".person")].map((person) => {
    const face = person.querySelector(".emoji").getBoundingClientRect();
    const x = (face.x + face.width / 2 - stage.x) / stage.width;
    const y = (face.y + face.height / 2 - stage.y) / stage.height;
    return [person.dataset.id, [x, y, face.width]];
  }));
}"""

SETTLED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def shown(page, count):
    """The places of the people on the stage, once so many are drawn at theirs."""
    page.wait_for_function(f"() => document.querySelectorAll('.person').length === {count}")
    page.evaluate(SETTLED)
    return page.evaluate(PLACES)


def text(page, name):
    return page.locator(f"#{name}").inner_text()


def wait_for_text(page, name, part, timeout=10_000):
    page.wait_for_function(
        "([name, part]) => document.getElementById(name).textContent.includes(part)",
        arg=[name, part],
        timeout=timeout,
    )


def mouth(page, name):
    return page.locator(f".person[data-id='{name}'] .mouth").get_attribute("d")


def mouth_corners_above_its_middle_px(path):
    """How far the lower lip's control point lies below the corners, in the units of the drawing."""
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", path)]
    corner_y, lower_y = numbers[1], numbers[7]
    return lower_y - corner_y


def send(room, message):
    """Send every page a message that the server itself never would."""
    room.dashboard._loop.call_soon_threadsafe(room.dashboard._hub._send, message)


# The stage.


def test_people_stand_at_the_mirrored_place_and_leave(room, open_page):
    page = open_page(room.url)
    room.show(room.person("f1", 0.3, 0.4, 0.0, size=0.05), room.person("f2", 0.6, 0.5, 0.0, size=0.10))
    places = shown(page, 2)
    assert places["f1"][:2] == pytest.approx([0.7, 0.4], abs=0.01)
    assert places["f2"][:2] == pytest.approx([0.4, 0.5], abs=0.01)
    assert places["f2"][2] == pytest.approx(2 * places["f1"][2], rel=0.1)
    room.show(room.person("f2", 0.6, 0.5))
    assert list(shown(page, 1)) == ["f2"]
    room.show()
    assert shown(page, 0) == {}
    assert text(page, "note") == "Nobody in view"


def test_the_mirror_can_be_switched_off_and_stays_off(room, open_page):
    page = open_page(room.url)
    room.show(room.person("f1", 0.3))
    shown(page, 1)
    page.get_by_role("button", name="Mirror").click()
    page.evaluate(SETTLED)
    assert page.evaluate(PLACES)["f1"][0] == pytest.approx(0.3, abs=0.01)
    assert page.get_by_role("button", name="Mirror").get_attribute("aria-pressed") == "false"
    page.reload()
    assert shown(page, 1)["f1"][0] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("x", [0.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_nobody_is_cut_off_by_the_edge(room, open_page, x, y):
    page = open_page(room.url)
    room.show(room.person("f1", x, y, 0.5, size=0.2))
    shown(page, 1)
    stage = page.locator("#stage").bounding_box()
    for part in (".emoji", ".caption"):
        box = page.locator(f".person {part}").bounding_box()
        assert box["x"] >= stage["x"]
        assert box["y"] >= stage["y"]
        assert box["x"] + box["width"] <= stage["x"] + stage["width"]
        assert box["y"] + box["height"] <= stage["y"] + stage["height"]


def test_a_face_smiles_as_much_as_its_person(room, open_page):
    page = open_page(room.url)
    pulls = []
    for step in range(11):
        room.show(room.person("f1", intensity=step / 10))
        wait_for_text(page, "stage", f"{step / 10:.2f}")
        page.evaluate(SETTLED)
        pulls.append(mouth_corners_above_its_middle_px(mouth(page, "f1")))
    assert pulls == sorted(pulls)
    assert len(set(pulls)) == len(pulls)
    assert pulls[0] < 1 < 20 < pulls[-1]
    cheeks = page.locator(".person .cheeks")
    assert float(cheeks.get_attribute("opacity")) == 1
    room.show(room.person("f1", intensity=0.0))
    wait_for_text(page, "stage", "0.00")
    page.evaluate(SETTLED)
    assert float(cheeks.get_attribute("opacity")) == 0


@pytest.mark.parametrize(
    ("intensity", "level"), [(0.0, 0), (0.4, 1), (0.6, 2), (1.0, 3), (None, 255)], ids=str
)
def test_the_ring_has_the_colour_of_the_level(room, open_page, intensity, level):
    page = open_page(room.url)
    room.show(room.person("f1", intensity=intensity))
    shown(page, 1)
    color = page.locator(".person .ring").evaluate("(ring) => getComputedStyle(ring).stroke")
    red, green, blue = dict(LEVEL_COLORS)[SmileLevel(level)]
    assert color == f"rgb({red}, {green}, {blue})"
    known = page.locator(".person .emoji").get_attribute("data-known")
    assert known == str(intensity is not None).lower()


def test_a_hidden_face_is_pale_and_a_new_one_has_no_mouth_yet(room, open_page):
    page = open_page(room.url)
    room.show(room.person("new", 0.3, intensity=None), room.person("gone", 0.7, visible=False))
    shown(page, 2)
    opacity = "(face) => Number(getComputedStyle(face).opacity)"
    assert page.locator("[data-id=gone] .emoji").evaluate(opacity) < 0.5
    assert page.locator("[data-id=new] .emoji").evaluate(opacity) == 1
    assert not page.locator("[data-id=new] .mouth").is_visible()
    assert page.locator("[data-id=new] .dots").is_visible()


def test_people_glide_unless_reduced_motion_is_requested(room, open_page):
    still, moving = open_page(room.url), open_page(room.url, reduced_motion="no-preference")
    watch = """() => {
      globalThis.seen = new Set();
      const look = () => {
        for (const person of document.querySelectorAll(".person")) seen.add(person.style.transform);
        requestAnimationFrame(look);
      };
      look();
    }"""
    room.show(room.person("f1", 0.8))
    for page in (still, moving):
        shown(page, 1)
    moving.wait_for_function("() => getComputedStyle(document.querySelector('.person')).opacity === '1'")
    for page in (still, moving):
        page.evaluate(watch)
    room.show(room.person("f1", 0.2))
    for page in (still, moving):
        page.wait_for_function(
            """() => {
              const stage = document.getElementById("stage").getBoundingClientRect();
              const face = document.querySelector(".emoji").getBoundingClientRect();
              return Math.abs((face.x + face.width / 2 - stage.x) / stage.width - 0.8) < 0.005;
            }"""
        )
    assert still.evaluate("seen.size") <= 2
    assert moving.evaluate("seen.size") > 3
    room.show()
    shown(moving, 0)


def test_many_people_are_drawn_small_and_removed_when_they_leave(room, open_page):
    page = open_page(room.url)
    room.show(*(room.person(f"f{i}", i % 20 / 20, i // 20 / 15, i / 300, size=0.02) for i in range(300)))
    places = shown(page, 300)
    assert max(size for *_, size in places.values()) < 44
    assert page.locator(".caption").first.is_hidden()
    wait_for_text(page, "people-count", "300")
    room.show(room.person("f0"))
    shown(page, 1)
    assert page.locator(".caption").first.is_visible()
    page.wait_for_function("() => document.querySelectorAll('#people tr').length === 1")


# The group and the last minute.


def test_the_gauge_shows_the_groups_values(room, open_page):
    page = open_page(room.url)
    room.show(
        room.person("a", 0.2, intensity=0.9),
        room.person("b", 0.8, intensity=0.3),
        trend=0.05,
        synchrony=-0.25,
    )
    wait_for_text(page, "group-number", "0.60")
    assert text(page, "group-level") == "Medium"
    assert text(page, "group-trend") == "rising +0.05/s"
    assert text(page, "group-size") == "2"
    assert text(page, "group-smiling") == "50 %"
    assert text(page, "group-synchrony") == "−0.25"
    meter = page.get_by_role("meter", name="Group")
    assert meter.get_attribute("aria-valuetext") == "0.60, Medium, rising"
    needle = "() => document.querySelector('#gauge svg g').getAttribute('transform')"
    page.wait_for_function(f"() => ({needle})() === 'rotate(108.00)'")
    room.show(room.person("a", 0.2, intensity=0.9), room.person("b", 0.8, intensity=0.3))
    wait_for_text(page, "group-synchrony", "not known")
    room.show()
    wait_for_text(page, "group-level", "Nobody in view")
    assert text(page, "group-number") == "–"


def count_line_pixels(page, left, right):
    """The number of pixels in the colour of the group's line, between shares of the chart's width."""
    return page.evaluate(
        """([left, right]) => {
          const canvas = document.getElementById("chart");
          const [from, to] = [Math.round(left * canvas.width), Math.round(right * canvas.width)];
          const { data } = canvas.getContext("2d").getImageData(from, 0, to - from, canvas.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4)
            count += data[i] === 0x17 && data[i + 1] === 0x20 && data[i + 2] === 0x2e && data[i + 3] === 255;
          return count;
        }""",
        [left, right],
    )


def show_minute(page_or_none, room, unknown=lambda time_s: False):
    """A minute in which a group's smile goes up; one state per fifth of a second."""
    hub = room.dashboard._hub
    for step in range(300):
        time_s = step / 5
        intensity = None if unknown(time_s) else step / 300
        room.show(room.person("f1", intensity=intensity), after_s=0.2)
        hub._history.add(hub._newest.affect)


def test_a_page_opened_late_shows_the_last_minute(room, open_page):
    show_minute(None, room, unknown=lambda time_s: 20 < time_s < 40)
    page = open_page(room.url)
    wait_for_text(page, "chart-text", "from 0.00 to 1.00")
    assert "1 person seen" in page.locator("#chart-text").text_content()
    page.wait_for_function("() => document.querySelectorAll('#legend li').length === 2")
    # The first and the last third are known, in the middle nobody's smile is.
    assert count_line_pixels(page, 0.1, 0.3) > 100
    assert count_line_pixels(page, 0.75, 0.95) > 100
    assert count_line_pixels(page, 0.45, 0.6) == 0


@pytest.mark.parametrize("ratio", [1, 2])
def test_the_chart_is_as_fine_as_the_screen(room, open_page, ratio):
    page = open_page(room.url, device_scale_factor=ratio)
    size = page.evaluate("[chart.width, chart.getBoundingClientRect().width]")
    assert size[0] == pytest.approx(ratio * size[1], abs=1)


# The connection.


def test_a_page_reconnects_to_a_restarted_server(serve, open_page):
    with serve() as room:
        page = open_page(room.url, errors_expected=True)
        port = room.dashboard.port
        room.show(room.person("before"))
        shown(page, 1)
        assert page.locator("html").get_attribute("data-link") == "live"
    wait_for_text(page, "link-text", "Lost: reconnecting")
    assert "Connection lost" in text(page, "note")
    with serve(port=port) as room:
        room.show(room.person("after"))
        wait_for_text(page, "link-text", "Live", timeout=15_000)
        page.wait_for_selector("[data-id=after]", state="attached")
        assert list(shown(page, 1)) == ["after"]


def test_many_reconnections_leave_nothing_open(serve, open_page):
    with serve() as room:
        page = open_page("about:blank", errors_expected=True, wait=False)
        page.add_init_script(
            """
            globalThis.sockets = [];
            globalThis.intervals = 0;
            const Plain = WebSocket;
            globalThis.WebSocket = class extends Plain {
              constructor(...all) { super(...all); sockets.push(this); }
            };
            const begin = setInterval, end = clearInterval;
            globalThis.setInterval = (...all) => { intervals += 1; return begin(...all); };
            globalThis.clearInterval = (id) => { intervals -= 1; end(id); };
            """
        )
        page.goto(room.url)
        room.show(room.person("f1"))
        wait_for_text(page, "link-text", "Live")
        timers = page.evaluate("intervals")
        for count in range(2, 7):
            # Gone without a word, as in a power cut.
            page.evaluate("sockets.at(-1).dispatchEvent(new CloseEvent('close'))")
            page.wait_for_function(f"() => sockets.length === {count} && sockets.at(-1).readyState === 1")
            wait_for_text(page, "link-text", "Live")
        assert page.evaluate("sockets.filter((socket) => socket.readyState < 2).length") == 1
        assert page.evaluate("intervals") == timers


def test_denied_access_is_reported(serve, open_page):
    with serve(token="first-token-0123") as room:
        page = open_page(room.url, errors_expected=True)
        port = room.dashboard.port
        room.show(room.person("f1"))
        wait_for_text(page, "link-text", "Live")
        assert "token" not in page.url
    with serve(port=port, token="other-token-0123"):
        wait_for_text(page, "link-text", "Access denied", timeout=15_000)
        assert "open the address" in text(page, "note")


def test_stale_is_reported_and_is_no_loss(serve, open_page):
    with serve(silent_after_s=0.5) as room:
        page = open_page(room.url)
        room.show(room.person("f1", intensity=0.7))
        wait_for_text(page, "link-text", "Stale: no images")
        assert page.locator("html").get_attribute("data-link") == "stale"
        assert text(page, "group-number") == "–"
        room.show(room.person("f1", intensity=0.7))
        wait_for_text(page, "link-text", "Live")


def test_a_silent_server_that_waits_for_its_first_image_stays_connected(room, open_page):
    page = open_page("about:blank", wait=False)
    page.clock.install()
    page.goto(room.url)
    wait_for_text(page, "note", "Waiting for the first image")
    for _ in range(3):
        with page.expect_response("**/healthz") as answer:
            page.clock.run_for(5_500)
        # The page's own time limit of its request follows the clock too: it must have read the answer.
        answer.value.finished()
        page.evaluate("fetch('healthz').then((answer) => answer.json())")
    assert text(page, "link-text") == "Waiting"
    assert sum(url.startswith("ws:") for url in page.log.requests) == 1


def test_a_silent_connection_to_a_server_with_new_states_is_opened_again(room, open_page):
    page = open_page("about:blank", wait=False)
    page.clock.install()
    page.goto(room.url)
    room.show(room.person("f1"))
    wait_for_text(page, "link-text", "Live")
    with page.expect_event("websocket", lambda _: True):
        page.clock.run_for(6_000)
        wait_for_text(page, "link-text", "Lost")
        page.clock.run_for(1_000)
    wait_for_text(page, "link-text", "Live")


def test_a_hidden_page_is_not_drawn(room, open_page):
    page = open_page(room.url)
    room.show(room.person("f1"))
    shown(page, 1)
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    with page.expect_event("console", lambda message: "not an object" in message.text):
        room.show(room.person("f2"))
        room.show(room.person("f3"))
        page.wait_for_timeout(100)
        # What comes after the states on the same wire has been preceded by them.
        send(room, "null")
    assert list(page.evaluate(PLACES)) == ["f1"]
    page.evaluate(hide, False)
    page.wait_for_selector("[data-id=f3]", state="attached")
    assert list(shown(page, 1)) == ["f3"]


# Robustness and privacy.


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "null",
        "[1, 2]",
        '{"type": "unheard of"}',
        '{"type": "state", "t": "now"}',
        '{"type": "state", "t": 1e9, "faces": [{"id": 7}, null, {"id": "x", "x": "left"}], "group": "us"}',
        f'{{"type": "hello", "history": [7, [null], [1, 2, null]], "version": "{__version__}"}}',
    ],
)
def test_an_invalid_message_is_ignored_with_a_warning(room, open_page, message):
    page = open_page(room.url)
    room.show(room.person("f1"))
    shown(page, 1)
    with page.expect_event("console", lambda received: received.type == "warning"):
        send(room, message)
    room.show(room.person("f2"), after_s=2e9)
    page.wait_for_selector("[data-id=f2]", state="attached")


def test_the_page_of_another_version_is_reloaded(room, open_page):
    page = open_page(room.url)
    with page.expect_navigation():
        send(room, '{"type": "hello", "version": "0.0.0"}')


def test_an_id_is_shown_as_text_whatever_it_is(room, open_page):
    hostile = "<img src=x onerror=\"document.title='taken'\">"
    page = open_page(room.url)
    room.show(room.person(hostile, 0.3), room.person("__proto__", 0.7))
    shown(page, 2)
    assert page.locator(".person-id").first.text_content() == hostile
    page.wait_for_function("() => document.querySelectorAll('#people tr').length === 2")
    page.wait_for_function("() => document.querySelectorAll('#legend li').length === 3")
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == "Social perception: live"
    assert not any(url.endswith("/x") for url in page.log.requests)


def test_nothing_is_requested_from_other_hosts(room, open_page):
    page = open_page(room.url)
    room.show(room.person("f1"))
    shown(page, 1)
    page.get_by_role("button", name="Help").click()
    origin = urlsplit(room.url).netloc
    assert {urlsplit(url).netloc for url in page.log.requests} == {origin}
    for path in STATIC.iterdir():
        addresses = set(re.findall(r"\bhttps?://[^\s\"'<)]+", path.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name


def test_the_image_is_shown_only_where_it_is_allowed_and_requested(serve, open_page):
    image = np.full((720, 1280, 3), (200, 30, 30), np.uint8)
    with serve(picture=True) as room:
        page = open_page("about:blank", wait=False)
        page.add_init_script(
            """
            globalThis.urls = new Set();
            const { createObjectURL, revokeObjectURL } = URL;
            URL.createObjectURL = (blob) => { const url = createObjectURL(blob); urls.add(url); return url; };
            URL.revokeObjectURL = (url) => { urls.delete(url); revokeObjectURL(url); };
            """
        )
        page.goto(room.url)
        room.show(room.person("f1", 0.3), image=image)
        shown(page, 1)
        shown_image, button = page.locator("#image"), page.get_by_role("button", name="Image")
        assert shown_image.is_hidden()
        assert page.locator("#image-reason").is_hidden()
        button.click()
        page.wait_for_function("() => document.getElementById('stage').classList.contains('with-image')")
        sources = set()
        for _ in range(4):
            seen = shown_image.get_attribute("src")
            while shown_image.get_attribute("src") == seen:
                room.show(room.person("f1", 0.3), image=image)
                page.wait_for_timeout(20)
            page.wait_for_function("() => document.getElementById('image').naturalWidth > 0")
            sources.add(shown_image.get_attribute("src"))
        assert len(sources) == 4
        assert page.evaluate("urls.size") <= 2
        box = shown_image.bounding_box()
        assert box["width"] / box["height"] == pytest.approx(1280 / 720, rel=0.02)
        face, stage = page.locator(".emoji").bounding_box(), page.locator("#stage").bounding_box()
        # The emoji leaves the face free: it stands above it.
        assert face["y"] + face["height"] < stage["y"] + (0.5 - 0.08 / 2) * stage["height"]
        mirrored = "(image) => getComputedStyle(image).transform"
        assert shown_image.evaluate(mirrored) == "matrix(-1, 0, 0, 1, 0, 0)"
        page.keyboard.press("m")
        assert shown_image.evaluate(mirrored) == "none"
        button.click()
        assert shown_image.is_hidden()
        assert page.evaluate("urls.size") == 0
        page.wait_for_timeout(100)
        assert shown_image.is_hidden()


def test_on_the_image_an_emoji_beside_a_large_head_does_not_change_sides(serve, open_page):
    with serve(picture=True) as room:
        page = open_page(room.url)
        room.show(room.person("f1", 0.5, 0.3, size=0.3))
        shown(page, 1)
        page.keyboard.press("p")
        sides = set()
        for step in range(6):
            x = 0.5 + 0.02 * (-1) ** step
            room.show(room.person("f1", x, 0.3, step / 10, size=0.3))
            wait_for_text(page, "stage", f"{step / 10:.2f}")
            page.evaluate(SETTLED)
            place = page.evaluate(PLACES)["f1"][0]
            assert abs(place - (1 - x)) > 0.15
            sides.add(place > 0.5)
        assert len(sides) == 1


def test_where_the_image_is_not_allowed_the_reason_is_reported(room, open_page):
    page = open_page(room.url)
    button = page.get_by_role("button", name="Image")
    assert button.get_attribute("aria-disabled") == "true"
    reason = page.locator("#" + button.get_attribute("aria-describedby"))
    reason.wait_for()
    assert "not allowed" in reason.inner_text()
    button.click(force=True)
    page.keyboard.press("p")
    assert button.get_attribute("aria-pressed") == "false"


# Accessibility.


def test_each_control_works_by_keyboard(room, open_page):
    page = open_page(room.url)
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
    assert reached == ["mirror-button", "image-button", "theme-button", "help-button", "table-space"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()


def test_shortcuts_work_but_not_in_inputs_with_modifiers_or_when_switched_off(room, open_page):
    page = open_page(room.url)
    mirror = page.get_by_role("button", name="Mirror", include_hidden=True)

    def mirrored():
        return mirror.get_attribute("aria-pressed")

    page.keyboard.press("m")
    assert mirrored() == "false"
    for chord in ("Control+m", "Alt+m"):
        page.keyboard.press(chord)
        assert mirrored() == "false"
    page.keyboard.press("Shift+?")
    assert page.locator("#help").is_visible()
    page.locator("#keys-switch").focus()
    page.keyboard.press("m")
    assert mirrored() == "false"
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    assert mirrored() == "false"
    page.reload()
    page.keyboard.press("m")
    assert mirrored() == "false"


@pytest.fixture
def announcing_page(room, open_page):
    """A page whose clock advances only on request; ``announced`` holds the announcements."""
    page = open_page("about:blank", wait=False)
    page.clock.install()
    page.goto(room.url)
    page.evaluate(
        """() => {
          globalThis.announced = [];
          const note = () => announced.push(document.getElementById("speech").textContent);
          new MutationObserver(note).observe(document.getElementById("speech"), {
            childList: true, characterData: true, subtree: true,
          });
        }"""
    )
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    return page


def test_changes_are_announced_and_not_with_every_frame(room, announcing_page):
    page = announcing_page
    assert page.locator("#speech").get_attribute("aria-live") == "polite"
    for step in range(20):
        room.show(room.person("f3", 0.3 + step / 100, intensity=0.5 + step / 1000), trend=0.03)
        wait_for_text(page, "stage", f"{0.5 + step / 1000:.2f}")
        page.clock.run_for(100)
    page.clock.run_for(4500)
    assert page.evaluate("announced") == ["Person f3 joined. One person, smile Medium 0.50, rising."]
    two = room.person("f3", 0.5, intensity=0.52), room.person("f4", 0.7, intensity=0.52)
    room.show(*two, trend=0.03)
    wait_for_text(page, "group-size", "2")
    page.clock.run_for(4500)
    assert page.evaluate("announced.at(-1)") == "Person f4 joined. Group of 2, smile Medium 0.52, rising."
    for trend in ("0.04", "0.05", "0.06"):
        room.show(*two, trend=float(trend))
        wait_for_text(page, "group-trend", trend)
        page.clock.run_for(3000)
    assert len(page.evaluate("announced")) == 2
    room.show(two[0])
    wait_for_text(page, "group-size", "1")
    page.clock.run_for(4500)
    assert page.evaluate("announced.at(-1)") == "Person f4 left. One person, smile Medium 0.52, steady."
    room.dashboard.show_stale("no images for 2.0 s")
    wait_for_text(page, "link-text", "Stale")
    page.clock.run_for(4500)
    assert page.evaluate("announced.at(-1)") == "Stale: no new images."
    assert len(page.evaluate("announced")) == 4


def test_the_stage_has_a_description(room, open_page):
    page = open_page(room.url)
    room.show(room.person("f10", 0.1, intensity=None), room.person("f9", 0.5, intensity=0.52))
    assert page.locator("#stage").get_attribute("aria-labelledby") == "stage-text"
    wait_for_text(page, "stage-text", "f9: Medium 0.52, centre; f10: warming up, right.")
    rows = [re.split(r"\s+", row.strip(), maxsplit=1) for row in page.locator("#people tr").all_inner_texts()]
    assert [row[0] for row in rows] == ["f9", "f10"]
    assert re.split(r"\s+", rows[0][1]) == ["Medium", "0.52", "centre"]
    page.keyboard.press("m")
    wait_for_text(page, "stage-text", "f10: warming up, left.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_chosen(room, open_page, scheme):
    page = open_page(room.url, color_scheme=scheme)
    other = {"light": "dark", "dark": "light"}[scheme]
    theme = page.locator("html")
    assert theme.get_attribute("data-theme") == scheme
    page.emulate_media(color_scheme=other)
    page.wait_for_function(f"() => document.documentElement.dataset.theme === '{other}'")
    page.emulate_media(color_scheme=scheme)
    while page.locator("#theme-text").inner_text() != f"Theme: {other}":
        page.get_by_role("button", name="Theme").click()
    assert theme.get_attribute("data-theme") == other
    page.reload()
    assert theme.get_attribute("data-theme") == other


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def themes():
    """The colours by name of the light and of the dark theme, as the style sheet has them."""
    style = (STATIC / "page.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", re.search(rf"{start} {{(.*?)}}", style, re.S)[1]))
        for start in (":root", re.escape(':root[data-theme="dark"]'))
    )
    return {"light": light, "dark": light | dark}


def test_the_style_sheets_colours_are_those_of_every_other_view():
    light = themes()["light"]
    for level, (red, green, blue) in LEVEL_COLORS:
        assert light[f"level-{level.name.lower()}"] == f"#{red:02x}{green:02x}{blue:02x}"
    for number, color in enumerate(PERSON_COLORS):
        assert light[f"person-{number}"] == color.lower()
    assert f"person-{len(PERSON_COLORS)}" not in light


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(theme):
    colors = themes()[theme]
    for ink_name in ("ink", "muted", "good", "warn", "bad"):
        for ground in ("surface", "ground", "stage-top", "stage-bottom", "pressed"):
            assert contrast(colors[ink_name], colors[ground]) >= 4.5, (ink_name, ground)
    for border in ("edge", "focus"):
        assert contrast(colors[border], colors["surface"]) >= 3.0, border


@pytest.mark.parametrize("size", [(360, 740), (320, 640), (768, 1024), (1280, 720), (740, 360)], ids=str)
def test_nothing_is_wider_than_the_screen(room, open_page, size):
    width, height = size
    page = open_page(room.url, viewport={"width": width, "height": height})
    people = [room.person(f"person-with-a-long-name-{i}", i / 9, 0.5, i / 9) for i in range(10)]
    room.show(*people)
    shown(page, 10)
    page.wait_for_function("() => document.querySelectorAll('#people tr').length === 10")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.locator("header button").all():
        box = button.bounding_box()
        assert box["width"] >= 44
        assert box["height"] >= 44
        assert box["x"] + box["width"] <= width
    page.get_by_role("button", name="Help").click()
    box = page.locator("#help").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_unknown_numbers_are_not_zero(room, open_page):
    page = open_page(room.url)
    room.show(room.person("f1", intensity=None), synchrony=math.nan)
    wait_for_text(page, "group-size", "1")
    assert text(page, "group-number") == "–"
    assert text(page, "group-smiling") == "not known"
    assert text(page, "group-spread") == "not known"
    assert text(page, "group-trend") == "Trend not known"
    page.wait_for_function("() => document.querySelectorAll('#people tr').length === 1")
    assert "warming up" in page.locator("#people").inner_text()
