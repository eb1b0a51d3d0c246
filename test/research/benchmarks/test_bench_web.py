"""The live page under load: real processes, small."""

import dataclasses
import json
import subprocess
import time

import pytest

from social_perception.core.config import WebConfig
from social_perception.core.errors import SocialPerceptionError
from social_perception.core.types import FrameAffect
from social_perception.research.benchmarks import web
from social_perception.research.benchmarks.markdown import tables
from social_perception.research.benchmarks.plots import write_figure
from social_perception.research.benchmarks.report import (
    VERSION,
    Latency,
    Machine,
    Report,
    WebLoad,
    WebRun,
    read_report,
    to_json,
)
from social_perception.research.benchmarks.web import WebRequest, measure_web
from social_perception.research.benchmarks.web_clients import Clients
from social_perception.views.web.server import Dashboard

PATIENCE_S = 60.0
SMALL = WebRequest(
    people=2, clients=3, not_reading=1, rounds=1, turn_s=1.0, frames=10, warm_up_s=0.5, device="cpu"
)


def test_a_request_survives_the_command_line():
    assert WebRequest.parse(SMALL.arguments()) == SMALL
    assert WebRequest.parse([]) == WebRequest()


def until(condition, what):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:g} s for: {what}"
        time.sleep(0.01)


@pytest.fixture
def dashboard():
    with Dashboard(WebConfig(port=0, rate_hz=60.0), "a test", silent_after_s=1000.0) as serving:
        yield serving


def test_clients_count_what_they_receive_and_leave(dashboard):
    with Clients(dashboard.url, 4, 1) as clients:
        until(lambda: dashboard.clients == 4, "four clients")
        dashboard.show(FrameAffect(0.0, 0, 64, 48))
        clients.begin()
        stamp_s = 0.0

        def show_next():
            nonlocal stamp_s
            stamp_s += 1.0
            dashboard.show(FrameAffect(stamp_s, 0, 64, 48))
            return stamp_s > 100.0

        until(show_next, "a hundred states")
        counts = clients.end()
        # Still connected: the number of clients is constant during the measurement.
        assert dashboard.clients == 4
    assert len(counts.states) == 3
    assert all(0 < states <= 101 for states in counts.states)
    assert counts.seconds > 0
    assert counts.cpu_s > 0
    until(lambda: dashboard.clients == 0, "they have left")


def test_no_clients_need_no_process(dashboard, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    with Clients(dashboard.url, 0, 0) as clients:
        clients.begin()
        assert clients.end().states == ()


def test_clients_that_cannot_connect_are_an_error(dashboard):
    url = dashboard.url
    dashboard.close()
    with Clients(url, 1, 1) as clients:
        clients.begin()
        with pytest.raises(SocialPerceptionError, match="the browsers has ended"):
            clients.end()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_pipeline_is_measured_with_each_load():
    found = measure_web(SMALL)
    assert not found.reason
    assert [(load.clients, load.not_reading) for load in found.loads] == [(0, 0), (3, 0), (3, 1)]
    alone = found.loads[0]
    assert (alone.relative, alone.client_cores, alone.states_per_second) == (1.0, None, None)
    for load in found.loads:
        assert load.sent >= 20
        assert 0 < load.answered <= load.sent
        assert load.per_second == pytest.approx(load.answered / load.seconds)
        assert load.relative == pytest.approx(load.per_second / alone.per_second)
        assert load.to_faces.median_ms <= load.to_faces.p95_ms
        assert load.cores > load.server_cores >= 0
    for load in found.loads[1:]:
        assert 0 < load.slowest_per_second <= load.states_per_second < 30
        assert load.client_cores > 0
        assert load.server_cores > 0


def test_a_process_that_fails_gives_its_reason(monkeypatch):
    monkeypatch.setattr(web, "run_program", lambda *_: "failed with status 1: no port")
    assert measure_web(SMALL) == WebRun("cpu", 2, reason="failed with status 1: no port")


@pytest.fixture
def report():
    alone = WebLoad(
        0, 0, 8.0, 240, 240, 30.0, 1.0, Latency(20.0, 40.0, 60.0, 240), 0.9, 0.0, None, None, None
    )
    many = dataclasses.replace(
        alone, clients=100, not_reading=10, answered=228, per_second=28.5, relative=0.95, server_cores=0.1,
        client_cores=0.2, states_per_second=14.5, slowest_per_second=13.0,
    )  # fmt: skip
    runs = (WebRun("cpu", 8, (alone, many)), WebRun("cuda", 8, reason="failed with status 1"))
    return Report(VERSION, Machine("Some CPU", 2, 1, (), None, 8.0, 0.0, ()), False, 1.0, web=runs)


def test_the_figures_are_in_json_tables_and_plot(report, tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(to_json(report))
    assert read_report(path) == report
    assert json.loads(path.read_text())["web"][0]["loads"][1]["clients"] == 100
    text = tables(report)
    assert "### Live page" in text
    assert "| 100 | 10 | 28.50 | 0.95 | 240 | 228 | 20 / 40 / 60 | 0.90 | 0.100 | 0.2 | 14.5 | 13 |" in text
    assert "- skipped: failed with status 1" in text
    write_figure(tmp_path / "bench.png", report)
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
