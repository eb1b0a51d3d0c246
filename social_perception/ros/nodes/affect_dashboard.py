"""Node affect_dashboard: the people's smiles in, a live web page out.

The picture is that of affect_overlay, which is a JPEG already. It is subscribed only where the
parameter allows it, and only while a browser asks for it. Where the page is anonymous, the group is all
that the node hears of.
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
from social_perception.core.types import FrameAffect, GroupAffect
from social_perception.ros.convert import faces_of, group_of, seconds
from social_perception.ros.support.config import DashboardConfig, NodeConfig
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import NEWEST_RESULT_QOS, image_qos
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage
from social_perception.views.web.server import Dashboard

_WISHES_PERIOD_S = 0.25


class AffectDashboardNode(Stage):
    """Serves the page from configure to cleanup; while it is not active, the page says so."""

    task = "smiles to web page"

    def __init__(self, **node_options: Any) -> None:
        self.dashboard: Dashboard | None = None
        self._pictures: Subscription | None = None
        self._group: GroupAffect | None = None
        self._index = self._epoch = 0
        super().__init__("affect_dashboard", (WebConfig, DashboardConfig), **node_options)

    def load(self) -> None:
        config, self._anonymous = self.parameters[WebConfig], self.parameters[DashboardConfig].anonymous
        source = self.resolve_topic_name("group_affect" if self._anonymous else "face_affect")
        silent_after_s = self.parameters[NodeConfig].silent_after_s
        people = not self._anonymous
        self.dashboard = Dashboard(config, source, silent_after_s=silent_after_s, people=people)
        self.get_logger().info(f"web page: {self.dashboard.place}")
        if self.dashboard.has_new_token:
            # Not logged: /rosout would tell everybody on the graph.
            print(f"web page with its token: {self.dashboard.url}", flush=True)
        if is_plain(config.token):
            self.get_logger().warning(
                "everybody on the graph can read the parameter token; @FILE keeps it from them"
            )
        if config.picture:
            self.get_logger().warning("the web page shows the picture to every browser that asks for it")

    def open(self) -> None:
        self._group = None
        if self._anonymous:
            self.subscribe(
                GroupAffectMessage,
                "group_affect",
                NEWEST_RESULT_QOS,
                noun="group affects",
                origin="group_affect",
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
        self.every(_WISHES_PERIOD_S, self._follow_wishes)

    def close(self) -> None:
        self._end_pictures()
        if self.dashboard is not None:
            self.dashboard.say_stale("the node affect_dashboard is not active")

    def unload(self) -> None:
        if self.dashboard is not None:
            self.dashboard.close()
            self.dashboard = None

    def restart(self) -> None:
        self._epoch += 1
        self._group = None

    def process(self, message: FaceAffectArray | GroupAffectMessage) -> int:
        assert self.dashboard is not None
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
        """Show a group without its people, also where whoever publishes it names them."""
        assert self.dashboard is not None
        told = replace(group, face_ids=())
        self.dashboard.show(FrameAffect(group.stamp_s, self._index, 0, 0, (), told, self._epoch))
        self._index += 1
        self.health.published()
        return group.group_size

    def _on_group(self, message: GroupAffectMessage) -> None:
        self._group = group_of(message)
        if self._group.stale and self.dashboard is not None:
            self.dashboard.say_stale("no new images, as group_affect says")

    def _follow_wishes(self) -> None:
        """Subscribe the picture as long as somebody looks at it."""
        wanted = self.dashboard is not None and self.dashboard.wants_picture
        if wanted and self._pictures is None:
            self._pictures = self.create_subscription(
                CompressedImage, "affect_overlay/compressed", self._on_picture, image_qos(reliable=False)
            )
        elif not wanted:
            self._end_pictures()

    def _end_pictures(self) -> None:
        if self._pictures is not None:
            self.destroy_subscription(self._pictures)
            self._pictures = None

    def _on_picture(self, message: CompressedImage) -> None:
        self._guarded(lambda: self._show_picture(message))

    def _show_picture(self, message: CompressedImage) -> None:
        if self.dashboard is not None:
            self.dashboard.show_jpeg(_jpeg(message))


def _jpeg(message: CompressedImage) -> bytes:
    """The bytes of a JPEG.

    Raises:
        ImageError: it is something else, which the page does not show.
    """
    found = bytes(message.data)
    if not found.startswith(b"\xff\xd8\xff"):
        raise ImageError(f"affect_overlay/compressed must be JPEG, got {message.format!r}")
    return found


def main(args: Sequence[str] | None = None) -> int:
    return run([AffectDashboardNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
