"""The live page's server, over real sockets of this machine."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import zip_longest

import aiohttp
import cv2
import factories
import numpy as np
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from social_perception import __version__
from social_perception.core.config import WebConfig
from social_perception.core.errors import ConfigurationError, WebError
from social_perception.core.types import Box, SmileLevel
from social_perception.views.overlay import draw_overlay
from social_perception.views.web import access, client, connection, hub, server
from social_perception.views.web.access import HEADERS, WrongTokens
from social_perception.views.web.server import FOLDER, Dashboard, read_static_files
from social_perception.views.web.snapshot import History, state_text

NAN = float("nan")
PATIENCE_S = 20.0
TOKEN = "a-very-secret-token"
FAST_HZ = 60.0


def face(name="f1", intensity=0.5, *, visible=True, valid=True, left=0.0):
    box = Box(left, 36.0, 64.0, 72.0)
    return factories.face(name, intensity, box=box, visible=visible, valid=valid)


def group(stale=False, intensity=0.5):
    level = SmileLevel.of_intensity(intensity)
    values = {
        "mean_intensity": 0.4,
        "smiling_fraction": 1.0,
        "trend": 0.02,
        "window_s": 5.0,
        "face_ids": ("f1",),
    }
    return factories.group(1, intensity=intensity, level=level, stale=stale, **values)


def affect(stamp_s=1.0, faces=None, **changes):
    faces = (face(),) if faces is None else faces
    return factories.affect(*faces, stamp_s=stamp_s, size=(640, 360), **{"group": group(), **changes})


def run(scenario):
    """Run a scenario of clients in an event loop of its own."""
    return asyncio.run(asyncio.wait_for(scenario, 3 * PATIENCE_S))


async def until(condition, what):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:g} s for: {what}"
        await asyncio.sleep(0.01)


class Browser:
    """A WebSocket and the messages that it received."""

    def __init__(self, websocket):
        self.websocket = websocket
        self.states = []

    async def next(self):
        message = await asyncio.wait_for(self.websocket.receive(), PATIENCE_S)
        if message.type == WSMsgType.TEXT:
            return json.loads(message.data)
        return message

    async def state(self, condition=lambda state: True):
        """The next state with which the condition holds."""
        while True:
            message = await self.next()
            assert isinstance(message, dict), message
            if message["type"] == "state":
                self.states.append(message)
                if condition(message):
                    return message

    async def image(self):
        while True:
            message = await self.next()
            if not isinstance(message, dict):
                assert message.type == WSMsgType.BINARY, message
                return message.data

    async def closing(self):
        """The code with which the server closes the connection."""
        while True:
            message = await self.next()
            if not isinstance(message, dict):
                return message.data

    async def send(self, message):
        await self.websocket.send_str(message if isinstance(message, str) else json.dumps(message))


@pytest.fixture
def serve():
    """Starts dashboards on a free port of 127.0.0.1, and ends them."""
    started = []

    def start(silent_after_s=1000.0, **settings):
        config = WebConfig(**{"port": 0, "rate_hz": FAST_HZ, **settings})
        started.append(Dashboard(config, "the camera", silent_after_s=silent_after_s))
        return started[-1]

    yield start
    for dashboard in started:
        dashboard.close()


def address(dashboard, path="/"):
    return f"http://127.0.0.1:{dashboard.port}{path}"


@asynccontextmanager
async def browsing(dashboard, path="/ws", **options):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address(dashboard, path), **options) as websocket,
    ):
        yield Browser(websocket)


def get(dashboard, path="/", **options):
    """Status, headers and text of a request; redirections are not followed."""

    async def request():
        async with (
            aiohttp.ClientSession() as session,
            session.get(address(dashboard, path), allow_redirects=False, **options) as answer,
        ):
            return answer.status, answer.headers, await answer.read()

    return run(request())


def raw(dashboard, request):
    """The answer to these bytes."""
    with socket.create_connection(("127.0.0.1", dashboard.port), PATIENCE_S) as line:
        line.sendall(request)
        found = b""
        while block := line.recv(65536):
            found += block
        return found


# The messages.


def test_a_state_has_positions_and_null_for_unknown_values(serve):
    dashboard = serve()
    unknown = factories.face("f2", None, box=Box(320.0, 0.0, 64.0, 72.0), visible=False)
    dashboard.show(affect(12.345, (face(intensity=0.63), unknown), group=group(intensity=NAN)))

    async def scenario():
        async with browsing(dashboard) as browser:
            hello = await browser.next()
            assert (hello["type"], hello["version"], hello["rate_hz"]) == ("hello", __version__, FAST_HZ)
            assert (hello["picture_allowed"], hello["source"]) == (False, "the camera")
            return await browser.state()

    state = run(scenario())
    assert state["faces"] == [
        {
            "id": "f1", "x": 0.05, "y": 0.2, "size": 0.1, "intensity": 0.63, "level": 2,
            "valid": True, "visible": True,
        },
        {
            "id": "f2", "x": 0.55, "y": 0.1, "size": 0.1, "intensity": None, "level": None,
            "valid": False, "visible": False,
        },
    ]  # fmt: skip
    assert state["group"] == {
        "size": 1, "valid": 1, "intensity": None, "mean": 0.4, "dispersion": 0.1, "smiling": 1.0,
        "level": None, "trend": 0.02, "synchrony": None, "stale": False,
    }  # fmt: skip
    assert (state["t"], state["width"], state["height"]) == (12.345, 640, 360)
    assert (state["stale"], state["message"]) == (False, "")


def test_a_face_that_left_is_not_sent(serve):
    dashboard = serve()

    async def scenario():
        async with browsing(dashboard) as browser:
            dashboard.show(affect(1.0, (face("a"), face("b"))))
            await browser.state(lambda state: len(state["faces"]) == 2)
            dashboard.show(affect(2.0, (face("b"),)))
            return await browser.state(lambda state: len(state["faces"]) != 2)

    assert [each["id"] for each in run(scenario())["faces"]] == ["b"]


def test_the_frame_rate_is_sent(serve):
    dashboard = serve()

    async def scenario():
        async with browsing(dashboard) as browser:
            while True:
                dashboard.show(affect())
                if (await browser.state())["fps"]:
                    return browser.states[-1]["fps"]

    assert 0.0 < run(scenario()) < 2 * FAST_HZ


def test_before_the_first_frame_the_status_is_waiting(serve):
    dashboard = serve(silent_after_s=0.0)
    assert json.loads(get(dashboard, "/healthz")[2]) == {"status": "waiting", "clients": 0}


def test_staleness_is_reported_and_ends_with_the_next_frame(serve):
    dashboard = serve()

    async def scenario():
        async with browsing(dashboard) as browser:
            dashboard.show(affect(1.0))
            await browser.state(lambda state: not state["stale"])
            dashboard.show_stale("no images from camera 0")
            stale = await browser.state(lambda state: state["stale"])
            status = await asyncio.to_thread(get, dashboard, "/healthz")
            dashboard.show(affect(2.0))
            await browser.state(lambda state: not state["stale"])
            return stale, json.loads(status[2])

    stale, health = run(scenario())
    assert stale["message"] == "no images from camera 0"
    assert (stale["t"], len(stale["faces"])) == (1.0, 1)
    assert health == {"status": "stale", "clients": 1}
    assert json.loads(get(dashboard, "/healthz")[2])["status"] == "ok"


@pytest.mark.parametrize(
    ("silent_after_s", "stale_group", "message"),
    [(0.0, False, "no images from the camera for 0 s"), (1000.0, True, "no new images from the camera")],
)
def test_a_silent_pipeline_is_reported(serve, silent_after_s, stale_group, message):
    dashboard = serve(silent_after_s=silent_after_s)
    dashboard.show(affect(group=group(stale=stale_group)))

    async def scenario():
        async with browsing(dashboard) as browser:
            return await browser.state(lambda state: state["stale"])

    assert run(scenario())["message"] == message


def test_a_late_browser_gets_the_history(serve):
    dashboard = serve()

    async def scenario():
        async with browsing(dashboard) as browser:
            for number in range(4):
                dashboard.show(affect(10.0 + 0.25 * number, (face("a", 0.25 * number), face("b", NAN))))
                await browser.state(lambda state, number=number: state["t"] == 10.0 + 0.25 * number)
        async with browsing(dashboard) as late:
            return (await late.next())["history"]

    assert run(scenario()) == [
        [10.0, 0.5, {"a": 0.0}], [10.25, 0.5, {"a": 0.25}], [10.5, 0.5, {"a": 0.5}], [10.75, 0.5, {"a": 0.75}]
    ]  # fmt: skip


def moments(stamps_s, faces=lambda number: (face(),), epochs=()):
    history = History()
    for number, (stamp_s, epoch) in enumerate(zip_longest(stamps_s, epochs, fillvalue=0)):
        history.add(replace(affect(stamp_s, faces(number)), epoch=epoch))
    return json.loads(history.text())


@pytest.mark.parametrize("begin_s", [0.0, 1.7e9 + 0.03, -7.0])
def test_the_history_is_the_last_minute_at_five_a_second(begin_s):
    stamps = [moment[0] for moment in moments([begin_s + number / 30 for number in range(30 * 90)])]
    assert len(stamps) == pytest.approx(300, abs=2)
    assert stamps[-1] - stamps[0] == pytest.approx(60.0, abs=0.5)
    assert np.diff(stamps) == pytest.approx(np.full(len(stamps) - 1, 0.2), abs=0.04)


def test_a_slow_streams_history_ends_after_a_minute_too():
    assert [moment[0] for moment in moments(range(0, 200, 25))] == [125.0, 150.0, 175.0]


def test_people_who_come_and_go_do_not_make_the_history_grow():
    found = moments([number / 5 for number in range(5000)], lambda number: (face(f"f{number}"),))
    assert len(found) <= 301
    assert all(len(people) == 1 for _, _, people in found)


def test_a_new_epoch_starts_a_new_history():
    found = moments([10.0, 11.0, 12.0, 3.0, 4.0], epochs=[0, 0, 0, 1, 1])
    assert [moment[0] for moment in found] == [3.0, 4.0]


# Rate and browsers.


def test_of_many_states_the_newest_is_sent_at_the_pages_rate(serve):
    dashboard = serve(rate_hz=5.0)

    async def scenario():
        async with browsing(dashboard) as browser:
            begun_s, number = time.monotonic(), 0

            async def play():
                nonlocal number
                while True:
                    number += 1
                    dashboard.show(affect(float(number)))
                    await asyncio.sleep(0.005)

            playing = asyncio.ensure_future(play())
            newest = []
            while number < 200 or len(newest) < 4:
                newest.append(((await browser.state())["t"], number))
            playing.cancel()
            return newest, number, time.monotonic() - begun_s

    sent, shown, passed_s = run(scenario())
    # However slow this machine is: no more than the rate, no state twice, and none that is old.
    assert len(sent) <= 5.0 * passed_s + 2
    assert len(sent) < shown / 4
    stamps = [stamp for stamp, _ in sent]
    assert stamps == sorted(set(stamps))


def test_all_browsers_get_the_same_text(serve):
    dashboard = serve()

    async def scenario():
        async with browsing(dashboard) as one, browsing(dashboard) as other:
            await until(lambda: dashboard.clients == 2, "two browsers")
            dashboard.show(affect(7.0))
            return await one.state(), await other.state()

    one, other = run(scenario())
    assert one == other


def test_no_json_is_made_without_a_browser(serve, monkeypatch):
    written = []
    monkeypatch.setattr(hub, "state_text", lambda *state: written.append(state) or state_text(*state))
    dashboard = serve()

    async def scenario():
        for number in range(3):
            dashboard.show(affect(float(number)))
            await until(lambda number=number: len(dashboard._hub._history) > number, "the state is kept")
        assert not written
        async with browsing(dashboard) as browser:
            await browser.state()
        assert len(written) == 1

    run(scenario())


def reads_never(dashboard):
    """A WebSocket that is opened and never read."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", dashboard.port))
    line.sendall(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    return line


def many_faces(number, people=64):
    """A state of about 10 kB."""
    return affect(float(number), tuple(face(f"somebody-{number}-{index}") for index in range(people)))


def test_a_browser_that_never_reads_delays_nobody_and_is_dropped(serve, monkeypatch):
    monkeypatch.setattr(client, "READ_TIMEOUT_S", 0.5)
    dashboard = serve()

    async def scenario():
        lazy = [reads_never(dashboard) for _ in range(3)]
        try:
            async with browsing(dashboard) as browser:
                await until(lambda: dashboard.clients == 4, "four browsers")
                number = 0
                # Until the lazy ones' buffers are full and their time is up; the other gets all.
                while dashboard.clients > 1:
                    number += 1
                    dashboard.show(many_faces(number))
                    await browser.state(lambda state, number=number: state["t"] == number)
                    assert number < 10_000
                return number
        finally:
            for line in lazy:
                line.close()

    assert run(scenario()) > 1


class FakeConnection:
    """A WebSocket and its transport, with a buffer that the test fills."""

    def __init__(self):
        self.buffered, self.aborted, self.sent = 0, False, []

    def get_write_buffer_size(self):
        return self.buffered

    def abort(self):
        self.aborted = True

    async def send_str(self, text):
        self.sent.append(text)


def test_a_browser_has_twenty_seconds_to_read_a_message():
    async def scenario():
        line = FakeConnection()
        browser = client.Client(line, line, now_s=0.0)
        sending = asyncio.ensure_future(browser.send("hello"))
        await until(lambda: line.sent == ["hello"], "hello")
        line.buffered = 1
        for number, now_s in enumerate((5.0, 19.0)):
            browser.offer(text=f"{number}")
            browser.flush(now_s)
        line.buffered = 0
        browser.flush(19.5)
        await until(lambda: len(line.sent) == 2, "what was left")
        line.buffered = 1
        browser.flush(39.0)
        assert (line.sent, line.aborted) == (["hello", "1"], False)
        browser.flush(39.6)
        sending.cancel()
        return line.aborted

    assert run(scenario())


def test_one_message_waits_for_a_browser(serve):
    dashboard = serve()

    async def scenario():
        with reads_never(dashboard):
            await until(lambda: dashboard.clients == 1, "the browser")
            (lazy,) = dashboard._hub.clients
            number = 0
            while lazy._transport.get_write_buffer_size() == 0:
                number += 1
                dashboard.show(many_faces(number))
                await asyncio.sleep(0.02)
            waiting = lazy._transport.get_write_buffer_size()
            for further in range(20):
                dashboard.show(many_faces(number + 1 + further))
                await asyncio.sleep(0.02)
            return waiting, lazy._transport.get_write_buffer_size()

    before, after = run(scenario())
    assert after <= before


def test_show_returns_at_once(serve):
    dashboard = serve()

    async def scenario():
        async with browsing(dashboard) as browser:
            with reads_never(dashboard):
                await until(lambda: dashboard.clients == 2, "two browsers")
                state = many_faces(1)
                begun_s = time.thread_time()
                for _ in range(1000):
                    dashboard.show(state)
                used_s = time.thread_time() - begun_s
                await browser.state()
                return used_s

    # Processor time of this thread: a state as JSON alone would take ten times as much.
    assert run(scenario()) / 1000 < 50e-6


# The image.


IMAGE = np.full((360, 640, 3), (200, 30, 30), np.uint8)


def test_the_image_is_sent_to_browsers_that_request_it_where_it_is_allowed(serve):
    dashboard = serve(picture=True, picture_px=320)

    async def scenario():
        async with browsing(dashboard) as curious, browsing(dashboard) as other:
            await curious.send({"type": "picture", "on": True})
            await until(lambda: dashboard.wants_image, "a browser requests the image")
            dashboard.show(affect(5.0), IMAGE)
            jpeg = await curious.image()
            assert dashboard._hub._newest.image is IMAGE
            await curious.send({"type": "picture", "on": False})
            await until(lambda: not dashboard.wants_image, "no browser requests the image")
            dashboard.show(affect(6.0), IMAGE)
            await other.state(lambda state: state["t"] == 6.0)
            assert dashboard._hub._newest.image is None
            return jpeg

    jpeg = cv2.imdecode(np.frombuffer(run(scenario()), np.uint8), cv2.IMREAD_COLOR)
    boxes = draw_overlay(IMAGE, affect(5.0), header=False, legend=False, labels=False)
    expected = cv2.resize(boxes, (320, 180), interpolation=cv2.INTER_AREA)
    assert jpeg.shape == expected.shape

    # Where the face's box is.
    place = np.abs(expected.astype(int) - IMAGE[::2, ::2]).sum(axis=2) > 100
    assert place.any()

    def distance(image):
        return np.abs(cv2.cvtColor(jpeg, cv2.COLOR_BGR2RGB).astype(int) - image)[place].mean()

    # The colours are right, and the boxes are drawn.
    assert distance(expected) < 0.5 * distance(IMAGE[::2, ::2])


@pytest.mark.parametrize("allowed", [False, True])
def test_an_image_that_is_not_allowed_or_not_requested_is_not_sent(serve, allowed):
    dashboard = serve(picture=allowed)

    async def scenario():
        async with browsing(dashboard) as browser:
            if not allowed:
                await browser.send({"type": "picture", "on": True})
            for number in range(10):
                dashboard.show(affect(float(number)), IMAGE)
                dashboard.show_jpeg(b"\xff\xd8")
                # Fails on anything that is no state.
                await browser.state(lambda state, number=number: state["t"] == number)
            assert not dashboard.wants_image
            assert dashboard._hub._newest.image is None

    run(scenario())


def test_a_jpeg_is_sent_unchanged(serve):
    dashboard = serve(picture=True)

    async def scenario():
        async with browsing(dashboard) as browser:
            await browser.send({"type": "picture", "on": True})
            await until(lambda: dashboard.wants_image, "a browser requests the image")
            dashboard.show_jpeg(b"\xff\xd8 something")
            return await browser.image()

    assert run(scenario()) == b"\xff\xd8 something"


# Access.


PLACES = ["/", "/static/index.html", "/ws"]


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1", ""])
def test_another_host_name_is_refused(serve, path, host):
    assert get(serve(), path, headers={"Host": host})[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "LOCALHOST", "127.0.0.1:9", "[::1]:9"])
