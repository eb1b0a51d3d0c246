"""The reference pages of the documentation, generated from the code.

Parameters come from the nodes' own descriptors, types and qualities of service from the nodes' publishers and
subscriptions, and who publishes and subscribes what from the SROS2 policies, which a test compares
with the nodes. Needs ROS 2 and the built messages: ``. ./env.sh``. Run as a program, it writes the pages into
a folder.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSReliabilityPolicy

import social_perception.ros.nodes
from social_perception.cli.main import _parser
from social_perception.core.signals import Field, Subject, signals_of
from social_perception.ros.security.policies import CONSUMER, Names, grants, load_policy, resolve_names

ROOT = Path(__file__).resolve().parents[1]
POLICIES = ROOT / "config" / "security" / "policies"
TYPES_OF_OTHERS = {
    "image/compressed": "sensor_msgs/CompressedImage",
    "/clock": "rosgraph_msgs/Clock",
    "/humans/": "[ROS4HRI](../ros4hri.md)",
}
"""Types of topics that no node publishes or subscribes by default."""
NODES_IN_ONE_PROCESS = "social_perception_all"
ALL_PUBLISH, ALL_SUBSCRIBE = {"/rosout", "/parameter_events"}, {"/clock"}
"""Topics of every node, which the tables omit."""
TOPICS = """# Topics

Names are those of the nodes; remappings and the namespace change them. Every message has the header of its
image, unchanged. A QoS is in brackets where a node always has the publisher or subscription; the views
subscribe only while somebody looks.
"""
PROGRAMS = """
`image` and `depth` are subscribed best effort, and reliably while all their publishers are reliable
(parameter `reliability`: `auto`). With `reliability: reliable`, a best-effort camera is not received, and
/diagnostics reports both profiles. `image/compressed` replaces `image` with `image_transport: compressed`.

## Programs

With SROS2, each program has an enclave of its name, `/social_perception/PROGRAM`, whose policy permits
exactly these topics. Each may also subscribe to `/clock`, publish `/rosout` and `/parameter_events`, and
serve its own parameter services; managed nodes also publish `~/transition_event` and serve the services of
their life cycle.
"""
PARAMETERS = """# Parameters

`ros2 param describe /NODE PARAMETER` prints the same. Parameters marked *run time* can be changed with `ros2
param set`; the others are read when the node starts.
"""
SIGNALS = """# Signals

