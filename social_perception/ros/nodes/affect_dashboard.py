"""Node affect_dashboard: serves a live web page with the smiles of the people and the group.

The images on the page are those of affect_overlay, which are JPEG already. They are subscribed only if the
parameter picture enables them, and only while a browser requests them. In anonymous mode, the node
subscribes to the group only, and with group_only to the scene affect only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage

from social_perception.core.config import WebConfig
from social_perception.core.errors import ImageError
from social_perception.core.secret import is_plain
from social_perception.core.types import FrameAffect, GroupAffect, Scene
from social_perception.ros.convert import faces_of, group_of, scene_of, seconds
from social_perception.ros.support.config import DashboardConfig, NodeConfig
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.messages import SceneAffect as SceneAffectMessage
from social_perception.ros.support.qos import NEWEST_RESULT_QOS, image_qos
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage
from social_perception.views.web.server import Dashboard

_VIEWERS_PERIOD_S = 0.25


class AffectDashboardNode(Stage):
    """Serves the page from configure to cleanup; while the node is not active, the page says so."""

    task = "smiles to web page"

    def __init__(self, **node_options: Any) -> None:
        self.dashboard: Dashboard | None = None
        self._images: Subscription[CompressedImage] | None = None
        self._group: GroupAffect | None = None
        self._index = self._epoch = 0
        super().__init__("affect_dashboard", (WebConfig, DashboardConfig), **node_options)

    def load(self) -> None:
        config = self.parameters[WebConfig]
        source = self.resolve_topic_name(self._group_topic or "face_affect")
        silent_after_s = self.parameters[NodeConfig].silent_after_s
        people = not self._group_topic
        self.dashboard = Dashboard(config, source, silent_after_s=silent_after_s, people=people)
        self.get_logger().info(f"web page: {self.dashboard.public_url}")
        if self.dashboard.has_new_token:
            # Not logged: every node can subscribe to /rosout.
            print(f"web page with its token: {self.dashboard.url}", flush=True)
        if is_plain(config.token):
            self.get_logger().warning("every node can read the parameter token; use @FILE to keep it secret")
        if config.picture:
            self.get_logger().warning("the web page shows the images to every browser that requests them")

    @property
    def _group_topic(self) -> str:
        """The topic without people whose values the page shows; empty: it shows people."""
        config = self.parameters[DashboardConfig]
        return "scene_affect" if config.group_only else "group_affect" if config.anonymous else ""

    def open(self) -> None:
        self._group = None
        if self._group_topic:
            self.subscribe(
                SceneAffectMessage if self._group_topic == "scene_affect" else GroupAffectMessage,
                self._group_topic,
                NEWEST_RESULT_QOS,
                noun=self._group_topic.replace("_", " ") + "s",
                origin=self._group_topic,
                in_worker=False,
            )
            return
        self.listen(GroupAffectMessage, "group_affect", NEWEST_RESULT_QOS, self._on_group)
        self.subscribe(
            FaceAffectArray,
            "face_affect",
            NEWEST_RESULT_QOS,
            noun="face affects",
            origin="smile_intensity",
            in_worker=False,
        )
        self.every(_VIEWERS_PERIOD_S, self._follow_viewers)

    def close(self) -> None:
        self._unsubscribe_images()
        if self.dashboard is not None:
            self.dashboard.show_stale("the node affect_dashboard is not active")

    def unload(self) -> None:
        if self.dashboard is not None:
            self.dashboard.close()
            self.dashboard = None

    def restart(self) -> None:
        self._epoch += 1
        self._group = None

    def process(self, message: FaceAffectArray | GroupAffectMessage | SceneAffectMessage) -> int:
        assert self.dashboard is not None
        if isinstance(message, SceneAffectMessage):
            return self._show_scene(scene_of(message))
        if isinstance(message, GroupAffectMessage):
            return self._show_group(group_of(message))
        faces, stamp_s = faces_of(message), seconds(message.header.stamp)
        self.dashboard.show(
            FrameAffect(
                stamp_s,
                self._index,
                message.image_width,
                message.image_height,
                faces,
                self._group,
                self._epoch,
            )
        )
        self._index += 1
        self.note_published(message.header.stamp)
        return len(faces)

    def _show_group(self, group: GroupAffect) -> int:
        """Show a group without its people, even if the message contains their ids."""
        assert self.dashboard is not None
        anonymous = replace(group, face_ids=())
        self.dashboard.show(FrameAffect(group.stamp_s, self._index, 0, 0, (), anonymous, self._epoch))
        self._index += 1
        self.health.published()
        return group.group_size

    def _show_scene(self, scene: Scene) -> int:
        assert self.dashboard is not None
        self.dashboard.show(FrameAffect(scene.stamp_s, self._index, 0, 0, epoch=self._epoch, scene=scene))
        self._index += 1
        self.health.published()
        return 0

    def _on_group(self, message: GroupAffectMessage) -> None:
        self._group = group_of(message)
        if self._group.stale and self.dashboard is not None:
            self.dashboard.show_stale("no new images, according to group_affect")

    def _follow_viewers(self) -> None:
        """Subscribe to the images while a browser requests them."""
        requested = self.dashboard is not None and self.dashboard.wants_image
        if requested and self._images is None:
            self._images = self.create_subscription(
                CompressedImage, "affect_overlay/compressed", self._on_image, image_qos(reliable=False)
            )
        elif not requested:
            self._unsubscribe_images()

    def _unsubscribe_images(self) -> None:
        if self._images is not None:
            self.destroy_subscription(self._images)
            self._images = None

    def _on_image(self, message: CompressedImage) -> None:
        self.guarded(lambda: self._show_image(message))

    def _show_image(self, message: CompressedImage) -> None:
        if self.dashboard is not None:
            self.dashboard.show_jpeg(_jpeg(message))


def _jpeg(message: CompressedImage) -> bytes:
    """The bytes of a JPEG.

    Raises:
        ImageError: the image has another format, which the page cannot show.
    """
    data = bytes(message.data)
    if not data.startswith(b"\xff\xd8\xff"):
        raise ImageError(f"affect_overlay/compressed must be JPEG, got {message.format!r}")
    return data


def main(args: Sequence[str] | None = None) -> int:
    return run([AffectDashboardNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
