"""Sound as the input of a node: of a topic or the microphone; and the sound events as that of others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy

from social_perception.core.config import SourceConfig
from social_perception.core.errors import MissingDependencyError, SourceError
from social_perception.core.sound import Sound, SoundEvent
from social_perception.ros.convert import seconds, sound_event_of
from social_perception.ros.support.config import NodeConfig, SoundConfig, SoundInputConfig
from social_perception.ros.support.intra_process import IntraProcess, Stamped
from social_perception.ros.support.messages import SoundEvent as SoundEventMessage
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.topic_input import TopicInput

if TYPE_CHECKING:
    from social_perception.ros.support.stage import Stage
    from social_perception.ros.support.step_node import StepNode
    from social_perception.sources.bag_sound import AudioCoding, AudioDecoder
    from social_perception.sources.microphone import Microphone

try:
    from audio_common_msgs.msg import AudioData, AudioDataStamped, AudioInfo
except ImportError:
    AudioData = AudioDataStamped = AudioInfo = None

_DEPTH = 100
_POLL_S, _FOLLOW_S = 0.1, 0.5
_AHEAD_S = 5.0
_MOST_EVENTS = 300


def _qos(reliability: QoSReliabilityPolicy) -> QoSProfile:
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=_DEPTH, reliability=reliability)


def require_audio_messages() -> None:
    """Check that audio_common_msgs is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    if AudioData is None:
        raise MissingDependencyError(
            "the messages of audio topics are not installed: apt install ros-$ROS_DISTRO-audio-common-msgs, "
            "or build audio_common_msgs in your workspace and source it"
        )


class AudioTopic:
    """Subscribes to the topic ``audio``, of the type that is published there, and to ``audio_info``.

    A stamp in an audio message's header says when its samples begin. A message without one ends when it is
    received. Without an AudioInfo, sound is MP3 or 16-bit PCM of one channel at 16 kHz.

    Args:
        node: that subscribes.
        rate_hz: of the sound.
        take: called with each block of sound.
        received: called with each message.
    """

    def __init__(
        self,
        node: Stage,
        rate_hz: int,
        take: Callable[[Sound], None],
        received: Callable[[], None] = lambda: None,
    ) -> None:
        # Imported here: FFmpeg needs time to load and memory.
        from social_perception.sources.live_sound import LiveTrack

        self._node, self._take, self._received = node, take, received
        self._coding: AudioCoding | None = None
        self._decoder: AudioDecoder | None = None
        self._track = LiveTrack("the audio topic", rate_hz)
        self._kind: type = AudioData
        self._is_between = False
        self._input = self._subscribe()
        node.listen(AudioInfo, "audio_info", 1, self._note_info)
        node.every(_FOLLOW_S, self._follow_kind)

    def _subscribe(self) -> TopicInput:
        return TopicInput(
            self._node,
            self._kind,
            "audio",
            _qos(QoSReliabilityPolicy.BEST_EFFORT),
            self._receive,
            noun="sound",
            origin="audio_capture",
            reliable_qos=_qos(QoSReliabilityPolicy.RELIABLE),
        )

    def _follow_kind(self) -> None:
        """Subscribe to the other type where only that one is published."""
        if self._is_between:
            self._input = self._subscribe()
            self._is_between = False
            return
        published = {each.topic_type for each in self._node.get_publishers_info_by_topic(self._input.topic)}
        for kind in (AudioData, AudioDataStamped):
            if published == {f"audio_common_msgs/msg/{kind.__name__}"} and kind is not self._kind:
                # A process can have one type per topic: the old subscription must be gone first.
                self._input.close()
                self._kind, self._is_between = kind, True

    def _note_info(self, message: Any) -> None:
        from social_perception.sources.bag_sound import AudioCoding

        coding = AudioCoding.of_info(message)
        if coding != self._coding:
            self._coding, self._decoder = coding, None

    def _receive(self, message: Any) -> None:
        self._received()
        self._node.guarded(lambda: self._decode(message))

    def _decode(self, message: Any) -> None:
        from social_perception.sources.bag_sound import AudioCoding, AudioDecoder
        from social_perception.sources.live_sound import samples_of

        audio = getattr(message, "audio", message)
        data = np.asarray(audio.data, np.uint8).tobytes()
        self._decoder = self._decoder or AudioDecoder(self._coding or AudioCoding.of_data(data))
        frames = self._decoder.decode(data)
        duration_s = sum(frame.samples / frame.sample_rate for frame in frames)
        stamp_s = seconds(message.header.stamp) if hasattr(message, "header") else 0.0
        end_s = stamp_s if stamp_s else self._node.now_s() - duration_s
        for frame in frames:
            end_s += frame.samples / frame.sample_rate
            for sound in self._track.add(samples_of(frame), frame.sample_rate, end_s):
                self._take(sound)

    @property
    def topic(self) -> str:
        """The full name of the topic."""
        return self._input.topic

    @property
    def lost(self) -> int:
        """Messages that did not arrive."""
        return self._input.lost

    @property
    def replaced(self) -> int:
        """Messages that were replaced in the queue."""
        return self._input.replaced

    def silence_s(self) -> float:
        """Time in s since the last message."""
        return self._input.silence_s()

    def check(self, limit_s: float) -> str:
        """Return why nothing comes, or an empty string."""
        return "" if self._is_between else self._input.check(limit_s)

    def other_publishers(self) -> str:
        """Who publishes on the topic, if they stay several, or an empty string."""
        return self._input.other_publishers()

    def close(self) -> None:
        """Unsubscribe."""
        self._input.close()


