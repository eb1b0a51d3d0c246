from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from social_perception.core.types import Box, Frame, Track
from social_perception.ros.support.crop_exchange import KEPT, CropExchange
from test.ros.messages import tracked_faces_message

FRAME = Frame(np.zeros((480, 640, 3), np.uint8), 0.0, 0)


def message(sec: int, left: int = 10, face: str = "anna"):
    tracks = [Track(face, Box(left, 20, 80, 90), 0.5)]
    return tracked_faces_message(Header(stamp=Time(sec=sec)), FRAME, tracks, None)


def crop(value: int) -> np.ndarray:
    return np.full((1, 96, 96, 3), value, np.uint8)


@pytest.fixture
def exchange():
    made = CropExchange()
    made.open("/faces")
    return made


def test_crops_are_found_by_their_message(exchange) -> None:
    for sec in (1, 2, 3):
        exchange.put("/faces", message(sec), crop(sec))
    assert exchange.take("/faces", message(2))[0, 0, 0, 0] == 2
    assert exchange.waiting == 2, "what was before is forgotten"
    assert exchange.take("/faces", message(1)) is None
    assert exchange.take("/faces", message(3))[0, 0, 0, 0] == 3


@pytest.mark.parametrize("other", [{"left": 11}, {"face": "berta"}])
def test_images_of_one_stamp_do_not_mix(exchange, other) -> None:
    exchange.put("/faces", message(0), crop(1))
    exchange.put("/faces", message(0, **other), crop(2))
    assert exchange.take("/faces", message(0))[0, 0, 0, 0] == 1
    assert exchange.take("/faces", message(0, **other))[0, 0, 0, 0] == 2


def test_the_same_message_twice_finds_its_crops_twice(exchange) -> None:
    for _ in range(2):
        exchange.put("/faces", message(7), crop(1))
    assert exchange.take("/faces", message(7)) is not None
    assert exchange.take("/faces", message(7)) is not None


def test_no_more_than_a_second_of_crops_is_kept(exchange) -> None:
    for sec in range(3 * KEPT):
        exchange.put("/faces", message(sec), crop(0))
    assert exchange.waiting == KEPT
    assert exchange.take("/faces", message(2 * KEPT)) is not None


def test_nothing_is_kept_where_nobody_takes_it(exchange) -> None:
    exchange.put("/others", message(1), crop(1))
    assert exchange.waiting == 0
    exchange.put("/faces", message(1), crop(1))
    exchange.close("/faces")
    assert exchange.waiting == 0
    assert not exchange.is_open("/faces")
    assert exchange.take("/faces", message(1)) is None
