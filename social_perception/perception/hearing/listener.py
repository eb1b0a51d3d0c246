"""The listener: sound in, speech and laughter out, ten times a second."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np

from social_perception.core.config import LaughterConfig
from social_perception.core.sound import Sound, SoundEvent
from social_perception.perception.hearing.laughter import LaughterDetector
from social_perception.perception.hearing.level_meter import band_levels_dbfs, level_dbfs
from social_perception.perception.hearing.own_laughter import OwnLaughterDetector
from social_perception.perception.hearing.rows import ROW, Rows
from social_perception.perception.hearing.speech import WINDOW, SpeechDetector

_SPEECH_ROWS = 10
_SPEECH_WEIGHT, _BIAS = 3.0, 2.0
"""What a second of speech, and anything, takes from the logit of laughter of the shipped network, so that
speech is not mistaken for it: chosen on the clips of ``evaluate --sound``.
"""
_NOTHING = np.empty(0, np.float32)


class Listener:
    """Hears speech and laughter in a stream of sound.

    Args:
        config: which network hears laughter; None: the shipped one.

    Raises:
        MissingDependencyError: silero-vad or onnxruntime is not installed.
        ModelError: a network cannot be read.
    """

    def __init__(self, config: LaughterConfig | None = None) -> None:
        self._speech = SpeechDetector()
        own = config.laughter_model if config else ""
        self._laughter: LaughterDetector | OwnLaughterDetector = (
            OwnLaughterDetector(Path(own).expanduser()) if own else LaughterDetector()
        )
        self._speech_weight, self._bias = (0.0, 0.0) if own else (_SPEECH_WEIGHT, _BIAS)
        self._rows: Rows | None = None
        self._without_window = _NOTHING
        self._recent_speech: deque[float] = deque(maxlen=_SPEECH_ROWS)

    def listen(self, sound: Sound) -> tuple[SoundEvent, ...]:
        """Return the events that are complete with a block of sound.

        Args:
            sound: of any length and rate; 8 to 96 kHz are usual. Where it does not follow the block before
                by more than 0.1 s, the sound before is forgotten.
        """
        if not len(sound.samples):
            return ()
        if self._rows is None or not self._rows.goes_on(sound):
            self.reset()
            self._rows = Rows(sound)
        rows = self._rows.add(sound)
        if not rows:
            return ()
        logits = self._laughter.logits(np.concatenate([row.samples for row in rows]))
        events = []
        for row, speech, logit in zip(rows, self._speech_of(rows), logits):
            self._recent_speech.append(speech)
            recent = sum(self._recent_speech) / len(self._recent_speech)
            logit = logit - self._speech_weight * recent - self._bias
            laughter = float(1 / (1 + np.exp(-logit)))
            events.append(SoundEvent(row.end_s, speech, laughter, level_dbfs(row), band_levels_dbfs(row)))
        return tuple(events)

    def reset(self) -> None:
        """Forget the sound before."""
        self._rows, self._without_window = None, _NOTHING
        self._recent_speech.clear()
        self._speech.reset()
        self._laughter.reset()

    def _speech_of(self, rows: list[Sound]) -> list[float]:
        """The highest probability of the windows that end in each row."""
        waiting = len(self._without_window)
        samples = np.concatenate([self._without_window, *(row.samples for row in rows)])
        whole = len(samples) // WINDOW * WINDOW
        self._without_window = samples[whole:]
        speech = self._speech.probabilities(samples[:whole])
        ends = (np.arange(1, len(speech) + 1) * WINDOW - waiting - 1) // ROW
        return [float(speech[ends == index].max()) for index in range(len(rows))]
