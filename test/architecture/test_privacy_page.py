"""What docs/privacy.md names is there."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from social_perception.cli.main import main
from social_perception.core.config import AnonymityConfig, TrackingConfig
from social_perception.views import blur

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")


def help_of(command: str, capsys) -> str:
    with contextlib.suppress(SystemExit):
        main([command, "--help"])
    return capsys.readouterr().out


def test_every_flag_exists(capsys) -> None:
    known = help_of("live", capsys) + help_of("annotate", capsys)
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert len(flags) >= 8
    assert {flag for flag in flags if flag not in known} == set()


def test_every_launch_argument_and_parameter_exists() -> None:
    sources = [*(ROOT / "launch").glob("*.py"), *(ROOT / "social_perception").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    for name in set(re.findall(r"([a-z_]+):=", PAGE)):
        assert f'"{name}"' in text, name
    for name in (
        "publish_crops",
        "publish_cropped",
        "blur_faces",
        "min_group_size",
        "max_lost_s",
        "min_face_px",
    ):
        assert f"`{name}`" in PAGE
        assert re.search(rf"\b{name}: \w+ = setting\(", text), name


def test_its_numbers_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert f"{AnonymityConfig().min_group_size} by default" in text
    assert f"`max_lost_s` ({TrackingConfig().max_lost_s:g} s)" in text
    assert f"stays hidden for {blur.HOLD_S:g} s" in text
    assert f"hold images back for {blur.LOOK_BACK_S:g} s" in text
    assert f"at most {blur.CELLS + 1} x {blur.CELLS + 1} mean colours" in text
