"""``social-perception live --web``: the page is served while the pipeline runs."""

import http.client
import json
import re
import socket
import threading
import urllib.request

import numpy as np
import pytest

from social_perception.cli.main import main
from social_perception.core.errors import SourceTimeout
from social_perception.core.types import Frame


class Scripted:
    """A live source that plays a script: frames, errors, and functions that are called in between."""

    name, live, rate_hz, frame_count, unread = "scripted", True, None, None, 0

    def __init__(self, *script):
        self.script = list(script)

    def __next__(self):
        while self.script:
            entry = self.script.pop(0)
            if isinstance(entry, Exception):
                raise entry
            if isinstance(entry, Frame):
                return entry
            entry()
        raise StopIteration

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def play(monkeypatch):
    def start(*script):
        monkeypatch.setattr(
            "social_perception.sources.factory.open_source", lambda *_, **__: Scripted(*script)
        )

    return start


@pytest.fixture
def dashboards(monkeypatch):
    """The pages that were served."""
    from social_perception.views.web import server

    made = []

    class Kept(server.Dashboard):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(server, "Dashboard", Kept)
    return made


def frame(number):
    return Frame(np.zeros((8, 8, 3), np.uint8), float(number), number)


def health(dashboard):
    with urllib.request.urlopen(f"http://127.0.0.1:{dashboard.port}/healthz", timeout=20) as answer:
        return json.load(answer)["status"]


def test_the_page_follows_the_pipeline(play, dashboards, pipelines, capsys):
    reported = []

    def ask():
        reported.append(health(dashboards[0]))

    play(ask, frame(0), ask, SourceTimeout("no picture"), ask, frame(1), ask)
    assert main(["live", "--source", "x", "--no-ros", "--web", "0"]) == 0
    assert reported == ["waiting", "ok", "stale", "ok"]
    (dashboard,) = dashboards
    assert dashboard._hub._newest.affect.stamp_s == 1.0
    assert f"web page: http://127.0.0.1:{dashboard.port}/\n" in capsys.readouterr().out
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", dashboard.port), 20)


def test_a_port_in_use_ends_the_command_before_the_pipeline_is_made(play, pipelines, capsys):
    play(frame(0))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["live", "--source", "x", "--no-ros", "--web", str(port)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors == [
        f"social-perception: error: the web page cannot be served: port {port} of 127.0.0.1 is in use"
    ]
    assert not pipelines


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_a_wrong_port_is_wrong_usage(port, capsys):
    assert main(["live", "--web", port]) == 2
    assert "--web" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ([], {"address": "127.0.0.1", "picture": False, "token": "", "rate_hz": 15.0}),
        (["--web-picture"], {"picture": True}),
        (["--web-picture", "--duration", "9"], {"picture": True}),
        (["--web-picture", "no"], {"picture": False}),
        (["--web-token", "a-very-secret-token"], {"token": "a-very-secret-token"}),
        (["--web-address", "0.0.0.0"], {"address": "0.0.0.0"}),
        (["--web-rate-hz", "5", "--web-max-clients", "3"], {"rate_hz": 5.0, "max_clients": 3}),
    ],
)
def test_the_pages_settings_are_flags(play, dashboards, pipelines, flags, settings):
    play(frame(0))
    assert main(["live", "--source", "x", "--no-ros", "--web", "0", *flags]) == 0
    assert {name: getattr(dashboards[0]._config, name) for name in settings} == settings


def test_the_address_with_its_token_is_printed_and_opens_the_page(play, dashboards, pipelines, capsys):
    answers = []

    def ask():
        token = re.search(r"\?token=(\S+)", capsys.readouterr().out)[1]
        line = http.client.HTTPConnection("127.0.0.1", dashboards[0].port, timeout=20)
        for path in ("/", f"/?token={token}"):
            line.request("GET", path)
            answer = line.getresponse()
            answer.read()
            answers.append(answer.status)
        line.close()

    play(frame(0), ask)
    assert main(["live", "--source", "x", "--no-ros", "--web", "0", "--web-address", "0.0.0.0"]) == 0
    assert answers == [401, 303]


@pytest.mark.parametrize("in_file", [False, True])
def test_a_token_that_was_given_is_not_repeated(play, dashboards, pipelines, capsys, tmp_path, in_file):
    (tmp_path / "token").write_text("a-very-secret-token")
    given = f"@{tmp_path / 'token'}" if in_file else "a-very-secret-token"
    play(frame(0))
    assert main(["live", "--source", "x", "--no-ros", "--web", "0", "--web-token", given]) == 0
    shown = capsys.readouterr()
    assert dashboards[0]._token == "a-very-secret-token"
    assert f"web page: http://127.0.0.1:{dashboards[0].port}/\n" in shown.out
    assert "a-very-secret-token" not in shown.out + shown.err
    assert ("others on this machine see --web-token" in shown.err) is not in_file


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("/home/somebody/private/meeting.mp4", "meeting.mp4"),
        ("camera 0", "camera 0"),
        ("tcp://0.0.0.0:5005", "tcp://0.0.0.0:5005"),
    ],
)
def test_browsers_do_not_learn_where_a_recording_lies(
    play, dashboards, pipelines, monkeypatch, name, reported
):
    monkeypatch.setattr(Scripted, "name", name)
    play(frame(0))
    assert main(["live", "--source", "x", "--no-ros", "--web", "0"]) == 0
    assert dashboards[0]._hub._source_name == reported


@pytest.mark.parametrize("flags", [[], ["--web-picture"]])
def test_only_a_picture_that_is_shown_is_announced(play, dashboards, pipelines, capsys, flags):
    play(frame(0))
    assert main(["live", "--source", "x", "--no-ros", "--web", "0", *flags]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "image" in line]
    assert len(lines) == len(flags)


def test_a_bad_token_is_one_line_that_does_not_repeat_it(play, pipelines, capsys):
    play(frame(0))
    assert main(["live", "--source", "x", "--no-ros", "--web", "0", "--web-token", "hunter2"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "token must be" in line
    assert "hunter2" not in line


def test_without_the_flag_nothing_is_served(play, dashboards, pipelines):
    play(frame(0))
    assert main(["live", "--source", "x", "--no-ros"]) == 0
    assert not dashboards
    assert not [thread for thread in threading.enumerate() if thread.name == "web"]
