"""Node smile_intensity: followed faces in, their smiles out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from social_perception.core.config import SmileConfig
from social_perception.nodes.messages import (
    FaceAffectArray,
    TrackedFaceArray,
    crops_of,
    face_affect_message,
    seconds,
    tracks_of,
)
from social_perception.nodes.qos import NEWEST_RESULT_QOS, RESULT_QOS
from social_perception.nodes.resources import Equipment
from social_perception.nodes.runner import run
from social_perception.nodes.stage import Stage
from social_perception.smile.scorer import Scorer


def _make_scorer(config: SmileConfig) -> Scorer:
    # Imported when the node is configured: this brings in torch.
    from social_perception.smile.factory import make_scorer

    return make_scorer(config)


class SmileIntensityNode(Stage):
    """Scores all faces of an image in one call.

    Args:
        make: builds the scorer; tests give a fake.
        node_options: passed on to rclpy.
    """

    task = "tracked faces to smiles"

    def __init__(self, make: Callable[[SmileConfig], Scorer] = _make_scorer, **node_options: Any) -> None:
        self._make = make
        self._scorer: Scorer | None = None
        super().__init__("smile_intensity", (SmileConfig,), **node_options)

    def load(self) -> None:
        self._applied = self.parameters[SmileConfig]
        self._scorer = self._make(self._applied)
        self._publisher = self.create_lifecycle_publisher(FaceAffectArray, "face_affect", RESULT_QOS)

    def open(self) -> None:
        self.subscribe(
            TrackedFaceArray,
            "tracked_faces",
            NEWEST_RESULT_QOS,
            noun="tracked faces",
            origin="face_tracker",
            in_worker=True,
        )

    def unload(self) -> None:
        if self._scorer is not None:
            self._scorer = None
            self.destroy_lifecycle_publisher(self._publisher)

    def restart(self) -> None:
        self._scorer.reset()

    def equipment(self) -> Equipment:
        return Equipment(getattr(self._scorer, "device", "cpu"), getattr(self._scorer, "precision", ""))

    def process(self, message: TrackedFaceArray) -> int:
        if self.parameters[SmileConfig] is not self._applied:
            self._applied = self.parameters[SmileConfig]
            self._scorer.config = self._applied
        smiles = self._scorer.score(tracks_of(message), crops_of(message), seconds(message.header.stamp))
        self.health.scored(sum(face.confidence > 0.0 for face in message.faces))
        self._publisher.publish(face_affect_message(message, smiles))
        self.note_published(message.header.stamp)
        return len(smiles)


def main(args: Sequence[str] | None = None) -> int:
    return run([SmileIntensityNode], args)


if __name__ == "__main__":
    raise SystemExit(main())
