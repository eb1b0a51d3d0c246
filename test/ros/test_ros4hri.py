"""Faces and expressions as ROS4HRI has them, both ways, with the real messages."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from factories import smile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Bool, Header

pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not installed (apt install ros-$ROS_DISTRO-hri-msgs)")

from hri_msgs.msg import Expression, FacialActionUnits, IdsList, IdsMatch, NormalizedRegionOfInterest2D

from social_perception.core.errors import ConfigurationError, ImageError
from social_perception.core.types import Box, Frame, Track
from social_perception.perception.smile.crop import crop_faces
from social_perception.ros.convert import crops_of, tracks_of
from social_perception.ros.nodes.ros4hri import Ros4HriNode
from social_perception.ros.nodes.ros4hri_faces import Ros4HriFacesNode
from social_perception.ros.support import ros4hri_values as values
from social_perception.ros.support.images import decode, encode
from social_perception.ros.support.messages import FaceAffectArray, TrackedFaceArray
from social_perception.ros.support.ros4hri_messages import roi_of
from test.ros.messages import face_affect_message, tracked_faces_message

WIDTH, HEIGHT = 320, 240
BOXES = {"abcde": Box(40, 50, 60, 60), "fghij": Box(200, 80, 48, 52)}
HUMANS = {"humans": "humans"}  # in the test's own namespace
OUR_BOXES = {"crop_margin": 1.25}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """(240, 320, 3) RGB, smooth, so that scaling changes little."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([rows, columns * 0.7, 128 + 60 * np.sin(rows / 20 + columns / 30)], axis=-1).astype(
        np.uint8
    )


def header(sec: int) -> Header:
    return Header(stamp=Time(sec=sec, nanosec=42), frame_id="camera")


def tracked(sec: int, boxes=BOXES, image=None) -> TrackedFaceArray:
    frame = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8) if image is None else image, sec, 0)
    tracks = [Track(name, box, 0.8) for name, box in boxes.items()]
    return tracked_faces_message(header(sec), frame, tracks, crop_faces(frame.image, list(boxes.values())))


def affects(sec: int, boxes=BOXES, smiles=None) -> FaceAffectArray:
    return face_affect_message(tracked(sec, boxes), smiles or [smile(0.7)] * len(boxes))


class Sender:
    """Publishes on a topic again and again, each time with a later stamp, until something has happened."""

    def __init__(self, ros, kind, topic, make) -> None:
        self._ros, self._make, self.sec = ros, make, 100
        self._publisher = ros.publisher(kind, topic)

    def once(self) -> None:
        self.sec += 1
        self._publisher.publish(self._make(self.sec))

    def until(self, condition, what):
        def attempt():
            value = condition()
            if not value:
                self.once()
            return value

        return self._ros.until(attempt, what)


def listen(ros, kind, topic):
    """A list that grows with the messages of a topic, which need not exist yet."""
    found = []
    ros.node.create_subscription(kind, topic, found.append, 10)
    return found


def topics(ros) -> set[str]:
    """Names of the published topics below humans/faces."""
    base = f"{ros.namespace}/humans/faces/"
    return {
        name.removeprefix(base)
        for name, _ in ros.node.get_topic_names_and_types()
        if name.startswith(base) and ros.node.count_publishers(name)
    }


# Faces of ours for others.


def test_the_names_and_codes_are_those_of_the_messages() -> None:
    assert (values.NEUTRAL, values.HAPPY) == (Expression.NEUTRAL, Expression.HAPPY)
    assert values.LIP_CORNER_PULLER == FacialActionUnits.LIP_CORNER_PULLER
    assert len(FacialActionUnits().intensity) > values.LIP_CORNER_PULLER