def test_this_machines_names_are_accepted(serve, host):
    assert get(serve(), headers={"Host": host})[0] == 200


async def refused(dashboard, path="/ws", **options):
    with pytest.raises(WSServerHandshakeError) as caught:
        async with browsing(dashboard, path, **options):
            pass
    return caught.value.status


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "http://[", "http://127.0.0.1", ""]
)
def test_another_sites_page_may_not_connect(serve, origin):
    assert run(refused(serve(), headers={"Origin": origin})) == 403


def test_the_servers_own_page_may_connect(serve):
    dashboard = serve()

    async def scenario():
        origin = {"Origin": f"http://127.0.0.1:{dashboard.port}"}
        async with browsing(dashboard, headers=origin) as browser:
            return (await browser.next())["type"]

    assert run(scenario()) == "hello"


@pytest.mark.parametrize("path", [*PLACES, "/nothing"])
@pytest.mark.parametrize("token", ["", "?token=", "?token=wrong", f"?token={TOKEN}x", f"?token={TOKEN[:-1]}"])
def test_without_the_token_nothing_is_served(serve, path, token):
    status, headers, body = get(serve(token=TOKEN), path + token)
    assert status == 401
    assert "Set-Cookie" not in headers
    assert TOKEN not in body.decode()
    assert "robot's terminal" in body.decode()


