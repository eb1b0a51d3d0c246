"""No face is found again in a real clip whose faces were hidden, also not before it was found first."""

from __future__ import annotations

import pytest

from social_perception.core.config import DetectionConfig, PipelineConfig
from social_perception.core.types import Frame
from social_perception.perception.detection.factory import make_detector
from social_perception.perception.pipeline import make_pipeline
from social_perception.sources.video import VideoSource
from social_perception.views.blur import LookBack

pytestmark = pytest.mark.timeout(600)

DETECTION = DetectionConfig(min_face_px=80, device="cpu")
FIRST, COUNT, EVERY = 84, 36, 3
"""Of the clip: the face comes into view before the search that finds it."""


@pytest.fixture(scope="module")
def shown(shared):
    """Pairs of the original and the hidden picture, and whether a face was known then."""
    config = PipelineConfig(detection=DETECTION)
    look_back, originals, hidden = LookBack(), [], []
    with (
        VideoSource(shared / "clips" / "face_enters.mov") as source,
        make_pipeline(config, live=False) as pipe,
    ):
        for frame in source:
            if frame.index < FIRST:
                continue
            frame = Frame(frame.image, frame.stamp_s, frame.index - FIRST)
            affect = pipe.process(frame)
            originals.append((frame.image, bool(affect.faces)))
            hidden += look_back.add(frame, affect)
            if len(originals) == COUNT:
                break
    hidden += look_back.finish()
    return [(image, after.image, known) for (image, known), (after, _) in zip(originals, hidden)]


def test_what_was_hidden_is_not_found_again(shown) -> None:
    detector = make_detector(DETECTION, video=True)
    pairs = shown[::EVERY]
    seen = [bool(detector.detect(image)) for image, _, _ in pairs]
    assert sum(seen) >= 4, "there are faces to be hidden"
    assert any(found and not known for found, (_, _, known) in zip(seen, pairs)), "one before it was found"
    again = [number for number, (_, image, _) in enumerate(pairs) if detector.detect(image)]
    assert again == [], "frames in which a face can be seen"