def test_the_voice_of_a_face_has_its_id_while_it_is_known_whether_it_speaks(ros) -> None:
    ros.start(Ros4HriNode, HUMANS)
    lists = listen(ros, IdsList, "humans/voices/tracked")
    matches = listen(ros, IdsMatch, "humans/candidate_matches")
    speaking = {name: listen(ros, Bool, f"humans/voices/{name}/is_speaking") for name in BOXES}
    values = {"abcde": 0.75, "fghij": 0.25}

    def make(sec):
        message = affects(sec)
        for face in message.faces:
            face.speaking = values[face.id]
        return message

    sender = Sender(ros, FaceAffectArray, "face_affect", make)
    sender.until(lambda: all(speaking.values()), "both voices")
    assert speaking["abcde"][-1].data is True
    assert speaking["fghij"][-1].data is False
    assert sorted(lists[-1].ids) == sorted(BOXES)
    assert lists[-1].header.stamp.nanosec == 42
    ros.until(lambda: len(matches) == 2, "the matches")
    pairs = {(each.id1, each.id1_type, each.id2, each.id2_type, each.confidence) for each in matches}
    assert pairs == {(name, IdsMatch.FACE, name, IdsMatch.VOICE, 1.0) for name in BOXES}
    values.update(abcde=math.nan, fghij=math.nan)
    sender.until(lambda: not lists[-1].ids, "nobody's voice is known")


def test_without_sound_there_are_no_voices(ros) -> None:
    ros.start(Ros4HriNode, HUMANS)
    lists = listen(ros, IdsList, "humans/voices/tracked")
    faces = listen(ros, IdsList, "humans/faces/tracked")
    Sender(ros, FaceAffectArray, "face_affect", affects).until(lambda: len(faces) > 2, "faces")
    assert not lists


def test_each_face_has_its_topics(ros) -> None:
    ros.start(Ros4HriNode, HUMANS)
    lists = listen(ros, IdsList, "humans/faces/tracked")
    rois = listen(ros, NormalizedRegionOfInterest2D, "humans/faces/fghij/roi")
    expressions = listen(ros, Expression, "humans/faces/fghij/expression")
    facs = listen(ros, FacialActionUnits, "humans/faces/fghij/facs")
    sender = Sender(ros, FaceAffectArray, "face_affect", affects)
    sender.until(lambda: lists and rois and expressions and facs, "all topics")
    assert topics(ros) == {"tracked"} | {
        f"{name}/{each}" for name in BOXES for each in ("roi", "expression", "facs")
    }
    assert list(lists[0].ids) == list(BOXES)
    for message in (lists[0], rois[0], expressions[0], facs[0]):
        assert message.header.frame_id == "camera"
        assert 100 < message.header.stamp.sec <= sender.sec
        assert message.header.stamp.nanosec == 42
    edges = (rois[0].xmin * WIDTH, rois[0].ymin * HEIGHT, rois[0].xmax * WIDTH, rois[0].ymax * HEIGHT)
    assert edges == pytest.approx((200, 80, 248, 132), abs=1e-3)
    assert rois[0].c == 1.0
    (said,) = expressions[:1]
    assert (said.expression, said.valence, said.confidence) == (
        "happy",
        pytest.approx(0.7),
        pytest.approx(0.9),
    )
    assert math.isnan(said.arousal)
    known = {i: (x, c) for i, (x, c) in enumerate(zip(facs[0].intensity, facs[0].confidence)) if c > 0}
    assert known == {12: (pytest.approx(0.7), pytest.approx(0.3))}
    assert all(math.isnan(x) for i, x in enumerate(facs[0].intensity) if i != 12)


def test_the_topics_go_with_the_face(ros) -> None:
    ros.start(Ros4HriNode, HUMANS)
    lists = listen(ros, IdsList, "humans/faces/tracked")
    publisher = ros.publisher(FaceAffectArray, "face_affect")
    publisher.publish(affects(101))
    ros.until(lambda: len(topics(ros)) == 7, "the topics of two faces")
    publisher.publish(affects(102, {"abcde": BOXES["abcde"]}))
    ros.until(
        lambda: topics(ros) == {"tracked", "abcde/roi", "abcde/expression", "abcde/facs"}, "one face's topics"
    )
    publisher.publish(affects(103, {}))
    ros.until(lambda: topics(ros) == {"tracked"}, "no face's topics")
    ros.until(lambda: [len(message.ids) for message in lists] == [2, 1, 0], "the lists")


