#!/usr/bin/env python3
"""Makes the pictures of README.md from the sample: overlay, live page and report.

    . ./env.sh && .venv/bin/python tools/make_pictures.py

Needs Chromium (tools/browser.py). Everything is computed by the real pipeline.
"""

from __future__ import annotations

import io
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from browser import chromium
from PIL import Image

from social_perception.cli.main import main as command
from social_perception.core.config import PipelineConfig, WebConfig
from social_perception.perception.pipeline import make_pipeline
from social_perception.sinks.video import VideoWriter
from social_perception.sources.pacing import PacedSource
from social_perception.sources.sample import RATE_HZ, SampleSource
from social_perception.views.overlay import draw_overlay
from social_perception.views.traces import Traces
from social_perception.views.web.server import Dashboard

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
PEOPLE, SECONDS = 8, 24
WIDTH = 1280


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        make_overlay_and_page(browser)
        make_report(browser, Path(scratch))


def make_overlay_and_page(browser: Any) -> None:
    """Walk through the sample while a page looks on; the last frame is drawn."""
    traces = Traces(4.0)
    with Dashboard(WebConfig(port=0), "sample") as dashboard:
        page = browser.new_page(viewport={"width": WIDTH, "height": 720}, color_scheme="light")
        page.goto(dashboard.url)
        with make_pipeline(PipelineConfig(), live=True) as pipeline:
            for frame in PacedSource(SampleSource(PEOPLE, SECONDS)):
                affect = pipeline.process(frame)
                traces.add(affect)
                dashboard.show(affect)
        page.wait_for_timeout(800)  # until everybody has moved to their place
        keep(page.screenshot(), "page.png")
    drawn = draw_overlay(frame.image, affect, traces=traces)
    Image.fromarray(drawn).save(IMAGES / "overlay.jpg", quality=88)


def make_report(browser: Any, scratch: Path) -> None:
    """Write the sample as a video, annotate it, and show its report."""
    video = scratch / "sample.mp4"
    with VideoWriter(video, RATE_HZ) as writer:
        for frame in islice(SampleSource(PEOPLE), round(SECONDS * RATE_HZ)):
            writer.add(frame.image, frame.stamp_s)
    if command(["annotate", str(video), "--output", str(scratch), "--no-video", "--no-plot"]) != 0:
        raise SystemExit("error: the sample could not be annotated")
    page = browser.new_page(viewport={"width": WIDTH, "height": 1180}, color_scheme="light")
    page.goto((scratch / "sample" / "report.html").as_uri())
    keep(page.screenshot(), "report.png")


def keep(screenshot: bytes, name: str) -> None:
    """Write a screenshot, as small as PNG gets without loss."""
    Image.open(io.BytesIO(screenshot)).convert("RGB").save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    main()