@pytest.mark.parametrize("cookie", ["", "wrong", TOKEN, "\u00fc"])
def test_a_wrong_cookie_is_refused(serve, cookie):
    dashboard = serve(token=TOKEN)
    name = f"social_perception_{dashboard.port}"
    request = f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {name}={cookie}\r\nConnection: close\r\n\r\n"
    assert raw(dashboard, request.encode()).startswith(b"HTTP/1.1 401")


def test_the_token_is_exchanged_for_a_cookie(serve):
    dashboard = serve(token=TOKEN)
    status, headers, _ = get(dashboard, f"/?token={TOKEN}")
    assert (status, headers["Location"]) == (303, "/")
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert TOKEN not in cookie
    assert get(dashboard, headers={"Cookie": cookie})[0] == 200
    assert get(dashboard, "/static/index.html", headers={"Cookie": cookie})[0] == 200

    async def scenario():
        async with browsing(dashboard, headers={"Cookie": cookie}) as browser:
            return (await browser.next())["type"]

    assert run(scenario()) == "hello"
    again = serve(token=TOKEN + "2")
    other = cookie.replace(str(dashboard.port), str(again.port))
    assert get(again, headers={"Cookie": other})[0] == 401


def test_a_program_connects_with_the_token_at_once(serve):
    async def scenario():
        async with browsing(serve(token=TOKEN), f"/ws?token={TOKEN}") as browser:
            return (await browser.next())["type"]

    assert run(scenario()) == "hello"


