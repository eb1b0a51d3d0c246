"""The command listen, and the table sound.csv of annotate; the listener is played by the test."""

import csv
import wave
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from social_perception.cli.main import main
from social_perception.core.sound import SoundEvent
from social_perception.perception.group.anonymity import frame_without_people
from social_perception.perception.hearing import listener as module
from social_perception.sinks.tables import SoundTable
from test import factories
from test.sources.talking import beep, write_talking_video
from test.sources.test_bag_sound import microphone, write_bag


class LoudListener:
    """Takes what is loud for speech, and knows nothing of laughter."""

    configs: ClassVar[list] = []

    def __init__(self, config):
        self.configs.append(config)
        self.reset()

    def reset(self):
        self._waiting, self._begin_s, self._count = np.empty(0, np.float32), None, 0

    def listen(self, sound):
        if self._begin_s is None:
            self._begin_s = sound.start_s
        self._waiting = np.concatenate([self._waiting, sound.samples])
        events = []
        while len(self._waiting) >= 1600:
            row, self._waiting = self._waiting[:1600], self._waiting[1600:]
            self._count += 1
            loud = float(np.abs(row).max() > 0.1)
            events.append(SoundEvent(self._begin_s + self._count / 10, loud, float("nan"), -10.0))
        return tuple(events)


@pytest.fixture(autouse=True)
def loud_listener(monkeypatch):
    monkeypatch.setattr(module, "Listener", LoudListener)


def write_wav(path, rate_hz=44_100, channels=2, seconds=4.0):
    samples = np.zeros(round(rate_hz * seconds))
    samples[round(rate_hz * 2.0) : round(rate_hz * 2.1)] = 0.5
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.repeat(np.rint(32767 * samples).astype("<i2"), channels).tobytes())
    return path


def write_video(path):
    return write_talking_video(path.with_suffix(".mkv"), beep(2.0), codec="pcm_s16le", start_s=7.0)


def write_recording(path):
    write_bag(path.with_suffix(""), {"/audio": microphone(1_700_000_000.0)})
    return path.with_suffix("")


def listen(path, output, status=0):
    assert main(["listen", str(path), "--output", str(output)]) == status
    with output.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("write", [write_wav, write_video, write_recording])
def test_a_file_has_ten_rows_a_second_from_its_start(tmp_path, write):
    rows = listen(write(tmp_path / "talk.wav"), tmp_path / "events.csv")
    assert list(rows[0]) == ["name", "stamp_s", "speech", "laughter"]
    assert len(rows) == pytest.approx(40, abs=1)
    assert {row["laughter"] for row in rows} == {""}
    loud = [float(row["stamp_s"]) for row in rows if float(row["speech"]) > 0]
    assert loud[0] == pytest.approx(2.1, abs=0.11)
    assert 1 <= len(loud) <= 2


def test_laughter_is_estimated_by_the_network_of_the_flag(tmp_path):
    path = write_wav(tmp_path / "a.wav", seconds=0.5)
    output = str(tmp_path / "events.csv")
    assert main(["listen", str(path), "--output", output, "--laughter-model", "own.safetensors"]) == 0
    assert LoudListener.configs[-1].laughter_model == "own.safetensors"


def test_a_folder_keeps_the_rows_of_good_files_and_names_the_bad_ones(tmp_path, capsys):
    folder = tmp_path / "sounds"
    (folder / "day one").mkdir(parents=True)
    write_wav(folder / "b.wav", seconds=1.0)
    write_wav(folder / "day one" / "a.WAV", seconds=0.5)
    write_recording(folder / "bag.wav")
    (folder / "c.mp3").write_bytes(b"no sound")
    (folder / "notes.txt").write_text("no sound")
    rows = listen(folder, tmp_path / "events.csv", status=1)
    counts = {name: sum(row["name"] == name for row in rows) for name in {row["name"] for row in rows}}
    assert counts == {"b.wav": 10, "day one/a.WAV": 5, "bag": pytest.approx(40, abs=1)}
    lines = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    assert len(lines) == 1
    assert "c.mp3 is not a sound or video that can be read" in lines[0]


def write_silent_video(path):
    from test.sources.test_video import write_video as write

    return write(path.with_suffix(".mp4"), [1, 2, 3])


def write_nothing(path):
    path.write_bytes(b"")
    return path


def write_folder(path):
    path.mkdir()
    return path


def write_empty_wav(path):
    return write_wav(path, seconds=0.01)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path, "does not exist"),
        (lambda path: Path("/dev/zero"), "is neither a file nor a folder"),
        (write_nothing, "is not a sound or video that can be read: it is empty"),
        (write_silent_video, "has no sound"),
        (write_folder, "has no sound files, videos or bags"),
        (write_empty_wav, "no sound of a tenth of a second can be read"),
    ],
)
def test_what_cannot_be_listened_to_is_one_line_and_earlier_results_stay(tmp_path, capsys, write, message):
    path, output = write(tmp_path / "talk.wav"), tmp_path / "events.csv"
    output.write_text("earlier")
    assert main(["listen", str(path), "--output", str(output)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert output.read_text() == "earlier"


def test_a_table_of_sound_events_has_an_empty_cell_where_it_is_unknown(tmp_path):
    frame = factories.frame()
    affect = factories.affect_of(frame)
    events = (SoundEvent(0.1, 0.25, float("nan"), -20.0), SoundEvent(0.2, 0.5, 0.75, -20.0))
    with SoundTable(tmp_path / "sound.csv", in_place=True) as table:
        table.add(frame, affect)
        table.add(frame, replace(affect, sound_events=events))
    text = (tmp_path / "sound.csv").read_text()
    assert text == "stamp_s,speech,laughter\n0.100,0.25,\n0.200,0.5,0.75\n"


@pytest.mark.parametrize(("people", "kept"), [(1, False), (2, True)])
def test_what_a_single_person_says_is_not_in_anonymous_tables(people, kept):
    affect = factories.affect_of(factories.frame(), group=factories.group(people, valid_faces=people))
    affect = replace(affect, sound_events=(SoundEvent(0.1, 1.0, 0.0, -20.0),))
    assert (frame_without_people(affect, 2).sound_events is not None) is kept
