"""Node affect_markers: publishes the people and their smiles as markers for rviz and Foxglove.

The markers are in the frame of the images, which is the camera's optical frame: at the faces' positions
where depth is available, otherwise on a plane in front of the camera. The node subscribes to its inputs
only while the markers have a subscriber.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from social_perception.core.camera import Intrinsics
from social_perception.core.errors import ImageError
from social_perception.core.types import GroupAffect
from social_perception.ros.convert import faces_of, group_of
from social_perception.ros.support.calibration import intrinsics_of
from social_perception.ros.support.config import MarkersConfig
from social_perception.ros.support.marker_messages import MarkerIds, MarkerStyle, delete_all_marker
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import NEWEST_RESULT_QOS, RESULT_QOS, image_qos
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage
from social_perception.views.scene import Figure, figures_of, group_position, group_text

_SUBSCRIBERS_PERIOD_S = 0.25


class AffectMarkersNode(Stage):
    """Draws a sphere at each face with its level and intensity above it, and the group's above all faces."""

    task = "smiles to markers"

    def __init__(self, **node_options: Any) -> None:
        self._publisher: Any = None
        self._marker_ids = MarkerIds()
        self._header: Header | None = None
        self._figures: tuple[Figure, ...] = ()
        self._group: GroupAffect | None = None
        self._info: CameraInfo | None = None
        self._info_valid = False
        super().__init__("affect_markers", (MarkersConfig,), **node_options)

    def load(self) -> None:
        self._publisher = self.create_lifecycle_publisher(MarkerArray, "affect_markers", RESULT_QOS)

    def open(self) -> None:
        self._follow_subscribers()
        self.every(_SUBSCRIBERS_PERIOD_S, self._follow_subscribers)

    def close(self) -> None:
        if self._header is not None and self.context.ok():
            self._publish([delete_all_marker(self._header)])
        self._forget()

    def unload(self) -> None:
        if self._publisher is not None:
            self.destroy_lifecycle_publisher(self._publisher)
            self._publisher = None

    def restart(self) -> None:
        self._forget()

    def process(self, message: FaceAffectArray) -> int:
        if not message.header.frame_id:
            raise ImageError("the images have no frame_id, which markers need: set it in the driver")
        config = self.parameters[MarkersConfig]
        figures = figures_of(faces_of(message), self._camera_of(message), config.plane_distance_m)
        markers = [] if self._header is not None else [delete_all_marker(message.header)]
        self._header, self._figures = message.header, figures
        markers += self._people()
        markers.append(self._group_marker())
        self._publish(markers)
        self.note_published(message.header.stamp)
        return len(figures)

    def _forget(self) -> None:
        """Reset: the next image removes all markers."""
        self._header, self._figures, self._group = None, (), None
        self._marker_ids.keep(())

    def _follow_subscribers(self) -> None:
        subscribed = self._publisher.get_subscription_count() > 0
        if subscribed and self.input is None:
            self._subscribe()
        elif not subscribed and self.input is not None:
            self.unsubscribe()
            self._forget()

    def _subscribe(self) -> None:
        self._info, self._info_valid = None, False
        self.listen(GroupAffectMessage, "group_affect", NEWEST_RESULT_QOS, self._on_group)
        self.listen(CameraInfo, "camera_info", image_qos(reliable=False), self._on_camera_info)
        self.subscribe(
            FaceAffectArray,
            "face_affect",
            NEWEST_RESULT_QOS,
            noun="face affects",
            origin="smile_intensity",
            in_worker=False,
        )

    def _on_group(self, message: GroupAffectMessage) -> None:
        self._group = group_of(message)
        # Without new images, nothing else renews the lifetime of the text.
        if self._group.stale and self._header is not None:
            self._publish([self._group_marker()])

    def _on_camera_info(self, info: CameraInfo) -> None:
        if self._info is not None and _geometry(info) == _geometry(self._info):
            return
        self._info, self._info_valid = info, False
        intrinsics_of(info, max(info.width, 1), max(info.height, 1))
        self._info_valid = True

    def _camera_of(self, message: FaceAffectArray) -> Intrinsics:
        width, height = message.image_width, message.image_height
        if self._info is not None and self._info_valid:
            return intrinsics_of(self._info, width, height)
        return Intrinsics.from_field_of_view(width, height, self.parameters[MarkersConfig].horizontal_fov_deg)

    def _style(self) -> MarkerStyle:
        config = self.parameters[MarkersConfig]
        return MarkerStyle(self._header, config.marker_lifetime_s, config.text_height_m)

    def _people(self) -> list[Marker]:
        style, markers = self._style(), []
        markers += style.deletions(self._marker_ids.keep(each.id for each in self._figures))
        for figure in self._figures:
            marker_id = self._marker_ids.of(figure.id)
            markers += [style.sphere(marker_id, figure), style.label(marker_id, figure)]
        return markers

    def _group_marker(self) -> Marker:
        config, text = self.parameters[MarkersConfig], group_text(self._group)
        place = group_position(self._figures, text, config.text_height_m, config.plane_distance_m)
        return self._style().group(text, place, sure=self._group is not None and not self._group.stale)

    def _publish(self, markers: Sequence[Marker]) -> None:
        self._publisher.publish(MarkerArray(markers=list(markers)))


def _geometry(info: CameraInfo) -> tuple[Any, ...]:
    roi = info.roi
    # As bytes, in which a NaN equals itself.
    return (info.width, info.height, info.k.tobytes(), roi.x_offset, roi.y_offset, roi.width, roi.height)


def main(args: Sequence[str] | None = None) -> int:
    return run([AffectMarkersNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
