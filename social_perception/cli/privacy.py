"""The flags ``--anonymous`` and ``--blur-faces``, and what they cannot be combined with."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from social_perception.cli.options import add_settings, given_settings, is_given
from social_perception.core.config import AnonymityConfig
from social_perception.core.errors import ConfigurationError
from social_perception.core.types import FrameAffect
from social_perception.perception.group.anonymity import frame_without_people


def add_privacy_options(parser: argparse.ArgumentParser, hidden_in: str) -> None:
    """The flags of a command that shows or writes what is said of people.

    Args:
        parser: of the command.
        hidden_in: the pictures in which ``--blur-faces`` hides faces, for the help.
    """
    parser.add_argument(
        "--anonymous",
        action="store_true",
        help="the group's values alone: no ids, boxes or pictures, and of a small group only its size",
    )
    parser.add_argument("--blur-faces", action="store_true", help=f"hide the faces in {hidden_in}")
    add_settings(parser, [AnonymityConfig])


def check_privacy(options: argparse.Namespace, shows_people: Mapping[str, bool]) -> None:
    """Refuse what contradicts itself.

    Args:
        options: of the command.
        shows_people: flags that show or keep single people, and whether they are given.

    Raises:
        ConfigurationError: naming both flags.
    """
    if not options.anonymous:
        if is_given(options, "min_group_size"):
            raise ConfigurationError("--min-group-size needs --anonymous")
        return
    for flag, given in {**shows_people, "--blur-faces": options.blur_faces}.items():
        if given:
            raise ConfigurationError(f"--anonymous gives no pictures: leave out {flag}")


def view_of(options: argparse.Namespace) -> Callable[[FrameAffect], FrameAffect]:
    """What may be told of a frame: all of it, or what is left without its people."""
    if not options.anonymous:
        return lambda affect: affect
    least = given_settings(options, AnonymityConfig).min_group_size
    return lambda affect: frame_without_people(affect, least)
