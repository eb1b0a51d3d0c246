"""The microphone, with a device that is played by the test, on a clock of its own."""

import sys
import threading
import types

import numpy as np
import pytest

from social_perception.core.config import SourceConfig
from social_perception.core.errors import MissingDependencyError, SourceError
from social_perception.sources import camera, microphone
from social_perception.sources.factory import open_source
from social_perception.sources.live_sound import MAX_DRIFT_S, SampleClock
from social_perception.sources.microphone import Microphone, open_device
from test.sources.test_factory import FakeCapture

BEGIN_S = 1000.0


class Device:
    """Plays samples as fast as they are read; then it waits, or fails as if it were pulled out.

    Args:
        samples: (N, channels).
        rate_hz: what the device says.
        true_rate_hz: what it does, by the clock of the images.
        age_s: of each block when it is read.
        fails: whether it fails at the end.
    """

    name = "fake"

    def __init__(self, samples, rate_hz=16000, true_rate_hz=None, age_s=0.0, fails=False):
        self.samples, self.rate_hz, self.fails, self.age_s = samples, rate_hz, fails, age_s
        self.true_rate_hz = true_rate_hz or rate_hz
        self.place, self.now_s = 0, BEGIN_S
        self.ended, self.released, self.closed = threading.Event(), threading.Event(), False

    def read(self, count):
        if self.place + count > len(self.samples):
            self.ended.set()
            if not self.fails:
                self.released.wait(10)
            raise SourceError("unplugged")
        self.place += count
        self.now_s = BEGIN_S + self.place / self.true_rate_hz + self.age_s
        return self.samples[self.place - count : self.place], self.age_s

    def close(self):
        self.closed = True


def capture(device, rate_hz=16000):
    """Everything that a microphone gives, in one block."""
    source = Microphone("", rate_hz, lambda _: device, now=lambda: device.now_s)
    assert device.ended.wait(10)
    sound = source.until(1e9)
    source._closed.set()
    device.released.set()
    source._thread.join(10)
    return sound, source


def tone(seconds, rate_hz, channels=1, hz=440.0):
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.repeat(0.5 * np.sin(2 * np.pi * hz * times_s, dtype=np.float32)[:, np.newaxis], channels, 1)


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (16000, 2), (44100, 2), (48000, 8), (96000, 6)])
def test_any_rate_and_number_of_channels_become_mono_at_one_rate(rate_hz, channels):
    sound, _ = capture(Device(tone(2.0, rate_hz, channels), rate_hz))
    assert sound.rate_hz == 16000
    assert sound.start_s == pytest.approx(BEGIN_S, abs=1e-6)
    assert sound.duration_s == pytest.approx(2.0, abs=0.01)
    expected = tone(2.0, 16000)[: len(sound.samples), 0]
    middle = slice(1600, 28000)
    assert np.corrcoef(sound.samples[middle], expected[middle])[0, 1] > 0.99


def test_the_time_of_a_sample_is_when_it_was_captured_not_when_it_was_read():
    sound, _ = capture(Device(tone(1.0, 16000), age_s=0.3))
    assert sound.start_s == pytest.approx(BEGIN_S, abs=1e-6)


def test_invalid_samples_are_silence_and_too_loud_ones_full_scale(caplog):
    samples = np.full((16000, 2), 3.0, np.float32)
    samples[:8000, 0], samples[:8000, 1] = np.nan, -np.inf
    sound, _ = capture(Device(samples))
    assert set(np.unique(sound.samples)) == {-0.5, 1.0}
    assert caplog.records[0].message.endswith("clips: lower its volume in the system's settings")


def test_a_muted_microphone_is_reported_once(caplog):
    capture(Device(np.zeros((16000 * 12, 1), np.float32)))
    muted = [record for record in caplog.records if "only zeros" in record.message]
    assert len(muted) == 1


@pytest.mark.parametrize("ppm", [-300, 0, 300])
def test_the_drift_of_the_device_is_measured_and_corrected(ppm):
    seconds, rate_hz = 120, 8000
    device = Device(np.zeros((seconds * rate_hz, 1), np.float32), rate_hz, rate_hz / (1 + ppm * 1e-6))
    sound, source = capture(device, rate_hz)
    # MAX_SOUND_S is the most that is kept; its end must be where the clock is, not where the count is.
    assert sound.end_s == pytest.approx(device.now_s, abs=0.005)
    assert source.drift_ppm == pytest.approx(ppm, abs=25)


def test_a_step_of_the_clock_begins_the_sound_anew():
    clock = SampleClock(16000)
    times = [clock.admit(BEGIN_S + 0.05 * number, 800) for number in range(1, 41)]
    assert [begins for _, _, begins in times] == [True] + [False] * 39
    later = [clock.admit(BEGIN_S + 10.0 + 0.05 * number, 800) for number in range(41, 81)]
    assert sum(begins for _, _, begins in later) == 1
    assert later[-1][0] == pytest.approx(BEGIN_S + 10.0 + 0.05 * 79)
    assert clock.breaks == 1


def test_a_difference_up_to_the_limit_is_corrected_without_a_break():
    clock = SampleClock(16000)
    for number in range(1, 51):
        clock.admit(BEGIN_S + 0.05 * number, 800)
    late_s = MAX_DRIFT_S - 0.01
    for number in range(51, 6000):
        start_s, _, begins = clock.admit(BEGIN_S + late_s + 0.05 * number, 800)
        assert not begins
    assert start_s == pytest.approx(BEGIN_S + late_s + 0.05 * 5998, abs=0.003)


