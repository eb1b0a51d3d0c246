"""The machine's microphone, through PortAudio (sounddevice), on the clock of a camera's images."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from social_perception.core.errors import MissingDependencyError, SoundError, SourceError
from social_perception.core.sound import MAX_SOUND_S, Sound, join_sounds
from social_perception.core.types import Frame
from social_perception.sources.live_sound import LiveTrack
from social_perception.sources.source import Source

_logger = logging.getLogger(__name__)

BLOCK_S = 0.05
_SILENT_S = 2.0
_REOPEN_S = 1.0
_MOST_CHANNELS = 8


class Stream(Protocol):
    """An open device.

    Attributes:
        name: of the device, for people.
        rate_hz: samples per second.
    """

    name: str
    rate_hz: int

    def read(self, count: int) -> tuple[npt.NDArray[np.float32], float]:
        """Wait for the next samples, (count, channels), and return them with their age in s when they end.

        Raises:
            SourceError: the device failed.
        """
        ...

    def close(self) -> None: ...


class Microphone:
    """Captures sound in a thread; one that is pulled out is reported, and opened again when it is back.

    Several channels are averaged; NaN is 0; samples beyond full scale are clipped.

    Args:
        device: name, part of a name, or index; empty: the system's default.
        rate_hz: rate in Hz to which the sound is converted.
        open_stream: opens the device.
        now: the clock of the images.

    Attributes:
        problem: why there is no sound; empty: there is.

    Raises:
        SourceError: there is no such device, or it cannot be opened.
        MissingDependencyError: sounddevice or PortAudio is not installed.
    """

    def __init__(
        self,
        device: str,
        rate_hz: int,
        open_stream: Callable[[str], Stream] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._device, self.rate_hz, self._now = device, rate_hz, now
        self._open_stream = open_stream or open_device
        self._stream: Stream | None = self._open_stream(device)
        self.name = f"microphone {self._stream.name!r}"
        self.problem = ""
        self._blocks: deque[Sound] = deque()
        self._lock = threading.Lock()
        self._received_s = time.monotonic()
        self._closed = threading.Event()
        self._track = LiveTrack(self.name, rate_hz)
        self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)
        self._thread.start()

    @property
    def drift_ppm(self) -> float:
        """By how many millionths the device's clock is slower than the machine's."""
        return self._track.drift_ppm

    def until(self, time_s: float) -> Sound:
        """The sound captured so far that was not delivered yet and lies before a time; gaps are zeros."""
        self._watch()
        taken = []
        with self._lock:
            while self._blocks:
                before, after = self._blocks.popleft().split(time_s)
                if len(before.samples):
                    taken.append(before)
                if len(after.samples):
                    self._blocks.appendleft(after)
                    break
        return join_sounds(taken) if taken else Sound.empty(self.rate_hz, time_s)

    def close(self) -> None:
        """Release the device."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join(timeout=2.0)
        # A driver that hangs in read() would crash on release: leave it to the end of the process.
        if not self._thread.is_alive():
            self._release()
        _logger.info("%s: its clock differed from this machine's by %+.0f ppm", self.name, self.drift_ppm)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._receive()
            except (SourceError, SoundError) as error:  # noqa: PERF203
                self._fail(f"{self.name} stopped: {error}")
                self._release()
                self._reopen()

    def _receive(self) -> None:
        stream = self._stream
        assert stream is not None
        self._track = LiveTrack(self.name, self.rate_hz)
        while not self._closed.is_set():
            samples, age_s = stream.read(round(stream.rate_hz * BLOCK_S))
            self._put(self._track.add(samples.T, stream.rate_hz, self._now() - age_s))

    def _put(self, blocks: list[Sound]) -> None:
        with self._lock:
            self._blocks.extend(blocks)
            while self._blocks and self._blocks[0].end_s < self._blocks[-1].end_s - MAX_SOUND_S:
                self._blocks.popleft()
        self._received_s = time.monotonic()
        if self.problem:
            self.problem = ""
            _logger.warning("%s delivers sound again", self.name)

    def _watch(self) -> None:
        if not self.problem and time.monotonic() - self._received_s > _SILENT_S:
            self._fail(f"{self.name} has delivered no sound for {_SILENT_S:g} s")

    def _fail(self, problem: str) -> None:
        if not self.problem:
            _logger.warning("%s; waiting", problem)
        self.problem = problem

    def _reopen(self) -> None:
        while not self._closed.wait(_REOPEN_S):
            with suppress(SourceError):
                self._stream = self._open_stream(self._device)
                return

    def _release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(SourceError):
                stream.close()


class WithMicrophone(Source):
    """A camera whose frames have the sound of a microphone, each what was captured up to its stamp."""

    live = True
    frame_count = None

    def __init__(self, camera: Source, microphone: Microphone) -> None:
        self._camera, self._microphone = camera, microphone
        self.name = f"{camera.name} with {microphone.name}"
        self.rate_hz = camera.rate_hz
        self.sound_rate_hz = microphone.rate_hz

    def __next__(self) -> Frame:
        frame = next(self._camera)
        return replace(frame, sound=self._microphone.until(frame.stamp_s))

    def close(self) -> None:
        self._microphone.close()
        self._camera.close()


class _DeviceStream:
    """An input stream of PortAudio, which fills its own buffer while nobody reads."""

    def __init__(self, library: Any, index: int, about: dict[str, Any]) -> None:
        self.name, self.rate_hz = str(about["name"]), round(about["default_samplerate"])
        # Virtual devices of a sound server claim any number of channels.
        channels = int(about["max_input_channels"])
        self._library = library
        self._stream = library.InputStream(
            device=index,
            samplerate=self.rate_hz,
            channels=channels if channels <= _MOST_CHANNELS else 1,
            dtype="float32",
            latency="low",
        )
        self._stream.start()

    def read(self, count: int) -> tuple[npt.NDArray[np.float32], float]:
        try:
            samples, _ = self._stream.read(count)
            return samples, self._stream.read_available / self.rate_hz + float(self._stream.latency)
        except self._library.PortAudioError as error:
            raise SourceError(_reason(error)) from error

    def close(self) -> None:
        try:
            self._stream.close()
        except self._library.PortAudioError as error:
            raise SourceError(_reason(error)) from error


def open_device(device: str) -> Stream:
    """Open a microphone of this machine; see :class:`Microphone`.

    Raises:
        SourceError: there is no such device, or it cannot be opened.
        MissingDependencyError: sounddevice or PortAudio is not installed.
    """
    library = _sounddevice()
    names: list[str] = []
    try:
        # PortAudio lists the devices once: one that was pulled out and is back is listed by a new start only.
        library._terminate()
        library._initialize()
        names = [str(each["name"]) for each in library.query_devices() if each["max_input_channels"] > 0]
        if not names:
            raise SourceError("no microphone: the system has no device that records sound")
        chosen: Any = int(device) if re.fullmatch(r"\d{1,4}", device) else device or None
        about = library.query_devices(chosen, "input")
    except (library.PortAudioError, ValueError) as error:
        raise SourceError(f"no microphone {device!r}: the devices are {', '.join(names)}") from error
    try:
        return _DeviceStream(library, int(about["index"]), about)
    except library.PortAudioError as error:
        raise SourceError(f"microphone {about['name']!r} cannot be opened: {_reason(error)}") from error


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise MissingDependencyError("a microphone needs sounddevice: pip install sounddevice") from error
    except OSError as error:
        text = "a microphone needs PortAudio: sudo apt install libportaudio2"
        raise MissingDependencyError(text) from error
    return sounddevice


def _reason(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())
