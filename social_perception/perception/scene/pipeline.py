"""The pipeline in which no single person is processed: whole images and sound to the scene affect.

It finds, follows, crops and scores no face, and imports nothing that does. An image is reduced before
anything else is done with it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Protocol

from social_perception.core.clock import JUMP_BACK_S, FrameClock
from social_perception.core.config import PipelineConfig, SceneConfig
from social_perception.core.signals import Signals
from social_perception.core.sound import Sound, join_sounds
from social_perception.core.types import Frame, FrameAffect, ImageArray, Scene, SceneAffect
from social_perception.perception.scene.reduction import reduce

_EARLY_S = 1e-3
"""Stamps are rounded, and an image may come so much before it is due."""

_SOUND_PAUSE_S = 1.0
"""Sound that is missing for longer has ended."""


class Estimator(Protocol):
    """What :class:`.estimator.SceneEstimator` is to the pipeline."""

    def process(self, image: ImageArray, sound: Sound | None) -> SceneAffect | None: ...
    def reset(self) -> None: ...


class Pace:
    """Selects images by their stamps, so that they come at a rate at most.

    Args:
        rate_hz: the rate.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._next_s: float | None = None

    def admits(self, stamp_s: float) -> bool:
        """Whether the image of this stamp is due; images that come too late do not lower the rate."""
        next_s = self._next_s
        if next_s is not None and next_s - self._period_s - JUMP_BACK_S <= stamp_s < next_s - _EARLY_S:
            return False
        is_in_time = next_s is not None and 0.0 <= stamp_s - next_s + _EARLY_S < self._period_s
        self._next_s = (next_s if is_in_time and next_s is not None else stamp_s) + self._period_s
        return True


class ScenePipeline:
    """Estimates the scene affect from images and their sound, which may come from different threads.

    Args:
        estimator: of the scene affect.
        config: how many images per second are used, and to which size they are reduced.
    """

    def __init__(self, estimator: Estimator, config: SceneConfig) -> None:
        self.estimator, self._pace = estimator, Pace(config.scene_rate_hz)
        self._long_side_px = config.scene_image_px
        self._clock, self._epoch = FrameClock(), 0
        self._lock = threading.Lock()
        self._sounds: list[Sound] = []
        self._received: Sound | None = None

    def is_due(self, stamp_s: float) -> bool:
        """Whether the image of this stamp is to be passed to ``estimate``; to be called once for each."""
        return self._pace.admits(stamp_s)

    def hear(self, sound: Sound) -> None:
        """Keep a block of sound for the next image."""
        with self._lock:
            if self._sounds and self._sounds[0].rate_hz != sound.rate_hz:
                self._sounds.clear()
            self._sounds.append(sound)
            # A camera that is silent must not let the sound grow.
            self._sounds = [join_sounds(self._sounds)]

    def process(self, frame: Frame) -> FrameAffect | None:
        """Return the scene of a frame; None where it is not due."""
        if frame.sound is not None:
            self.hear(frame.sound)
        return self.estimate(frame) if self.is_due(frame.stamp_s) else None

    def estimate(self, frame: Frame) -> FrameAffect:
        """Return the scene of a frame and of the sound since the one before.

        Raises:
            SocialPerceptionError: the estimator failed; the next frame can be processed.
        """
        image, size = reduce(frame.image, self._long_side_px), (frame.width, frame.height)
        stamp_s = self._clock.admit(frame.stamp_s)
        if self._clock.epoch != self._epoch:
            self._epoch = self._clock.epoch
            self._forget()
        affect = self.estimator.process(image, self._sound_until(stamp_s))
        signals = Signals() if affect is None else Signals(affect)
        return FrameAffect(
            stamp_s, frame.index, *size, epoch=self._clock.epoch, scene=Scene(stamp_s, signals)
        )

    def _sound_until(self, stamp_s: float) -> Sound | None:
        """The sound since the image before, empty where it pauses; None: there is none."""
        with self._lock:
            sounds, self._sounds = self._sounds, []
        if sounds:
            self._received = sounds[0]
            return sounds[0]
        if self._received is None or abs(stamp_s - self._received.end_s) > _SOUND_PAUSE_S:
            self._received = None
            return None
        return Sound.empty(self._received.rate_hz, self._received.end_s)

    def configure(self, config: PipelineConfig) -> None:
        """There are no dynamic settings."""

    def without_images(self, last: FrameAffect | None, silence_s: float) -> FrameAffect:
        """What is reported while no frames come: the last values, which are out of date.

        Args:
            last: result; None: there was none.
            silence_s: time in s since the last frame.
        """
        if last is None or last.scene is None:
            return FrameAffect(0.0, 0, 0, 0, scene=Scene(0.0, stale=True))
        return dataclasses.replace(last, scene=dataclasses.replace(last.scene, stale=True))

    def note_usage(self, now_s: float, cpu_s: float) -> None:
        """There is no processor budget."""

    def reset(self) -> None:
        """Forget what was received."""
        self._clock.restart()
        self._epoch = self._clock.epoch
        self._forget()

    def restart(self, new_id: Callable[[], str] | None = None) -> None:
        """Begin another video as a new pipeline would."""
        self.reset()

    def _forget(self) -> None:
        self.estimator.reset()
        self._received = None

    def close(self) -> None:
        """Nothing runs in the background."""

    def __enter__(self) -> ScenePipeline:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def make_scene_pipeline(config: SceneConfig) -> ScenePipeline:
    """Build the pipeline.

    Raises:
        ModelError: weights are missing or damaged.
        ConfigurationError: the requested device is not available.
        MissingDependencyError: the runtime is not installed.
    """
    from social_perception.perception.scene.estimator import SceneEstimator

    return ScenePipeline(SceneEstimator(config), config)
