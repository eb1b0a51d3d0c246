"""A real browser and the real server, with results in place of the pipeline's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import factories
import pytest
from browser import MISSING, chromium, starts

from social_perception.core.config import WebConfig
from social_perception.core.signals import Signals
from social_perception.core.types import Box, Smile, SmileLevel

WIDTH, HEIGHT = 1280, 720


def person(name, x=0.5, y=0.5, intensity=0.0, *, size=0.08, visible=True, further=()):
    """A face with its centre at a share of the image; intensity None: not known yet."""
    width = size * WIDTH
    box = Box(x * WIDTH - width / 2, y * HEIGHT - width / 2, width, width)
    return factories.face(name, intensity, box=box, visible=visible, further=further)


def affect_of(stamp_s, people, *, trend=0.0, synchrony=math.nan, stale=False, further=()):
    """A frame's affect; the group's numbers are the plain means of those known."""
    known = [face[Smile].intensity for face in people if face[Smile].valid]
    mean = sum(known) / len(known) if known else math.nan
    group = factories.group(
        len(people),
        stamp_s=stamp_s,
        valid_faces=len(known),
        intensity=mean,
        mean_intensity=mean,
        dispersion=0.1 if known else math.nan,
        smiling_fraction=sum(value >= 0.5 for value in known) / len(known) if known else math.nan,
        level=SmileLevel.of_intensity(mean),
        trend=trend if known else math.nan,
        synchrony=synchrony,
        window_s=5.0,
        face_ids=tuple(face.track.id for face in people),
        stale=stale,
        signals=Signals(*further),
    )
    return factories.affect(
        *people, stamp_s=stamp_s, index=round(30 * stamp_s), size=(WIDTH, HEIGHT), group=group
    )


@dataclass
class Room:
    """The server and the stream's time; its states go to every page that is open."""

    dashboard: object
    now_s: float = 0.0
    person = staticmethod(person)

    @property
    def url(self):
        return self.dashboard.url

    def show(self, *people, after_s=0.1, image=None, **group):
        """Let the next frame show these people."""
        self.now_s += after_s
        self.dashboard.show(affect_of(self.now_s, people, **group), image)


@contextmanager
def serve(*, port=0, picture=False, silent_after_s=60.0, token="") -> Iterator[Room]:
    """A room behind the real server; by default its stream is never reported as silent."""
    from social_perception.views.web.server import Dashboard

    config = WebConfig(port=port, picture=picture, token=token, rate_hz=30.0)
    with Dashboard(config, "test", silent_after_s=silent_after_s) as dashboard:
        yield Room(dashboard)


@pytest.fixture
def room():
    with serve() as opened:
        yield opened


@pytest.fixture(name="serve")
def serve_():
    """For rooms that are not like the others, or are opened twice."""
    return serve


@dataclass
class Log:
    """What a page wrote to its console, and which addresses it requested."""

    errors: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    def listen(self, page):
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))

    def _console(self, message):
        if message.type == "error":
            self.errors.append(message.text)
        if message.type == "warning":
            self.warnings.append(message.text)


def pytest_runtest_setup(item):
    """Skip the tests without a browser here, not in the fixture: that gives one line for all of them."""
    if "browser" in item.fixturenames and not starts():
        pytest.skip(MISSING)


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all tests of a file.

    Not for the session: playwright keeps an event loop running, and other tests run their own.
    """
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser):
    """Opens pages in contexts of their own; its console must be clean unless errors are expected."""
    contexts, logs = [], []

    def open_(url, *, errors_expected=False, wait=True, **options):
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.log = Log()
        page.log.listen(page)
        logs.append((page.log, errors_expected))
        page.goto(url)
        if wait:
            page.wait_for_function(
                "() => !['', 'Connecting'].includes(document.getElementById('link-text').textContent)"
            )
        return page

    yield open_
    for context in contexts:
        context.close()
    for log, errors_expected in logs:
        assert errors_expected or not log.errors
