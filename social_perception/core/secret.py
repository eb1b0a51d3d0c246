"""Access tokens, passed as a value or as the name of a file.

A command line is visible to all users of the machine (``ps``), and a ROS parameter to the whole ROS graph.
``@FILE`` names a file instead.
"""

from __future__ import annotations

import re
from pathlib import Path

from social_perception.core.errors import ConfigurationError
from social_perception.core.files import read_limited

RULE = "at least 12 letters, digits, - or _"
_TOKEN = re.compile("[A-Za-z0-9_-]{12,1024}")
_MAX_BYTES = 4096


def check_secret(name: str, value: str) -> None:
    """Check that a setting is empty, a token or ``@FILE``.

    Raises:
        ConfigurationError: it is not; the message does not contain the value.
    """
    if value and not _TOKEN.fullmatch(value) and not (value[0] == "@" and len(value) > 1):
        raise ConfigurationError(f"{name} must be {RULE}, or @ and the name of a file with them")


def read_secret(name: str, value: str) -> str:
    """Return the token of a setting: its value, or the content of the file of ``@FILE``.

    Raises:
        ConfigurationError: the file cannot be read or holds no token; the message does not contain its
            content.
    """
    if not value.startswith("@"):
        return value
    path = Path(value[1:]).expanduser()
    try:
        token = read_limited(path, _MAX_BYTES).decode("ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"the {name} in {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        token = ""
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(f"{path} must hold a {name} of {RULE}, and nothing else") from None
    return token


def is_plain(value: str) -> bool:
    """Return whether the setting contains the token itself, visible to others."""
    return bool(value) and not value.startswith("@")
