#!/usr/bin/env python3
"""Chromium for the tests of the web page and the report, which pip cannot bring.

    python tools/browser.py    installs it where it can, else prints how to get it

It uses what the machine has, else what playwright downloaded. It installs Debian's package where it is root
on a machine with apt, else playwright's own build.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium: the browser tests are skipped (apt install chromium, or playwright install chromium)"
PATIENCE_S = 900.0


class BrowserMissingError(RuntimeError):
    """There is no Chromium, or it does not start."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser.

    Raises:
        BrowserMissingError: None of those that are installed starts.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise BrowserMissingError(MISSING) from error
    with sync_playwright() as playwright:
        # On Ubuntu, chromium-browser may be a script that only tells people to install a snap.
        for path in (*filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path):
            with suppress(Error):
                browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
                break
        else:
            raise BrowserMissingError(MISSING)
        try:
            yield browser
        finally:
            browser.close()


@functools.cache
def starts() -> bool:
    """Whether there is a Chromium that starts."""
    try:
        with chromium():
            return True
    except BrowserMissingError:
        return False


def ways() -> Iterator[list[list[str]]]:
    """The commands of each way to install it, the better one first."""
    playwright = [sys.executable, "-m", "playwright", "install"]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-q", "-y", "--no-install-recommends"]
        yield [["apt-get", "update", "-q"], [*install, "chromium", "fonts-noto-color-emoji"]]
        playwright.append("--with-deps")
    yield [[*playwright, "chromium"]]


def main() -> None:
    if starts():
        return
    print("==> Chromium for the browser tests", flush=True)
    for commands in ways():
        with suppress(OSError, subprocess.SubprocessError):
            for command in commands:
                subprocess.run(
                    command,
                    check=True,
                    timeout=PATIENCE_S,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                )
        starts.cache_clear()
        if starts():
            return
    print(MISSING, file=sys.stderr)


if __name__ == "__main__":
    main()
