import json
import sys
import threading

import numpy as np
import pytest

from social_perception.cli import doctor
from social_perception.cli.main import main


def test_send_reaches_live(tmp_path, pipelines, write_video):
    from social_perception.core.config import SourceConfig
    from social_perception.sources.tcp import TcpSource
    from social_perception.sources.tcp_protocol import parse_address

    video = write_video(tmp_path / "meeting.mp4", frames=6)
    with TcpSource(parse_address("tcp://127.0.0.1:0"), SourceConfig(timeout_s=20.0)) as source:
        argv = ["send", str(video), str(source.address), "--rate", "30", "--loop", "--duration", "0.5"]
        status = []
        sender = threading.Thread(target=lambda: status.append(main(argv)))
        sender.start()
        frames = [next(source)]
        while frames[-1].stamp_s < 0.35:
            frames.append(next(source))
        sender.join(20.0)
    assert status == [0]
    stamps = [frame.stamp_s for frame in frames]
    assert stamps == sorted(stamps)
    assert np.allclose(np.array(stamps) * 30, np.round(np.array(stamps) * 30))


def test_send_ends_with_status_1_after_images_that_cannot_be_read(tmp_path, gray_images, capsys):
    from social_perception.core.config import SourceConfig
    from social_perception.sources.tcp import TcpSource
    from social_perception.sources.tcp_protocol import parse_address

    gray_images(tmp_path, [10] * 3)
    (tmp_path / "1.png").write_text("words")
    with TcpSource(parse_address("tcp://127.0.0.1:0"), SourceConfig(timeout_s=20.0)) as source:
        assert main(["send", str(tmp_path), str(source.address), "--rate", "100"]) == 1
    captured = capsys.readouterr()
    assert "2 images sent" in captured.out
    assert "1 of 3 images were skipped" in captured.err


def test_send_without_a_receiver_is_an_error(capsys):
    argv = ["send", "sample?people=1", "tcp://127.0.0.1:9", "--wait", "0"]
    assert main(argv) == 1
    assert "nobody listens on tcp://127.0.0.1:9" in capsys.readouterr().err


def test_train_and_evaluate_pass_on_what_was_given(monkeypatch, tmp_path):
    called = []
    for room in ("training", "evaluation"):
        module = type(sys)(f"social_perception.research.{room}.run")
        module.main = lambda *args, **kwargs: called.append((args, kwargs))
        monkeypatch.setitem(sys.modules, f"social_perception.research.{room}.run", module)
    assert main(["train", "small.yaml", "--resume", "auto", "--without", "a", "--set", "epochs=2"]) == 0
    assert main(["evaluate", "--model", "a.safetensors", "--no-clips"]) == 0
    (train_args, train_named), (evaluate_args, evaluate_named) = called
    assert str(train_args[0]) == "small.yaml"
    assert train_named == {"resume": "auto", "without": ["a"], "changes": ["epochs=2"]}
    assert (evaluate_args, evaluate_named["clips"]) == ((["a.safetensors"],), False)


@pytest.mark.parametrize(("command", "room"), [("train", "training"), ("evaluate", "evaluation")])
def test_a_missing_extra_is_named(command, room, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, f"social_perception.research.{room}.run", raising=False)
    for name in ("lightning", "pandas", "sklearn", "scipy.stats"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [
        each
        for each in sys.modules
        if each.startswith(("social_perception.research.training", "social_perception.research.evaluation"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    assert main([command, *(["small.yaml"] if command == "train" else [])]) == 1
    assert "pip install 'social_perception[train]'" in capsys.readouterr().err


def fake_doctor(monkeypatch, test_frame):

    monkeypatch.setattr(doctor, "_camera", lambda: doctor.Check("camera", "missing", "none", "connect one"))
    monkeypatch.setattr(doctor, "_test_frame", lambda: test_frame)
    return doctor


def test_the_doctor_says_what_is_there_and_what_is_not(monkeypatch, capsys):
    doctor = fake_doctor(monkeypatch, None)
    monkeypatch.setattr(doctor, "_test_frame", lambda: doctor.Check("test frame", "ok", "5 ms", needed=True))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in report["checks"]}
    assert report["works"]
    assert checks["numpy"]["detail"].startswith(np.__version__)
    assert (checks["matplotlib"]["status"], checks["matplotlib"]["needed"]) == ("missing", False)
    assert checks["matplotlib"]["remedy"] == "pip install matplotlib (rosdep: python3-matplotlib)"


def test_the_doctor_fails_when_the_core_does(monkeypatch, capsys):
    doctor = fake_doctor(monkeypatch, None)
    failed = doctor.Check("test frame", "failed", "no face was found", needed=True)
    monkeypatch.setattr(doctor, "_test_frame", lambda: failed)
    assert main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert "!!  test frame" in output
    assert "The core does not work" in output
