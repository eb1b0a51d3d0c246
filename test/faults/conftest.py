"""What the tests of faults share: drawn people, the real pipeline, and proof that its answers are sane."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import cv2
import pytest

from social_perception.core.config import DetectionConfig, PipelineConfig, SmileConfig, TrackingConfig
from social_perception.core.types import FrameAffect, ImageArray, Smile
from social_perception.perception.pipeline import Pipeline, make_pipeline
from social_perception.sources.sample import SampleSource

FRAMES = 45
SIZE = (768, 432)


@pytest.fixture(scope="session")
def people() -> tuple[ImageArray, ...]:
    """Two drawn people, 432 x 768 px, with faces of about 90 px: a second and a half at 30 Hz."""
    source = SampleSource(people=2)
    return tuple(
        cv2.resize(source.image(index), SIZE, interpolation=cv2.INTER_AREA) for index in range(FRAMES)
    )


@pytest.fixture(scope="session")
def config() -> PipelineConfig:
    """The real networks, looking for faces of the drawn people's size."""
    return PipelineConfig(
        DetectionConfig(min_face_px=80, precision="float32"),
        TrackingConfig(),
        SmileConfig(precision="float32"),
    )


@pytest.fixture(scope="session")
def _pipeline(config: PipelineConfig) -> Iterator[Pipeline]:
    with make_pipeline(config, live=False) as pipeline:
        yield pipeline


def numbered() -> Callable[[], str]:
    return map("abcdefghijklmnopqrstuvwxyz".__getitem__, itertools.count()).__next__


@pytest.fixture(scope="session")
def letters() -> Callable[[], Callable[[], str]]:
    """Makes functions that name people a, b, c in the order in which they are found."""
    return numbered


@pytest.fixture
def pipeline(_pipeline: Pipeline) -> Pipeline:
    """The real pipeline, as if newly made; people are called a, b and so on."""
    _pipeline.restart(numbered())
    return _pipeline


def _check_sane(affect: FrameAffect) -> None:
    for face in affect.faces:
        box, smile = face.track.box, face[Smile]
        assert all(map(math.isfinite, (box.left, box.top, box.width, box.height, face.track.confidence)))
        assert 0.0 <= face.track.confidence <= 1.0
        if smile.valid:
            assert 0.0 <= smile.intensity <= 1.0
            assert sum(smile.probabilities) == pytest.approx(1.0, abs=1e-4)
    ids = [face.track.id for face in affect.faces]
    assert len(set(ids)) == len(ids)
    group = affect.group
    assert group is not None
    assert group.group_size == len(affect.faces)
    assert not math.isinf(group.trend)
    assert math.isnan(group.synchrony) or -1.0 <= group.synchrony <= 1.0
    assert math.isfinite(group.window_s)
    if group.valid_faces:
        assert 0.0 <= group.intensity <= 1.0


@pytest.fixture
def check_sane() -> Callable[[FrameAffect], None]:
    """Proves that what the pipeline says of a frame is in range, or unknown where that is documented."""
    return _check_sane
