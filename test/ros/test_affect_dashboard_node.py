"""The page's node: real topics in, real sockets out."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import aiohttp
import factories
import pytest
from factories import face
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage

from social_perception.core.errors import ConfigurationError
from social_perception.core.signals import Signals
from social_perception.core.types import Box, Scene, SceneAffect
from social_perception.ros.nodes.affect_dashboard import AffectDashboardNode
from social_perception.ros.support.messages import MESSAGES, FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.messages import SceneAffect as SceneAffectMessage
from social_perception.ros.support.qos import image_qos
from test.ros.messages import face_affects_message, group_affect_message, header

TIMEOUT_S = 20.0
PATIENT = {"port": 0, "silent_after_s": 1000.0}
JPEG = b"\xff\xd8\xff\xe0 something"
ALL_LOGGED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def faces(*names: str, sec: int = 100) -> FaceAffectArray:
    people = (face(name, box=Box(280, 200, 80, 80)) for name in names)
    return face_affects_message(header(sec, 500_000_000), *people)


def group(*, stale: bool = False, sec: int = 100) -> GroupAffectMessage:
    return group_affect_message(header(sec, 500_000_000), factories.group(1, intensity=0.75, stale=stale))


class Browser(threading.Thread):
    """Connects, and keeps what it is sent."""

    def __init__(self, port: int, wishes=()) -> None:
        super().__init__(daemon=True)
        self.states, self.pictures = [], []
        self._port, self._wishes = port, wishes
        self._leave = threading.Event()
        self.start()

    def run(self) -> None:
        asyncio.run(self._look())

    async def _look(self) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{self._port}/ws") as websocket,
        ):
            for wish in self._wishes:
                await websocket.send_json(wish)
            while not self._leave.is_set():
                try:
                    message = await websocket.receive(timeout=0.05)
                except asyncio.TimeoutError:
                    continue
                if message.type == aiohttp.WSMsgType.TEXT:
                    self.states.append(json.loads(message.data))
                elif message.type == aiohttp.WSMsgType.BINARY:
                    self.pictures.append(message.data)
                else:
                    return

    @property
    def last(self):
        return self.states[-1] if self.states and self.states[-1]["type"] == "state" else None

    def leave(self) -> None:
        self._leave.set()
        self.join(TIMEOUT_S)


@contextmanager
def browser(node, *wishes):
    looking = Browser(node.dashboard.port, wishes)
    try:
        yield looking
    finally:
        looking.leave()


def health(node) -> str:
    url = f"http://127.0.0.1:{node.dashboard.port}/healthz"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return json.load(answer)["status"]


def test_the_page_shows_faces_and_group(ros) -> None:
    node = ros.start(AffectDashboardNode, PATIENT)
    face_publisher = ros.publisher(FaceAffectArray, "face_affect")
    group_publisher = ros.publisher(GroupAffectMessage, "group_affect")
    assert health(node) == "waiting"
    with browser(node) as looking:
        face_publisher.publish(faces("a", "b"))
        ros.until(lambda: looking.last and len(looking.last["faces"]) == 2, "two faces")
        first = looking.last
        assert first["group"] is None
        group_publisher.publish(group())
        ros.until(lambda: node._group is not None, "the group")
        face_publisher.publish(faces("b", sec=101))
        ros.until(lambda: len(looking.last["faces"]) == 1, "one face")
        last = looking.last
    assert looking.states[0]["source"] == f"{ros.namespace}/face_affect"
    assert first["faces"][0] == {
        "id": "a", "x": 0.5, "y": 0.5, "size": 0.125, "intensity": 0.5, "level": 2,
        "valid": True, "visible": True,
    }  # fmt: skip
    assert (last["t"], last["faces"][0]["id"], last["group"]["intensity"]) == (101.5, "b", 0.75)
    assert (last["stale"], health(node)) == (False, "ok")


def test_a_stale_group_makes_the_page_stale_until_the_next_faces(ros) -> None:
    node = ros.start(AffectDashboardNode, PATIENT)
    face_publisher = ros.publisher(FaceAffectArray, "face_affect")
    group_publisher = ros.publisher(GroupAffectMessage, "group_affect")
    face_publisher.publish(faces("a"))
    ros.until(lambda: health(node) == "ok", "a face")
    group_publisher.publish(group(stale=True))
    ros.until(lambda: health(node) == "stale", "a stale group")
    group_publisher.publish(group())
    ros.until(lambda: not node._group.stale, "a fresh group")
    face_publisher.publish(faces("a", sec=101))
    ros.until(lambda: health(node) == "ok", "a face again")


def test_silence_makes_the_page_stale(ros) -> None:
    node = ros.start(AffectDashboardNode, {"port": 0, "silent_after_s": 0.2})
    ros.publisher(FaceAffectArray, "face_affect").publish(faces("a"))
    with browser(node) as looking:
        ros.until(lambda: looking.last and looking.last["stale"], "the page is stale")
    assert looking.last["message"].startswith(f"no images from {ros.namespace}/face_affect for ")


def picture(data: bytes = JPEG, kind: str = "jpeg") -> CompressedImage:
    return CompressedImage(format=kind, data=data)


def test_the_picture_is_subscribed_while_a_browser_asks_for_it_and_passed_on(ros) -> None:
    node = ros.start(AffectDashboardNode, {**PATIENT, "picture": True})
    pictures = ros.node.create_publisher(
        CompressedImage, "affect_overlay/compressed", image_qos(reliable=False)
    )
    with browser(node) as other:
        ros.until(lambda: node.dashboard.clients == 1, "a browser")
        for _ in range(3):
            node._follow_viewers()
        assert node._images is None
        with browser(node, {"type": "picture", "on": True}) as curious:
            ros.until(lambda: pictures.get_subscription_count() == 1, "somebody subscribes the picture")

            def passed_on():
                pictures.publish(picture())
                return curious.pictures

            ros.until(passed_on, "the picture")
            assert set(curious.pictures) == {JPEG}
        ros.until(lambda: pictures.get_subscription_count() == 0, "nobody subscribes the picture")
    assert not other.pictures


def test_without_leave_the_picture_is_not_subscribed(ros) -> None:
    node = ros.start(AffectDashboardNode, PATIENT)
    publisher = ros.publisher(FaceAffectArray, "face_affect")
    with browser(node, {"type": "picture", "on": True}) as curious:
        publisher.publish(faces("a"))
        ros.until(lambda: curious.last, "a state")
        for _ in range(3):
            node._follow_viewers()
        assert node._images is None


def test_what_is_no_jpeg_is_reported_and_not_passed_on(ros, monkeypatch) -> None:
    node = ros.start(AffectDashboardNode, PATIENT)
    shown = []
    monkeypatch.setattr(node.dashboard, "show_jpeg", shown.append)
    node._on_image(picture(b"\x89PNG", "png"))
    assert not shown
    assert node.health._last_error == "affect_overlay/compressed must be JPEG, got 'png'"
    node._on_image(picture())
    assert shown == [JPEG]


def test_stamps_that_go_back_begin_anew(ros) -> None:
    node = ros.start(AffectDashboardNode, PATIENT)
    publisher = ros.publisher(FaceAffectArray, "face_affect")
    with browser(node) as looking:
        for sec in (100, 101, 7):
            publisher.publish(faces("a", sec=sec))
            ros.until(
                lambda sec=sec: looking.last and looking.last["t"] == sec + 0.5, f"the state of {sec} s"
            )
    with browser(node) as late:
        ros.until(lambda: late.states, "hello")
    assert [moment[0] for moment in late.states[0]["history"]] == [7.5]


def test_life_cycle(ros) -> None:
    node = ros.start(AffectDashboardNode, PATIENT)
    port = node.dashboard.port
    ros.publisher(FaceAffectArray, "face_affect").publish(faces("a"))
    ros.until(lambda: health(node) == "ok")
    assert node.trigger_deactivate().name == "SUCCESS"
    ros.until(lambda: health(node) == "stale", "the page says that the node is not active")
    assert node.trigger_activate().name == "SUCCESS"
    ros.publisher(FaceAffectArray, "face_affect").publish(faces("a", sec=101))
    ros.until(lambda: health(node) == "ok")
    assert node.trigger_deactivate().name == "SUCCESS"
    assert node.trigger_cleanup().name == "SUCCESS"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    assert node.trigger_configure().name == "SUCCESS"
    assert health(node) == "waiting"


def test_a_port_in_use_is_a_failure_to_configure(ros) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = ros.create(AffectDashboardNode, {"port": taken.getsockname()[1]})
        assert node.trigger_configure().name == "FAILURE"
    assert "is in use" in node.health._last_error
    assert node.trigger_configure().name == "SUCCESS"


def test_on_an_open_address_the_token_is_required_and_printed_on_the_terminal_alone(ros, capfd) -> None:
    rosout = ros.collect(Log, "/rosout", ALL_LOGGED)
    node = ros.start(AffectDashboardNode, {"port": 0, "address": "0.0.0.0"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{node.dashboard.port}/", timeout=TIMEOUT_S)
    assert caught.value.code == 401
    caught.value.close()
    token = node.dashboard.url.partition("?token=")[2]
    assert len(token) >= 32
    ros.until(lambda: any("web page" in each.msg for each in rosout), "the page's address on /rosout")
    assert not [each.msg for each in rosout if token in each.msg]
    assert f"?token={token}" in capfd.readouterr().out


@pytest.mark.parametrize("in_file", [False, True])
def test_a_token_that_was_given_is_reported_nowhere(ros, capfd, tmp_path, in_file) -> None:
    rosout, token = ros.collect(Log, "/rosout", ALL_LOGGED), "a-very-secret-token"
    (tmp_path / "token").write_text(token)
    given = f"@{tmp_path / 'token'}" if in_file else token
    node = ros.start(AffectDashboardNode, {"port": 0, "address": "0.0.0.0", "token": given})
    ros.until(lambda: any("web page" in each.msg for each in rosout), "the page's address on /rosout")
    assert token in node.dashboard.url
    assert not [each.msg for each in rosout if token in each.msg]
    shown = capfd.readouterr()
    assert token not in shown.out + shown.err
    assert ("every node can read" in shown.err + shown.out) is not in_file


def test_the_latency_is_that_of_the_way_to_the_page(ros, ages_its_results) -> None:
    node = ros.start(AffectDashboardNode, {**PATIENT, "diagnostics_period_s": 0.1})
    publisher = ros.publisher(FaceAffectArray, "face_affect")

    def publish(stamp):
        message = faces("a")
        message.header.stamp = stamp
        publisher.publish(message)

    ages_its_results(node, publish)


def test_an_anonymous_page_hears_of_the_group_alone(ros) -> None:
    node = ros.start(AffectDashboardNode, {**PATIENT, "anonymous": True})
    assert ros.node.count_subscribers("face_affect") == 0
    publisher = ros.publisher(GroupAffectMessage, "group_affect")
    named = group()
    named.face_ids = ["annak"]
    with browser(node) as looking:
        publisher.publish(named)
        state = ros.until(lambda: looking.last, "a state")
        assert (state["faces"], state["group"]["intensity"]) == ([], 0.75)
        assert looking.states[0]["people"] is False
        publisher.publish(group(stale=True, sec=101))
        ros.until(lambda: looking.last["stale"], "nothing new comes")
        assert "annak" not in json.dumps(looking.states)
    assert not ros.set(node, "anonymous", False).successful


def test_a_picture_on_an_anonymous_page_is_refused(ros) -> None:
    node = ros.create(AffectDashboardNode, {**PATIENT, "anonymous": True, "picture": True})
    assert node.trigger_configure().name == "FAILURE"


def test_a_page_of_the_scene_receives_the_scene_alone(ros) -> None:
    node = ros.start(AffectDashboardNode, {**PATIENT, "group_only": True})
    publisher = ros.publisher(SceneAffectMessage, "scene_affect")

    def scene(sec, *, stale=False):
        affect = Scene(sec, Signals(SceneAffect((0.1, 0.3, 0.6), 0.5, True)), stale)
        return MESSAGES.scene_affect(MESSAGES.header(sec, "camera"), affect)

    with browser(node) as looking:
        publisher.publish(scene(100))
        state = ros.until(lambda: looking.last, "a state")
        assert (state["faces"], state["group"]) == ([], None)
        assert state["scene"] == {
            "p_negative": 0.1, "p_neutral": 0.3, "p_positive": 0.6, "valence": 0.5, "with_sound": True,
        }  # fmt: skip
        assert looking.states[0]["people"] is False
        assert {each["key"] for each in looking.states[0]["signals"]["scene"]} == set(state["scene"])
        publisher.publish(scene(101, stale=True))
        ros.until(lambda: looking.last["stale"], "nothing new comes")
    assert [each.topic_name for each in node.subscriptions if each.topic_name.endswith("_affect")] in (
        [], [f"{ros.namespace}/scene_affect"],
    )  # fmt: skip


def test_a_page_is_anonymous_or_of_the_scene(ros) -> None:
    with pytest.raises(ConfigurationError, match="anonymous must be false"):
        ros.create(AffectDashboardNode, {**PATIENT, "anonymous": True, "group_only": True})
