"""Sound beside the frames: decoded audio to mono blocks on one clock, cut at the frames' times.

A source reads its sound through a reader of its own, ahead of the frames only as far as their time needs:
memory stays bounded however a file interleaves the two, and damage to the sound costs no image.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import av
import numpy as np

from social_perception.core.errors import SoundError
from social_perception.core.sound import MAX_SOUND_S, Sound, SoundArray, join_sounds

_TOLERANCE_S = 0.1
"""Audio whose time differs by less from the count of the samples before it goes on without a break: times are
rounded, and those of microphones jitter. FFmpeg's aresample has the same limit (``min_hard_comp``).
"""

_MAX_OVERLAP_S = 1.0
"""Audio that is earlier by less repeats a time that was already delivered; by more, the clock has jumped."""

_MIN_RATE_HZ, _MAX_RATE_HZ = 4_000, 384_000


class SoundReader:
    """Delivers the sound up to each frame's time.

    Args:
        blocks: in the order of their time; read only as far as needed.
        rate_hz: of the blocks.
    """

    def __init__(self, blocks: Iterable[Sound], rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._blocks = iter(blocks)
        self._pending: deque[Sound] = deque()

    def until(self, time_s: float) -> Sound:
        """The sound that was not delivered yet and lies before a time.

        Where the sound begins later or has ended, or where more of it is missing than the time since the last
        call, there are no samples. Smaller gaps are zeros.
        """
        self._read(time_s)
        taken = []
        while self._pending:
            before, after = self._pending.popleft().split(time_s)
            if len(before.samples):
                taken.append(before)
            if len(after.samples):
                self._pending.appendleft(after)
                break
        return join_sounds(taken) if taken else Sound.empty(self.rate_hz, time_s)

    def _read(self, time_s: float) -> None:
        while not self._pending or self._pending[-1].end_s < time_s:
            block = next(self._blocks, None)
            if block is None:
                return
            self._pending.append(block)
            # Sound may begin hours before the first image.
            while self._pending[0].end_s < block.end_s - MAX_SOUND_S:
                self._pending.popleft()


class SoundTrack:
    """Turns decoded audio into blocks on one clock that never goes back.

    The channels' mean is taken, so that the same sound in both of two has the level of one (FFmpeg's own
    mixing adds 3 dB to it); libswresample converts the rate.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler: Any = None
        self._format: tuple[str, str, int] | None = None
        # Counted in samples: sums of durations would drift at times of day, whose last bit is 0.2 us.
        self._start_s = 0.0
        self._received = self._delivered = 0

    def add(self, audio: av.AudioFrame, time_s: float | None) -> list[Sound]:
        """The blocks that are complete with a frame of audio.

        Args:
            audio: decoded, in any format; its own time stamp is ignored.
            time_s: of its first sample; None: it follows the frame before.

        Raises:
            SoundError: its format cannot be processed.
        """
        if not _MIN_RATE_HZ <= audio.sample_rate <= _MAX_RATE_HZ:
            raise SoundError(
                f"the sample rate must be in [{_MIN_RATE_HZ}, {_MAX_RATE_HZ}] Hz, got {audio.sample_rate}"
            )
        audio_format = (audio.format.name, audio.layout.name, audio.sample_rate)
        expected_s = None if self._format is None else self._start_s + self._received / self._format[-1]
        if expected_s is None or time_s is None:
            ahead_s = 0.0
        else:
            ahead_s = time_s - expected_s
        if -_MAX_OVERLAP_S < ahead_s < -_TOLERANCE_S:
            return []
        blocks: list[Sound] = []
        if audio_format != self._format or ahead_s > _TOLERANCE_S:
            blocks = self.finish()
            is_new = expected_s is None or ahead_s > _TOLERANCE_S
            self._begin((time_s if is_new else expected_s) or 0.0, audio_format)
        self._received += audio.samples
        audio.pts = None
        return blocks + self._converted(audio)

    def finish(self) -> list[Sound]:
        """The last samples, which the resampler still holds."""
        if self._resampler is None:
            return []
        blocks = self._converted(None)
        self._resampler = None
        return blocks

    def _begin(self, start_s: float, audio_format: tuple[str, str, int]) -> None:
        self._start_s, self._format = start_s, audio_format
        self._received = self._delivered = 0
        self._resampler = av.AudioResampler(format="fltp", rate=self._rate_hz)

    def _converted(self, audio: av.AudioFrame | None) -> list[Sound]:
        blocks = []
        for each in self._resampler.resample(audio):
            time_s = self._start_s + self._delivered / self._rate_hz
            blocks.append(Sound(_mono(each.to_ndarray()), self._rate_hz, time_s))
            self._delivered += len(blocks[-1].samples)
        return blocks


def _mono(channels: SoundArray) -> SoundArray:
    """The mean of (channels, N), within [-1, 1]: lossy codecs exceed it, and damaged data hold any number."""
    return np.clip(np.nan_to_num(channels.mean(axis=0)), -1.0, 1.0)
