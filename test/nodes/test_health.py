from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from social_perception.nodes.health import Health, SilenceWatch


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_rates_are_those_since_the_last_report() -> None:
    health = Health()
    for _ in range(30):
        health.received()
    for _ in range(10):
        health.processed(3)
    status = health.report("/face_tracker", 2.0, dropped=20, lost=4, silence="")
    assert (status.level, status.name, status.message) == (DiagnosticStatus.OK, "/face_tracker", "running")
    assert values(status) == {
        "input rate (Hz)": "15.0",
        "output rate (Hz)": "5.0",
        "dropped": "20",
        "lost": "4",
        "faces": "3",
        "latency median (ms)": "unknown",
        "latency p95 (ms)": "unknown",
        "latency max (ms)": "unknown",
        "last error": "",
    }
    again = values(health.report("/face_tracker", 2.0, dropped=20, lost=4, silence=""))
    assert (again["input rate (Hz)"], again["faces"]) == ("0.0", "0")


def latencies(health: Health) -> list[str]:
    told = values(health.report("n", 1.0, dropped=0, lost=0, silence=""))
    return [told[f"latency {name} (ms)"] for name in ("median", "p95", "max")]


def test_latencies_are_those_since_the_last_report() -> None:
    health = Health()
    for number in range(101):
        health.published(0.010 + 0.001 * ((number * 37) % 101))
    assert latencies(health) == ["60", "105", "110"]
    health.published(0.0204)
    assert latencies(health) == ["20", "20", "20"]
    assert latencies(health) == ["unknown"] * 3


@pytest.mark.parametrize("age_s", [-0.5, -1e9, 3700.0, 1.7e9, float("nan")])
def test_a_stamp_of_another_clock_has_no_latency(age_s: float) -> None:
    health = Health()
    health.published(age_s)
    assert latencies(health) == ["unknown"] * 3
    health.published(0.03)
    health.published(age_s)
    assert latencies(health) == ["30", "30", "30"]


@pytest.mark.parametrize(("processed", "level"), [(1, DiagnosticStatus.WARN), (0, DiagnosticStatus.ERROR)])
def test_an_error_is_reported_with_its_cause(processed: int, level: bytes) -> None:
    health = Health()
    health.failed("image is truncated")
    for _ in range(processed):
        health.processed(0)
    status = health.report("n", 1.0, dropped=0, lost=0, silence="")
    assert (status.level, status.message) == (level, "image is truncated")
    later = health.report("n", 1.0, dropped=0, lost=0, silence="")
    assert (later.level, values(later)["last error"]) == (DiagnosticStatus.OK, "image is truncated")


def test_silence_is_an_error() -> None:
    status = Health().report("n", 1.0, dropped=0, lost=0, silence="no images on /image for 3.0 s")
    assert (status.level, status.message) == (DiagnosticStatus.ERROR, "no images on /image for 3.0 s")


def test_silence_is_told_once_and_its_end_once() -> None:
    watch = SilenceWatch(10.0)
    assert [watch.fell_silent(now, 2.0) for now in (11.0, 12.0, 12.1, 13.0)] == [False, False, True, False]
    assert watch.is_silent
    assert watch.heard(15.0) == pytest.approx(5.0)
    assert watch.heard(15.1) is None
    assert not watch.is_silent


@pytest.mark.parametrize(("begin", "now"), [(0.0, 1.7e9), (500.0, 3.0)])
def test_a_clock_that_starts_late_or_jumps_back_is_no_silence(begin: float, now: float) -> None:
    watch = SilenceWatch(begin)
    assert not watch.fell_silent(now, 2.0)
    assert watch.fell_silent(now + 2.1, 2.0)
