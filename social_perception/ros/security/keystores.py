"""Creates an SROS2 keystore with the enclaves of a policy; existing keys are never overwritten.

sros2 does the cryptography; this module calls it and restricts access to the files.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

from social_perception.core.errors import (
    ConfigurationError,
    MissingDependencyError,
    OutputError,
    SocialPerceptionError,
)
from social_perception.ros.security.policies import grants

_OWNER_ONLY = 0o077
"""Permissions that are removed from files and folders: all those of group and others."""
DOMAIN = "ROS_DOMAIN_ID"
_CRYPTOGRAPHY = 45
"""The newest release that sros2 0.13 works with; later ones reject the curve that it passes as a class."""
_VERBS = {"subscribe": "subscribes to", "publish": "publishes", "request": "calls"}


def make_keystore(folder: Path, policy: ET.Element, domain_id: int) -> Iterator[str]:
    """Create the missing parts of a keystore and update all permissions; existing keys are kept.

    Args:
        folder: of the keystore.
        policy: with all enclaves and absolute names.
        domain_id: the only domain for which the permissions are valid.

    Yields:
        A line for each change.

    Raises:
        MissingDependencyError: sros2 is not installed.
        ConfigurationError: sros2 rejects the policy.
        OutputError: the folder is not a complete keystore, or cannot be written.
    """
    keystore, check = _sros2()
    with (
        _as_owner(),
        _quiet(),
        _converted_errors(),
        tempfile.TemporaryDirectory() as scratch,
        _domain(domain_id),
    ):
        whole = Path(scratch) / "policy.xml"
        whole.write_bytes(ET.tostring(policy, encoding="utf-8", xml_declaration=True))
        check(whole)
        yield _open_keystore(keystore, folder, domain_id)
        known = keystore.get_enclaves(folder)
        for name, allowed in grants(policy).items():
            if name not in known:
                # Until its permissions are written, those of sros2 allow everything.
                with _removed_if_failed(folder / "enclaves" / name[1:] / "permissions.p7s"):
                    keystore.create_enclave(folder, name)
                    keystore.create_permission(folder, name, whole)
            else:
                keystore.create_permission(folder, name, whole)
            rules = "; ".join(
                f"{verb} {', '.join(allowed[mode])}" for mode, verb in _VERBS.items() if allowed[mode]
            )
            yield f"{'kept' if name in known else 'created'} {name}: {rules}"
        for path in _restricted(folder):
            yield f"restricted {path} to its owner"


def _sros2() -> tuple[ModuleType, Callable[[Path], object]]:
    """The keystore module of sros2, and its check of a policy."""
    try:
        from sros2 import keystore
        from sros2.policy import load_policy as check
    except ImportError as error:
        raise MissingDependencyError(
            f"make_keystore needs sros2 ({error}): sudo apt install ros-$ROS_DISTRO-sros2"
        ) from error
    return keystore, check


def _open_keystore(keystore: ModuleType, folder: Path, domain_id: int) -> str:
    if not keystore.is_valid_keystore(folder):
        # sros2 would overwrite an incomplete CA with a new one.
        if folder.exists() and any(folder.iterdir()):
            raise OutputError(
                f"{folder} is not empty and not a complete keystore: use the one with the keys of the CA in "
                "private, or another folder"
            )
        try:
            keystore.create_keystore(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # it was empty
            raise
        return f"created the keystore {folder} for domain {domain_id}"
    governance = ET.parse(folder / "enclaves" / "governance.xml")
    domains = {each.text for each in governance.iterfind(".//domains/id")}
    if domains != {str(domain_id)}:
        raise OutputError(
            f"the keystore {folder} is for domain {', '.join(sorted(map(str, domains)))}, not {domain_id}: "
            f"set {DOMAIN} or --domain-id, or create another keystore"
        )
    return f"the keystore {folder} exists"


@contextlib.contextmanager
def _removed_if_failed(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _as_owner() -> Iterator[None]:
    """Create files that only their owner can read, from the start."""
    before = os.umask(_OWNER_ONLY)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # sros2 uses deprecated functions of cryptography.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sros2")
        yield


@contextlib.contextmanager
def _domain(domain_id: int) -> Iterator[None]:
    """Set the domain in the environment, where sros2 reads it."""
    before = os.environ.get(DOMAIN)
    os.environ[DOMAIN] = str(domain_id)
    try:
        yield
    finally:
        if before is None:
            del os.environ[DOMAIN]
        else:
            os.environ[DOMAIN] = before


@contextlib.contextmanager
def _converted_errors() -> Iterator[None]:
    """Convert the exceptions of sros2 to our errors."""
    try:
        yield
    except SocialPerceptionError:
        raise
    except OSError as error:
        raise OutputError(f"the keystore cannot be written: {error}") from error
    except Exception as error:
        raise ConfigurationError(f"sros2 failed: {type(error).__name__}: {error}{_hint(error)}") from error


def _hint(error: Exception) -> str:
    version = importlib.metadata.version("cryptography")
    if not isinstance(error, (TypeError, AttributeError)) or int(version.split(".")[0]) <= _CRYPTOGRAPHY:
        return ""
    return f" (cryptography is {version}; for sros2: pip install 'cryptography<{_CRYPTOGRAPHY + 1}')"


def _restricted(folder: Path) -> Iterator[Path]:
    """Remove the permissions of group and others, also in an older keystore; yield the changed paths."""
    for path in (folder, *sorted(folder.rglob("*"))):
        if not path.is_symlink() and path.stat().st_mode & _OWNER_ONLY:
            path.chmod(path.stat().st_mode & ~_OWNER_ONLY)
            yield path
