"""Node affect_markers: the people's smiles in, markers for rviz and Foxglove out.

The markers are in the frame of the images, which is the camera's optical frame: where the depth is
known at the faces' places, elsewhere on a plane in front of the camera. Nothing is subscribed while
nobody subscribes the markers.
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
from social_perception.ros.support.marker_messages import MarkerStyle, Numbers, removal_of_all
from social_perception.ros.support.messages import FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import NEWEST_RESULT_QOS, RESULT_QOS, image_qos
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage
from social_perception.views.scene import Figure, figures_of, group_position, group_text

_LISTENERS_PERIOD_S = 0.25


class AffectMarkersNode(Stage):
    """Draws a ball at each face, its level and intensity above it, and the group's above all."""

    task = "smiles to markers"

    def __init__(self, **node_options: Any) -> None:
        self._publisher: Any = None
        self._numbers = Numbers()
        self._forget()
        super().__init__("affect_markers", (MarkersConfig,), **node_options)

    def load(self) -> None:
        self._publisher = self.create_lifecycle_publisher(MarkerArray, "affect_markers", RESULT_QOS)

    def open(self) -> None:
        self._follow_listeners()
        self.every(_LISTENERS_PERIOD_S, self._follow_listeners)

    def close(self) -> None:
        if self._header is not None and self.context.ok():
            self._publish([removal_of_all(self._header)])
        self._forget()

    def unload(self) -> None:
        if self._publisher is not None:
            self.destroy_lifecycle_publisher(self._publisher)
            self._publisher = None

    def restart(self) -> None:
        self._forget()

    def process(self, message: FaceAffectArray) -> int:
        if not message.header.frame_id:
            raise ImageError(
                "the images have no frame_id, so that nothing can be drawn: set it in the driver"
            )
        config = self.parameters[MarkersConfig]
        figures = figures_of(faces_of(message), self._camera_of(message), config.plane_distance_m)
        markers = [] if self._header is not None else [removal_of_all(message.header)]
        self._header, self._figures = message.header, figures
        markers += self._people()
        markers.append(self._group_marker())
        self._publish(markers)
        self.note_published(message.header.stamp)
        return len(figures)

    def _forget(self) -> None:
        """Begin anew: the next image takes away whatever is drawn."""
        self._header: Header | None = None
        self._figures: tuple[Figure, ...] = ()
        self._group: GroupAffect | None = None
        self._numbers.keep(())

    def _follow_listeners(self) -> None:
        heard = self._publisher.get_subscription_count() > 0
        if heard and self.input is None:
            self._subscribe()
        elif not heard and self.input is not None:
            self.unsubscribe()
            self._forget()

    def _subscribe(self) -> None:
        self._info: CameraInfo | None = None
        self._usable = False
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
        # No images come any more, so that nothing else would keep the text alive.
        if self._group.stale and self._header is not None:
            self._publish([self._group_marker()])

    def _on_camera_info(self, info: CameraInfo) -> None:
        if self._info is not None and _geometry(info) == _geometry(self._info):
            return
        self._info, self._usable = info, False
        intrinsics_of(info, max(info.width, 1), max(info.height, 1))
        self._usable = True

    def _camera_of(self, message: FaceAffectArray) -> Intrinsics:
        width, height = message.image_width, message.image_height
        if self._info is not None and self._usable:
            return intrinsics_of(self._info, width, height)
        return Intrinsics.of_field_of_view(width, height, self.parameters[MarkersConfig].horizontal_fov_deg)

    def _style(self) -> MarkerStyle:
        config = self.parameters[MarkersConfig]
        return MarkerStyle(self._header, config.marker_lifetime_s, config.text_height_m)

    def _people(self) -> list[Marker]:
        style, markers = self._style(), []
        markers += style.removals(self._numbers.keep(each.id for each in self._figures))
        for figure in self._figures:
            number = self._numbers.of(figure.id)
            markers += [style.ball(number, figure), style.label(number, figure)]
        return markers

    def _group_marker(self) -> Marker:
        config, text = self.parameters[MarkersConfig], group_text(self._group)
        place = group_position(self._figures, text, config.text_height_m, config.plane_distance_m)
        return self._style().group(text, place, sure=self._group is not None and not self._group.stale)

    def _publish(self, markers: Sequence[Marker]) -> None:
        self._publisher.publish(MarkerArray(markers=list(markers)))


def _geometry(info: CameraInfo) -> tuple[Any, ...]:
    roi = info.roi
    # As bytes: a NaN is equal to itself.
    return (info.width, info.height, info.k.tobytes(), roi.x_offset, roi.y_offset, roi.width, roi.height)


def main(args: Sequence[str] | None = None) -> int:
    return run([AffectMarkersNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