def test_late_reads_are_no_drift():
    clock, random = SampleClock(16000), np.random.default_rng(1)
    for number in range(1, 2000):
        late_s = 0.15 if random.random() < 0.1 else 0.0
        _, count, _ = clock.admit(BEGIN_S + 0.05 * number + late_s, 800)
        assert count == 800


def test_a_microphone_pulled_out_is_reported_and_opened_again(monkeypatch, caplog):
    monkeypatch.setattr(microphone, "_REOPEN_S", 0.0)
    first, second = Device(tone(1.0, 16000), fails=True), Device(tone(1.0, 16000))
    script = [first, SourceError("gone"), second]

    def open_next(_):
        found = script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    source = Microphone("", 16000, open_next, now=lambda: (first if script else second).now_s)
    assert second.ended.wait(10)
    assert first.closed
    assert source.problem == ""
    assert [record.message for record in caplog.records] == [
        "microphone 'fake' stopped: unplugged; waiting",
        "microphone 'fake' delivers sound again",
    ]
    second.released.set()
    source.close()


def test_frames_get_the_sound_up_to_their_stamp(monkeypatch):
    device = Device(tone(2.0, 16000))
    monkeypatch.setattr(camera, "_open", lambda *_: FakeCapture([np.zeros((8, 8, 3), np.uint8)] * 3))
    monkeypatch.setattr(camera.time, "time", lambda: BEGIN_S + 0.5)
    monkeypatch.setattr(microphone, "open_device", lambda _: device)
    with open_source("0", SourceConfig(), sound=True, microphone=True) as source:
        assert source.name == "camera 0 with microphone 'fake'"
        assert source.sound_rate_hz == 16000
        device.ended.wait(10)
        frame = next(source)
        device.released.set()
    assert frame.stamp_s == BEGIN_S + 0.5
    assert frame.sound.end_s <= frame.stamp_s


def test_without_a_microphone_the_camera_is_closed_and_the_error_is_one_line(monkeypatch):
    capture = FakeCapture([np.zeros((8, 8, 3), np.uint8)] * 3)
    monkeypatch.setattr(camera, "_open", lambda *_: capture)

    def no_device(_):
        raise SourceError("no microphone")

    monkeypatch.setattr(microphone, "open_device", no_device)
    with pytest.raises(SourceError, match="no microphone"):
        open_source("0", SourceConfig(), sound=True, microphone=True)
    assert capture.released


class Library(types.ModuleType):
    """sounddevice with two devices, of which one records."""

    class PortAudioError(Exception):
        pass

    def __init__(self, devices):
        super().__init__("sounddevice")
        self.devices, self.starts, self.asked = devices, 0, None

    def _initialize(self):
        self.starts += 1

    def _terminate(self):
        pass

    def query_devices(self, device="all", kind=None):
        if device == "all":
            return self.devices
        found = [
            each for each in self.devices if device in (None, each["index"]) or str(device) in each["name"]
        ]
        if not found:
            raise ValueError("No input device matching")
        return found[0]

    def InputStream(self, **asked):  # noqa: N802 - its name in sounddevice
        self.asked = asked
        if asked["device"] == 9:
            raise self.PortAudioError("Device unavailable", -9985)
        return types.SimpleNamespace(start=lambda: None)


def recorder(index, name, channels, rate_hz=48000.0):
    return {"index": index, "name": name, "max_input_channels": channels, "default_samplerate": rate_hz}


@pytest.mark.parametrize(
    ("asked", "index", "channels"), [("", 3, 4), ("3", 3, 4), ("Array", 3, 4), ("pulse", 5, 1)]
)
def test_a_device_is_chosen_by_name_or_index_with_its_own_rate_and_channels(
    monkeypatch, asked, index, channels
):
    library = Library([recorder(3, "USB Array", 4), recorder(5, "pulse", 32)])
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    stream = open_device(asked)
    assert stream.rate_hz == 48000
    assert (library.asked["device"], library.asked["channels"]) == (index, channels)
    assert library.starts == 1


@pytest.mark.parametrize(
    ("devices", "asked", "message"),
    [
        ([], "", "no microphone: the system has no device that records sound"),
        ([recorder(3, "USB Array", 4)], "head", "no microphone 'head': the devices are USB Array"),
        ([recorder(9, "busy", 1)], "busy", "microphone 'busy' cannot be opened: Device unavailable"),
    ],
)
def test_a_missing_device_is_one_clear_line(monkeypatch, devices, asked, message):
    monkeypatch.setitem(sys.modules, "sounddevice", Library(devices))
    with pytest.raises(SourceError) as error:
        open_device(asked)
    assert str(error.value) == message


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingDependencyError, match="pip install sounddevice"):
        open_device("")


def test_the_error_of_the_real_library_without_a_device_is_one_line():
    try:
        import sounddevice as library
    except (ImportError, OSError):
        pytest.skip("sounddevice or PortAudio is not installed")
    if any(each["max_input_channels"] for each in library.query_devices()):
        pytest.skip("this machine has a microphone")
    with pytest.raises(SourceError, match="no microphone: the system has no device"):
        open_device("")
