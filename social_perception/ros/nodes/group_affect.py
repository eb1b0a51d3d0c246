"""Node group_affect: the smiles of all people in, the group's affect and dynamics out, never silent."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from social_perception.core.config import DynamicsConfig, GroupConfig, PipelineConfig
from social_perception.core.types import FrameAffect
from social_perception.perception.group.dynamics import DynamicsEstimator
from social_perception.ros.convert import frame_affect_of
from social_perception.ros.support.config import SoundConfig
from social_perception.ros.support.group_publisher import GroupPublisher
from social_perception.ros.support.intra_process import Stamped
from social_perception.ros.support.messages import MESSAGES, FaceAffectArray
from social_perception.ros.support.messages import GroupDynamics as GroupDynamicsMessage
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.runner import run
from social_perception.ros.support.sound_input import SoundEventsInput, sound_events_of
from social_perception.ros.support.step_node import StepNode

if TYPE_CHECKING:
    from social_perception.perception.pipeline import GroupAggregation


def _make_aggregation(config: PipelineConfig) -> GroupAggregation:
    from social_perception.perception.pipeline import make_aggregation

    return make_aggregation(config)


class GroupAffectNode(StepNode["GroupAggregation"]):
    """Publishes the group's affect at a fixed rate, and at once when somebody joins or leaves.

    The group's dynamics are published at a lower rate.

    Args:
        make: builds the aggregation step; tests give a fake.
        node_options: passed on to :class:`StepNode` and rclpy.
    """

    task = "smiles to group affect"

    def __init__(
        self, make: Callable[[PipelineConfig], GroupAggregation] = _make_aggregation, **node_options: Any
    ) -> None:
        self._sound: SoundEventsInput | None = None
        super().__init__("group_affect", (GroupConfig, DynamicsConfig, SoundConfig), make, **node_options)

    def load(self) -> None:
        super().load()
        self._group = GroupPublisher(self, self.step)
        self._dynamics = DynamicsEstimator(self.parameters[DynamicsConfig])
        self._dynamics_lock = threading.Lock()
        self._dynamics_publisher = self.make_publisher(GroupDynamicsMessage, "group_dynamics")

    def open(self) -> None:
        super().open()
        # In the thread that delivers the smiles: the aggregation takes well under a millisecond, less
        # than handing it to a thread of its own.
        self.subscribe(
            FaceAffectArray,
            "face_affect",
            RESULT_QOS,
            noun="face affects",
            origin="smile_intensity",
            in_worker=False,
            intra_process=self.intra_process,
        )
        self._sound = sound_events_of(self)
        self._group.start()
        dynamics = self.parameters[DynamicsConfig]
        self.every(1.0 / dynamics.dynamics_rate_hz, self._publish_dynamics, steady=False)

    def close(self) -> None:
        super().close()
        if self._sound is not None:
            self._sound.close()

    def reconfigure(self) -> None:
        super().reconfigure()
        if self._step is not None:
            # At once: the group is published without frames, too.
            self.apply_parameters()
            self._dynamics.config = self.parameters[DynamicsConfig]

    def restart(self) -> None:
        self._group.reset()
        with self._dynamics_lock:
            self._dynamics.reset()

    def process(self, message: FaceAffectArray | Stamped[FrameAffect]) -> int:
        affect = message.value if isinstance(message, Stamped) else frame_affect_of(message)
        if self._sound is not None:
            events = self._sound.until(affect.stamp_s)
            # Within one process, the face affects come with those of their time.
            if affect.sound_events is None:
                affect = dataclasses.replace(affect, sound_events=events)
        with self._dynamics_lock:
            self._dynamics.add(affect.faces, affect.stamp_s, affect.epoch)
        return self._group.add(message.header, affect)

    def _publish_dynamics(self) -> None:
        # Once a second: 10 ms for 16 people, 40 ms for 64, half of it the message.
        with self._dynamics_lock:
            dynamics = self._dynamics.snapshot()
        estimated = dataclasses.replace(dynamics.estimate(), stale=self._group.current().stale)
        self._dynamics_publisher.publish(MESSAGES.group_dynamics(self._group.header(), estimated))


def main(args: Sequence[str] | None = None) -> int:
    return run([GroupAffectNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
