"""The node sound_events, and what the nodes of the pipeline make of its events."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header, UInt8MultiArray

from social_perception.core.errors import SourceError
from social_perception.core.sound import Sound, SoundEvent
from social_perception.core.types import Voice
from social_perception.ros.convert import sound_event_of
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.nodes.sound_events import SoundEventsNode
from social_perception.ros.support import sound_input
from social_perception.ros.support.intra_process import IntraProcess
from social_perception.ros.support.messages import MESSAGES, FaceAffectArray, GroupAffect, TrackedFaceArray
from social_perception.ros.support.messages import SoundEvent as SoundEventMessage
from test.ros.fakes import FakeScorer, estimation
from test.ros.test_smile_intensity_node import tracked_faces

STAMP_S = 100.0


class FakeListener:
    """An event at the end of each block, as loud as its loudest sample."""

    def __init__(self):
        self.sounds = []

    def listen(self, sound):
        self.sounds.append(sound)
        return (SoundEvent(sound.end_s, float(np.abs(sound.samples).max()), math.nan, -20.0),)

    def reset(self):
        """There is no state."""

    @property
    def samples(self):
        return np.concatenate([each.samples for each in self.sounds])


class FakeMicrophone:
    """Gives the blocks that the test puts in."""

    name, problem, is_closed = "microphone 'fake'", "", False

    def __init__(self):
        self.blocks = []

    def until(self, time_s):
        return self.blocks.pop(0) if self.blocks else Sound.empty(16000, time_s)

    def close(self):
        self.is_closed = True


def block(end_s, loudness=0.5, count=1600):
    return Sound(np.full(count, loudness, np.float32), 16000, end_s - count / 16000)


@pytest.fixture
def listener():
    return FakeListener()


def start(ros, listener, parameters=None, **options):
    return ros.start(SoundEventsNode, parameters, make=lambda config: listener, **options)


def test_the_microphones_sound_becomes_events_with_its_time(ros, listener) -> None:
    microphone = FakeMicrophone()
    asked = []

    def open_microphone(device, rate_hz, **options):
        asked.append((device, rate_hz))
        return microphone

    node = start(ros, listener, {"microphone": "USB"}, open_microphone=open_microphone)
    found = ros.collect(SoundEventMessage, "sound_events")
    microphone.blocks.append(block(STAMP_S))
    ros.until(lambda: found, "an event")
    assert asked == [("USB", 16000)]
    event = sound_event_of(found[0])
    assert (event.stamp_s, event.speech, event.level_dbfs) == (pytest.approx(STAMP_S), 0.5, -20.0)
    assert math.isnan(event.laughter)
    node.trigger_deactivate()
    assert microphone.is_closed


def test_a_missing_microphone_is_reported_and_opened_when_it_is_there(ros, listener) -> None:
    microphone, is_there = FakeMicrophone(), []

    def open_microphone(*unused, **options):
        if not is_there:
            raise SourceError("no microphone: the system has no device that records sound")
        return microphone

    node = start(ros, listener, {"diagnostics_period_s": 0.1}, open_microphone=open_microphone)
    statuses = ros.statuses(node)
    message = "no microphone: the system has no device that records sound"
    ros.until(lambda: any(message in each.message for each in statuses), "a report")
    is_there.append(True)
    found = ros.collect(SoundEventMessage, "sound_events")
    microphone.blocks.append(block(STAMP_S))
    ros.until(lambda: found, "an event")
    statuses.clear()
    ros.until(lambda: statuses, "a report")
    assert message not in statuses[-1].message


@pytest.fixture
def plain_audio(monkeypatch):
    """Audio messages of one field, whether audio_common_msgs is installed or not."""
    monkeypatch.setattr(sound_input, "AudioData", UInt8MultiArray)
    monkeypatch.setattr(sound_input, "AudioDataStamped", UInt8MultiArray)
    monkeypatch.setattr(sound_input, "AudioInfo", Header)
    monkeypatch.setattr(sound_input.AudioTopic, "_follow_kind", lambda self: None)


def pcm(samples):
    return np.rint(32767 * np.asarray(samples)).astype("<i2").tobytes()


def test_the_sound_of_a_topic_becomes_events(ros, listener, plain_audio) -> None:
    node = start(ros, listener, {"audio_source": "topic"})
    found = ros.collect(SoundEventMessage, "sound_events")
    audio = ros.publisher(UInt8MultiArray, "audio")
    sent = 0.5 * np.sin(np.arange(3200))
    for part in np.split(sent, 2):
        audio.publish(UInt8MultiArray(data=pcm(part)))
    ros.until(lambda: len(found) >= 2, "two events")
    np.testing.assert_allclose(listener.samples, sent, atol=1e-4)
    end_s = sound_event_of(found[-1]).stamp_s
    assert abs(node.now_s() - end_s) < 20.0, "the time of receipt"


def test_damaged_audio_is_reported_and_the_next_message_is_used(ros, listener, plain_audio) -> None:
    node = start(ros, listener, {"audio_source": "topic"})
    audio = ros.publisher(UInt8MultiArray, "audio")
    for data in (b"", b"\x01"):
        audio.publish(UInt8MultiArray(data=data))
    audio.publish(UInt8MultiArray(data=pcm([0.5] * 1600)))
    ros.until(lambda: listener.sounds, "sound")
    assert node.health.totals.failed == 2


def test_without_the_packages_messages_a_topic_is_refused_in_one_line(ros, listener, monkeypatch) -> None:
    monkeypatch.setattr(sound_input, "AudioData", None)
    node = ros.create(SoundEventsNode, {"audio_source": "topic"}, make=lambda config: listener)
    assert node.trigger_configure().name == "FAILURE"
    assert "audio_common_msgs" in str(node.failure)


def test_the_published_type_and_its_coding_are_followed(ros, stranger, listener) -> None:
    messages = pytest.importorskip("audio_common_msgs.msg")
    start(ros, listener, {"audio_source": "topic"})
    info = ros.publisher(messages.AudioInfo, "audio_info")
    info.publish(
        messages.AudioInfo(channels=2, sample_rate=48000, sample_format="S16LE", coding_format="wave")
    )
    audio = stranger.node.create_publisher(messages.AudioDataStamped, "audio", 10)
    ros.until(lambda: audio.get_subscription_count() > 0, "the other type is subscribed")
    left = 0.5 * np.sin(np.arange(9600) / 100)
    stereo = np.stack([left, left], axis=1).reshape(-1)
    stamp = Time(sec=100, nanosec=0)
    audio.publish(
        messages.AudioDataStamped(header=Header(stamp=stamp), audio=messages.AudioData(data=pcm(stereo)))
    )
    ros.until(lambda: listener.sounds, "sound")
    assert listener.sounds[0].start_s == pytest.approx(100.0, abs=1e-6)
    assert listener.sounds[0].duration_s == pytest.approx(0.2, abs=0.01)


class VoiceEstimator:
    """Everybody speaks as loud as the newest event that is there."""

    def estimate(self, faces):
        events = faces.sound_events
        if events is None:
            return [None] * len(faces.tracks)
        loudness = events[-1].speech if events else math.nan
        return [Voice(loudness, math.nan)] * len(faces.tracks)

    def configure(self, config):
        """Nothing can be configured."""

    def reset(self):
        """There is no state."""


def start_smiles(ros, parameters, **options):
    def make(config):
        step = estimation(FakeScorer())
        step.estimators["speakers"] = VoiceEstimator()
        return step

    return ros.start(SmileIntensityNode, parameters, make=make, **options)


def event_message(stamp_s, speech=0.75):
    return MESSAGES.sound_event(MESSAGES.header(stamp_s, ""), SoundEvent(stamp_s, speech, math.nan, -20.0))


def test_each_face_gets_the_events_up_to_its_image(ros) -> None:
    node = start_smiles(ros, {"sound": True})
    found = ros.collect(FaceAffectArray, "face_affect")
    faces = ros.publisher(TrackedFaceArray, "tracked_faces")
    events = ros.publisher(SoundEventMessage, "sound_events")
    events.publish(event_message(99.9, 0.75))
    events.publish(event_message(100.2, 0.25))
    ros.until(lambda: len(node._sound._events) == 2, "the events")
    faces.publish(tracked_faces(sec=100))
    ros.until(lambda: len(found) == 1, "the first image")
    faces.publish(tracked_faces(sec=101))
    ros.until(lambda: len(found) == 2, "the second image")
    assert [message.faces[0].speaking for message in found] == [0.75, 0.25]
    assert math.isnan(found[0].faces[0].laughing)


def test_without_sound_nothing_is_subscribed_and_voices_are_unknown(ros) -> None:
    start_smiles(ros, {})
    found = ros.collect(FaceAffectArray, "face_affect")
    ros.publisher(TrackedFaceArray, "tracked_faces").publish(tracked_faces())
    ros.until(lambda: found, "smiles")
    assert math.isnan(found[0].faces[0].speaking)
    assert ros.node.count_subscribers(f"{ros.namespace}/sound_events") == 0


def test_events_of_another_clock_are_reported_and_not_used(ros) -> None:
    node = start_smiles(ros, {"sound": True})
    found = ros.collect(FaceAffectArray, "face_affect")
    ros.publisher(SoundEventMessage, "sound_events").publish(event_message(1.7e9))
    ros.until(lambda: node._sound._events, "the event")
    ros.publisher(TrackedFaceArray, "tracked_faces").publish(tracked_faces())
    ros.until(lambda: found, "smiles")
    assert math.isnan(found[0].faces[0].speaking)
    assert node.health.totals.failed == 1


@pytest.mark.parametrize(("speech", "laughter"), [(1.5, 0.0), (math.nan, 0.0), (0.5, -0.5)])
def test_an_invalid_event_is_rejected(ros, speech, laughter) -> None:
    node = start_smiles(ros, {"sound": True})
    message = event_message(99.9)
    message.speech, message.laughter = speech, laughter
    ros.publisher(SoundEventMessage, "sound_events").publish(message)
    ros.until(lambda: node.health.totals.failed == 1, "the rejection")
    assert not node._sound._events


def test_in_one_process_events_are_handed_over_and_in_others_they_are_messages(ros, listener) -> None:
    intra_process, microphone = IntraProcess(), FakeMicrophone()
    group = ros.start(GroupAffectNode, {"sound": True}, intra_process=intra_process)
    start_smiles(ros, {"sound": True}, intra_process=intra_process)
    start(ros, listener, intra_process=intra_process, open_microphone=lambda *unused, **options: microphone)
    assert ros.node.count_subscribers(f"{ros.namespace}/sound_events") == 0
    found = ros.collect(GroupAffect, "group_affect")
    microphone.blocks.append(block(STAMP_S, 0.75))
    ros.until(lambda: group._sound._events, "the event")
    ros.publisher(TrackedFaceArray, "tracked_faces").publish(tracked_faces(sec=100))
    room = ros.until(lambda: [each for each in found if each.speaking_count >= 0], "the room's speech")[0]
    assert (room.speech, room.speaking_count) == (0.75, 3)


def test_the_group_node_alone_uses_the_events_itself(ros) -> None:
    node = ros.start(GroupAffectNode, {"sound": True})
    found = ros.collect(GroupAffect, "group_affect")
    ros.publisher(SoundEventMessage, "sound_events").publish(event_message(99.9))
    ros.until(lambda: node._sound._events, "the event")
    message = FaceAffectArray(header=Header(stamp=Time(sec=100)), image_width=640, image_height=480)
    ros.publisher(FaceAffectArray, "face_affect").publish(message)
    known = ros.until(lambda: [each for each in found if not math.isnan(each.speech)], "speech")
    assert known[0].speech == 0.75
    assert known[0].speaking_count == 0