def test_the_token_may_be_in_a_file(serve, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    dashboard = serve(token=f"@{tmp_path / 'token'}")
    assert get(dashboard)[0] == 401
    assert get(dashboard, f"/?token={TOKEN}")[0] == 303
    with pytest.raises(ConfigurationError, match=r"the token in .* cannot be read"):
        serve(token=f"@{tmp_path / 'missing'}")


def test_after_ten_different_wrong_tokens_all_are_refused_for_a_minute(serve, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(access, "WrongTokens", lambda: WrongTokens(lambda: now_s[0]))
    dashboard = serve(token=TOKEN)
    name = f"social_perception_{dashboard.port}"
    for number in range(access.MAX_WRONG_TOKENS // 2):
        for _ in range(2):
            assert get(dashboard, f"/?token={TOKEN}{number}")[0] == 401
        assert get(dashboard, headers={"Cookie": f"{name}=wrong{number}"})[0] == 401
    for request in (
        {"path": f"/?token={TOKEN}"},
        {"path": f"/ws?token={TOKEN}"},
        {"headers": {"Cookie": f"{name}=x"}},
    ):
        status, headers, _ = get(dashboard, **request)
        assert (status, headers["Retry-After"]) == (429, "60")
    assert get(dashboard)[0] == 401
    assert get(dashboard, "/healthz")[0] == 200
    now_s[0] += access.BLOCK_S
    assert get(dashboard, f"/?token={TOKEN}")[0] == 303


def test_a_page_with_an_old_cookie_counts_once(serve):
    dashboard = serve(token=TOKEN)
    old = {"Cookie": f"social_perception_{dashboard.port}=of-another-token"}
    for _ in range(2 * access.MAX_WRONG_TOKENS):
        assert get(dashboard, headers=old)[0] == 401
    assert get(dashboard, f"/?token={TOKEN}", headers=old)[0] == 303


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "10.0.0.1", False),
    ],
)
def test_wrong_tokens_are_counted_by_address_and_network(one, other, same):
    counted = WrongTokens()
    for number in range(access.MAX_WRONG_TOKENS):
        assert not counted.is_blocked(one)
        counted.add(one, f"{number}")
    assert counted.is_blocked(one)
    assert counted.is_blocked(other) is same


