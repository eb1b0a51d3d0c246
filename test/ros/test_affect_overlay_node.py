from __future__ import annotations

import io
import itertools
import math
import threading

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from PIL import Image as PillowImage
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest

from social_perception.core.types import SmileLevel
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.support.images import encode, image_header
from social_perception.ros.support.messages import FaceAffect, FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.views.colors import level_color
from social_perception.views.overlay import WARNING_COLOR

WIDTH, HEIGHT, GRAY = 320, 240, 90
TOPICS = ("image", "image/compressed", "face_affect", "group_affect")


def time_of(milliseconds: int) -> Time:
    return Time(sec=100 + milliseconds // 1000, nanosec=milliseconds % 1000 * 1_000_000 + 7)


def image(milliseconds: int = 0, gray: int = GRAY) -> Image:
    pixels = np.full((HEIGHT, WIDTH, 3), gray, np.uint8)
    return encode(pixels, image_header(time_of(milliseconds), "eye"))


def faces(milliseconds: int = 0, level: int = 3, size: tuple[int, int] = (WIDTH, HEIGHT)) -> FaceAffectArray:
    message = FaceAffectArray(image_width=size[0], image_height=size[1])
    message.header = image_header(time_of(milliseconds), "eye")
    face = FaceAffect(id="a", intensity=level / 3, valid=True, visible=True, level=level)
    face.roi = RegionOfInterest(x_offset=100, y_offset=80, width=100, height=100)
    message.faces = [face]
    return message


def group(milliseconds: int = 0, stale: bool = False, size: int = 2) -> GroupAffectMessage:
    message = GroupAffectMessage(group_size=size, valid_faces=2, intensity=0.5, level=2, stale=stale)
    message.trend = message.synchrony = math.nan
    message.header = image_header(time_of(milliseconds), "eye")
    return message


def pixels_of(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def box_color(message: Image) -> tuple[int, ...]:
    return tuple(int(value) for value in pixels_of(message)[130, 100])


def has_warning(message: Image) -> bool:
    return bool((pixels_of(message) == WARNING_COLOR).all(axis=2).mean(axis=1).max() > 0.9)


# Automatically, the subscription is made anew when the publisher turns out to be reliable, and an image
# that comes at that moment is lost.
SURELY = {"reliability": "reliable"}


class Overlay:
    """The node with somebody who looks at it, and all that it listens to."""

    def __init__(self, ros, parameters=None) -> None:
        self.ros = ros
        self.node = ros.start(AffectOverlayNode, {**SURELY, **(parameters or {})})
        self.found = ros.collect(Image, "affect_overlay")
        self.images = ros.publisher(Image, "image", 50)
        self.faces = ros.publisher(FaceAffectArray, "face_affect", 50)
        self.groups = ros.publisher(GroupAffectMessage, "group_affect", 50)

    def send(self, *messages) -> None:
        """Publish the messages, each after the one before it has arrived."""
        for message in messages:
            publisher, taken = {
                Image: (self.images, "admit"),
                FaceAffectArray: (self.faces, "_on_faces"),
                GroupAffectMessage: (self.groups, "_on_group"),
            }[type(message)]
            arrived = self._arrivals(taken)
            count = len(arrived)
            publisher.publish(message)
            self.ros.until(lambda arrived=arrived, count=count: len(arrived) > count, f"{taken} is called")

    def _arrivals(self, name: str) -> list:
        return self._counted[name]

    _counted: dict[str, list]

    @classmethod
    def counting(cls, monkeypatch) -> type[Overlay]:
        """Let the node's callbacks count what arrives."""
        cls._counted = {}
        for name in ("admit", "_on_faces", "_on_group"):
            cls._counted[name] = arrived = []
            before = getattr(AffectOverlayNode, name)

            def counted(node, message, before=before, arrived=arrived):
                before(node, message)
                arrived.append(message)

            monkeypatch.setattr(AffectOverlayNode, name, counted)
        return cls


@pytest.fixture
def overlay(ros, monkeypatch):
    kind = Overlay.counting(monkeypatch)
    return lambda parameters=None: kind(ros, parameters)


@pytest.mark.parametrize("order", ["image first", "results first"])
def test_an_image_is_drawn_with_the_results_of_its_stamp(ros, overlay, order: str) -> None:
    view = overlay()
    messages = [image(40), faces(40)]
    view.send(*(messages if order == "image first" else reversed(messages)))
    ros.until(lambda: view.found, "a picture")
    assert view.found[0].header == messages[0].header
    assert (view.found[0].encoding, view.found[0].width, view.found[0].height) == ("rgb8", WIDTH, HEIGHT)
    assert box_color(view.found[0]) == level_color(SmileLevel.HIGH)
    assert not has_warning(view.found[0])


def test_results_of_another_stamp_are_never_drawn(ros, overlay) -> None:
    view = overlay()
    view.send(image(0), image(40), image(80), faces(120, level=0), faces(41, level=0), faces(40, level=3))
    ros.until(lambda: view.found, "a picture")
    view.send(faces(0, level=0), faces(80, level=1))
    ros.until(lambda: len(view.found) == 2, "the next")
    view.send(image(120))
    ros.until(lambda: len(view.found) == 3, "one whose results were there before it")
    stamps = [message.header.stamp for message in view.found]
    assert stamps == [time_of(40), time_of(80), time_of(120)]
    expected = [level_color(SmileLevel(level)) for level in (3, 1, 0)]
    assert [box_color(message) for message in view.found] == expected


def test_nothing_is_subscribed_while_nobody_looks(ros) -> None:
    node = ros.create(AffectOverlayNode, SURELY)
    looks, follow = [], node._follow_viewers
    node._follow_viewers = lambda: (follow(), looks.append(node.input))
    assert node.trigger_configure().name == "SUCCESS"
    assert node.trigger_activate().name == "SUCCESS"
    ros.until(lambda: len(looks) > 3, "some looks")
    assert set(looks) == {None}

    def subscribed() -> list[str]:
        names = node.get_subscriber_names_and_types_by_node("affect_overlay", ros.namespace)
        return sorted(name.removeprefix(f"{ros.namespace}/") for name, _ in names)

    ours = set(TOPICS)
    assert not ours & set(subscribed())
    viewer = ros.node.create_subscription(Image, "affect_overlay", lambda message: None, 10)
    expected = {"image", "face_affect", "group_affect"}
    ros.until(lambda: ours & set(subscribed()) == expected, "the topics are subscribed")
    ros.publisher(Image, "image").publish(image())
    ros.until(lambda: node.matcher.waiting == 1, "an image waits")
    ros.node.destroy_subscription(viewer)
    ros.until(lambda: not ours & set(subscribed()), "they are no more")
    assert (node.matcher.waiting, node.worker, node.input) == (0, None, None)
    ros.node.create_subscription(CompressedImage, "affect_overlay/compressed", lambda message: None, 10)
    ros.until(lambda: ours & set(subscribed()) == expected, "a viewer of the other output counts too")


def test_each_output_is_made_only_for_who_subscribes_it(ros, overlay, monkeypatch) -> None:
    made = []
    monkeypatch.setattr(
        "social_perception.ros.nodes.affect_overlay.encode",
        lambda *arguments: made.append("raw") or encode(*arguments),
    )
    node = ros.start(AffectOverlayNode, SURELY)
    found = ros.collect(CompressedImage, "affect_overlay/compressed")
    ros.publisher(Image, "image").publish(image(40))
    ros.publisher(FaceAffectArray, "face_affect").publish(faces(40))
    ros.until(lambda: found, "a compressed picture")
    assert found[0].header == image(40).header
    assert found[0].format == "rgb8; jpeg compressed bgr8"
    assert not made
    raw = ros.collect(Image, "affect_overlay")
    ros.until(lambda: node._raw.get_subscription_count() > 0)
    node.admit(image(80))
    node._on_faces(faces(80))
    ros.until(lambda: raw and len(found) == 2, "both")
    assert raw[0].header.stamp == found[1].header.stamp == time_of(80)
    shown = np.asarray(PillowImage.open(io.BytesIO(bytes(found[1].data))))
    yellow = (pixels_of(raw[0]) == level_color(SmileLevel.HIGH)).all(axis=2)
    np.testing.assert_allclose(shown[yellow].mean(axis=0), level_color(SmileLevel.HIGH), atol=70)


def test_jpeg_quality_is_a_parameter(ros, overlay) -> None:
    node = ros.start(AffectOverlayNode, {**SURELY, "jpeg_quality": 95})
    found = ros.collect(CompressedImage, "affect_overlay/compressed")
    images, results = ros.publisher(Image, "image"), ros.publisher(FaceAffectArray, "face_affect")
    for number, quality in enumerate((95, 10)):
        assert ros.set(node, "jpeg_quality", quality).successful
        images.publish(image(40 * number))
        results.publish(faces(40 * number))
        ros.until(lambda number=number: len(found) > number, "a picture")
    assert len(found[1].data) < 0.7 * len(found[0].data)


def test_compressed_images_are_taken_too(ros, picture) -> None:
    ros.start(AffectOverlayNode, {**SURELY, "image_transport": "compressed"})
    found = ros.collect(Image, "affect_overlay")
    stream = io.BytesIO()
    PillowImage.fromarray(np.full((HEIGHT, WIDTH, 3), GRAY, np.uint8)).save(stream, "PNG")
    message = CompressedImage(format="png", header=image(40).header)
    message.data = stream.getvalue()
    ros.publisher(CompressedImage, "image/compressed").publish(message)
    ros.publisher(FaceAffectArray, "face_affect").publish(faces(40))
    ros.until(lambda: found, "a picture")
    assert found[0].header == message.header
    assert box_color(found[0]) == level_color(SmileLevel.HIGH)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("encoding", "image encoding 'holographic' is not supported"),
        ("size", "faces were detected in an image of 64 x 48"),
    ],
)
def test_what_cannot_be_drawn_is_reported_and_the_next_is_drawn(ros, overlay, broken, reason) -> None:
    view = overlay({"diagnostics_period_s": 0.1})
    reports = ros.reports(view.node)
    bad = image(40)
    if broken == "encoding":
        bad.encoding = "holographic"
    view.send(bad, faces(40, size=(64, 48) if broken == "size" else (WIDTH, HEIGHT)))
    ros.until(lambda: any(reason in report["last error"] for report in reports()), "the report")
    assert not view.found
    view.send(image(80), faces(80))
    ros.until(lambda: view.found, "a good picture")
    assert view.found[0].header.stamp == time_of(80)


