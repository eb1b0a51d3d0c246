"""Tests the promises of the package with the real launch files on this machine.

A recording becomes a camera with colour, depth and calibration. The nodes are launched, observed,
reconfigured, left without a camera, cleaned up, and run on a bag. The exit status is 1 if a promise was
broken.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from social_perception.core.errors import MissingDependencyError, SocialPerceptionError
from social_perception.ros.support.camera_topics import CAMERA
from social_perception.ros.support.rclpy_errors import own_arguments
from social_perception.ros.support.runner import exit_status, running
from social_perception.ros.tools.robot_check import steps
from social_perception.ros.tools.robot_check.launched import Program, TimedOut
from social_perception.ros.tools.robot_check.listener import Listener
from social_perception.ros.tools.robot_check.scene import record_scene
from social_perception.ros.tools.robot_check.steps import Check, camera, launched, note


class Broken(SocialPerceptionError):  # noqa: N818
    """Promises were broken; they have been printed."""


def parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="check_robot", description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="sample", help="recording for the camera (default: sample)")
    parser.add_argument(
        "--frames", type=int, default=90, help="number of its first images (default: %(default)s)"
    )
    parser.add_argument(
        "--width",
        type=int,
        default=1280,
        help="width in px that they are scaled to (default: %(default)s)",
    )
    parser.add_argument("--rate", type=float, default=15.0, help="images per second (default: %(default)g)")
    parser.add_argument(
        "--listen",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="time to observe the topics (default: %(default)g)",
    )
    parser.add_argument(
        "--camera",
        default=CAMERA,
        metavar="TOPIC",
        help="images of the robot's camera, which is observed first if it publishes (default: %(default)s)",
    )
    parser.add_argument(
        "--separate",
        action="store_true",
        help="one process per node (composed:=false) instead of one for all",
    )
    options = parser.parse_args(own_arguments(args))
    if options.frames < 1 or options.width < 1 or options.rate <= 0.0 or options.listen <= 0.0:
        parser.error("--frames, --width, --rate and --listen must be positive")
    return options


def main(args: Sequence[str] | None = None) -> int:
    options = parse(args)
    return exit_status(lambda: _check(options))


def _check(options: argparse.Namespace) -> None:
    note(f"Reading {options.source}")
    scene = record_scene(options.source, options.frames, options.width)
    width, height = scene.size
    note(f"  {len(scene.images)} images of {width}x{height}, up to {scene.people} people")
    note(
        f"  {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"ROS 2 {os.environ.get('ROS_DISTRO', '?')}, "
        f"{os.environ.get('RMW_IMPLEMENTATION', 'the default middleware')}"
    )
    with tempfile.TemporaryDirectory(prefix="check_robot_") as place:
        folder, namespace = Path(place), f"/check_{os.getpid()}"
        scene.save(folder)
        with running([lambda: Listener(namespace)]) as program:
            check = Check(
                scene, folder, namespace, program.nodes[0], not options.separate, options.rate, options.listen
            )
            try:
                _step("The robot's own camera", steps.own_camera, check, options.camera)
                _walk(check)
            except TimedOut as error:
                check.promise("the check can continue", False, str(error))
    if check.broken:
        raise Broken(f"{len(check.broken)} promises were broken: {', '.join(check.broken)}")
    note("All promises were kept.")


def _walk(check: Check) -> None:
    with launched(check, "group_smile.launch.py") as nodes:
        with camera(check) as first:
            _step("The nodes start", steps.starting, check)
            _step("Every topic", steps.topics, check)
            _step("Depth", steps.depth, check)
            _step("Parameters at run time", steps.parameters, check)
            _step("The camera is killed", steps.camera_lost, check, first)
        with camera(check):
            _step("The camera comes back", steps.camera_back, check)
            _step("The life cycle, twice", steps.life_cycle, check, nodes)
        _step("Ctrl-C", steps.ending, check, nodes)
    try:
        _step("A bag is played", steps.bag, check)
    except MissingDependencyError as error:
        note(f"  not checked: {error}")


def _step(title: str, work: Callable[..., None], check: Check, *arguments: Program | str) -> None:
    note(f"\n{title}")
    work(check, *arguments)


if __name__ == "__main__":
    raise SystemExit(main())
