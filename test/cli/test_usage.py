import argparse
import re
import subprocess
import sys

import pytest

from social_perception import __version__
from social_perception.cli.main import main
from social_perception.cli.options import add_pipeline_settings, pipeline_settings
from social_perception.core.config import PipelineConfig
from social_perception.core.settings import settings_of
from social_perception.core.signals import Subject
from social_perception.sinks.tables import described_columns, face_columns, group_columns


def test_the_version_is_reported(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"social-perception {__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["dance"],
        ["annotate", "a.mp4"],
        ["live", "--duration", "0"],
        ["live", "--backend", "magic"],
        ["live", "--min-face-px", "7"],
        ["live", "--min-face-px", "many"],
        ["send", "sample"],
    ],
)
def test_wrong_usage_is_status_2(argv, capsys):
    assert main(argv) == 2
    assert "usage: social-perception" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["live", "annotate", "score", "detect", "train", "evaluate", "bench", "doctor", "send"]
)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert "usage: social-perception" in capsys.readouterr().out


def test_the_help_of_annotate_lists_the_columns_with_label_unit_and_range(capsys):
    assert main(["annotate", "--help"]) == 0
    _, *tables = re.split(r"columns of \w+\.csv", capsys.readouterr().out)
    lines = [[line.split(maxsplit=1) for line in text.splitlines()[1:] if line] for text in tables]
    scene = tuple(described_columns(Subject.SCENE))
    assert [tuple(name for name, _ in table) for table in lines] == [face_columns(), group_columns(), scene]
    texts = dict(lines[0] + lines[1])
    assert texts["intensity"] == "intensity, [0, 1]"
    assert texts["trend"] == "trend, 1/s"
    assert texts["level"] == "level, 0 Neutral to 3 High"
    assert texts["stamp_s"] == "time of the frame, s"


def test_help_loads_no_heavy_package():
    code = (
        "import sys; from social_perception.cli.main import main; main(['annotate', '--help']); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'av', 'matplotlib', 'rclpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_every_setting_has_a_flag_and_the_defaults_are_the_configurations():
    parser = argparse.ArgumentParser()
    add_pipeline_settings(parser, live=True)
    assert pipeline_settings(parser.parse_args([])) == PipelineConfig()
    changed = pipeline_settings(
        parser.parse_args(["--device", "cpu", "--window-s", "9", "--max-gap-s", "1.5"])
    )
    assert (changed.detection.device, changed.smile.device) == ("cpu", "cpu")
    assert (changed.group.window_s, changed.smile.max_gap_s) == (9.0, 1.5)
    flags = set(parser._option_string_actions)
    for config in (PipelineConfig().detection, PipelineConfig().tracking, PipelineConfig().smile):
        assert {"--" + item.name.replace("_", "-") for item in settings_of(config)} <= flags


BAD_FILES = {
    "missing.mp4": None,
    "empty.mp4": b"",
    "text.mp4": b"Minutes of the meeting\n" * 100,
    "image.mp4": b"\xff\xd8\xff\xe0nonsense",
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", ["annotate", "live", "send"])
def test_a_bad_video_is_one_clear_line_and_status_1(tmp_path, command, name, pipelines, capsys):
    path = tmp_path / name
    if BAD_FILES[name] is not None:
        path.write_bytes(BAD_FILES[name])
    argv = {
        "annotate": ["annotate", str(path), "--output", str(tmp_path / "out")],
        "live": ["live", "--source", str(path), "--no-ros"],
        "send": ["send", str(path), "tcp://127.0.0.1:9", "--wait", "0"],
    }
    assert main(argv[command]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("social-perception: error: ")
    assert name in errors[0]


def test_a_missing_package_is_named(tmp_path):
    video = tmp_path / "a.mp4"
    video.touch()
    # In a process of its own: modules that are imported twice do not match those of other tests.
    code = (
        "import sys; sys.modules['av'] = None; from social_perception.cli.main import main; "
        f"sys.exit(main(['live', '--source', {str(video)!r}, '--no-ros']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("social-perception: error: the Python package av is not installed; ")


def test_verbose_shows_where_an_error_came_from(tmp_path, capsys):
    for argv in (["--verbose", "score"], ["score", "--verbose"]):
        assert main([*argv, str(tmp_path / "missing"), "--output", "x.csv"]) == 1
        assert "Traceback" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(tmp_path):
    code = "from social_perception.cli.main import main; import sys; sys.exit(main(['annotate', '--help']))"
    command = f'{sys.executable} -c "{code}" | head -n 1'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
