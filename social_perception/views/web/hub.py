"""Between the pipeline and the browsers: the newest state, told to all at a fixed rate at most.

``show``, ``say_stale`` and ``show_jpeg`` may be called by any thread and only leave something here.
All else belongs to the server's event loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from social_perception import __version__
from social_perception.core.config import WebConfig
from social_perception.core.types import FrameAffect, ImageArray
from social_perception.views.web.client import Client
from social_perception.views.web.history import History
from social_perception.views.web.picture import make_jpeg
from social_perception.views.web.snapshot import compact, fields_shown, state_text

_logger = logging.getLogger(__name__)

_FPS_WINDOW_S = 2.0
_FPS_LEAST_S = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Newest:
    """What the pipeline left last; ``number`` counts the frames, ``pictures`` the JPEGs."""

    affect: FrameAffect | None = None
    image: ImageArray | None = None
    jpeg: bytes | None = None
    stale: str = ""
    number: int = 0
    pictures: int = 0
    shown_s: float = 0.0


class Hub:
    """Takes states at any rate, passes the newest on.

    Args:
        config: of the page.
        source_name: where the images come from, in words.
        silent_after_s: time in s without a state after which the page says so.
        executor: in which pictures are drawn.
        clock: seconds that only grow.
        people: whether single people are told of; false: the group alone.
    """

    def __init__(
        self,
        config: WebConfig,
        source_name: str,
        silent_after_s: float,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
        people: bool = True,
    ) -> None:
        self.clients: set[Client] = set()
        self.wants_picture = False
        self._config, self._source_name = config, source_name
        self._silent_after_s, self._executor, self._clock = silent_after_s, executor, clock
        self._people = people
        self._lock = threading.Lock()
        self._newest = _Newest()
        self._history = History()
        self._told: tuple[int, str] = (0, "")
        self._kept, self._pictured, self._passed_on = 0, 0, 0
        self._drawing: asyncio.Future[bytes] | None = None
        self._counted: deque[tuple[float, int]] = deque()

    # Called by the pipeline.

    def show(self, affect: FrameAffect, image: ImageArray | None) -> None:
        """Leave the newest state; the picture is kept only while a browser wants it."""
        kept = image if self.wants_picture else None
        affect = affect if self._people else replace(affect, faces=())
        now_s = self._clock()
        with self._lock:
            before = self._newest
            self._newest = replace(
                before, affect=affect, image=kept, stale="", number=before.number + 1, shown_s=now_s
            )

    def say_stale(self, text: str) -> None:
        """Say why there is no newer state."""
        with self._lock:
            self._newest = replace(self._newest, stale=text, image=None)

    def show_jpeg(self, jpeg: bytes) -> None:
        """Leave a picture that is a JPEG with its overlay already."""
        if self.wants_picture:
            with self._lock:
                self._newest = replace(self._newest, jpeg=jpeg, pictures=self._newest.pictures + 1)

    # Called by the event loop.

    @property
    def status(self) -> str:
        """``waiting`` before the first state, then ``ok`` or ``stale``."""
        newest = self._newest
        if self._message(newest, self._clock()):
            return "stale"
        return "ok" if newest.affect is not None else "waiting"

    def now_s(self) -> float:
        """The time by the hub's clock."""
        return self._clock()

    def hello(self) -> str:
        """The first message to a browser."""
        about = {
            "type": "hello",
            "version": __version__,
            "rate_hz": self._config.rate_hz,
            "picture_allowed": self._config.picture,
            "people": self._people,
            "source": self._source_name,
            "signals": fields_shown(),
        }
        # The history is JSON already.
        return f'{compact(about)[:-1]},"history":{self._history.text()}}}'

    def join(self, client: Client) -> None:
        """Tell a browser of everything from now on, first of what is known already."""
        newest, now_s = self._newest, self._clock()
        self.clients.add(client)
        message = self._message(newest, now_s)
        if newest.affect is not None or message:
            client.offer(text=state_text(newest.affect, self._fps(), message))

    def leave(self, client: Client) -> None:
        """Forget a browser."""
        self.clients.discard(client)

    def tick(self) -> None:
        """Tell everybody what is new; to be called at the page's rate."""
        newest, now_s = self._newest, self._clock()
        self._count(newest.number, now_s)
        if newest.affect is not None and newest.number != self._kept:
            self._kept = newest.number
            self._history.add(newest.affect)
        news = (newest.number, self._message(newest, now_s))
        if news != self._told:
            self._told = news
            if self.clients:
                self._tell(state_text(newest.affect, self._fps(), news[1]))
        self._show_picture(newest)
        for client in list(self.clients):
            client.turn(now_s)

    def _tell(self, text: str) -> None:
        for client in self.clients:
            client.offer(text=text)

    def _message(self, newest: _Newest, now_s: float) -> str:
        """Why nothing comes, or an empty string; before the first state that is no wonder."""
        if newest.stale or newest.affect is None:
            return newest.stale
        if newest.affect.group is not None and newest.affect.group.stale:
            return f"no new images from {self._source_name}"
        silence_s = now_s - newest.shown_s
        if silence_s <= self._silent_after_s:
            return ""
        # In whole seconds, so that a silent camera is no news fifteen times a second.
        return f"no images from {self._source_name} for {silence_s:.0f} s"

    def _count(self, number: int, now_s: float) -> None:
        self._counted.append((now_s, number))
        while self._counted[0][0] < now_s - _FPS_WINDOW_S:
            self._counted.popleft()

    def _fps(self) -> float:
        if not self._counted:
            return math.nan
        (begin_s, first), (end_s, last) = self._counted[0], self._counted[-1]
        # Two ticks may follow each other at once, after a late one.
        return (last - first) / (end_s - begin_s) if end_s - begin_s >= _FPS_LEAST_S else math.nan

    def _show_picture(self, newest: _Newest) -> None:
        self.wants_picture = self._config.picture and any(client.wants_picture for client in self.clients)
        if not self.wants_picture:
            return
        if newest.jpeg is not None and newest.pictures != self._passed_on:
            self._passed_on = newest.pictures
            self._offer_picture(newest.jpeg)
        # One at a time: where drawing is slow, pictures are left out.
        if newest.number != self._pictured and self._drawing is None:
            self._pictured = newest.number
            self._draw(newest.image, newest.affect)

    def _draw(self, image: ImageArray | None, affect: FrameAffect | None) -> None:
        if image is None or affect is None:
            return
        loop = asyncio.get_running_loop()
        self._drawing = loop.run_in_executor(
            self._executor, make_jpeg, image, affect, self._config.picture_px
        )
        self._drawing.add_done_callback(self._drawn)

    def _drawn(self, drawing: asyncio.Future[bytes]) -> None:
        self._drawing = None
        if drawing.cancelled():
            return
        error = drawing.exception()
        if error is not None:
            _logger.error("the live picture cannot be drawn: %s", error)
        else:
            self._offer_picture(drawing.result())

    def _offer_picture(self, jpeg: bytes) -> None:
        for client in self.clients:
            client.offer(picture=jpeg)
