"""Node ros4hri: publishes faces and smiles as ROS4HRI (REP-155) messages, on topics per face.

Topics below ``/humans/faces``: ``tracked``, and for each face ``<id>/roi``, ``<id>/expression``,
``<id>/facs`` and, if enabled, ``<id>/cropped``. Below ``/humans/voices``, where there is sound: ``tracked``,
and ``<id>/is_speaking`` for the voice of each face, which has the face's id. docs/ros4hri.md explains the
values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, Header

from social_perception.core.types import FaceAffect, ImageArray, Smile, Voice
from social_perception.perception.hearing.speakers import SPEAKS_FROM
from social_perception.perception.smile.crop import CROP_MARGIN
from social_perception.ros.convert import crops_of, faces_of, nanoseconds
from social_perception.ros.support.config import HumansConfig, NodeConfig, Ros4HriConfig
from social_perception.ros.support.messages import FaceAffectArray, TrackedFaceArray
from social_perception.ros.support.qos import NEWEST_RESULT_QOS, RESULT_QOS
from social_perception.ros.support.ros4hri_messages import (
    Expression,
    FacialActionUnits,
    IdsList,
    IdsMatch,
    NormalizedRegionOfInterest2D,
    action_units_message,
    cropped_message,
    expression_message,
    match_message,
    require_hri_msgs,
    roi_message,
)
from social_perception.ros.support.ros4hri_values import NormalizedRoi, topic_name, without_margin
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage

_WATCH_PERIOD_S = 0.5


class FaceTopics:
    """The topics of one face while it is tracked.

    Args:
        node: owner of the publishers.
        base: prefix of the topic names, with the face's id.
        config: selects the topics.
    """

    def __init__(self, node: Node, base: str, config: Ros4HriConfig) -> None:
        self._node, self._config = node, config
        self._observed = 0
        self._roi = self._cropped = None
        if config.publish_faces:
            self._roi = node.create_publisher(NormalizedRegionOfInterest2D, f"{base}/roi", RESULT_QOS)
            if config.publish_cropped:
                self._cropped = node.create_publisher(Image, f"{base}/cropped", NEWEST_RESULT_QOS)
        self._expression = node.create_publisher(Expression, f"{base}/expression", RESULT_QOS)
        self._facs = node.create_publisher(FacialActionUnits, f"{base}/facs", RESULT_QOS)

    def publish(self, header: Header, face: FaceAffect, width: int, height: int) -> None:
        """Publish the face's rectangle and smile in an image of this size."""
        smile = face[Smile]
        # No value is valid while the temporal window warms up, but the face is seen in every image.
        seen = smile.valid or smile.observed_frames != self._observed
        self._observed = smile.observed_frames
        if self._roi is not None:
            roi = NormalizedRoi.of_box(face.track.box, width, height, seen=seen)
            self._roi.publish(roi_message(header, roi))
        expression = expression_message(header, smile)
        if expression is not None:
            self._expression.publish(expression)
            self._facs.publish(action_units_message(header, smile))

    def publish_cropped(self, header: Header, crop: ImageArray) -> None:
        """Publish the face's image if the topic has a subscriber."""
        if self._cropped is not None and self._cropped.get_subscription_count() > 0:
            image = without_margin(crop, CROP_MARGIN, self._config.cropped_size_px)
            self._cropped.publish(cropped_message(header, image))

    def close(self) -> None:
        """Remove the topics."""
        for publisher in (self._roi, self._cropped, self._expression, self._facs):
            if publisher is not None:
                self._node.destroy_publisher(publisher)


class VoiceTopics:
    """The topics of the faces' voices, while it is known whether they speak.

    Args:
        node: owner of the publishers.
        base: prefix of the topics' names.
        matches: publishes which face a voice belongs to.
    """

    def __init__(self, node: Node, base: str, matches: Any) -> None:
        self._node, self._base, self._matches = node, base, matches
        self._tracked = node.create_publisher(IdsList, f"{base}/tracked", RESULT_QOS)
        self._speaking: dict[str, Any] = {}

    def publish(self, header: Header, faces: Mapping[str, FaceAffect]) -> None:
        """Publish the voices of the faces of an image; nothing while there never was sound."""
        voices = {name: face[Voice].speaking for name, face in faces.items()}
        voices = {name: speaking for name, speaking in voices.items() if not math.isnan(speaking)}
        if not voices and not self._speaking:
            return
        for name in self._speaking.keys() - voices.keys():
            self._node.destroy_publisher(self._speaking.pop(name))
        for name in voices.keys() - self._speaking.keys():
            self._speaking[name] = self._node.create_publisher(
                Bool, f"{self._base}/{name}/is_speaking", RESULT_QOS
            )
            self._matches.publish(match_message(name))
        for name, speaking in voices.items():
            self._speaking[name].publish(Bool(data=speaking >= SPEAKS_FROM))
        self._tracked.publish(IdsList(header=header, ids=list(voices)))

    def close(self) -> None:
        """Remove the topics."""
        for publisher in (self._tracked, *self._speaking.values()):
            self._node.destroy_publisher(publisher)


