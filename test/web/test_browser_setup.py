"""Without Chromium the tests of this folder are skipped, and one line says how to get it."""

from __future__ import annotations

import browser
import pytest


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without any Chromium, on which nothing installs one."""
    monkeypatch.setattr(browser, "NAMES", ())
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    tried = tmp_path / "tried"
    commands = [["no-such-program"], ["sh", "-c", f"echo $DEBIAN_FRONTEND >>{tried}"]]
    monkeypatch.setattr(browser, "ways", lambda: ([each] for each in commands))
    browser.starts.cache_clear()
    yield tried
    browser.starts.cache_clear()


def test_a_missing_browser_is_one_line_after_each_way_was_tried(bare, capfd):
    browser.main()
    assert bare.read_text() == "noninteractive\n"
    assert capfd.readouterr().err == f"{browser.MISSING}\n"


def test_only_root_uses_apt(monkeypatch):
    monkeypatch.setattr(browser.shutil, "which", lambda name: f"/usr/bin/{name}")
    for user, expected in ((0, ["apt-get", "--with-deps"]), (1000, [])):
        monkeypatch.setattr(browser.os, "geteuid", lambda user=user: user)
        words = [word for way in browser.ways() for command in way for word in command]
        assert [word for word in ("apt-get", "--with-deps") if word in words] == expected
        assert words[-2:] == ["--with-deps", "chromium"] if user == 0 else ["install", "chromium"]
