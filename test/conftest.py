"""What all tests share: a ROS domain for each process, and the development data."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def _claim_domain() -> None:
    """Set ROS_DOMAIN_ID to a domain that no other test process of this machine uses.

    The workers of a run, and runs beside each other, must not receive each other's topics. The lock is held
    until the process ends.
    """
    # Ports of domains above 101 collide with those that the system hands out.
    for domain in random.SystemRandom().sample(range(1, 102), 101):
        path = Path(tempfile.gettempdir()) / f"social_perception_domain_{domain}.lock"
        try:
            lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        except OSError:  # another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        return
    pytest.exit("all 101 ROS domains are in use by other test processes", returncode=3)


# Before any test imports rclpy.
_claim_domain()


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
