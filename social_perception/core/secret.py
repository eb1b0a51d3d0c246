"""Tokens that others must know: given as they are, or by the file that holds them.

What stands on a command line is seen by everybody on the machine (``ps``), and a ROS parameter by
everybody on the graph. ``@FILE`` names the file instead.
"""

from __future__ import annotations

import re
from pathlib import Path

from social_perception.core.errors import ConfigurationError
from social_perception.core.files import read_limited

RULE = "12 letters, digits, - or _ at least"
_TOKEN = re.compile("[A-Za-z0-9_-]{12,1024}")
_MOST_BYTES = 4096


def check_secret(name: str, value: str) -> None:
    """Refuse a setting that is neither empty, nor a token, nor ``@FILE``. The value is not repeated.

    Raises:
        ConfigurationError: it is something else.
    """
    if value and not _TOKEN.fullmatch(value) and not (value[0] == "@" and len(value) > 1):
        raise ConfigurationError(f"{name} must be {RULE}, or @ and the name of a file that holds them")


def read_secret(name: str, value: str) -> str:
    """The token that a setting gives: the value, or what stands in the file that ``@FILE`` names.

    Raises:
        ConfigurationError: the file cannot be read or holds something else; its content is not repeated.
    """
    if not value.startswith("@"):
        return value
    path = Path(value[1:]).expanduser()
    try:
        token = read_limited(path, _MOST_BYTES).decode("ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"the {name} in {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        token = ""
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(f"{path} must hold a {name} of {RULE}, and nothing else") from None
    return token


def is_plain(value: str) -> bool:
    """Whether the setting itself is the secret, for others to see."""
    return bool(value) and not value.startswith("@")
