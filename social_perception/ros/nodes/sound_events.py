"""Node sound_events: sound of a topic or of the microphone in, speech and laughter out, ten times a second.

No sound leaves the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from std_msgs.msg import Header

from social_perception.core.config import LaughterConfig, PipelineConfig
from social_perception.core.sound import Sound, SoundEvent
from social_perception.ros.support.config import SoundInputConfig
from social_perception.ros.support.messages import MESSAGES
from social_perception.ros.support.messages import SoundEvent as SoundEventMessage
from social_perception.ros.support.runner import run
from social_perception.ros.support.sound_input import (
    open_microphone,
    require_audio_messages,
    sound_input_of,
)
from social_perception.ros.support.step_node import StepNode

if TYPE_CHECKING:
    from social_perception.sources.microphone import Microphone


def _make_listener(config: PipelineConfig) -> Any:
    # Imported when the node is configured: this brings in the networks.
    from social_perception.perception.hearing.listener import Listener

    return Listener(config.laughter)


class SoundEventsNode(StepNode[Any]):
    """Publishes the speech and the laughter in the sound.

    Args:
        make: builds the listener; tests give a fake.
        open_microphone: opens the microphone; tests give a fake.
        node_options: passed on to :class:`StepNode` and rclpy.
    """

    task = "sound to speech and laughter"

    def __init__(
        self,
        make: Callable[[PipelineConfig], Any] = _make_listener,
        open_microphone: Callable[..., Microphone] = open_microphone,
        **node_options: Any,
    ) -> None:
        self._open_microphone = open_microphone
        super().__init__("sound_events", (SoundInputConfig, LaughterConfig), make, **node_options)

    def load(self) -> None:
        if self.parameters[SoundInputConfig].audio_source == "topic":
            require_audio_messages()
        super().load()
        self._output = self.make_result_publisher(SoundEventMessage, "sound_events", self._message)

    def open(self) -> None:
        super().open()
        self.input = sound_input_of(self, self._open_microphone, self._listen, self.health.received)

    def _listen(self, sound: Sound) -> None:
        for event in self.step.listen(sound):
            self._output.publish(MESSAGES.header(event.stamp_s, ""), event)
        self.health.processed(0)

    @staticmethod
    def _message(header: Header, event: SoundEvent) -> SoundEventMessage:
        return MESSAGES.sound_event(header, event)


def main(args: Sequence[str] | None = None) -> int:
    return run([SoundEventsNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
