"""Shared memory for large images between processes: see config/fastdds_large_images.xml."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

PROFILE = "config/fastdds_large_images.xml"
_CHOICES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")


def profile_path() -> Path | None:
    """The Fast DDS profile for publishers of large images; None if the package is not installed."""
    try:
        path = Path(get_package_share_directory("social_perception")) / PROFILE
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None


def prefer_large_images() -> None:
    """Use the profile in this process unless the user has chosen one. Call it before rclpy.init()."""
    path = profile_path()
    if path is not None and not any(name in os.environ for name in _CHOICES):
        os.environ[_CHOICES[0]] = str(path)