class Ros4HriNode(Stage):
    """Publishes faces and expressions as ROS4HRI messages.

    Raises:
        MissingDependencyError: hri_msgs is not installed.
    """

    task = "smiles to ROS4HRI"

    def __init__(self, **node_options: Any) -> None:
        require_hri_msgs()
        self._topics: dict[str, FaceTopics] = {}
        self._tracked: Any = None
        self._matches: Any = None
        self._voices: VoiceTopics | None = None
        self._header: Header | None = None
        super().__init__("ros4hri", (HumansConfig, Ros4HriConfig), **node_options)

    def load(self) -> None:
        self._config = self.parameters[Ros4HriConfig]
        humans = self.parameters[HumansConfig].humans
        self._base = f"{humans}/faces"
        self._matches = self.create_publisher(IdsMatch, f"{humans}/candidate_matches", RESULT_QOS)
        self._voices = VoiceTopics(self, f"{humans}/voices", self._matches)
        if self._config.publish_faces:
            self._tracked = self.create_lifecycle_publisher(IdsList, f"{self._base}/tracked", RESULT_QOS)
            if self._config.publish_cropped:
                self.get_logger().warning(
                    f"face images are published below {self._base} because publish_cropped is true"
                )

    def open(self) -> None:
        self.subscribe(
            FaceAffectArray,
            "face_affect",
            NEWEST_RESULT_QOS,
            noun="face affects",
            origin="smile_intensity",
            in_worker=False,
        )
        if self._config.publish_faces and self._config.publish_cropped:
            self.listen(TrackedFaceArray, "tracked_faces", NEWEST_RESULT_QOS, self._on_tracked_faces)
        self.every(_WATCH_PERIOD_S, self._watch)

    def close(self) -> None:
        self._remove_all()

    def unload(self) -> None:
        if self._tracked is not None:
            self.destroy_lifecycle_publisher(self._tracked)
            self._tracked = None
        if self._voices is not None:
            self._voices.close()
            self.destroy_publisher(self._matches)
            self._voices = None

    def restart(self) -> None:
        self._remove_all()

    def process(self, message: FaceAffectArray) -> int:
        self._header = message.header
        faces = {topic_name(face.track.id): face for face in faces_of(message)}
        for name in self._topics.keys() - faces.keys():
            self._topics.pop(name).close()
        for name in faces.keys() - self._topics.keys():
            self._topics[name] = FaceTopics(self, f"{self._base}/{name}", self._config)
        for name, face in faces.items():
            self._topics[name].publish(message.header, face, message.image_width, message.image_height)
        self._publish_tracked(message.header, list(faces))
        if self._voices is not None:
            self._voices.publish(message.header, faces)
        self.note_published(message.header.stamp)
        return len(faces)

    def _on_tracked_faces(self, message: TrackedFaceArray) -> None:
        for face, crop in zip(message.faces, crops_of(message)):
            topics = self._topics.get(topic_name(face.id))
            if topics is not None and face.confidence > 0.0:
                topics.publish_cropped(message.header, crop)

    def _watch(self) -> None:
        """Remove the faces when the input has been silent for too long, as with a dead camera."""
        if self.input is not None and self.input.silence_s() > self.parameters[NodeConfig].silent_after_s:
            self._remove_all()

    def _remove_all(self) -> None:
        last, self._header = self._header, None
        while self._topics:
            self._topics.popitem()[1].close()
        if last is not None and self.context.ok():
            self._publish_tracked(_just_after(last), [])
            if self._voices is not None:
                self._voices.publish(_just_after(last), {})

    def _publish_tracked(self, header: Header, ids: Sequence[str]) -> None:
        if self._tracked is not None:
            self._tracked.publish(IdsList(header=header, ids=list(ids)))


def _just_after(header: Header) -> Header:
    """A header just newer than that of the last image, by the camera's clock, which may differ from ours."""
    after_ns = nanoseconds(header.stamp) + 1
    stamp = Time(sec=after_ns // 10**9, nanosec=after_ns % 10**9)
    return Header(stamp=stamp, frame_id=header.frame_id)


def main(args: Sequence[str] | None = None) -> int:
    return run([Ros4HriNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
