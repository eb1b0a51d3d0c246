"""A keystore of SROS2 with the enclaves of a policy; keys are made once and never written again.

The cryptography is sros2's own; here stand only what it is asked for and who may read the result.
"""

from __future__ import annotations

import contextlib
import os
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
"""What is taken away from files and folders: all that is the group's and others'."""
DOMAIN = "ROS_DOMAIN_ID"
_WORDS = {"subscribe": "reads", "publish": "writes", "request": "calls"}


def make_keystore(folder: Path, policy: ET.Element, domain_id: int) -> Iterator[str]:
    """Make what is missing of a keystore, and write all permissions anew; existing keys stay.

    Args:
        folder: of the keystore.
        policy: settled, with all enclaves.
        domain_id: for which the permissions hold, and no other.

    Yields:
        What was done, line by line.

    Raises:
        MissingDependencyError: sros2 is not installed.
        ConfigurationError: sros2 refuses the policy.
        OutputError: the folder is another thing than a keystore with its CA, or cannot be written.
    """
    keystore, check = _sros2()
    with _as_owner(), _quiet(), _told(), tempfile.TemporaryDirectory() as scratch, _domain(domain_id):
        whole = Path(scratch) / "policy.xml"
        whole.write_bytes(ET.tostring(policy, encoding="utf-8", xml_declaration=True))
        check(whole)
        yield _open_keystore(keystore, folder, domain_id)
        known = keystore.get_enclaves(folder)
        for name, allowed in grants(policy).items():
            if name not in known:
                # Until its permissions are written it has sros2's, which allow everything.
                with _removed_if_failed(folder / "enclaves" / name[1:] / "permissions.p7s"):
                    keystore.create_enclave(folder, name)
                    keystore.create_permission(folder, name, whole)
            else:
                keystore.create_permission(folder, name, whole)
            words = "; ".join(
                f"{word} {', '.join(allowed[mode])}" for mode, word in _WORDS.items() if allowed[mode]
            )
            yield f"{'kept' if name in known else 'made'} {name}: {words}"
        for path in _tightened(folder):
            yield f"only the owner may now read {path}"


def _sros2() -> tuple[ModuleType, Callable[[Path], object]]:
    """What of sros2 is used: its keystore, and its check of a policy."""
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
        # sros2 would make a new CA over one of which a part is missing.
        if folder.exists() and any(folder.iterdir()):
            raise OutputError(
                f"{folder} is not empty and no whole keystore: take the one with the CA's keys in private, "
                "or another folder"
            )
        keystore.create_keystore(folder)
        return f"made the keystore {folder} for domain {domain_id}"
    governance = ET.parse(folder / "enclaves" / "governance.xml")
    domains = {each.text for each in governance.iterfind(".//domains/id")}
    if domains != {str(domain_id)}:
        raise OutputError(
            f"the keystore {folder} is for domain {', '.join(sorted(map(str, domains)))}, not {domain_id}: "
            f"set {DOMAIN} or --domain-id, or make another keystore"
        )
    return f"the keystore {folder} is there already"


@contextlib.contextmanager
def _removed_if_failed(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _as_owner() -> Iterator[None]:
    """Nobody else may read what is written, not even for a moment."""
    before = os.umask(_OWNER_ONLY)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # sros2 uses what cryptography will give up.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sros2")
        yield


@contextlib.contextmanager
def _domain(domain_id: int) -> Iterator[None]:
    """sros2 takes the domain from the environment."""
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
def _told() -> Iterator[None]:
    """What sros2 raises, in our words; it has no error of its own for most."""
    try:
        yield
    except SocialPerceptionError:
        raise
    except OSError as error:
        raise OutputError(f"the keystore cannot be written: {error}") from error
    except Exception as error:
        raise ConfigurationError(f"sros2 cannot make it: {type(error).__name__}: {error}") from error


def _tightened(folder: Path) -> Iterator[Path]:
    """Take from others what sros2 alone would have left readable; the keys of an older keystore, too."""
    for path in (folder, *sorted(folder.rglob("*"))):
        if not path.is_symlink() and path.stat().st_mode & _OWNER_ONLY:
            path.chmod(path.stat().st_mode & ~_OWNER_ONLY)
            yield path