def test_a_lost_face_is_tracked_but_says_nothing(ros) -> None:
    node = ros.start(Ros4HriNode, HUMANS)
    rois = listen(ros, NormalizedRegionOfInterest2D, "humans/faces/abcde/roi")
    expressions = listen(ros, Expression, "humans/faces/abcde/expression")
    lists = listen(ros, IdsList, "humans/faces/tracked")
    one = {"abcde": BOXES["abcde"]}
    sender = Sender(ros, FaceAffectArray, "face_affect", lambda sec: affects(sec, one))
    sender.until(lambda: rois and expressions, "the face's topics")
    ros.until(lambda: lists and lists[-1].header.stamp.sec == sender.sec, "all that was sent")
    reported = len(expressions)
    steps = [  # (observed images, valid) -> c
        ((9, False), 0.0),  # lost: no image was added
        ((10, False), 1.0),  # warming up again, or seen again
        ((10, False), 0.0),
    ]
    for (observed, valid), confidence in steps:
        sender.sec += 1
        node.process(affects(sender.sec, one, [smile(observed_frames=observed, valid=valid)]))
        ros.until(lambda: rois[-1].header.stamp.sec == sender.sec, "the rectangle")
        assert rois[-1].c == confidence
    ros.until(lambda: lists[-1].header.stamp.sec == sender.sec)
    assert list(lists[-1].ids) == ["abcde"]
    assert len(expressions) == reported


def test_deactivating_removes_everything(ros) -> None:
    node = ros.start(Ros4HriNode, HUMANS)
    lists = listen(ros, IdsList, "humans/faces/tracked")
    sender = Sender(ros, FaceAffectArray, "face_affect", affects)
    sender.until(lambda: lists and len(topics(ros)) == 7, "the faces")
    before = lists[-1].header.stamp
    assert node.trigger_deactivate().name == "SUCCESS"
    ros.until(lambda: topics(ros) <= {"tracked"}, "the faces' topics to go")
    ros.until(lambda: list(lists[-1].ids) == [], "the empty list")
    after = lists[-1].header.stamp
    assert (after.sec, after.nanosec) > (before.sec, before.nanosec)
    assert node.trigger_cleanup().name == "SUCCESS"
    ros.until(lambda: not topics(ros), "the list's topic to go")
    assert node.trigger_configure().name == "SUCCESS"
    assert node.trigger_activate().name == "SUCCESS"
    sender.until(lambda: len(topics(ros)) == 7, "the faces again")


def test_a_dead_camera_sees_nobody(ros) -> None:
    ros.start(Ros4HriNode, {**HUMANS, "silent_after_s": 0.3})
    lists = listen(ros, IdsList, "humans/faces/tracked")
    sender = Sender(ros, FaceAffectArray, "face_affect", affects)
    sender.until(lambda: lists and lists[-1].ids and len(topics(ros)) == 7, "the faces")
    ros.until(lambda: topics(ros) == {"tracked"} and not lists[-1].ids, "the faces to go")
    sender.until(lambda: lists[-1].ids and len(topics(ros)) == 7, "the faces again")


@pytest.mark.slow
def test_a_thousand_faces_come_and_go_without_a_trace(ros) -> None:
    node = ros.start(Ros4HriNode, {**HUMANS, "publish_cropped": True})
    before = len(list(node.publishers))
    for number in range(1000):
        node.process(affects(100 + number, {f"face{number}": BOXES["abcde"]}))
        assert len(list(node.publishers)) == before + 4
    node.process(affects(2000, {}))
    assert len(list(node.publishers)) == before
    gc.collect()
    left = [each for each in gc.get_objects() if type(each).__name__ == "FaceTopics"]
    assert left == []
    ros.until(lambda: topics(ros) == {"tracked"}, "no topic of a face")


def test_faces_that_others_detect_only_get_expressions(ros) -> None:
    ros.start(Ros4HriNode, {**HUMANS, "publish_faces": False, "publish_cropped": True})
    Sender(ros, FaceAffectArray, "face_affect", affects).until(lambda: len(topics(ros)) == 4, "topics")
    assert topics(ros) == {f"{name}/{each}" for name in BOXES for each in ("expression", "facs")}


