from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from social_perception.ros.support.health import Health, NodeStatus, SilenceWatch, Totals
from social_perception.ros.support.load import Limits
from social_perception.ros.support.resources import hardware_id


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def report(health: Health, now_s: float = 1.0, **status) -> DiagnosticStatus:
    return health.report("n", now_s, NodeStatus(**status), Limits())


def test_rates_are_those_since_the_last_report() -> None:
    health = Health(100.0)
    for _ in range(30):
        health.received()
    for _ in range(10):
        health.processed(3)
        health.published()
    status = NodeStatus(state="active", dropped=8, lost=4, waiting=1, values={"device": "cpu"})
    status = health.report("/face_tracker: images", 102.0, status, Limits(), "cpu")
    assert (status.level, status.message) == (DiagnosticStatus.OK, "running")
    assert (status.name, status.hardware_id) == ("/face_tracker: images", "cpu")
    assert values(status) == {
        "state": "active",
        "input rate (Hz)": "15.0",
        "output rate (Hz)": "5.0",
        "latency median (ms)": "unknown",
        "latency p95 (ms)": "unknown",
        "latency max (ms)": "unknown",
        "received": "30",
        "processed": "10",
        "failed": "0",
        "waiting": "1",
        "dropped": "8",
        "lost": "4",
        "faces": "3",
        "device": "cpu",
        "last error": "",
        "last error time": "",
    }
    again = values(report(health, 103.0))
    assert (again["input rate (Hz)"], again["output rate (Hz)"], again["faces"]) == ("0.0", "0.0", "0")


def test_a_slowed_search_is_a_warning_and_its_interval_a_value() -> None:
    health = Health()
    health.searched(10, "")
    assert report(health).message == "running"
    health.searched(20, "faces are searched every 20 instead of 10 frames")
    slowed = report(health, 2.0)
    assert (slowed.level, slowed.message) == (
        DiagnosticStatus.WARN,
        "faces are searched every 20 instead of 10 frames",
    )
    assert values(slowed)["detection interval (frames)"] == "20"


def test_totals_grow_until_the_node_is_activated_again() -> None:
    health = Health()
    for _ in range(3):
        health.received()
    health.processed(1)
    report(health)
    health.received()
    assert health.totals == Totals(received=4, processed=1)
    reported = values(report(health, 2.0))
    assert (reported["received"], reported["processed"]) == ("4", "1")
    health.restart()
    assert health.totals == Totals()


def test_the_batch_is_the_largest_since_the_last_report() -> None:
    health = Health()
    for faces in (2, 5, 3):
        health.scored(faces)
    assert values(report(health))["batch"] == "5"
    health.scored(0)
    assert values(report(health, 2.0))["batch"] == "0"
    assert "batch" not in values(report(health, 3.0))


def latencies(health: Health) -> list[str]:
    reported = values(report(health))
    return [reported[f"latency {name} (ms)"] for name in ("median", "p95", "max")]


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
    status = report(health, time_s=1_700_000_000.0)
    assert (status.level, status.message) == (level, "image is truncated")
    later = report(health, 2.0, time_s=1_700_000_005.0)
    assert (later.level, values(later)["last error"]) == (DiagnosticStatus.OK, "image is truncated")
    assert values(later)["last error time"] == "2023-11-14 22:13:20 UTC"


def test_the_time_of_an_error_in_a_simulation_is_the_simulations() -> None:
    health = Health()
    health.failed("image is truncated")
    assert values(report(health, time_s=12.34))["last error time"] == "12.3 s"


def test_silence_is_an_error() -> None:
    status = report(Health(), silence="no images on /image for 3.0 s")
    assert (status.level, status.message) == (DiagnosticStatus.ERROR, "no images on /image for 3.0 s")


def test_a_failed_transition_is_an_error_until_one_succeeds() -> None:
    health = Health()
    health.transition_failed("cannot be configured: weights.dat is missing")
    for now_s in (1.0, 2.0):
        status = report(health, now_s, state="unconfigured", resting="unconfigured")
        assert status.level == DiagnosticStatus.ERROR
        assert status.message == "cannot be configured: weights.dat is missing"
    health.transition_succeeded()
    status = report(health, 3.0, state="inactive", resting="inactive")
    assert (status.level, status.message) == (DiagnosticStatus.OK, "inactive")
    assert values(status)["last error"] == "cannot be configured: weights.dat is missing"


def test_the_worst_comes_first() -> None:
    health = Health()
    health.warned("the clock jumped")
    status = report(health, silence="no images", warnings=("stamps are off", ""))
    assert (status.level, status.message) == (
        DiagnosticStatus.ERROR,
        "no images; the clock jumped; stamps are off",
    )
    later = report(health, 2.0)
    assert (later.level, later.message) == (DiagnosticStatus.OK, "running")


def test_a_node_that_drops_is_falling_behind_until_it_keeps_up() -> None:
    health, dropped, said = Health(), 0, []
    for second in range(1, 13):
        dropped += 6 if second < 5 else 0
        for _ in range(10):
            health.received()
        status = report(health, float(second), dropped=dropped)
        said.append((status.level, status.message))
    assert said[0] == (DiagnosticStatus.WARN, "falling behind: 6 of the last 10 messages were dropped")
    assert said[3][1] == "falling behind for 3 s: 24 of the last 40 messages were dropped"
    assert said[8:] == [(DiagnosticStatus.OK, "running")] * 4


def test_a_counter_that_begins_anew_is_no_drop_of_its_own() -> None:
    health = Health()
    for now_s, dropped in ((1.0, 1000), (20.0, 1)):
        for _ in range(10):
            health.received()
        status = report(health, now_s, dropped=dropped)
    assert (status.level, status.message) == (DiagnosticStatus.OK, "running")


def test_silence_is_reported_once_and_its_end_once() -> None:
    watch = SilenceWatch(10.0)
    assert [watch.fell_silent(now, 2.0) for now in (11.0, 12.0, 12.1, 13.0)] == [False, False, True, False]
    assert watch.is_silent
    assert watch.received(15.0) == pytest.approx(5.0)
    assert watch.received(15.1) is None
    assert not watch.is_silent


@pytest.mark.parametrize(("begin", "now"), [(0.0, 1.7e9), (500.0, 3.0)])
def test_a_clock_that_starts_late_or_jumps_back_is_no_silence(begin: float, now: float) -> None:
    watch = SilenceWatch(begin)
    assert not watch.fell_silent(now, 2.0)
    assert watch.fell_silent(now + 2.1, 2.0)


def test_a_gpu_that_does_not_tell_its_name_is_called_by_its_device(monkeypatch) -> None:
    import torch

    def gone(_: str) -> str:
        raise RuntimeError("CUDA error: device is lost")

    monkeypatch.setattr(torch.cuda, "get_device_name", gone)
    hardware_id.cache_clear()
    assert hardware_id("cuda") == "cuda"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "H200")
    hardware_id.cache_clear()
    assert hardware_id("cuda") == "cuda (H200)"
    hardware_id.cache_clear()
