"""What each program of the package may do under SROS2: its policies, in the names of one robot.

The files in config/security/policies name topics as the nodes do. Here they become one policy in which
every name is absolute, as ROS makes names absolute: by the namespace and the remappings.
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
"""Where the enclaves lie in the keystore, unless asked for elsewhere."""
CONSUMER = "consumer"
PICTURE = "affect_dashboard.picture"
"""Goes beside affect_dashboard, for who wants it."""

_INCLUDE = "{http://www.w3.org/2001/XInclude}include"
_KINDS = {"topics": "topic", "services": "service"}
_HUMANS = "/humans/"
_MODES = ("subscribe", "publish", "reply", "request")


@dataclass(frozen=True, slots=True)
class Names:
    """How the names of a robot differ from those of the policies.

    Attributes:
        namespace: of the nodes and their topics.
        topics: other names by the nodes' own, as remappings give them.
        humans: base of ROS4HRI's topics.
        nodes: other full names by the nodes' names.
        enclaves: where the enclaves lie in the keystore.
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
    """Read a policy; what it includes stands in its place.

    Raises:
        ConfigurationError: a file cannot be read or is no policy.
    """
    policy = _read(path)
    if policy.tag != "policy" or policy.find("enclaves/enclave") is None:
        raise ConfigurationError(f"{path} is no SROS2 policy: it must be <policy> with <enclaves>")
    return policy


def settle(policy: ET.Element, names: Names) -> ET.Element:
    """A copy of a policy with all names absolute, and its enclaves where the robot has them."""
    settled = copy.deepcopy(policy)
    for enclave in settled.iter("enclave"):
        path = enclave.get("path", "")
        if path.startswith(f"{OWN_ENCLAVES}/"):
            enclave.set("path", absolute(path[len(OWN_ENCLAVES) + 1 :], names.enclaves))
    for profile in settled.iter("profile"):
        namespace = absolute(profile.get("ns", ""), names.namespace)
        own = profile.get("node", "")
        node = absolute(names.nodes.get(own, own), namespace)
        for kind, item in _KINDS.items():
            for name in profile.iterfind(f"{kind}/{item}"):
                name.text = _settled_name((name.text or "").strip(), names, namespace, node)
        parent, _, last = node.rpartition("/")
        profile.set("ns", parent or "/")
        profile.set("node", last)
    return settled


def absolute(name: str, namespace: str) -> str:
    """A name in a namespace; an absolute name stays as it is."""
    if len(name) > 1 and name.startswith("/"):
        return name
    return "/" + "/".join(part for part in f"{namespace}/{name}".split("/") if part)


def merge(policies: Iterable[ET.Element]) -> ET.Element:
    """One policy of several; the profiles of enclaves of the same path are put together."""
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
    """What each enclave of a settled policy may subscribe, publish, reply and request: absolute names."""
    return {
        enclave.get("path", ""): {mode: tuple(sorted(set(_allowed(enclave, mode)))) for mode in _MODES}
        for enclave in policy.iter("enclave")
    }


def _allowed(enclave: ET.Element, mode: str) -> Iterator[str]:
    for kind, item in _KINDS.items():
        for rule in enclave.iterfind(f"profiles/profile/{kind}"):
            if rule.get(mode) == "ALLOW":
                yield from (name.text or "" for name in rule.iterfind(item))


def _settled_name(name: str, names: Names, namespace: str, node: str) -> str:
    if name.startswith("~"):
        return node + name[1:]
    if name.startswith(_HUMANS):
        return absolute(names.humans, namespace) + name[len(_HUMANS) - 1 :]
    return absolute(names.topics.get(name, name), namespace)


def _only(found: Iterable[ET.Element], path: str) -> ET.Element:
    several = list(found)
    if len(several) != 1:
        raise ConfigurationError(f"enclave {path} must have one <profiles>, got {len(several)}")
    return several[0]


def _read(path: Path) -> ET.Element:
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise ConfigurationError(f"the policy {path} cannot be read: {error}") from error
    _include(root, path)
    return root


def _include(element: ET.Element, path: Path) -> None:
    """Put what is included in its place, as XInclude says; only the one form of xpointer that we use."""
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
        raise ConfigurationError(f"{path} includes {pointer!r}, which points at nothing in <{root.tag}>")
    return found
