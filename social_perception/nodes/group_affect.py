"""Node group_affect: the smiles of all people in, the group's affect out, never silent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from std_msgs.msg import Header

from social_perception.core.config import GroupConfig
from social_perception.core.types import GroupAffect
from social_perception.group.aggregator import GroupAggregator
from social_perception.nodes.messages import (
    FaceAffectArray,
    GroupAffectMessage,
    faces_of,
    group_affect_message,
    seconds,
)
from social_perception.nodes.qos import RESULT_QOS
from social_perception.nodes.runner import run
from social_perception.nodes.stage import Stage


class GroupAffectNode(Stage):
    """Publishes the group's affect at a fixed rate, and at once when somebody joins or leaves."""

    def __init__(self, **node_options: Any) -> None:
        self._aggregator: GroupAggregator | None = None
        super().__init__("group_affect", (GroupConfig,), **node_options)

    def load(self) -> None:
        self._aggregator = GroupAggregator(self.parameters[GroupConfig])
        self._header: Header | None = None
        self._told = False
        self._publisher = self.create_lifecycle_publisher(GroupAffectMessage, "group_affect", RESULT_QOS)

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
        period_s = 1.0 / self.parameters[GroupConfig].publish_rate_hz
        self._timer = self.create_timer(period_s, self._publish_current)

    def close(self) -> None:
        if getattr(self, "_timer", None) is not None:
            self.destroy_timer(self._timer)
            self._timer = None

    def unload(self) -> None:
        if self._aggregator is not None:
            self._aggregator = None
            self.destroy_lifecycle_publisher(self._publisher)

    def reconfigure(self) -> None:
        if self._aggregator is not None:
            self._aggregator.config = self.parameters[GroupConfig]

    def restart(self) -> None:
        self._aggregator.reset()

    def process(self, message: FaceAffectArray) -> int:
        before = set(self._aggregator.current(0.0).face_ids) if self._header is not None else None
        group = self._aggregator.update(faces_of(message), seconds(message.header.stamp))
        self._header, self._told = message.header, False
        if before != set(group.face_ids):
            self._publish(group)
        return group.group_size

    def _publish_current(self) -> None:
        silence_s = self.input.silence_s() if self.input is not None else 0.0
        self._publish(self._aggregator.current(silence_s))

    def _publish(self, group: GroupAffect) -> None:
        header = self._header
        if header is None:
            header = Header(stamp=self.get_clock().now().to_msg())
        self._publisher.publish(group_affect_message(header, group))
        # The same image again, because nothing newer came, is no news and has no latency.
        if self._header is not None and not self._told:
            self._told = True
            self.note_published(header.stamp)


def main(args: Sequence[str] | None = None) -> int:
    return run([GroupAffectNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