@pytest.mark.parametrize("asked", [True, False])
def test_the_image_is_published_when_requested(asked: bool, ros, photo) -> None:
    ros.start(Ros4HriNode, {**HUMANS, "publish_cropped": asked, "cropped_size_px": 64})
    pictures = listen(ros, Image, "humans/faces/abcde/cropped")
    rois = listen(ros, NormalizedRegionOfInterest2D, "humans/faces/abcde/roi")
    sender = Sender(ros, FaceAffectArray, "face_affect", affects)
    if not asked:
        sender.until(lambda: rois, "the rectangle")
        assert "abcde/cropped" not in topics(ros)
        assert ros.node.count_subscribers(f"{ros.namespace}/tracked_faces") == 0
        return
    crops = Sender(ros, TrackedFaceArray, "tracked_faces", lambda sec: tracked(sec, image=photo))
    sender.until(lambda: pictures or crops.once(), "the picture")
    (picture,) = pictures[:1]
    assert picture.encoding == "bgr8"
    assert picture.header.frame_id == "camera"
    target = crop_faces(photo, [BOXES["abcde"]], margin=1.0)[0]
    found = decode(picture)
    assert found.shape == (64, 64, 3)
    assert np.abs(found.mean((0, 1)) - target.mean((0, 1))).max() < 2.0


def test_an_id_that_cannot_be_a_topic_is_renamed_everywhere(ros) -> None:
    ros.start(Ros4HriNode, HUMANS)
    lists = listen(ros, IdsList, "humans/faces/tracked")
    make = lambda sec: affects(sec, {"0 1": BOXES["abcde"]})  # noqa: E731
    Sender(ros, FaceAffectArray, "face_affect", make).until(lambda: lists, "the list")
    (name,) = lists[0].ids
    assert name == values.topic_name("0 1")
    ros.until(lambda: f"{name}/roi" in topics(ros), "the face's topic")


@pytest.mark.parametrize("humans", ["", "/", "humans/", "1humans", "/hu mans", "//humans"])
def test_a_namespace_that_cannot_be_is_refused(humans: str, ros) -> None:
    with pytest.raises(ConfigurationError, match="humans must be a namespace"):
        ros.create(Ros4HriNode, {"humans": humans})


# Faces of others for us.


