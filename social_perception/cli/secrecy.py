"""Tells who gives a secret on the command line that others can see it there."""

from __future__ import annotations

import logging

from social_perception.core.secret import is_plain

_logger = logging.getLogger(__name__)


def warn_if_seen(flag: str, value: str) -> None:
    """Warn where the flag holds the secret itself."""
    if is_plain(value):
        _logger.warning(
            "others on this machine see %s in the list of processes; %s @FILE keeps it from them", flag, flag
        )
