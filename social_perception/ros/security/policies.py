"""The SROS2 policies of the package's programs, with the names of a robot.

The files in config/security/policies use the nodes' own topic names. This module merges them to one policy
with absolute names, which are resolved as ROS does it: with the namespace and the remappings.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from social_perception.core.errors import ConfigurationError, MissingDependencyError

OWN_ENCLAVES = "/social_perception"
"""Default path of the enclaves in the keystore."""
CONSUMER = "consumer"
PICTURE = "affect_dashboard.picture"
"""Optional addition to the policy of affect_dashboard."""

_INCLUDE = "{http://www.w3.org/2001/XInclude}include"
_KINDS = {"topics": "topic", "services": "service"}
_HUMANS = "/humans/"
_MODES = ("subscribe", "publish", "reply", "request")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a robot that differ from those in the policies.

    Attributes:
        namespace: of the nodes and their topics.
        topics: remapped names by the nodes' own names.
        humans: base of ROS4HRI's topics.
        nodes: other full names by the nodes' own names.
        enclaves: path of the enclaves in the keystore.
    """

    namespace: str = "/"
    topics: Mapping[str, str] = field(default_factory=dict)
    humans: str = "/humans"
    nodes: Mapping[str, str] = field(default_factory=dict)
    enclaves: str = OWN_ENCLAVES


def policies_folder() -> Path:
    """The folder with the policies of the package.

    Raises:
        MissingDependencyError: the package is not installed as a ROS package.
    """
    try:
        return Path(get_package_share_directory("social_perception")) / "config" / "security" / "policies"
    except PackageNotFoundError as error:
        raise MissingDependencyError(
            "the policies are in the ROS package: build social_perception with colcon and source it"
        ) from error


def load_policy(path: Path) -> ET.Element:
    """Read a policy and its includes.

    Raises:
        ConfigurationError: a file cannot be read or is not a policy.
    """
    policy = _read(path)
    if policy.tag != "policy" or policy.find("enclaves/enclave") is None:
        raise ConfigurationError(f"{path} is not an SROS2 policy: it must be <policy> with <enclaves>")
    return policy


def resolve_names(policy: ET.Element, names: Names) -> ET.Element:
    """A copy of a policy with absolute names, and with the robot's path of the enclaves."""
    resolved = copy.deepcopy(policy)
    for enclave in resolved.iter("enclave"):
        path = enclave.get("path", "")
        if path.startswith(f"{OWN_ENCLAVES}/"):
            enclave.set("path", absolute(path[len(OWN_ENCLAVES) + 1 :], names.enclaves))
    for profile in resolved.iter("profile"):
        namespace = absolute(profile.get("ns", ""), names.namespace)
        own = profile.get("node", "")
        node = absolute(names.nodes.get(own, own), namespace)
        for kind, item in _KINDS.items():
            for name in profile.iterfind(f"{kind}/{item}"):
                name.text = _resolved_name((name.text or "").strip(), names, namespace, node)
        parent, _, last = node.rpartition("/")
        profile.set("ns", parent or "/")
        profile.set("node", last)
    return resolved


def absolute(name: str, namespace: str) -> str:
    """A name resolved in a namespace; absolute names are unchanged."""
    if len(name) > 1 and name.startswith("/"):
        return name
    return "/" + "/".join(part for part in f"{namespace}/{name}".split("/") if part)


def merge(policies: Iterable[ET.Element]) -> ET.Element:
    """Merge policies to one; profiles of enclaves with the same path are combined."""
    merged = ET.Element("policy", version="0.2.0")
    enclaves = ET.SubElement(merged, "enclaves")
    known: dict[str, ET.Element] = {}
    for enclave in (each for policy in policies for each in policy.iter("enclave")):
        path = enclave.get("path", "")
        if path in known:
            known[path].extend(enclave.iterfind("profiles/profile"))
            continue
        enclaves.append(enclave)
        known[path] = _only(enclave.iterfind("profiles"), path)
    return merged


def grants(policy: ET.Element) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The names that each enclave of a policy may subscribe, publish, reply and request."""
    return {
        enclave.get("path", ""): {mode: tuple(sorted(set(_allowed(enclave, mode)))) for mode in _MODES}
        for enclave in policy.iter("enclave")
    }


def _allowed(enclave: ET.Element, mode: str) -> Iterator[str]:
    for kind, item in _KINDS.items():
        for rule in enclave.iterfind(f"profiles/profile/{kind}"):
            if rule.get(mode) == "ALLOW":
                yield from (name.text or "" for name in rule.iterfind(item))


def _resolved_name(name: str, names: Names, namespace: str, node: str) -> str:
    if name.startswith("~"):
        return node + name[1:]
    if name.startswith(_HUMANS):
        return absolute(names.humans, namespace) + name[len(_HUMANS) - 1 :]
    return absolute(names.topics.get(name, name), namespace)


def _only(found: Iterable[ET.Element], path: str) -> ET.Element:
    elements = list(found)
    if len(elements) != 1:
        raise ConfigurationError(f"enclave {path} must have one <profiles>, got {len(elements)}")
    return elements[0]


def _read(path: Path) -> ET.Element:
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise ConfigurationError(f"the policy {path} cannot be read: {error}") from error
    _include(root, path)
    return root


def _include(element: ET.Element, path: Path) -> None:
    """Replace the XInclude elements; supports only the form of xpointer that our policies use."""
    for child in list(element):
        if child.tag != _INCLUDE:
            _include(child, path)
            continue
        found = _pointed_at(_read(path.parent / child.get("href", "")), child.get("xpointer", ""), path)
        place = list(element).index(child)
        element.remove(child)
        for offset, each in enumerate(found):
            element.insert(place + offset, each)


def _pointed_at(root: ET.Element, pointer: str, path: Path) -> Sequence[ET.Element]:
    steps = pointer.removeprefix("xpointer(/").removesuffix(")").split("/", 1)
    found = root.findall(steps[1]) if len(steps) == 2 and steps[0] == root.tag else []
    if not found:
        raise ConfigurationError(f"{path} includes {pointer!r}, which matches nothing in <{root.tag}>")
    return found