def test_wrong_tokens_from_many_addresses_do_not_fill_the_memory():
    counted = WrongTokens()
    for number in range(5000):
        counted.add(f"10.1.{number // 250}.{number % 250}", "guess")
    assert len(counted._attempts) == 1024


def test_the_health_check_needs_no_token(serve):
    assert get(serve(token=TOKEN), "/healthz")[0] == 200


def test_on_an_open_address_a_token_is_made(serve):
    one, other = serve(address="0.0.0.0"), serve(address="0.0.0.0")
    assert get(one, headers={"Host": "robot.example"})[0] == 401
    tokens = {each.url.partition("?token=")[2] for each in (one, other)}
    assert len(tokens) == 2
    assert all(len(token) >= 32 for token in tokens)
    assert get(one, f"/?{one.url.partition('?')[2]}", headers={"Host": "robot.example"})[0] == 303
    assert "0.0.0.0" not in one.url


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_addresses_are_ipv4_and_ipv6(serve):
    dashboard = serve(address="::")
    assert "?token=" in dashboard.url
    assert get(dashboard)[0] == 401
    with socket.create_connection(("::1", dashboard.port), PATIENCE_S) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        assert line.recv(12) == b"HTTP/1.1 401"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_the_ipv6_loopback_address_needs_no_token(serve):
    dashboard = serve(address="::1")
    assert dashboard.url == f"http://[::1]:{dashboard.port}/"
    with socket.create_connection(("::1", dashboard.port), PATIENCE_S) as line:
        line.sendall(f"GET / HTTP/1.1\r\nHost: [::1]:{dashboard.port}\r\n\r\n".encode())
        assert line.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("0.0.0.0", "http://10.1.2.3:{}/?token={}"),
        ("127.0.0.1", "http://127.0.0.1:{}/?token={}"),
    ],
)
def test_the_url_has_an_address_that_others_can_open(serve, monkeypatch, address, url):
    monkeypatch.setattr(connection, "_own_address", lambda: "10.1.2.3")
    dashboard = serve(address=address, token=TOKEN)
    assert dashboard.url == url.format(dashboard.port, TOKEN)


