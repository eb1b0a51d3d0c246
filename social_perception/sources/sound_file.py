"""The sound of a file without its images: of a sound file, a video or a bag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from social_perception.core.errors import SourceError
from social_perception.core.sound import Sound
from social_perception.sources.bag_names import is_bag


@contextmanager
def open_sound(path: Path, rate_hz: int) -> Iterator[Iterator[Sound]]:
    """Open a file's sound: a context with its blocks, the first of which begins at about 0.

    Args:
        path: of a sound file, a video, or a bag.
        rate_hz: rate in Hz to which the sound is converted.

    Raises:
        SourceError: the file cannot be read or has no sound.
        MissingDependencyError: a bag needs rosbags, which is not installed.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise SourceError(f"{path} is neither a file nor a folder")
    if is_bag(path):
        from social_perception.sources.bag_files import open_recording
        from social_perception.sources.bag_sound import BagSound

        with closing(open_recording(path)) as recording:
            topic = BagSound.open(path, recording, rate_hz, None)
            if topic is None:
                raise SourceError(f"{path} has no sound (audio_common_msgs AudioData or AudioDataStamped)")
            yield topic.blocks()
        return
    from social_perception.sources.video import SoundFile

    file = SoundFile.open(path, None, rate_hz, None)
    if file is None:
        raise SourceError(f"{path} has no sound")
    with closing(file):
        yield file.blocks()
