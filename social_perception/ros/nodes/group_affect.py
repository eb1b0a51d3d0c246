"""Node group_affect: the smiles of all people in, the group's affect and dynamics out, never silent."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from std_msgs.msg import Header

from social_perception.core.config import DynamicsConfig, GroupConfig
from social_perception.core.types import GroupAffect
from social_perception.perception.group.aggregator import GroupAggregator
from social_perception.perception.group.dynamics import DynamicsEstimator
from social_perception.ros.convert import faces_of, seconds
from social_perception.ros.support.messages import MESSAGES, FaceAffectArray
from social_perception.ros.support.messages import GroupAffect as GroupAffectMessage
from social_perception.ros.support.messages import GroupDynamics as GroupDynamicsMessage
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage


class GroupAffectNode(Stage):
    """Publishes the group's affect at a fixed rate, and at once when somebody joins or leaves.

    Who smiles with whom is published beside it, at a lower rate.
    """

    task = "smiles to group affect"

    def __init__(self, **node_options: Any) -> None:
        self._aggregator: GroupAggregator | None = None
        super().__init__("group_affect", (GroupConfig, DynamicsConfig), **node_options)

    def load(self) -> None:
        self._aggregator = GroupAggregator(self.parameters[GroupConfig])
        self._dynamics = DynamicsEstimator(self.parameters[DynamicsConfig])
        self._header: Header | None = None
        self._told = False
        self._publisher = self.create_lifecycle_publisher(GroupAffectMessage, "group_affect", RESULT_QOS)
        self._dynamics_publisher = self.create_lifecycle_publisher(
            GroupDynamicsMessage, "group_dynamics", RESULT_QOS
        )

    def open(self) -> None:
        # The aggregation takes well under a millisecond, less than handing it to a thread.
        self.subscribe(
            FaceAffectArray,
            "face_affect",
            RESULT_QOS,
            noun="face affects",
            origin="smile_intensity",
            in_worker=False,
        )
        # By the node's clock: a simulation that stands still has no news.
        group, dynamics = self.parameters[GroupConfig], self.parameters[DynamicsConfig]
        self.every(1.0 / group.publish_rate_hz, self._publish_current, steady=False)
        self.every(1.0 / dynamics.dynamics_rate_hz, self._publish_dynamics, steady=False)

    def unload(self) -> None:
        if self._aggregator is not None:
            self._aggregator = None
            self.destroy_lifecycle_publisher(self._publisher)
            self.destroy_lifecycle_publisher(self._dynamics_publisher)

    def reconfigure(self) -> None:
        if self._aggregator is not None:
            self._aggregator.config = self.parameters[GroupConfig]
            self._dynamics.config = self.parameters[DynamicsConfig]

    def restart(self) -> None:
        self._aggregator.reset()
        self._dynamics.reset()
        self._header = None

    def process(self, message: FaceAffectArray) -> int:
        before = set(self._aggregator.current(0.0).face_ids) if self._header is not None else None
        faces, stamp_s = faces_of(message), seconds(message.header.stamp)
        group = self._aggregator.update(faces, stamp_s)
        self._dynamics.add(faces, stamp_s)
        self._header, self._told = message.header, False
        if before != set(group.face_ids):
            self._publish(group)
        return group.group_size

    def _publish_current(self) -> None:
        self._publish(self._aggregator.current(self._silence_s()))

    def _publish_dynamics(self) -> None:
        # Once a second: 10 ms for 16 people, 40 ms for 64, half of it the message.
        stale = self._aggregator.current(self._silence_s()).stale
        dynamics = dataclasses.replace(self._dynamics.estimate(), stale=stale)
        self._dynamics_publisher.publish(MESSAGES.group_dynamics(self._newest_header(), dynamics))

    def _silence_s(self) -> float:
        return self.input.silence_s() if self.input is not None else 0.0

    def _newest_header(self) -> Header:
        return self._header if self._header is not None else Header(stamp=self.get_clock().now().to_msg())

    def _publish(self, group: GroupAffect) -> None:
        header = self._newest_header()
        self._publisher.publish(MESSAGES.group_affect(header, group))
        # The same image again, because nothing newer came, is no news and has no latency.
        if self._header is not None and not self._told:
            self._told = True
            self.note_published(header.stamp)
        else:
            self.health.published()


def main(args: Sequence[str] | None = None) -> int:
    return run([GroupAffectNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