class MicrophoneInput:
    """The microphone as the input of a node; one that is missing is looked for again and again.

    Args:
        node: whose input it is.
        open_microphone: opens it.
        take: called with each block of sound.
        received: called before each.
    """

    topic = "the microphone"
    lost = replaced = 0

    def __init__(
        self,
        node: Stage,
        open_microphone: Callable[[], Microphone],
        take: Callable[[Sound], None],
        received: Callable[[], None] = lambda: None,
    ) -> None:
        self._node, self._open, self._take, self._received = node, open_microphone, take, received
        self._microphone: Microphone | None = None
        self._problem = ""
        self._sound_s = node.now_s()
        self._try()
        node.every(1.0, self._try)
        node.every(_POLL_S, self._poll)

    def _try(self) -> None:
        if self._microphone is not None:
            return
        try:
            self._microphone = self._open()
        except SourceError as error:
            if not self._problem:
                self._node.get_logger().error(f"{error}; waiting")
            self._problem = str(error)
            return
        self._problem = ""
        self._node.get_logger().info(f"{self._microphone.name} is open")

    def _poll(self) -> None:
        if self._microphone is None:
            return
        now_s = self._node.now_s()
        sound = self._microphone.until(now_s + 1.0)
        if len(sound.samples):
            self._sound_s = now_s
            self._received()
            self._node.guarded(lambda: self._take(sound))

    def silence_s(self) -> float:
        """Time in s since the last sound."""
        return self._node.now_s() - self._sound_s

    def check(self, limit_s: float) -> str:
        """Return why there is no sound, or an empty string."""
        if self._microphone is None:
            return self._problem
        return self._microphone.problem if self.silence_s() > limit_s else ""

    def other_publishers(self) -> str:
        """There are none."""
        return ""

    def close(self) -> None:
        """Release the device."""
        if self._microphone is not None:
            self._microphone.close()


def open_microphone(device: str, rate_hz: int, **options: Any) -> Microphone:
    """The microphone; imported here, because it needs a library."""
    from social_perception.sources.microphone import Microphone

    return Microphone(device, rate_hz, **options)


def sound_input_of(
    node: Stage,
    open_microphone: Callable[..., Microphone],
    take: Callable[[Sound], None],
    received: Callable[[], None] = lambda: None,
) -> AudioTopic | MicrophoneInput:
    """The sound of the source that the node's SoundInputConfig chooses.

    Args:
        node: whose input it is.
        open_microphone: opens the microphone.
        take: called with each block of sound.
        received: called with each message, or block of the microphone.
    """
    config, rate_hz = node.parameters[SoundInputConfig], SourceConfig().sound_rate_hz
    if config.audio_source == "topic":
        return AudioTopic(node, rate_hz, take, received)
    return MicrophoneInput(
        node, lambda: open_microphone(config.microphone, rate_hz, now=node.now_s), take, received
    )


def sound_events_of(node: StepNode[Any]) -> SoundEventsInput | None:
    """The sound events as a further input of a node, where its parameter ``sound`` is true."""
    if not node.parameters[SoundConfig].sound:
        return None
    events = SoundEventsInput(node, node.intra_process)
    node.every(_FOLLOW_S, lambda: events.check(node.parameters[NodeConfig].silent_after_s))
    return events


class SoundEventsInput:
    """Collects the sound events until the images of their time come.

    Args:
        node: that subscribes.
        intra_process: the topics within this process.
    """

    def __init__(self, node: Stage, intra_process: IntraProcess) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._events: deque[SoundEvent] = deque(maxlen=_MOST_EVENTS)
        self._input = TopicInput(
            node,
            SoundEventMessage,
            "sound_events",
            RESULT_QOS,
            self._receive,
            noun="sound events",
            origin="sound_events",
            intra_process=intra_process,
        )

    def until(self, stamp_s: float) -> tuple[SoundEvent, ...]:
        """The events that were not used yet, up to the stamp of an image."""
        with self._lock:
            used = tuple(each for each in self._events if each.stamp_s <= stamp_s)
            later = [each for each in self._events if stamp_s < each.stamp_s <= stamp_s + _AHEAD_S]
            is_other_clock = len(used) + len(later) < len(self._events)
            self._events.clear()
            self._events.extend(later)
        if is_other_clock:
            text = "the stamps of sound events and of images are of different clocks: the sound is not used"
            self._node.fail(text)
        return used

    def check(self, limit_s: float) -> None:
        """Follow the publisher, and log where no events come; to be called often."""
        self._input.check(limit_s)

    def _receive(self, message: SoundEventMessage | Stamped[SoundEvent]) -> None:
        def keep() -> None:
            event = message.value if isinstance(message, Stamped) else sound_event_of(message)
            with self._lock:
                self._events.append(event)

        self._node.guarded(keep)

    def close(self) -> None:
        """Unsubscribe."""
        self._input.close()
