"""Node scene_affect: images and sound in, the affect of the scene as a whole out.

No single person is processed: nothing in the process finds, follows, crops or scores a face. Images that
are not due are dropped before they are converted; the others are reduced at once, and none is kept.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from social_perception.core.config import PipelineConfig, SceneConfig
from social_perception.core.types import Frame, FrameAffect
from social_perception.ros.convert import seconds
from social_perception.ros.support.config import (
    ImageInputConfig,
    NodeConfig,
    SceneSoundConfig,
    SoundInputConfig,
)
from social_perception.ros.support.health import NodeStatus
from social_perception.ros.support.images import decode, subscribe_images
from social_perception.ros.support.messages import MESSAGES
from social_perception.ros.support.messages import SceneAffect as SceneAffectMessage
from social_perception.ros.support.resources import DeviceInfo
from social_perception.ros.support.runner import run
from social_perception.ros.support.sound_input import (
    AudioTopic,
    MicrophoneInput,
    open_microphone,
    require_audio_messages,
    sound_input_of,
)
from social_perception.ros.support.step_node import StepNode

if TYPE_CHECKING:
    from social_perception.perception.scene.pipeline import ScenePipeline
    from social_perception.sources.microphone import Microphone

_FOLLOW_S = 0.5


def _make_pipeline(config: PipelineConfig) -> ScenePipeline:
    # Imported when the node is configured: this brings in the network's library.
    from social_perception.perception.scene.pipeline import make_scene_pipeline

    return make_scene_pipeline(config.scene)


class SceneAffectNode(StepNode["ScenePipeline"]):
    """Publishes the scene affect of the newest images, and a stale one while none come.

    Args:
        make: builds the pipeline; tests give a fake.
        open_microphone: opens the microphone; tests give a fake.
        node_options: passed on to rclpy.
    """

    task = "images and sound to scene affect"

    def __init__(
        self,
        make: Callable[[PipelineConfig], ScenePipeline] = _make_pipeline,
        open_microphone: Callable[..., Microphone] = open_microphone,
        **node_options: Any,
    ) -> None:
        self._open_microphone = open_microphone
        self._sound: AudioTopic | MicrophoneInput | None = None
        self._sound_problem = ""
        self._index = 0
        kinds = (SceneConfig, ImageInputConfig, SceneSoundConfig, SoundInputConfig)
        super().__init__("scene_affect", kinds, make, **node_options)

    def load(self) -> None:
        sound = self.parameters[SceneSoundConfig].sound
        if sound and self.parameters[SoundInputConfig].audio_source == "topic":
            require_audio_messages()
        super().load()
        self._lock = threading.Lock()
        self._last: tuple[Header, FrameAffect] | None = None
        self._publisher = self.make_publisher(SceneAffectMessage, "scene_affect")

    def open(self) -> None:
        super().open()
        if self.parameters[SceneSoundConfig].sound:
            self._sound = sound_input_of(self, self._open_microphone, self.step.hear)
            self.every(_FOLLOW_S, self._check_sound)
        subscribe_images(self)
        # By the node's clock: a simulation that stands still has no news.
        self.every(1.0 / self.parameters[SceneConfig].scene_rate_hz, self._publish_if_stale, steady=False)

    def close(self) -> None:
        super().close()
        if self._sound is not None:
            self._sound.close()
            self._sound = None

    def restart(self) -> None:
        self.step.reset()
        self._last = None

    def device_info(self) -> DeviceInfo:
        return DeviceInfo.of(getattr(self._step, "estimator", None))

    def admit(self, message: Image | CompressedImage) -> None:
        # By the time of arrival: a camera whose stamps stand still has results, too.
        if self.step.is_due(self.now_s()):
            super().admit(message)

    def process(self, message: Image | CompressedImage) -> int:
        affect = self.step.estimate(Frame(decode(message), seconds(message.header.stamp), self._index))
        self._index += 1
        with self._lock:
            self._last = message.header, affect
            self._publish(message.header, affect)
        self.note_published(message.header.stamp)
        return 0

    def _publish_if_stale(self) -> None:
        silence_s = 0.0 if self.input is None else self.input.silence_s()
        if silence_s <= self.parameters[SceneConfig].stale_after_s:
            return
        with self._lock:
            now = Header(stamp=self.get_clock().now().to_msg())
            header, last = (now, None) if self._last is None else self._last
            self._publish(header, self.step.without_images(last, silence_s))
        self.health.published()

    def _publish(self, header: Header, affect: FrameAffect) -> None:
        assert affect.scene is not None
        self._publisher.publish(MESSAGES.scene_affect(header, affect.scene))

    def _check_sound(self) -> None:
        """Follow the publisher of the sound; to be called often."""
        if self._sound is not None:
            self._sound_problem = self._sound.check(self.parameters[NodeConfig].silent_after_s)

    def _status(self) -> NodeStatus:
        status = super()._status()
        if self._sound is None or not self._sound_problem or status.silence:
            return status
        return dataclasses.replace(status, warnings=(*status.warnings, self._sound_problem))


def main(args: Sequence[str] | None = None) -> int:
    return run([SceneAffectNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