def test_when_results_stop_the_live_picture_comes_with_a_warning(ros, overlay) -> None:
    view = overlay({"max_wait_s": 0.2})
    view.send(image(0), faces(0))
    ros.until(lambda: view.found, "a picture with results")
    assert not has_warning(view.found[0])
    for milliseconds in range(40, 1000, 40):
        view.send(image(milliseconds))
        ros.until(lambda: view.node.worker._item is None)
    ros.until(lambda: len(view.found) >= 3, "pictures without results")
    later = view.found[1:]
    assert all(has_warning(message) for message in later)
    assert {box_color(message) for message in later} == {(GRAY, GRAY, GRAY)}
    stamps_ms = [1000 * (each.header.stamp.sec - 100) + each.header.stamp.nanosec // 10**6 for each in later]
    assert all(after - before >= 200 for before, after in itertools.pairwise(stamps_ms))
    view.send(image(1040), faces(1040))
    ros.until(lambda: view.found[-1].header.stamp == time_of(1040), "results come again")
    assert not has_warning(view.found[-1])


def speckled(milliseconds: int) -> Image:
    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return encode(pixels, image_header(time_of(milliseconds), "eye"))


def roughness(message: Image, area: tuple[slice, slice]) -> float:
    return float(np.abs(np.diff(pixels_of(message)[area].astype(int), axis=1)).mean())


FACE, CORNER = np.s_[100:160, 115:185], np.s_[228:240, 300:320]
PLAIN = {"show_header": False, "show_legend": False, "show_traces": False}


@pytest.mark.parametrize("blur", [True, False])
def test_faces_can_be_hidden_and_all_where_nobody_is_known(blur, ros, overlay) -> None:
    view = overlay({"blur_faces": blur, "max_wait_s": 0.2, **PLAIN})
    view.send(speckled(0), faces(0))
    ros.until(lambda: view.found, "a picture with results")
    assert (roughness(view.found[0], FACE) < 10) is blur
    assert roughness(view.found[0], CORNER) > 60, "the rest is seen"
    for milliseconds in range(40, 1000, 40):
        view.send(speckled(milliseconds))
        ros.until(lambda: view.node.worker._item is None)
    # The first one may come again, with what is known of it.
    unknown = ros.until(
        lambda: next((each for each in view.found if each.header.stamp != time_of(0)), None),
        "a picture without results",
    )
    assert has_warning(unknown)
    assert (roughness(unknown, CORNER) < 10) is blur
    assert not ros.set(view.node, "blur_faces", not blur).successful, "nobody on the graph can change it"


def test_when_images_stop_the_last_picture_comes_again_with_a_warning(ros, overlay) -> None:
    view = overlay({"silent_after_s": 0.3})
    view.send(image(40), faces(40))
    ros.until(lambda: len(view.found) >= 2, "the picture again")
    assert not has_warning(view.found[0])
    assert has_warning(view.found[1])
    assert view.found[1].header == view.found[0].header
    assert box_color(view.found[1]) == level_color(SmileLevel.HIGH)
    view.send(image(80), faces(80))
    ros.until(lambda: view.found[-1].header.stamp == time_of(80))
    assert not has_warning(next(each for each in view.found if each.header.stamp == time_of(80)))


@pytest.mark.parametrize(
    ("stamps_ms", "expected_ms"),
    [((960, 980), 980), ((980, 1040), 980), ((1000, 960), 1000), ((100,), None), ((1040,), None), ((), None)],
    ids=["newest", "not of the future", "any order", "too old", "future only", "none"],
)
def test_the_groups_figures_are_the_newest_that_belong_to_the_image(
    ros, overlay, monkeypatch, stamps_ms, expected_ms
) -> None:
    drawn = []
    module = "social_perception.ros.nodes.affect_overlay.draw_overlay"
    monkeypatch.setattr(module, lambda picture, affect, **about: drawn.append(affect) or picture)
    view = overlay({"max_group_age_s": 0.5})
    view.send(*(group(milliseconds) for milliseconds in stamps_ms), image(1000), faces(1000))
    ros.until(lambda: drawn, "a picture")
    group_drawn = drawn[0].group
    if expected_ms is None:
        assert group_drawn is None
    else:
        assert group_drawn.stamp_s == pytest.approx(100 + expected_ms / 1000, abs=1e-6)


def test_a_stale_group_is_warned_of(ros, overlay) -> None:
    view = overlay()
    view.send(group(0), group(0, stale=True), image(40), faces(40))
    ros.until(lambda: view.found, "a picture")
    assert has_warning(view.found[0])


def test_waiting_images_are_bounded(ros, overlay) -> None:
    view = overlay({"max_memory_mb": 1, "max_wait_s": 10.0})
    assert 5 * len(image().data) > 1_000_000
    for milliseconds in range(0, 400, 20):
        view.send(image(milliseconds))
        assert view.node.matcher.waiting_bytes <= 1_000_000
    view.send(faces(380))
    ros.until(lambda: view.found, "the newest image was kept")


def test_a_slow_drawing_skips_to_the_newest(ros, overlay, monkeypatch) -> None:
    drawn, may_go_on = [], threading.Event()

    def slowly(picture, affect, **about):
        drawn.append(round(1000 * (affect.stamp_s - 100)))
        assert may_go_on.wait(10.0)
        return picture

    monkeypatch.setattr("social_perception.ros.nodes.affect_overlay.draw_overlay", slowly)
    view = overlay()
    view.send(image(0), faces(0))
    ros.until(lambda: drawn, "the first in work")
    for milliseconds in (40, 80, 120, 160):
        view.send(image(milliseconds), faces(milliseconds))
    may_go_on.set()
    ros.until(lambda: len(view.found) == 2, "two pictures")
    assert drawn == [0, 160]
    assert view.node.worker.dropped == 3


def test_a_recording_played_again_is_drawn_again(ros, overlay) -> None:
    view = overlay()
    for milliseconds in (0, 40, 5000, 0, 40):
        view.send(image(milliseconds), faces(milliseconds))
        count = len(view.found)
        ros.until(lambda count=count: len(view.found) > count or view.found[-1:], "a picture")
    ros.until(lambda: len(view.found) == 5, "all")


def test_life_cycle(ros, overlay) -> None:
    view = overlay()
    assert view.node.trigger_deactivate().name == "SUCCESS"
    assert view.node.input is None
    ros.until(lambda: view.images.get_subscription_count() == 0, "unsubscribed")
    assert view.node.trigger_activate().name == "SUCCESS"
    ros.until(lambda: view.images.get_subscription_count() > 0, "subscribed again")
    ros.until(lambda: view.faces.get_subscription_count() > 0)
    view.send(image(), faces())
    ros.until(lambda: view.found, "a picture")
    assert view.node.trigger_deactivate().name == "SUCCESS"
    assert view.node.trigger_cleanup().name == "SUCCESS"


def test_the_latency_is_reported(ros, overlay, ages_its_results) -> None:
    view = overlay({"diagnostics_period_s": 0.1})

    def publish(stamp: Time) -> None:
        picture, result = image(), faces()
        picture.header.stamp = result.header.stamp = stamp
        view.send(picture, result)

    ages_its_results(view.node, publish)
