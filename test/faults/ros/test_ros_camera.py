"""A camera that stops and returns, changes its format, or is not alone; with the real networks."""

from __future__ import annotations

import cv2
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from social_perception.ros.support import topic_input
from social_perception.sources.sample import SampleSource
from test.faults.ros.ros_chain import PEOPLE, SIZE, Camera, Chain

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def pictures():
    source = SampleSource(people=PEOPLE)
    drawn = [cv2.resize(source.image(i), SIZE, interpolation=cv2.INTER_AREA) for i in range(30)]
    return drawn + drawn[::-1]


def test_a_camera_that_stops_is_reported_and_one_that_returns_is_followed(ros, pictures) -> None:
    chain = Chain(ros)
    camera = Camera(ros, pictures)
    first_s, ids = chain.await_live()
    print(f"\nfrom the first image: {first_s:.2f} s")
    for how, reliable in {
        "the same again": True,
        "one that is best effort": False,
        "the first": True,
    }.items():
        camera.close()
        stale_s = chain.await_stale()
        chain.await_status("no images on", DiagnosticStatus.ERROR)
        camera = Camera(ros, pictures, reliable=reliable)
        back_s, after = chain.await_live()
        kept = "kept" if after == ids else "new"
        print(f"{how}: stale after {stale_s:.2f} s, back after {back_s:.2f} s, ids {kept}")
        ids = after
        chain.await_status("running", DiagnosticStatus.OK)


def test_a_format_that_changes_costs_no_image_and_a_size_no_more_than_the_ids(ros, pictures) -> None:
    chain = Chain(ros)
    camera = Camera(ros, pictures)
    _, ids = chain.await_live()
    for encoding in ("bgr8", "mono8", "yuv422_yuy2", "bayer_rggb8", "rgb8"):
        camera.encoding = encoding
        took_s, after = chain.await_live()
        print(f"\n{encoding}: {took_s:.2f} s, ids {'kept' if after == ids else 'new'}")
        assert after == ids, "who stays in the picture keeps the id"
    for size in ((480, 270), (360, 202), (202, 360), (640, 360)):
        camera.size = size
        width, height = size
        ros.until(
            lambda width=width: chain.tracked and chain.tracked[-1].image_width == width, "the new size"
        )
        for message in chain.tracked:
            for face in message.faces:
                assert face.roi.x_offset + face.roi.width <= message.image_width
        if width > height:
            took_s, _ = chain.await_live()
            print(f"{size}: {took_s:.2f} s")
    assert chain.tracker.health.totals.failed == 0


def test_two_cameras_on_one_topic_are_reported(ros, pictures, monkeypatch) -> None:
    monkeypatch.setattr(topic_input, "OTHER_PUBLISHERS_S", 0.5)
    chain = Chain(ros)
    first = Camera(ros, pictures)
    second = Camera(ros, pictures)
    second.frame_id = "other_camera"
    name = f"{ros.namespace}/tester"
    reported = f"2 publishers send images on {ros.namespace}/image, where one is expected: {name}, {name}"
    chain.await_status(reported, DiagnosticStatus.WARN)
    second.close()
    chain.await_live()
    chain.await_status("running", DiagnosticStatus.OK)
    first.close()
