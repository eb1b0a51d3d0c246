"""Node affect_overlay: the camera's images in, the same images with what was found drawn into them out.

An image waits for the results that have its very stamp; those of another are never drawn. Nothing is
subscribed while nobody looks.
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
from social_perception.ros.support.camera_input import subscribe_images
from social_perception.ros.support.config import ImageInputConfig, NodeConfig, OverlayConfig
from social_perception.ros.support.images import decode, encode
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
_REMINDER_PERIOD_S = 1.0
_IMAGE_DEPTH = 5
"""Images wait for their results anyway, so one that comes while another callback runs is welcome too."""
_MAX_GROUPS = 64
_JPEG_FORMAT = "rgb8; jpeg compressed bgr8"
"""As compressed_image_transport writes it."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """An image to be drawn, and what there is to be drawn into it."""

    image: Any
    result: FaceAffectArray | None
    group: GroupAffectMessage | None
    warning: str = ""

    @property
    def header(self) -> Header:
        return self.image.header


class AffectOverlayNode(Stage):
    """Draws boxes, levels, traces and the group's figures into the camera's images."""

    task = "images to overlay"

    def __init__(self, **node_options: Any) -> None:
        self._raw: Any = None
        self._compressed: Any = None
        self._traces = Traces()
        self._heads = HeadWatch()
        self._told_of_viewers = False
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

    # In the executor's thread: what belongs together.

    def _follow_viewers(self) -> None:
        """Subscribe as long as somebody looks."""
        looked_at = any(each.get_subscription_count() > 0 for each in (self._raw, self._compressed))
        if looked_at and self.input is None:
            self._subscribe()
        elif not looked_at and self.input is not None:
            self.unsubscribe()
            self._forget()
        elif looked_at:
            self._remind()

    def _subscribe(self) -> None:
        if not self._told_of_viewers:
            self._told_of_viewers = True
            topic = self.resolve_topic_name("affect_overlay")
            blurred = self.parameters[OverlayConfig].blur_faces
            hidden = ", with the faces that are found hidden" if blurred else ""
            self.get_logger().warning(
                f"pictures are published on {topic}, to which somebody subscribes{hidden}"
            )
        self.listen(FaceAffectArray, "face_affect", RESULT_QOS, self._on_faces)
        self.listen(GroupAffectMessage, "group_affect", RESULT_QOS, self._on_group)
        subscribe_images(self, _IMAGE_DEPTH)

    def _forget(self) -> None:
        config = self.parameters[OverlayConfig]
        self.matcher = StampMatcher(config.max_wait_s, config.max_memory_mb * 1_000_000)
        self._groups: deque[GroupAffectMessage] = deque(maxlen=_MAX_GROUPS)
        self._newest: _Picture | None = None
        self._reminded_s = 0.0

    def admit(self, message: Image | CompressedImage) -> None:
        stamp_ns = nanoseconds(message.header.stamp)
        self._pass_on(self.matcher.add_image(stamp_ns, message, len(message.data)))

    def _on_faces(self, message: FaceAffectArray) -> None:
        self._pass_on(self.matcher.add_result(nanoseconds(message.header.stamp), message))

    def _on_group(self, message: GroupAffectMessage) -> None:
        self._groups.append(message)

    def _pass_on(self, match: Match | None) -> None:
        """Let the worker draw; if it is still busy with another image, only the newest waits."""
        if match is None or self.worker is None:
            return
        if match.result is None:
            self._newest = _Picture(match.image, None, None, f"no results for {match.missing_s:.1f} s")
        else:
            self._newest = _Picture(match.image, match.result, self._group_at(match.image.header.stamp))
        self.worker.put(self._newest)

    def _group_at(self, stamp: Time) -> GroupAffectMessage | None:
        """The newest word on the group that is neither newer than an image nor much older."""
        last_ns = nanoseconds(stamp)
        first_ns = last_ns - round(self.parameters[OverlayConfig].max_group_age_s * 1e9)
        # The last of several with one stamp: a group can turn stale without a new image.
        known = [(nanoseconds(each.header.stamp), place) for place, each in enumerate(self._groups)]
        fitting = [each for each in known if first_ns <= each[0] <= last_ns]
        return self._groups[max(fitting)[1]] if fitting else None

    def _remind(self) -> None:
        """Show the last picture again, with a warning, while no images come."""
        if self._newest is None or self.input is None or self.worker is None:
            return
        silence_s = self.input.silence_s()
        if silence_s < self.parameters[NodeConfig].silent_after_s:
            self._reminded_s = 0.0
        elif silence_s >= self._reminded_s + _REMINDER_PERIOD_S:
            self._reminded_s = silence_s
            self.worker.put(replace(self._newest, warning=f"no images for {silence_s:.1f} s"))

    # In the worker's thread: drawing.

    def process(self, message: _Picture) -> int:
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

    def _affect(self, picture: _Picture, image: ImageArray) -> FrameAffect:
        height, width = image.shape[:2]
        faces: tuple[FaceAffect, ...] = ()
        group: GroupAffect | None = None
        if picture.result is not None:
            _check_size(picture.result, width, height)
            faces = faces_of(picture.result)
        if picture.group is not None:
            group = group_of(picture.group)
        self._index += 1
        return FrameAffect(seconds(picture.header.stamp), self._index, width, height, faces, group)

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
            f"the image is {width} x {height} px, but its faces were found in one of {found_in[0]} x "
            f"{found_in[1]} px: remap image to the topic that face_tracker takes"
        )


def _jpeg(image: ImageArray, quality: int) -> ImageArray:
    done, found = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ImageError("the overlay cannot be encoded as JPEG")
    return np.asarray(found, np.uint8)


def main(args: Sequence[str] | None = None) -> int:
    return run([AffectOverlayNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
