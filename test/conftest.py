"""Fixtures that every room's tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# Test processes side by side must not hear each other's topics. Set before anything of ROS begins.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
if _WORKER:
    _DOMAIN = int(os.environ.get("ROS_DOMAIN_ID", "0"))
    os.environ["ROS_DOMAIN_ID"] = str((_DOMAIN + 23 * (int(_WORKER) + 1)) % 101 + 1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the development data: clips, photos and labelled images.

    It is no part of the repository. On a developer's machine its tests are skipped without it; on a
    continuous-integration machine that would hide a broken set-up, so there they fail.
    """
    folder = Path(os.environ.get("SOCIAL_PERCEPTION_DATA") or REPOSITORY.parent / "shared").resolve()
    if (folder / "clips").is_dir():
        return folder
    message = f"no development data in {folder}; set SOCIAL_PERCEPTION_DATA to its folder"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)
