"""Node smile_intensity: followed faces in, of one camera or of several, their smiles out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from social_perception.core.config import SmileConfig
from social_perception.core.errors import SocialPerceptionError
from social_perception.core.signals import Signals
from social_perception.core.types import FaceAffect, FrameAffect, ImageArray, Smile, Track
from social_perception.perception.smile.scorer import Scorer
from social_perception.ros.convert import crops_of, seconds, tracks_of
from social_perception.ros.support.clocks import StampWatch
from social_perception.ros.support.config import TrackersConfig
from social_perception.ros.support.crop_exchange import CropExchange
from social_perception.ros.support.messages import MESSAGES, FaceAffectArray, TrackedFaceArray
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.resources import DeviceInfo
from social_perception.ros.support.runner import run
from social_perception.ros.support.stage import Stage
from social_perception.ros.support.tracker_inputs import CommonTime, TrackerInputs, topic_of
from social_perception.ros.support.worker import Batches


def _make_scorer(config: SmileConfig) -> Scorer:
    # Imported when the node is configured: this brings in torch.
    from social_perception.perception.smile.factory import make_scorer

    return make_scorer(config)


class Waiting(NamedTuple):
    """A message, and its crops where they were handed over in the process."""

    message: TrackedFaceArray
    crops: ImageArray | None


class Part(NamedTuple):
    """What one tracker gives to a batch; the tracks' ids are told apart from those of other trackers."""

    tracker: str
    message: TrackedFaceArray
    tracks: tuple[Track, ...]
    crops: ImageArray
    stamp_s: float


class SmileIntensityNode(Stage):
    """Scores all faces that wait, of one tracker or of several, in one call.

    Args:
        make: builds the scorer; tests give a fake.
        exchange: where a face_tracker in the same process leaves the crops; None: they come in the messages.
        node_options: passed on to rclpy.
    """

    task = "tracked faces to smiles"

    def __init__(
        self,
        make: Callable[[SmileConfig], Scorer] = _make_scorer,
        exchange: CropExchange | None = None,
        **node_options: Any,
    ) -> None:
        self._make = make
        self._exchange = exchange if exchange is not None else CropExchange()
        self._scorer: Scorer | None = None
        self._topics: dict[str, str] = {}
        super().__init__("smile_intensity", (SmileConfig, TrackersConfig), **node_options)

    def load(self) -> None:
        self._applied = self.parameters[SmileConfig]
        self._scorer = self._make(self._applied)
        self._outputs = {
            tracker: self.create_lifecycle_publisher(
                FaceAffectArray, topic_of(tracker, "face_affect"), RESULT_QOS
            )
            for tracker in self.parameters[TrackersConfig].trackers
        }

    def open(self) -> None:
        self._common_time = CommonTime()
        self._watches = {tracker: StampWatch() for tracker in self._outputs}
        self._topics = {
            tracker: self.resolve_topic_name(topic_of(tracker, "tracked_faces")) for tracker in self._outputs
        }
        for topic in self._topics.values():
            self._exchange.open(topic)
        self.worker = Batches[Waiting](self._work, self.get_name())
        self.input = TrackerInputs(self, tuple(self._outputs), self._take, self.health.received)

    def close(self) -> None:
        while self._topics:
            self._exchange.close(self._topics.popitem()[1])

    def unload(self) -> None:
        if self._scorer is not None:
            self._scorer = None
            for publisher in self._outputs.values():
                self.destroy_lifecycle_publisher(publisher)

    def restart(self) -> None:
        self._scorer.reset()
        self._common_time = CommonTime()

    def device_info(self) -> DeviceInfo:
        return DeviceInfo.of(self._scorer)

    def _take(self, tracker: str, message: TrackedFaceArray) -> None:
        self.health.received()
        if self.worker is not None:
            # At once: crops do not wait for long.
            crops = self._exchange.take(self._topics[tracker], message)
            self.worker.put_at(tracker, Waiting(message, crops))

    def _work(self, batch: dict[str, Waiting]) -> None:
        self._guarded(lambda: self._score(batch))

    def _score(self, batch: dict[str, Waiting]) -> None:
        if self.parameters[SmileConfig] is not self._applied:
            self._applied = self.parameters[SmileConfig]
            self._scorer.config = self._applied
        parts = [part for each in batch.items() if (part := self._read(*each)) is not None]
        if not parts:
            return
        tracks = tuple(track for part in parts for track in part.tracks)
        crops = np.concatenate([part.crops for part in parts]) if len(parts) > 1 else parts[0].crops
        smiles = self._scorer.score(tracks, crops, max(part.stamp_s for part in parts))
        self.health.scored(sum(track.visible for track in tracks))
        for part in parts:
            count = len(part.tracks)
            self._publish(part, smiles[:count])
            smiles = smiles[count:]

    def _read(self, tracker: str, waiting: Waiting) -> Part | None:
        """What a message gives to the batch; None, reported, if it cannot be used."""
        message, crops = waiting
        try:
            self._note_time(message.header.stamp, self._watches[tracker])
            # Two cameras may give two people the same id; the states of their smiles must not mix.
            tracks = tuple(
                dataclasses.replace(track, id=topic_of(tracker, track.id)) for track in tracks_of(message)
            )
            stamp_s = self._common_time.of(tracker, seconds(message.header.stamp))
            return Part(tracker, message, tracks, crops_of(message) if crops is None else crops, stamp_s)
        except SocialPerceptionError as error:
            self.fail(f"{tracker}: {error}" if tracker else str(error))
            return None

    def _publish(self, part: Part, smiles: Sequence[Smile]) -> None:
        message = part.message
        faces = tuple(FaceAffect(track, Signals(smile)) for track, smile in zip(tracks_of(message), smiles))
        affect = FrameAffect(part.stamp_s, 0, message.image_width, message.image_height, faces)
        self._outputs[part.tracker].publish(MESSAGES.face_affects(message.header, affect))
        self.note_published(part.message.header.stamp)
        self.health.processed(len(smiles))


def main(args: Sequence[str] | None = None) -> int:
    return run([SmileIntensityNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