Each signal is declared once, as a dataclass; tables, messages, the page and reports are derived from it
([Concepts](../concepts.md#signals)). A face's signal is `face[Smile]` in Python.
"""
SUBJECTS = {
    Subject.FACE: "face",
    Subject.GROUP: "group",
    Subject.PAIR: "pair of people",
    Subject.DYNAMICS: "group, at 1 Hz",
    Subject.SCENE: "scene",
}
RELIABLE = QoSReliabilityPolicy.RELIABLE
OPTIONAL_PACKAGES = ("hri_msgs", "hri_msgs.msg")
"""Replaced by stand-ins where they are not installed: only the parameters of their nodes are read."""


def pages() -> dict[str, str]:
    """The text of each page by its path in docs/."""
    with _nodes() as nodes:
        return {
            "reference/topics.md": _topics(nodes),
            "reference/parameters.md": _parameters(nodes),
            "reference/messages.md": _messages(),
            "reference/command_line.md": _command_line(),
            "reference/signals.md": _signals(),
        }


# Nodes.


@contextmanager
def _nodes() -> Iterator[dict[str, Node]]:
    """An instance of every node class by its module's name; managed ones are configured and active."""
    for name in OPTIONAL_PACKAGES:
        sys.modules.setdefault(name, MagicMock())
    context = rclpy.Context()
    quiet = ["--ros-args", "--log-level", "fatal"]
    rclpy.init(args=quiet, context=context, domain_id=1 + os.getpid() % 100)
    off = [Parameter("autostart", value=False)]
    found: dict[str, Node] = {}
    try:
        for name, kind in _node_classes():
            node = kind(context=context, parameter_overrides=off)
            found[name] = node
            if hasattr(node, "trigger_configure") and "ros4hri" not in name:
                node.trigger_configure()
                node.trigger_activate()
        yield found
    finally:
        for node in found.values():
            node.destroy_node()
        context.try_shutdown()


def _node_classes() -> Iterator[tuple[str, type[Node]]]:
    package = social_perception.ros.nodes
    for each in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{each.name}")
        for kind in vars(module).values():
            if not (inspect.isclass(kind) and issubclass(kind, Node) and kind.__module__ == module.__name__):
                continue
            required = [
                item
                for item in inspect.signature(kind).parameters.values()
                if item.default is item.empty and item.kind is not item.VAR_KEYWORD
            ]
            if not required:  # image_publisher has options instead of parameters
                yield each.name, kind


# Topics.


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a publisher or a subscription says of its topic."""

    topic: str
    type: type
    qos: Any
    publishes: bool


def _topics(nodes: dict[str, Node]) -> str:
    programs = _programs()
    endpoints = [each for node in nodes.values() for each in _endpoints_of(node)]
    names = {name for each in programs for name in (*each.publishes, *each.subscribes)}
    rows = [
        _topic_row(name, programs, endpoints)
        for name in sorted(names, key=lambda name: (name[0] == "/", name))
    ]
    return "\n".join(
        [
            TOPICS,
            *_table(("topic", "type", "published by", "subscribed by"), rows),
            PROGRAMS,
            *_table(
                ("program", "purpose", "subscribes", "publishes"),
                [
                    (f"`{each.name}`", each.purpose, _codes(each.subscribes), _codes(each.publishes))
                    for each in programs
                ],
            ),
        ]
    )


@dataclass(frozen=True, slots=True)
class Program:
    """A program and its topics, as its policy has them."""

    name: str
    purpose: str
    subscribes: tuple[str, ...]
    publishes: tuple[str, ...]


def _programs() -> list[Program]:
    found = []
    for path in sorted(POLICIES.glob("*.xml")):
        if "." in path.stem or path.stem == CONSUMER:
            continue
        (allowed,) = grants(resolve_names(load_policy(path), Names())).values()
        comment = re.search(r"<!--(.*?)-->", path.read_text(encoding="utf-8"), re.S)
        purpose = " ".join(comment[1].split()).rstrip(".") if comment else ""
        subscribes = _own_topics(allowed["subscribe"], ALL_SUBSCRIBE)
        publishes = _own_topics(allowed["publish"], ALL_PUBLISH)
        found.append(Program(path.stem, purpose, subscribes, publishes))
    return found


def _own_topics(names: Iterable[str], common: set[str]) -> tuple[str, ...]:
    kept = (name for name in names if name not in common and not name.endswith("/transition_event"))
    return tuple(sorted(_as_in_code(name) for name in kept))


def _as_in_code(name: str) -> str:
    """A topic's name as its node has it: policies have absolute names."""
    return name if name.startswith(("/diagnostics", "/clock", "/humans")) else name.removeprefix("/")


def _endpoints_of(node: Node) -> Iterator[Endpoint]:
    for publishes, ends in ((True, node.publishers), (False, node.subscriptions)):
        for end in ends:
            yield Endpoint(_as_in_code(end.topic_name), end.msg_type, end.qos_profile, publishes)


def _topic_row(name: str, programs: Sequence[Program], endpoints: Sequence[Endpoint]) -> tuple[str, ...]:
    ends = [each for each in endpoints if each.topic == name]
    alone = [each for each in programs if each.name != NODES_IN_ONE_PROCESS]
    publishers = [each.name for each in alone if name in each.publishes]
    subscribers = [each.name for each in alone if name in each.subscribes]
    if name == "/diagnostics":
        publishers = ["every managed node"]
    kind = (
        _type_link(ends[0].type) if ends else TYPES_OF_OTHERS.get(name.partition("/humans/")[1] or name, "")
    )
    offered, requested = (_qos(each.qos for each in ends if each.publishes is out) for out in (True, False))
    return f"`{name}`", kind, _with(publishers, offered), _with(subscribers, requested)


def _with(names: Sequence[str], qos: str) -> str:
    return ", ".join(names) + (f" ({qos})" if qos else "")


def _type_link(kind: type) -> str:
    package = kind.__module__.partition(".")[0]
    if package == "social_perception":
        return f"[{kind.__name__}](messages.md#{kind.__name__.lower()})"
    return f"{package}/{kind.__name__}"


def _qos(profiles: Iterable[Any]) -> str:
    words = {
        f"{'reliable' if each.reliability == RELIABLE else 'best effort'}, depth {each.depth}"
        for each in profiles
    }
    return "; ".join(_unbroken(each) for each in sorted(words))


# Parameters.


def _parameters(nodes: dict[str, Node]) -> str:
    lines = [
        PARAMETERS,
    ]
    managed = [node for node in nodes.values() if hasattr(node, "trigger_configure")]
    common = [
        name for name in _parameters_of(managed[0]) if all(node.has_parameter(name) for node in managed)
    ]
    rows = [_parameter_row(managed[0], name) for name in common]
    lines += ["", "## All managed nodes", "", *_table(PARAMETER_COLUMNS, rows)]
    for name, node in nodes.items():
        own = [item for item in _parameters_of(node) if node not in managed or item not in common]
        if not own:
            continue
        lines += ["", f"## {name}", ""]
        if name == "anonymous_group":
            lines += [
                "The node is named `group_affect` and has the parameters of the nodes that it replaces.",
                "",
            ]
        lines += _table(PARAMETER_COLUMNS, [_parameter_row(node, item) for item in own])
    return "\n".join(lines)


PARAMETER_COLUMNS = ("parameter", "default", "range", "run time", "meaning")


def _parameters_of(node: Node) -> list[str]:
    of_ros = re.compile(r"use_sim_time$|start_type_description_service$|qos_overrides\.")
    return [name for name in node._parameters if not of_ros.match(name)]


def _parameter_row(node: Node, name: str) -> tuple[str, ...]:
    descriptor, value = node.describe_parameter(name), node.get_parameter(name).value
    default = True if name == "autostart" else value  # set when the node was made
    text = (
        str(default).lower()
        if isinstance(default, bool)
        else str(list(default) if _is_list(default) else default)
    )
    shown = f"`{text}`" if text not in ("", "[]") else "empty"
    (limits,) = [*descriptor.integer_range, *descriptor.floating_point_range] or [None]
    span = _unbroken(f"{limits.from_value:g} to {limits.to_value:g}") if limits else ""
    choices = descriptor.additional_constraints.removeprefix("one of: ")
    changes = "" if descriptor.read_only else "yes"
    return f"`{descriptor.name}`", shown, span or choices, changes, descriptor.description


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


# Messages.


def _messages() -> str:
    lines = ["# Messages", "", "Package `social_perception`. Unknown numbers are NaN."]
    for path in sorted((ROOT / "msg").glob("*.msg")):
        intro, fields = _parsed(path.read_text(encoding="utf-8"))
        constants = [each for each in fields if "=" in each[0]]
        lines += ["", f"## {path.stem}", "", intro, ""]
        if constants:
            lines += [
                "Constants: " + ", ".join(f"`{code.partition(' ')[2]}`" for code, _ in constants) + ".",
                "",
            ]
        rows = [
            (f"`{name}`", _field_type(kind), text)
            for kind, name, text in ((*code.split(), text) for code, text in fields if "=" not in code)
        ]
        lines += _table(("field", "type", "meaning"), rows)
    return "\n".join(lines)


def _parsed(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The comment that begins the file, and each line of code with the comment above it."""
    blocks = re.split(r"\n\s*\n", text.strip())
    fields, comment = [], ""
    for block in blocks[1:]:
        lines = block.splitlines()
        comment = " ".join(line.lstrip("# ").strip() for line in lines if line.startswith("#"))
        fields += [(" ".join(line.split()), comment) for line in lines if not line.startswith("#")]
    return " ".join(line.lstrip("# ").strip() for line in blocks[0].splitlines()), fields


def _field_type(kind: str) -> str:
    base = kind.partition("[")[0]
    if (ROOT / "msg" / f"{base}.msg").exists():
        return f"[{kind.replace('[', '&#91;').replace(']', '&#93;')}](#{base.lower()})"
    return f"`{kind}`"


# Signals.


def _signals() -> str:
    lines = [SIGNALS]
    for subject, table in (
        (Subject.FACE, "`faces.csv`"),
        (Subject.GROUP, "`group.csv`"),
        (Subject.PAIR, ""),
        (Subject.DYNAMICS, ""),
        (Subject.SCENE, "`scene.csv`"),
    ):
        for one in signals_of(subject):
            source = (
                Path(inspect.getsourcefile(one.kind) or "").resolve().relative_to(ROOT / "social_perception")
            )
            lines += [
                "",
                f"## {one.kind.__name__}",
                "",
                f"Of a {SUBJECTS[subject]}. Defined in `{source}`.",
                "",
            ]
            heading = ("field", "meaning", "unit", "range", "unknown", "message field", f"column of {table}")
            rows = [_signal_row(each) for each in one.fields]
            lines += _table(heading if table else heading[:-1], rows if table else [row[:-1] for row in rows])
    return "\n".join(lines)


def _signal_row(each: Field) -> tuple[str, ...]:
    unknown = (
        "-" if not each.can_be_unknown else "NaN" if each.type in (float, tuple) else f"{each.unknown:d}"
    )
    return (
        f"`{each.name}`", each.label, each.unit or "-", _unbroken(each.bounds) or "-", unknown,
        f"`{each.message}`", _codes(each.columns) or "-",
    )  # fmt: skip


# Command line.


def _command_line() -> str:
    parser = _parser()
    (commands,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    lines = [
        "# Command line",
        "",
        str(parser.description),
        "",
        "Exit status: 0 success, 1 an error (one line on stderr), 2 wrong usage, 130 interrupted.",
    ]
    for name, command in commands.choices.items():
        usage = " ".join(each.metavar or each.dest for each in command._actions if not each.option_strings)
        lines += ["", f"## {name}", "", str(command.description), "", "```"]
        lines += [f"{parser.prog} {name} [OPTIONS] {usage}".rstrip(), "```"]
        groups: dict[str, list[tuple[str, str]]] = {}  # several may have one title
        for group in command._action_groups:
            rows = [_option_row(command, action) for action in group._group_actions if _is_shown(action)]
            groups.setdefault(str(group.title).capitalize(), []).extend(rows)
        for title, rows in groups.items():
            lines += ["", f"**{title}**", "", *_table(("option", "meaning"), rows)] if rows else []
    return "\n".join(lines)


def _is_shown(action: argparse.Action) -> bool:
    return action.help is not argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)


def _option_row(command: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    if action.option_strings and action.nargs != 0:
        value = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.metavar
        value = " ".join(value) if isinstance(value, tuple) else value or action.dest.upper()
        name += f" [{value}]" if action.nargs == "?" else f" {value}"
    text = command._get_formatter()._expand_help(action) if action.help else ""
    return f"`{name}`", text


# Text.


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(heading), line("---" for _ in heading), *(line(row) for row in rows)]


if __name__ == "__main__":
    for _path, _text in pages().items():
        _file = Path(sys.argv[1]) / _path
        _file.parent.mkdir(parents=True, exist_ok=True)
        _file.write_text(_text, encoding="utf-8")
