"""The flags ``--group-only``, ``--anonymous`` and ``--blur-faces``, and those that contradict them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from social_perception.cli.options import add_settings, is_used, settings_from
from social_perception.core.config import AnonymityConfig, ExplanationConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import FrameAffect
from social_perception.perception.group.anonymity import frame_without_people


def add_privacy_options(parser: argparse.ArgumentParser, hidden_in: str) -> None:
    """Add the flags to a command that shows or writes results about people.

    Args:
        parser: of the command.
        hidden_in: the images in which ``--blur-faces`` hides faces, for the help.
    """
    parser.add_argument(
        "--anonymous",
        action="store_true",
        help="the group's values alone: no ids, boxes or images, and of a small group only its size",
    )
    parser.add_argument(
        "--group-only",
        action="store_true",
        help="the affect of the scene as a whole alone, from images and, with --sound, sound: no single "
        "person is processed",
    )
    parser.add_argument("--blur-faces", action="store_true", help=f"hide the faces in {hidden_in}")
    add_settings(parser, [AnonymityConfig])


def check_privacy(options: argparse.Namespace, shows_people: Mapping[str, bool]) -> None:
    """Refuse flags that contradict each other.

    Args:
        options: of the command.
        shows_people: flags that show or keep single people, and whether they are set.

    Raises:
        ConfigurationError: naming both flags.
    """
    if not options.anonymous and is_used(options, "min_group_size"):
        raise ConfigurationError("--min-group-size needs --anonymous")
    if options.group_only:
        for flag, is_set in {"--anonymous": options.anonymous, "--explain": _explains(options)}.items():
            if is_set:
                raise ConfigurationError(f"--group-only processes no single person: remove {flag}")
    elif not options.anonymous:
        return
    mode = "--group-only" if options.group_only else "--anonymous"
    for flag, is_set in {**shows_people, "--blur-faces": options.blur_faces}.items():
        if is_set:
            raise ConfigurationError(f"{mode} excludes images: remove {flag}")


def _explains(options: argparse.Namespace) -> bool:
    return settings_from(options, ExplanationConfig).explain


def without_sound(*, group_only: bool) -> str:
    """What follows where --sound is used and there is no sound."""
    return "the images alone are used" if group_only else "speech and laughter stay unknown"


def view_of(options: argparse.Namespace) -> Callable[[FrameAffect], FrameAffect]:
    """The view of a frame that may be reported: all of it, or only its group."""
    if not options.anonymous:
        return lambda affect: affect
    least = settings_from(options, AnonymityConfig).min_group_size
    return lambda affect: frame_without_people(affect, least)
