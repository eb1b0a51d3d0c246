"""Between the pipeline and the browsers: the newest state, sent to all at the page's rate at most.

``show``, ``show_stale`` and ``show_jpeg`` may be called from any thread and only store their arguments.
Everything else runs in the server's event loop.
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

import cv2
import numpy as np

from social_perception import __version__
from social_perception.core.config import WebConfig
from social_perception.core.errors import ImageError
from social_perception.core.types import FrameAffect, ImageArray
from social_perception.views.overlay import draw_overlay
from social_perception.views.web.client import Client
from social_perception.views.web.snapshot import History, compact, fields_shown, state_text

_logger = logging.getLogger(__name__)

_FPS_WINDOW_S = 2.0
_FPS_MIN_S = 0.5
_JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True, eq=False)
class _Newest:
    """The pipeline's newest results; ``number`` counts the frames, ``jpegs`` the JPEGs."""

    affect: FrameAffect | None = None
    image: ImageArray | None = None
    jpeg: bytes | None = None
    stale: str = ""
    number: int = 0
    jpegs: int = 0
    shown_s: float = 0.0


class Hub:
    """Accepts states at any rate and sends the newest to all browsers.

    Args:
        config: of the page.
        source_name: shown as the source of the images.
        silent_after_s: time in s without a state after which the page reports it.
        executor: in which images are drawn.
        clock: monotonic time in s.
        people: whether the page shows single people; false: the group alone.
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
        self.wants_image = False
        self._config, self._source_name = config, source_name
        self._silent_after_s, self._executor, self._clock = silent_after_s, executor, clock
        self._people = people
        self._lock = threading.Lock()
        self._newest = _Newest()
        self._history = History()
        self._sent: tuple[int, str] = (0, "")
        self._kept_number, self._drawn_number, self._sent_jpegs = 0, 0, 0
        self._drawing: asyncio.Future[bytes] | None = None
        self._counts: deque[tuple[float, int]] = deque()

    # Called by the pipeline.

    def show(self, affect: FrameAffect, image: ImageArray | None) -> None:
        """Store the newest state; the image is kept only while a browser shows images."""
        kept = image if self.wants_image else None
        affect = affect if self._people else replace(affect, faces=())
        now_s = self._clock()
        with self._lock:
            before = self._newest
            self._newest = replace(
                before, affect=affect, image=kept, stale="", number=before.number + 1, shown_s=now_s
            )

    def show_stale(self, reason: str) -> None:
        """Store the reason why there is no newer state."""
        with self._lock:
            self._newest = replace(self._newest, stale=reason, image=None)

    def show_jpeg(self, jpeg: bytes) -> None:
        """Store an image that is a JPEG with its overlay already."""
        if self.wants_image:
            with self._lock:
                self._newest = replace(self._newest, jpeg=jpeg, jpegs=self._newest.jpegs + 1)

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
        """Add a browser; it is sent the newest state first."""
        newest, now_s = self._newest, self._clock()
        self.clients.add(client)
        message = self._message(newest, now_s)
        if newest.affect is not None or message:
            client.offer(text=state_text(newest.affect, self._fps(), message))

    def leave(self, client: Client) -> None:
        """Remove a browser."""
        self.clients.discard(client)

    def tick(self) -> None:
        """Send what is new to all browsers; to be called at the page's rate."""
        newest, now_s = self._newest, self._clock()
        self._count(newest.number, now_s)
        if newest.affect is not None and newest.number != self._kept_number:
            self._kept_number = newest.number
            self._history.add(newest.affect)
        state = (newest.number, self._message(newest, now_s))
        if state != self._sent:
            self._sent = state
            if self.clients:
                self._send(state_text(newest.affect, self._fps(), state[1]))
        self._send_image(newest)
        for client in list(self.clients):
            client.flush(now_s)

    def _send(self, text: str) -> None:
        for client in self.clients:
            client.offer(text=text)

    def _message(self, newest: _Newest, now_s: float) -> str:
        """Why there are no new frames, or an empty string; before the first state there is no reason."""
        if newest.stale or newest.affect is None:
            return newest.stale
        group, scene = newest.affect.group, newest.affect.scene
        if (group is not None and group.stale) or (scene is not None and scene.stale):
            return f"no new images from {self._source_name}"
        silence_s = now_s - newest.shown_s
        if silence_s <= self._silent_after_s:
            return ""
        # In whole seconds, or the message would change fifteen times a second.
        return f"no images from {self._source_name} for {silence_s:.0f} s"

    def _count(self, number: int, now_s: float) -> None:
        self._counts.append((now_s, number))
        while self._counts[0][0] < now_s - _FPS_WINDOW_S:
            self._counts.popleft()

    def _fps(self) -> float:
        if not self._counts:
            return math.nan
        (begin_s, first), (end_s, last) = self._counts[0], self._counts[-1]
        # After a late tick, two may follow each other at once.
        return (last - first) / (end_s - begin_s) if end_s - begin_s >= _FPS_MIN_S else math.nan

    def _send_image(self, newest: _Newest) -> None:
        self.wants_image = self._config.picture and any(client.wants_image for client in self.clients)
        if not self.wants_image:
            return
        if newest.jpeg is not None and newest.jpegs != self._sent_jpegs:
            self._sent_jpegs = newest.jpegs
            self._offer_image(newest.jpeg)
        # One at a time: where drawing is slow, images are dropped.
        if newest.number != self._drawn_number and self._drawing is None:
            self._drawn_number = newest.number
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
            _logger.error("the live image cannot be drawn: %s", error)
        else:
            self._offer_image(drawing.result())

    def _offer_image(self, jpeg: bytes) -> None:
        for client in self.clients:
            client.offer(image=jpeg)


def make_jpeg(image: ImageArray, affect: FrameAffect, longest_px: int) -> bytes:
    """An image with the overlay as a JPEG, its longer side at most so long.

    Args:
        image: (H, W, 3) uint8, RGB.
        affect: the results for this image.
        longest_px: of the JPEG.

    Raises:
        ImageError: the image cannot be encoded.
    """
    # The page adds all text itself: it mirrors the image.
    drawn = draw_overlay(image, affect, header=False, legend=False, labels=False)
    height, width = drawn.shape[:2]
    scale = longest_px / max(height, width)
    if scale < 1.0:
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        drawn = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, found = cv2.imencode(
        ".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    if not done:
        raise ImageError("the live image cannot be encoded as JPEG")
    return bytes(found)
