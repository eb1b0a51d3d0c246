"""Node smile_intensity: tracked faces in, of one camera or of several, their smiles out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from social_perception.core.config import PipelineConfig, SmileConfig
from social_perception.core.errors import SocialPerceptionError
from social_perception.ros.convert import tracked_faces_of
from social_perception.ros.support.clocks import StampWatch
from social_perception.ros.support.config import SoundConfig, TrackersConfig
from social_perception.ros.support.intra_process import Stamped
from social_perception.ros.support.messages import MESSAGES, FaceAffectArray
from social_perception.ros.support.resources import DeviceInfo
from social_perception.ros.support.runner import run
from social_perception.ros.support.sound_input import SoundEventsInput, sound_events_of
from social_perception.ros.support.step_node import StepNode, device_of_smiles
from social_perception.ros.support.tracker_inputs import (
    CameraFaces,
    CommonTime,
    Tracked,
    TrackerInputs,
    as_batch,
    by_camera,
    topic_of,
)
from social_perception.ros.support.worker import Batches

if TYPE_CHECKING:
    from social_perception.perception.pipeline import FaceEstimation


def _make_estimation(config: PipelineConfig) -> FaceEstimation:
    # Imported when the node is configured: this brings in torch.
    from social_perception.perception.pipeline import make_estimation

    return make_estimation(config)


class SmileIntensityNode(StepNode["FaceEstimation"]):
    """Estimates the smiles of all faces that wait, of one tracker or of several, in one call.

    Args:
        make: builds the estimation step; tests give a fake.
        node_options: passed on to :class:`StepNode` and rclpy.
    """

    task = "tracked faces to smiles"

    def __init__(
        self, make: Callable[[PipelineConfig], FaceEstimation] = _make_estimation, **node_options: Any
    ) -> None:
        self._sound: SoundEventsInput | None = None
        kinds = (SmileConfig, TrackersConfig, SoundConfig)
        super().__init__("smile_intensity", kinds, make, **node_options)

    def load(self) -> None:
        super().load()
        self._outputs = {
            tracker: self.make_result_publisher(
                FaceAffectArray, topic_of(tracker, "face_affect"), MESSAGES.face_affects
            )
            for tracker in self.parameters[TrackersConfig].trackers
        }

    def open(self) -> None:
        super().open()
        self._common_time = CommonTime()
        self._watches = {tracker: StampWatch() for tracker in self._outputs}
        self.worker = self._batches = Batches[Tracked](self._work, self.get_name())
        self.input = TrackerInputs(
            self, tuple(self._outputs), self._take, self.health.received, self.intra_process
        )
        self._sound = sound_events_of(self)

    def close(self) -> None:
        super().close()
        if self._sound is not None:
            self._sound.close()

    def restart(self) -> None:
        super().restart()
        self._common_time = CommonTime()

    def device_info(self) -> DeviceInfo:
        return device_of_smiles(self._step)

    def _take(self, tracker: str, message: Tracked) -> None:
        self.health.received()
        self._batches.put_at(tracker, message)

    def _work(self, batch: dict[str, Tracked]) -> None:
        self.guarded(lambda: self._estimate(batch))

    def _estimate(self, batch: dict[str, Tracked]) -> None:
        self.apply_parameters()
        cameras = [each for item in batch.items() if (each := self._read(*item)) is not None]
        if not cameras:
            return
        # As a rule there is one tracker, in the node's own namespace, whose faces are passed on as they are.
        is_alone = tuple(self._outputs) == ("",)
        faces = cameras[0].faces if is_alone else as_batch(cameras)
        if self._sound is not None:
            faces = dataclasses.replace(faces, sound_events=self._sound.until(faces.stamp_s))
        estimated = self.step.process(faces)
        self.health.scored(sum(track.visible for track in faces.tracks))
        for camera, affect in [(cameras[0], estimated)] if is_alone else by_camera(estimated, cameras):
            self._outputs[camera.tracker].publish(camera.header, affect)
            self.health.processed(len(affect.faces))

    def _read(self, tracker: str, message: Tracked) -> CameraFaces | None:
        """What one tracker gives to the batch; None, reported, if it is invalid."""
        header = message.header
        try:
            self._note_time(header.stamp, self._watches[tracker])
            faces = message.value if isinstance(message, Stamped) else tracked_faces_of(message)
            common_s = self._common_time.of(tracker, faces.stamp_s)
            return CameraFaces(tracker, header, faces, common_s)
        except SocialPerceptionError as error:
            self.fail(f"{tracker}: {error}" if tracker else str(error))
            return None


def main(args: Sequence[str] | None = None) -> int:
    return run([SmileIntensityNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