class Detector:
    """Another ROS4HRI node: publishes faces as hri_face_detect does, the list last."""

    def __init__(self, ros, photo, *, pictures=True) -> None:
        self._ros, self._photo, self._pictures = ros, photo, pictures
        self._list = ros.node.create_publisher(IdsList, "humans/faces/tracked", 1)
        self._topics = {}

    def publish(self, sec: int, boxes, confidence=0.9, listed=None, size_px=128) -> None:
        for name, box in boxes.items():
            roi, cropped = self._topics_of(name)
            roi.publish(
                NormalizedRegionOfInterest2D(
                    header=header(sec),
                    xmin=box.left / WIDTH,
                    ymin=box.top / HEIGHT,
                    xmax=box.right / WIDTH,
                    ymax=box.bottom / HEIGHT,
                    c=confidence,
                )
            )
            if self._pictures:
                cropped.publish(self._padded(sec, box, size_px))
        self._list.publish(IdsList(header=header(sec), ids=list(boxes if listed is None else listed)))

    def _topics_of(self, name):
        if name not in self._topics:
            base = f"humans/faces/{name}"
            self._topics[name] = (
                self._ros.node.create_publisher(NormalizedRegionOfInterest2D, f"{base}/roi", 1),
                self._ros.node.create_publisher(Image, f"{base}/cropped", 1),
            )
        return self._topics[name]

    def _padded(self, sec: int, box: Box, size_px: int) -> Image:
        import cv2

        face = self._photo[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
        scale = size_px / max(face.shape[:2])
        face = cv2.resize(face, None, fx=scale, fy=scale)
        whole = np.zeros((size_px, size_px, 3), np.uint8)
        top, left = (size_px - face.shape[0]) // 2, (size_px - face.shape[1]) // 2
        whole[top : top + face.shape[0], left : left + face.shape[1]] = face
        message = encode(whole[..., ::-1], header(sec))
        message.encoding = "bgr8"
        return message


class Feed:
    """Lets a detector publish until the last of the node's messages is as expected.

    The next image comes when the last one is answered, or when it is clear that it will not be: nobody
    may listen yet, and the other topics of a face are found only after the list.
    """

    PATIENCE = 25

    def __init__(self, ros, detector, topic="tracked_faces") -> None:
        self._ros, self._detector, self.sec = ros, detector, 100
        self._asked = 0
        self.found = listen(ros, TrackedFaceArray, topic)

    def until(self, condition, boxes=BOXES, what="the faces", **about) -> TrackedFaceArray:
        def attempt():
            answered = bool(self.found) and self.found[-1].header.stamp.sec == self.sec
            if answered and condition(self.found[-1]):
                return self.found[-1]
            self._asked += 1
            if answered or self._asked % self.PATIENCE == 1:
                self.sec, self._asked = self.sec + 1, 1
                self._detector.publish(self.sec, boxes, **about)
            return None

        return self._ros.until(attempt, what)


def all_seen(message: TrackedFaceArray) -> bool:
    return len(message.faces) == 2 and all(face.confidence > 0 for face in message.faces)


def boxes_of(message: TrackedFaceArray):
    return {
        face.id: (face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height)
        for face in message.faces
    }


def assert_same_boxes(message: TrackedFaceArray, boxes=BOXES) -> None:
    found = boxes_of(message)
    assert set(found) == set(boxes)
    for name, box in boxes.items():
        assert found[name] == pytest.approx((box.left, box.top, box.width, box.height), abs=1)


def test_cropped_pictures_become_crops(ros, photo) -> None:
    ros.start(Ros4HriFacesNode, {**HUMANS, **OUR_BOXES})
    info = ros.publisher(CameraInfo, "camera_info")
    info.publish(CameraInfo(width=WIDTH, height=HEIGHT))
    feed = Feed(ros, Detector(ros, photo))
    message = feed.until(lambda each: all_seen(each) and each.image_width == WIDTH)
    assert (message.image_width, message.image_height) == (WIDTH, HEIGHT)
    assert message.header.frame_id == "camera"
    assert message.header.stamp.nanosec == 42
    assert_same_boxes(message)
    assert [face.confidence for face in message.faces] == pytest.approx([0.9, 0.9])
    assert all(math.isnan(face.position.z) for face in message.faces)
    crops = crops_of(message)
    assert crops.shape == (2, 96, 96, 3)
    for crop, box in zip(crops, BOXES.values()):
        target = crop_faces(photo, [box])[0]
        middle = slice(14, 82)  # where the face's own picture reaches; around it the edge is repeated
        difference = np.abs(crop[middle, middle].astype(int) - target[middle, middle])
        assert difference.mean() < 3.0
    assert len(tracks_of(message)) == 2


def test_from_the_image_the_crops_are_exactly_ours(ros, photo) -> None:
    node = ros.start(Ros4HriFacesNode, {**HUMANS, **OUR_BOXES, "crops": "image"})
    images = ros.publisher(Image, "image")
    detector = Detector(ros, photo, pictures=False)

    class WithImage:
        def publish(self, sec, boxes, **about) -> None:
            images.publish(encode(photo, header(sec)))
            detector.publish(sec, boxes, **about)

    feed = Feed(ros, WithImage())
    message = feed.until(all_seen)
    assert (message.image_width, message.image_height) == (WIDTH, HEIGHT)
    assert_same_boxes(message)
    np.testing.assert_array_equal(crops_of(message), crop_faces(photo, list(BOXES.values())))
    assert ros.set(node, "crop_margin", 1.5).successful
    wider = crop_faces(photo, list(BOXES.values()), margin=1.5)
    feed.until(lambda each: np.array_equal(crops_of(each), wider), what="wider crops")


def test_ours_come_back_with_the_same_ids_and_boxes(ros, photo) -> None:
    ros.start(Ros4HriNode, {**HUMANS, "publish_cropped": True})
    remap = ["--ros-args", "-r", "tracked_faces:=from_ros4hri"]
    size = {"assumed_width_px": WIDTH, "assumed_height_px": HEIGHT}
    ros.start(Ros4HriFacesNode, {**HUMANS, **OUR_BOXES, **size}, cli_args=remap)
    smiles = ros.publisher(FaceAffectArray, "face_affect")
    crops = ros.publisher(TrackedFaceArray, "tracked_faces")

    class Ours:
        def publish(self, sec, boxes) -> None:
            crops.publish(tracked(sec, boxes, photo))
            smiles.publish(affects(sec, boxes))

    feed = Feed(ros, Ours(), "from_ros4hri")
    message = feed.until(all_seen)
    assert_same_boxes(message)
    for crop, target in zip(crops_of(message), crops_of(tracked(1, image=photo))):
        middle = slice(14, 82)
        assert np.abs(crop[middle, middle].astype(int) - target[middle, middle]).mean() < 3.0
    feed.until(lambda each: not each.faces, {}, "the empty room")


@pytest.mark.parametrize("crops", ["cropped", "image"])
def test_a_hidden_face_is_passed_on_as_not_visible(crops: str, ros, photo) -> None:
    size = {"assumed_width_px": WIDTH, "assumed_height_px": HEIGHT}
    ros.start(Ros4HriFacesNode, {**HUMANS, **size, "crops": crops})
    detector = Detector(ros, photo)
    images = ros.node.create_publisher(Image, "image", 10)

    class WithImage:
        def publish(self, sec, boxes, **about) -> None:
            images.publish(encode(photo, header(sec)))
            detector.publish(sec, boxes, **about)

    feed = Feed(ros, WithImage())
    feed.until(all_seen)
    one = {"abcde": BOXES["abcde"]}
    message = feed.until(lambda each: len(each.faces) == 2 and not all_seen(each), one, listed=list(BOXES))
    assert {face.id: face.confidence > 0 for face in message.faces} == {"abcde": True, "fghij": False}
    assert_same_boxes(message)  # the last one known
    feed.until(lambda each: len(each.faces) == 1, one)
    feed.until(lambda each: len(each.faces) == 0, {})


def test_no_confidence_at_all_is_no_blindness(ros, photo) -> None:
    ros.start(Ros4HriFacesNode, HUMANS)
    feed = Feed(ros, Detector(ros, photo))
    message = feed.until(all_seen, confidence=0.0)
    assert [face.confidence for face in message.faces] == [1.0, 1.0]
    feed.until(lambda each: each.faces and each.faces[0].confidence == pytest.approx(0.5), confidence=0.5)
    # From now on it is known to be meant.
    feed.until(
        lambda each: len(each.faces) == 2 and not any(f.confidence for f in each.faces), confidence=0.0
    )


def test_the_subscriptions_go_with_the_face(ros, photo) -> None:
    node = ros.start(Ros4HriFacesNode, HUMANS)
    before = len(list(node.subscriptions))
    for number in range(200):
        node.process(IdsList(header=header(100 + number), ids=[f"face{number}"]))
        assert len(list(node.subscriptions)) == before + 2
    assert node.trigger_deactivate().name == "SUCCESS"
    assert len(list(node.subscriptions)) == 0


@pytest.mark.parametrize("bad", ["0abc", "a b", ""])
def test_an_id_that_has_no_topics_is_dropped_and_reported(bad: str, ros) -> None:
    node = ros.start(Ros4HriFacesNode, {**HUMANS, "diagnostics_period_s": 0.1})
    with pytest.raises(ImageError, match="is dropped"):
        node.process(IdsList(header=header(100), ids=[bad, "abcde"]))
    base = f"{ros.namespace}/humans/faces"
    ros.until(lambda: ros.node.count_subscribers(f"{base}/abcde/roi"), "the other face")


@pytest.mark.parametrize(
    ("edges", "right"),
    [((0.5, 0.5, 0.5, 0.6), False), ((math.nan, 0.1, 0.2, 0.3), False), ((-0.1, 0.1, 0.2, 1.7), True)],
)
def test_a_rectangle_is_clipped_or_refused(edges, right: bool) -> None:
    message = NormalizedRegionOfInterest2D(**dict(zip(("xmin", "ymin", "xmax", "ymax"), edges)), c=1.3)
    if not right:
        with pytest.raises(ImageError):
            roi_of(message)
        return
    roi = roi_of(message)
    assert (roi.left, roi.bottom, roi.confidence) == (0.0, 1.0, 1.0)


def test_missing_images_are_reported(ros, photo) -> None:
    node = ros.start(Ros4HriFacesNode, {**HUMANS, "crops": "image", "wait_s": 0.0})
    detector = Detector(ros, photo, pictures=False)
    seconds = iter(range(101, 10_000))

    def reported():
        detector.publish(next(seconds), BOXES)
        return "no image has the stamp of the faces" in node.health._last_error

    ros.until(reported, "the reason")
