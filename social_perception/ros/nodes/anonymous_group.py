"""Node group_affect without topics about people: camera images in, the group's affect alone out.

It runs the whole pipeline itself, so that no ids, boxes or crops exist outside the process. What it
publishes equals what face_tracker, smile_intensity and group_affect in one process publish, to the bit,
without the ids and without the values of fewer than ``min_group_size`` people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from social_perception.core.config import (
    AnonymityConfig,
    DetectionConfig,
    GroupConfig,
    PipelineConfig,
    SmileConfig,
    TrackingConfig,
)
from social_perception.core.errors import ConfigurationError
from social_perception.core.settings import merge_settings
from social_perception.core.types import GroupAffect
from social_perception.perception.group.anonymity import without_people
from social_perception.ros.support.camera_input import CameraInput
from social_perception.ros.support.config import DepthConfig, ImageInputConfig
from social_perception.ros.support.group_publisher import GroupPublisher
from social_perception.ros.support.resources import DeviceInfo
from social_perception.ros.support.runner import run
from social_perception.ros.support.step_node import StepNode, device_of_smiles

if TYPE_CHECKING:
    from social_perception.perception.pipeline import Pipeline

_REPLACED = ("face_tracker", "smile_intensity")
"""The nodes whose parameters are this one's here."""
_KINDS = (DetectionConfig, TrackingConfig, ImageInputConfig, DepthConfig, SmileConfig, GroupConfig)


def _make_pipeline(config: PipelineConfig) -> Pipeline:
    # Imported when the node is configured: this brings in torch.
    from social_perception.perception.pipeline import make_pipeline

    return make_pipeline(config, live=True)


class AnonymousGroupNode(StepNode["Pipeline"]):
    """Publishes the group's affect at a fixed rate, and at once when its people change; nothing else.

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
        self._camera = CameraInput(self)
        options = {**node_options, "parameter_overrides": _overrides(node_options)}
        super().__init__("group_affect", (*_KINDS, AnonymityConfig), make, **options)

    def load(self) -> None:
        super().load()
        self._group = GroupPublisher(self, self.step.aggregation, self._shown)
        least = self.parameters[AnonymityConfig].min_group_size
        withheld = f"; of fewer than {least} people only their number (min_group_size)" if least > 1 else ""
        self.get_logger().info(f"anonymous: nothing but the group is published{withheld}")

    def open(self) -> None:
        super().open()
        self._camera.open()
        self._group.start()

    def close(self) -> None:
        super().close()
        self._camera.close()

    def restart(self) -> None:
        self.step.tracking.reset()
        self.step.estimation.reset()
        self._group.reset()
        self._camera.forget()

    def device_info(self) -> DeviceInfo:
        return device_of_smiles(getattr(self._step, "estimation", None))

    def process(self, message: Image | CompressedImage) -> int:
        self.apply_parameters()
        faces = self._camera.track(self.step.tracking, message)
        return self._group.add(message.header, self.step.estimation.process(faces))

    def _shown(self, group: GroupAffect) -> GroupAffect:
        return without_people(group, self.parameters[AnonymityConfig].min_group_size)


def _overrides(options: dict[str, Any]) -> list[Parameter[Any]]:
    """The parameters given to this node, and those that a robot's file gives to the nodes it replaces."""
    own = _given("group_affect", options)
    own |= {each.name: each for each in options.get("parameter_overrides") or ()}
    names = merge_settings(_KINDS).keys() - own.keys()
    united: dict[str, Parameter[Any]] = {}
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


def _given(name: str, options: dict[str, Any]) -> dict[str, Parameter[Any]]:
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
