"""Node group_affect without topics about people: camera images in, the group's affect alone out.

It walks the whole way of one frame itself, so that no ids, boxes or crops exist outside the process. What
it publishes is what the nodes face_tracker, smile_intensity and group_affect would, to the bit, less the
ids and the values of fewer than ``min_group_size`` people.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.config import (
    AnonymityConfig,
    DetectionConfig,
    GroupConfig,
    PipelineConfig,
    SmileConfig,
    TrackingConfig,
    joined,
)
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import Frame, FrameAffect, GroupAffect
from social_perception.perception.group.anonymity import without_people
from social_perception.ros.convert import in_image, seconds
from social_perception.ros.support.camera_input import subscribe_images
from social_perception.ros.support.config import DepthConfig, ImageInputConfig
from social_perception.ros.support.depth_input import DepthInput
from social_perception.ros.support.images import decode
from social_perception.ros.support.messages import MESSAGES
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.resources import DeviceInfo
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage

if TYPE_CHECKING:
    from social_perception.perception.pipeline import Pipeline

_REPLACED = ("face_tracker", "smile_intensity")
"""The nodes whose parameters are this one's here."""
_KINDS = (DetectionConfig, TrackingConfig, ImageInputConfig, DepthConfig, SmileConfig, GroupConfig)


def _make_pipeline(config: PipelineConfig) -> Pipeline:
    # Imported when the node is configured: this brings in torch.
    from social_perception.perception.pipeline import make_pipeline

    return make_pipeline(config, live=True)


class AnonymousGroupNode(Stage):
    """Publishes the group's affect at a fixed rate, and at once when its size changes; nothing else.

    Args:
        make: builds the pipeline; tests give a fake.
        node_options: passed on to rclpy.

    Raises:
        ConfigurationError: a parameter given at start is illegal, or two of the replaced nodes have
            different values for what is one parameter here.
    """

    task = "images to group affect"

    def __init__(
        self, make: Callable[[PipelineConfig], Pipeline] = _make_pipeline, **node_options: Any
    ) -> None:
        self._make = make
        self._pipeline: Pipeline | None = None
        self._depth: DepthInput | None = None
        self._header: Header | None = None
        self._lock = threading.Lock()
        self._index = 0
        self._told = False
        options = {**node_options, "parameter_overrides": _overrides(node_options)}
        super().__init__("group_affect", (*_KINDS, AnonymityConfig), **options)
        self.reconfigure()

    def load(self) -> None:
        self._applied = self._config
        self._pipeline = self._make(self._config)
        self._header, self._told = None, False
        self._publisher = self.create_lifecycle_publisher(GroupAffectMessage, "group_affect", RESULT_QOS)
        least = self.parameters[AnonymityConfig].min_group_size
        withheld = f"; of fewer than {least} people only their number (min_group_size)" if least > 1 else ""
        self.get_logger().info(f"anonymous: nothing but the group is published{withheld}")

    def open(self) -> None:
        if self.parameters[DepthConfig].use_depth:
            self._depth = DepthInput(self)
        subscribe_images(self)
        # By the node's clock: a simulation that stands still has no news.
        self.every(1.0 / self.parameters[GroupConfig].publish_rate_hz, self._publish_current, steady=False)

    def close(self) -> None:
        if self._depth is not None:
            self._depth.close()
            self._depth = None

    def unload(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
            self.destroy_lifecycle_publisher(self._publisher)

    def reconfigure(self) -> None:
        kinds = (DetectionConfig, TrackingConfig, SmileConfig, GroupConfig)
        self._config = PipelineConfig(*(self.parameters[kind] for kind in kinds))

    def restart(self) -> None:
        with self._lock:
            self._pipeline.reset()
            self._header = None
        if self._depth is not None:
            self._depth.forget()

    def device_info(self) -> DeviceInfo:
        estimators = getattr(getattr(self._pipeline, "estimation", None), "estimators", {})
        return DeviceInfo.of(getattr(estimators.get("smile"), "scorer", None))

    # In the worker's thread.

    def process(self, message: Image | CompressedImage) -> int:
        if self._config is not self._applied:
            self._apply()
        affect = self._estimate(message)
        with self._lock:
            before = self._pipeline.aggregation.current(0.0).face_ids if self._header is not None else None
            group = self._pipeline.aggregation.process(affect).group
            self._header, self._told = message.header, False
            if before is None or set(before) != set(group.face_ids):
                self._publish(group)
        return group.group_size

    def _apply(self) -> None:
        self._applied = self._config
        self._pipeline.configure(self._applied)

    def _estimate(self, message: Image | CompressedImage) -> FrameAffect:
        frame = Frame(decode(message), seconds(message.header.stamp), self._index)
        self._index += 1
        faces = in_image(self._pipeline.tracking.process(frame))
        if self._depth is not None:
            located = self._depth.locate(faces.tracks, frame, message.header)
            faces = dataclasses.replace(faces, tracks=located)
        return self._pipeline.estimation.process(faces)

    # In either thread.

    def _publish_current(self) -> None:
        silence_s = self.input.silence_s() if self.input is not None else 0.0
        with self._lock:
            self._publish(self._pipeline.aggregation.current(silence_s))

    def _publish(self, group: GroupAffect) -> None:
        header = self._header
        if header is None:
            header = Header(stamp=self.get_clock().now().to_msg())
        told = without_people(group, self.parameters[AnonymityConfig].min_group_size)
        self._publisher.publish(MESSAGES.group_affect(header, told))
        # The same image again, because nothing newer came, is no news and has no latency.
        if self._header is not None and not self._told:
            self._told = True
            self.note_published(header.stamp)
        else:
            self.health.published()


def _overrides(options: dict[str, Any]) -> list[Parameter]:
    """The parameters given to this node, and those that a robot's file gives to the nodes it replaces."""
    own = _given("group_affect", options)
    own |= {each.name: each for each in options.get("parameter_overrides") or ()}
    names = joined(_KINDS).keys() - own.keys()
    united: dict[str, Parameter] = {}
    for replaced in _REPLACED:
        given = _given(replaced, options)
        for name in names & given.keys():
            known = united.setdefault(name, given[name])
            if known.value != given[name].value:
                raise ConfigurationError(
                    f"{name} is {known.value} for {_REPLACED[0]} and {given[name].value} for {replaced}, but "
                    "one parameter where one node does the work of both: set it for group_affect"
                )
    return [*united.values(), *own.values()]


def _given(name: str, options: dict[str, Any]) -> dict[str, Parameter]:
    """What files and command line say for a node of this name.

    Only such a node can tell; it is gone at once.
    """
    about = {key: options[key] for key in ("context", "namespace") if key in options}
    # It offers nothing: under SROS2 nobody may in another node's name.
    silent = Parameter("start_type_description_service", value=False)
    node = Node(
        name,
        start_parameter_services=False,
        enable_rosout=False,
        parameter_overrides=[silent],
        **about,
    )
    # rclpy has no public word for them.
    given = dict(getattr(node, "_parameter_overrides", {}))
    node.destroy_node()
    given.pop(silent.name, None)
    return given


def main(args: Sequence[str] | None = None) -> int:
    return run([AnonymousGroupNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
