"""Node affect_overlay: publishes the camera's images with the results drawn into them.

An image waits for the results with exactly its stamp; those of other images are never drawn. The node
subscribes to its inputs only while the overlay has a subscriber.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.errors import ImageError
from social_perception.core.types import FaceAffect, FrameAffect, GroupAffect, ImageArray
from social_perception.ros.convert import blob, faces_of, group_of, nanoseconds, seconds
from social_perception.ros.support.config import ImageInputConfig, NodeConfig, OverlayConfig
from social_perception.ros.support.images import decode, encode, subscribe_images
from social_perception.ros.support.matching import Match, StampMatcher
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import NEWEST_RESULT_QOS, RESULT_QOS
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage
from social_perception.views.blur import HeadWatch, hide, hide_all
from social_perception.views.overlay import draw_overlay
from social_perception.views.traces import Traces

_VIEWERS_PERIOD_S = 0.25
_REPEAT_PERIOD_S = 1.0
_IMAGE_DEPTH = 5
"""Images wait for their results anyway, so those that arrive during another callback are useful too."""
_MAX_GROUPS = 64
_JPEG_FORMAT = "rgb8; jpeg compressed bgr8"
"""As compressed_image_transport sets it."""


@dataclass(frozen=True, slots=True)
class _Drawing:
    """An image with the results to be drawn into it."""

    image: Any
    result: FaceAffectArray | None
    group: GroupAffectMessage | None
    warning: str = ""

    @property
    def header(self) -> Header:
        header: Header = self.image.header
        return header


class AffectOverlayNode(Stage):
    """Draws boxes, levels, traces and the group's figures into the camera's images."""

    task = "images to overlay"

    def __init__(self, **node_options: Any) -> None:
        self._raw: Any = None
        self._compressed: Any = None
        self._traces = Traces()
        self._heads = HeadWatch()
        self._viewers_logged = False
        self._index = 0
        super().__init__("affect_overlay", (ImageInputConfig, OverlayConfig), **node_options)
        self._forget()

    def load(self) -> None:
        self._raw = self.create_lifecycle_publisher(Image, "affect_overlay", NEWEST_RESULT_QOS)
        self._compressed = self.create_lifecycle_publisher(
            CompressedImage, "affect_overlay/compressed", NEWEST_RESULT_QOS
        )

    def open(self) -> None:
        self._follow_viewers()
        self.every(_VIEWERS_PERIOD_S, self._follow_viewers)

    def close(self) -> None:
        self._forget()

    def unload(self) -> None:
        for publisher in (self._raw, self._compressed):
            if publisher is not None:
                self.destroy_lifecycle_publisher(publisher)
        self._raw = self._compressed = None

    def reconfigure(self) -> None:
        config = self.parameters[OverlayConfig]
        self.matcher.max_wait_s = config.max_wait_s

    def restart(self) -> None:
        self._traces = Traces(self._traces.span_s)
        self._heads = HeadWatch()

    # In the executor's thread: matching images and results.

    def _follow_viewers(self) -> None:
        """Subscribe to the inputs while the overlay has a subscriber."""
        viewed = any(each.get_subscription_count() > 0 for each in (self._raw, self._compressed))
        if viewed and self.input is None:
            self._subscribe()
        elif not viewed and self.input is not None:
            self.unsubscribe()
            self._forget()
        elif viewed:
            self._repeat()

    def _subscribe(self) -> None:
        if not self._viewers_logged:
            self._viewers_logged = True
            topic = self.resolve_topic_name("affect_overlay")
            blurred = self.parameters[OverlayConfig].blur_faces
            hidden = ", with detected faces hidden" if blurred else ""
            self.get_logger().warning(f"images are published on {topic}, which has a subscriber{hidden}")
        self.listen(FaceAffectArray, "face_affect", RESULT_QOS, self._on_faces)
        self.listen(GroupAffectMessage, "group_affect", RESULT_QOS, self._on_group)
        subscribe_images(self, _IMAGE_DEPTH)

    def _forget(self) -> None:
        config = self.parameters[OverlayConfig]
        self.matcher = StampMatcher(config.max_wait_s, config.max_memory_mb * 1_000_000)
        self._groups: deque[GroupAffectMessage] = deque(maxlen=_MAX_GROUPS)
        self._newest: _Drawing | None = None
        self._repeated_s = 0.0

    def admit(self, message: Image | CompressedImage) -> None:
        stamp_ns = nanoseconds(message.header.stamp)
        self._put(self.matcher.add_image(stamp_ns, message, len(message.data)))

    def _on_faces(self, message: FaceAffectArray) -> None:
        self._put(self.matcher.add_result(nanoseconds(message.header.stamp), message))

    def _on_group(self, message: GroupAffectMessage) -> None:
        self._groups.append(message)

    def _put(self, match: Match | None) -> None:
        """Hand an image over to the worker; while it draws another one, only the newest waits."""
        if match is None or self.worker is None:
            return
        if match.result is None:
            self._newest = _Drawing(match.image, None, None, f"no results for {match.missing_s:.1f} s")
        else:
            self._newest = _Drawing(match.image, match.result, self._group_at(match.image.header.stamp))
        self.worker.put(self._newest)

    def _group_at(self, stamp: Time) -> GroupAffectMessage | None:
        """The newest message about the group that is not newer than an image and not much older."""
        last_ns = nanoseconds(stamp)
        first_ns = last_ns - round(self.parameters[OverlayConfig].max_group_age_s * 1e9)
        # The last of several with the same stamp: a group can become stale without a new image.
        known = [(nanoseconds(each.header.stamp), place) for place, each in enumerate(self._groups)]
        fitting = [each for each in known if first_ns <= each[0] <= last_ns]
        return self._groups[max(fitting)[1]] if fitting else None

    def _repeat(self) -> None:
        """Publish the last image again, with a warning, while no images arrive."""
        if self._newest is None or self.input is None or self.worker is None:
            return
        silence_s = self.input.silence_s()
        if silence_s < self.parameters[NodeConfig].silent_after_s:
            self._repeated_s = 0.0
        elif silence_s >= self._repeated_s + _REPEAT_PERIOD_S:
            self._repeated_s = silence_s
            self.worker.put(replace(self._newest, warning=f"no images for {silence_s:.1f} s"))

    # In the worker's thread: drawing.

    def process(self, message: _Drawing) -> int:
        config = self.parameters[OverlayConfig]
        image = decode(message.image)
        affect = self._affect(message, image)
        self._traces.span_s = config.trace_s
        self._traces.add(affect)
        if config.blur_faces:
            heads = self._heads.update(affect)
            image = hide_all(image) if message.result is None else hide(image, heads)
        drawn = draw_overlay(
            image,
            affect,
            header=config.show_header,
            legend=config.show_legend,
            traces=self._traces if config.show_traces else None,
            warning=message.warning,
        )
        self._publish(drawn, message.header, config.jpeg_quality)
        self.note_published(message.header.stamp)
        return len(affect.faces)

    def _affect(self, drawing: _Drawing, image: ImageArray) -> FrameAffect:
        height, width = image.shape[:2]
        faces: tuple[FaceAffect, ...] = ()
        group: GroupAffect | None = None
        if drawing.result is not None:
            _check_size(drawing.result, width, height)
            faces = faces_of(drawing.result)
        if drawing.group is not None:
            group = group_of(drawing.group)
        self._index += 1
        return FrameAffect(seconds(drawing.header.stamp), self._index, width, height, faces, group)

    def _publish(self, drawn: ImageArray, header: Header, quality: int) -> None:
        if self._raw.get_subscription_count() > 0:
            self._raw.publish(encode(drawn, header))
        if self._compressed.get_subscription_count() > 0:
            self._compressed.publish(
                CompressedImage(header=header, format=_JPEG_FORMAT, data=blob(_jpeg(drawn, quality)))
            )


def _check_size(result: FaceAffectArray, width: int, height: int) -> None:
    found_in = result.image_width, result.image_height
    if found_in != (width, height):
        raise ImageError(
            f"the image is {width} x {height} px, but its faces were detected in an image of {found_in[0]} x "
            f"{found_in[1]} px: remap image to the topic that face_tracker subscribes to"
        )


def _jpeg(image: ImageArray, quality: int) -> ImageArray:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ImageError("the overlay cannot be encoded as JPEG")
    return np.asarray(data, np.uint8)


def main(args: Sequence[str] | None = None) -> int:
    return run([AffectOverlayNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
