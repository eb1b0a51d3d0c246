"""FFmpeg's messages never reach Python: a decoder's thread that logs can deadlock with the main thread."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("social_perception", "launch", "test", "tools")
USE = re.compile(r"\bav\.logging\b|\bfrom av import .*\blogging\b")


def test_only_the_video_source_sets_pyavs_log_level() -> None:
    files = [path for place in PLACES for path in (ROOT / place).rglob("*.py")]
    users = {str(path.relative_to(ROOT)) for path in files if USE.search(path.read_text(encoding="utf-8"))}
    assert users == {"social_perception/sources/video.py", "test/sources/test_video.py"}
