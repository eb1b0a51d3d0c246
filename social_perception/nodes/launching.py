"""What the launch files have in common: packages that may be missing."""

from __future__ import annotations

from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import OpaqueFunction


class PackageMissing(RuntimeError):  # noqa: N818
    """A package that was asked for is not installed; launch shows the text as its error."""


def is_installed(package: str) -> bool:
    """Whether a ROS package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def first_installed(*packages: str) -> str:
    """The first of the packages that is installed; the last one if none is."""
    return next((package for package in packages if is_installed(package)), packages[-1])


def needs(package: str, wanted_for: str, **options: Any) -> OpaqueFunction:
    """An action that ends the launch with a remedy if a package is missing; to be put before its use.

    Args:
        package: that must be installed.
        wanted_for: what asks for it, for example ``rviz:=true``.
        options: of the action, for example ``condition``.
    """

    def check(_context: object) -> None:
        if not is_installed(package):
            raise PackageMissing(
                f"{wanted_for} needs the package {package}, which is not installed: "
                f"sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
            )

    return OpaqueFunction(function=check, **options)