def test_on_the_loopback_address_there_is_no_token(serve):
    dashboard = serve()
    assert dashboard.url == f"http://127.0.0.1:{dashboard.port}/"
    assert get(dashboard)[0] == 200


@pytest.mark.parametrize("token", ["short", "twelve chars with spaces", "ümlaut-ümlaut"])
def test_a_bad_token_is_refused_and_not_repeated(token):
    with pytest.raises(ConfigurationError) as caught:
        WebConfig(token=token)
    assert token not in str(caught.value)


# The files.


def test_the_page_and_its_files_are_served_with_their_types(serve):
    dashboard = serve()
    assert get(dashboard)[2] == (FOLDER / "index.html").read_bytes()
    types = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for path in FOLDER.iterdir():
        status, headers, body = get(dashboard, f"/static/{path.name}")
        assert (status, body) == (200, path.read_bytes())
        assert headers["Content-Type"].partition(";")[0] == types[path.suffix]
        assert headers["Cache-Control"] == "no-cache"


def test_a_file_that_the_browser_has_is_not_sent_again(serve):
    dashboard = serve()
    tag = get(dashboard)[1]["ETag"]
    assert get(dashboard, headers={"If-None-Match": tag})[::2] == (304, b"")
    assert get(dashboard, headers={"If-None-Match": '"other"'})[0] == 200


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1", 200),
        ("GET /static/index.html HTTP/1.1", 200),
        ("GET /nothing HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("GET /ws HTTP/1.1", 400),
        ("GET /healthz HTTP/1.1", 200),
        ("BREW / HTTP/9.9", 400),
        ("nonsense", 400),
        ("GET / HTTP/1.1\r\nBad Header", 400),
        ("GET /" + "a" * 20_000 + " HTTP/1.1", 400),
    ],
)
def test_every_answer_has_the_security_headers_and_no_version(serve, request_line, status):
    request = f"{request_line}\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    head, _, body = raw(serve(), request.encode()).partition(b"\r\n\r\n")
    assert head.startswith((f"HTTP/1.1 {status} ".encode(), f"HTTP/1.0 {status} ".encode()))
    for name, value in HEADERS.items():
        assert f"{name}: {value}".encode() in head
    assert head.count(b"Server:") == 1
    assert b"aiohttp" not in head + body.lower()
    assert b"Python" not in head


