"""Sound: of files, of audio messages, and of devices with any samples at any time."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fuzzing.target import PROPERTY, Target, of_property, promise
from fuzzing.videos import SOUND_KINDS, with_sound
from social_perception.core.errors import SoundError
from social_perception.sources.bag_sound import AudioCoding, AudioDecoder
from social_perception.sources.live_sound import LiveTrack, samples_of
from social_perception.sources.sound_file import open_sound

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_sounds_")
_KINDS = (("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "mp3"), ("ogg", "flac"), ("adts", "aac"))
_MOST_BLOCKS = 200
_HEAD = 3


def encoded(container: str, codec: str, seconds: float = 0.2, rate_hz: int = 32_000) -> bytes:
    """A sound file of noise."""
    path = Path(_FOLDER.name) / "seed"
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono")
        noise = np.random.default_rng(0).uniform(-1, 1, (1, int(rate_hz * seconds))).astype(np.float32)
        block = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        block.sample_rate, block.pts = rate_hz, 0
        for packets in (stream.encode(block), stream.encode()):
            output.mux(packets)
    return path.read_bytes()


def _files() -> list[bytes]:
    return [*(encoded(*kind) for kind in _KINDS), *(with_sound(*kind) for kind in SOUND_KINDS), b"#EXTM3U\n"]


def _file(data: bytes) -> None:
    path = Path(_FOLDER.name) / "sound"
    path.write_bytes(data)
    with open_sound(path, 16_000) as blocks:
        end_s = -1e9
        for block in itertools.islice(blocks, _MOST_BLOCKS):
            promise(block.rate_hz == 16_000, f"sound of {block.rate_hz} Hz")
            if len(block.samples):
                promise(block.start_s > end_s - 1e-3, f"{block.start_s} after {end_s}")
                end_s = block.end_s


def _messages() -> list[bytes]:
    pcm = np.arange(-400, 400, dtype="<i2").tobytes()
    mp3 = encoded("mp3", "mp3")
    return [bytes([channels, 0, 0]) + pcm for channels in (1, 2, 8)] + [bytes([1, 1, 0]) + mp3]


def _message(data: bytes) -> None:
    """The first bytes are channels, whether it is MP3, and the rate in kHz above 8; the rest two messages."""
    if len(data) < _HEAD:
        return
    decoder = AudioDecoder(AudioCoding(data[0], 8_000 + 1_000 * data[2], bool(data[1] & 1)))
    track, half = LiveTrack("fuzz", 16_000), (len(data) + _HEAD) // 2 // 16 * 16 + _HEAD
    end_s = 100.0
    for part in (data[_HEAD:half], data[half:]):
        for frame in decoder.decode(part):
            end_s += frame.samples / frame.sample_rate
            for sound in track.add(samples_of(frame), frame.sample_rate, end_s):
                promise(sound.rate_hz == 16_000, f"sound of {sound.rate_hz} Hz")


_BLOCKS = st.lists(
    st.tuples(
        st.floats(width=32),
        st.integers(1, 8),
        st.integers(1, 3000),
        st.sampled_from([1, 8_000, 16_000, 44_100, 96_000, 10**9]),
        st.floats(-1e9, 1e9),
    ),
    max_size=8,
)


@PROPERTY
@given(_BLOCKS)
def check_live_sound(blocks: list[Any]) -> None:
    track = LiveTrack("fuzz", 16_000)
    for value, channels, count, rate_hz, end_s in blocks:
        try:
            # Sound itself refuses samples beyond full scale and times that are not finite.
            sounds = track.add(np.full((channels, count), value, np.float32), rate_hz, end_s)
        except SoundError as error:
            promise(not 8_000 <= rate_hz <= 96_000, f"{rate_hz} Hz is refused: {error}")
            continue
        for sound in sounds:
            promise(sound.rate_hz == 16_000, f"sound of {sound.rate_hz} Hz")


TARGETS = {
    "sound_file": Target(
        "blocks of sound in order, or SourceError",
        _file,
        _files,
        max_bytes=8192,
        limit_s=20.0,
        memory_mb=1024,
    ),
    "audio_messages": Target("sound, or SoundError", _message, _messages, max_bytes=8192, limit_s=20.0),
    "live_sound": of_property(
        "valid sound of any samples at any time; SoundError for odd rates", check_live_sound
    ),
}
