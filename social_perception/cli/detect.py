"""Find the faces of still images, each image as it is."""

from __future__ import annotations

import argparse
from pathlib import Path

from social_perception.cli.options import add_settings, settings_from
from social_perception.cli.stills import with_progress
from social_perception.core.config import DetectionConfig

_BOXES = "dlib"
"""The command is for comparing detectors; ``--boxes voted`` gives the boxes of the pipeline."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", type=Path, metavar="IMAGES_DIR", help="a folder of images, or one image")
    parser.add_argument("--output", type=Path, required=True, metavar="BOXES.CSV")
    add_settings(parser, [DetectionConfig], leave_out=frozenset({"cpu_budget", "detection_interval"}))
    parser.epilog = f"The default of --boxes is {_BOXES} here."


def run(options: argparse.Namespace) -> int:
    # Imported here: torch takes seconds to load, and --help must not.
    from social_perception.perception.detection.factory import make_detector
    from social_perception.sinks.tables import BoxTable
    from social_perception.sources.image_folder import Images, list_images

    stills = Images(list_images(options.images))
    detector = make_detector(settings_from(options, DetectionConfig, boxes=_BOXES))
    images = faces = empty = 0
    with BoxTable(options.output) as table:
        for path, image in with_progress(stills):
            if image is None:
                continue
            found = detector.detect(image)
            table.add(path.name, found)
            images += 1
            faces += len(found)
            empty += not found
    print(f"{faces} faces in {images} images, {empty} of them without a face -> {options.output}")
    return int(stills.unread > 0)