TRAVERSALS = [
    "/static/../server.py",
    "/static/../../../../../../../../../../etc/passwd",
    "/static/%2e%2e/server.py",
    "/static/..%2fserver.py",
    "/static/%2e%2e%2fserver.py",
    "/static/%252e%252e%252fserver.py",
    "/static/..%5cserver.py",
    "/static/..\\server.py",
    "/static/....//server.py",
    "/static/%c0%ae%c0%ae/server.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/index.html%00.js",
    "/static/.",
    "/static/./",
    "/static/",
    "/static",
    "//etc/passwd",
    "/../server.py",
    "/server.py",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_nothing_but_the_pages_files_is_served(serve, path):
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw(serve(), request.encode())
    assert answer.split(b" ")[1] in (b"400", b"404"), answer
    assert b"import" not in answer
    assert b"root:" not in answer
    assert b".js" not in answer.partition(b"\r\n\r\n")[2]


# Limits.


def test_more_browsers_than_allowed_are_refused_until_one_leaves(serve):
    dashboard = serve(max_clients=2)

    async def scenario():
        async with browsing(dashboard) as staying:
            async with browsing(dashboard):
                assert await refused(dashboard) == 503
            await until(lambda: dashboard.clients == 1, "one has left")
            async with browsing(dashboard) as newcomer:
                assert (await newcomer.next())["type"] == "hello"
            assert (await staying.next())["type"] == "hello"

    run(scenario())


def test_more_connections_than_allowed_are_closed(serve, monkeypatch):
    monkeypatch.setattr(server, "_SPARE_CONNECTIONS", 2)
    dashboard = serve(max_clients=1)
    lines = [socket.create_connection(("127.0.0.1", dashboard.port), PATIENCE_S) for _ in range(3)]
    try:
        lines[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert lines[0].recv(12) == b"HTTP/1.1 200"
        further = socket.create_connection(("127.0.0.1", dashboard.port), PATIENCE_S)
        with further, suppress(ConnectionResetError):
            assert further.recv(1) == b""
        lines[1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert lines[1].recv(12) == b"HTTP/1.1 200"
    finally:
        for line in lines:
            line.close()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: local"])
def test_a_request_that_does_not_end_is_closed(serve, monkeypatch, begun):
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.1)
    dashboard = serve()
    with socket.create_connection(("127.0.0.1", dashboard.port), PATIENCE_S) as line:
        line.sendall(begun)
        with suppress(ConnectionResetError):
            assert line.recv(1) == b""


def test_a_websocket_outlives_the_time_for_requests(serve, monkeypatch):
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.1)
    dashboard = serve()

    async def scenario():
        async with browsing(dashboard) as browser:
            await browser.next()
            begun_s = time.monotonic()
            await until(lambda: time.monotonic() > begun_s + 0.3, "three times the time allowed")
            dashboard.show(affect(3.0))
            return (await browser.state())["t"]

    assert run(scenario()) == 3.0


def test_a_long_message_ends_the_connection(serve):
    dashboard = serve()

    async def scenario():
        async with browsing(dashboard) as browser:
            await browser.send("x" * 2000)
            return await browser.closing()

    assert run(scenario()) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


@pytest.mark.parametrize(
    "garbage",
    ["", "{", "null", "7", "[]", "[" * 1000, '{"type":"picture"}', '{"type":"picture","on":1}',
     '{"type":["picture"],"on":true}', '{"on":true}', "\u0000", '"picture"', "NaN"],
)  # fmt: skip
def test_an_invalid_message_is_ignored(serve, garbage):
    dashboard = serve(picture=True)

    async def scenario():
        async with browsing(dashboard) as browser:
            await browser.send(garbage)
            await browser.websocket.send_bytes(b"\x00\xff")
            await browser.next()
            for number in range(3):
                dashboard.show(affect(float(number)))
                await browser.state(lambda state, number=number: state["t"] == number)
            assert not dashboard.wants_image

    run(scenario())


# Closing and errors.


def test_closing_closes_the_connections_and_frees_the_port(serve):
    dashboard = serve()

    async def scenario():
        with reads_never(dashboard):
            async with browsing(dashboard) as browser:
                await until(lambda: dashboard.clients == 2, "two browsers")
                await asyncio.to_thread(dashboard.close)
                return await browser.closing()

    assert run(scenario()) == aiohttp.WSCloseCode.GOING_AWAY
    again = serve(port=dashboard.port)
    assert get(again)[0] == 200
    dashboard.close()
    dashboard.show(affect())


def test_a_port_in_use_is_an_error_of_one_line(serve):
    port = serve().port
    with pytest.raises(WebError, match=f"port {port} of 127.0.0.1 is in use"):
        serve(port=port)


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("203.0.113.7", WebError),
        ("no-such-host.invalid", ConfigurationError),
        ("not an address", ConfigurationError),
        ("", ConfigurationError),
    ],
)
def test_a_foreign_address_is_an_error_of_one_line(serve, where, kind):
    with pytest.raises(kind, match="address") as caught:
        serve(address=where)
    assert "\n" not in str(caught.value)


def test_a_port_that_needs_rights_is_an_error_of_one_line(serve, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ConfigurationError, match=r"port 80 of 127\.0\.0\.1 needs special rights"):
        serve(port=80)


def test_without_its_files_the_page_is_not_served(tmp_path):
    with pytest.raises(WebError, match=r"index\.html is missing"):
        read_static_files(tmp_path)
