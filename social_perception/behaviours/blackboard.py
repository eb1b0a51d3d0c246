"""The group's affect on a py_trees blackboard.

Keys, below a namespace (``/affect`` by default):

``group``             :class:`~social_perception.core.types.GroupAffect`, the newest one
``group_received_s``  time of receipt, in s of the clock that the conditions read
``faces``             tuple of :class:`~social_perception.core.types.FaceAffect`, the newest ones
``faces_received_s``  their time of receipt
``scene``             :class:`~social_perception.core.types.Scene`, the newest one
``scene_received_s``  its time of receipt

A key without a received value does not exist. py_trees' own behaviours reach into the values:
``CheckBlackboardVariableValue`` understands ``/affect/group.group_size``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from social_perception.behaviours.trees import py_trees
from social_perception.core.types import FaceAffect, GroupAffect, Scene

NAMESPACE = "/affect"

GROUP = "group"
FACES = "faces"
SCENE = "scene"

Clock = Callable[[], float]
"""Returns the time in s; any clock, but the same for all who share a blackboard."""


class Found(NamedTuple):
    """A value of the blackboard; ``problem`` says why it must not be used, empty: it may."""

    value: Any
    now_s: float
    problem: str


def received(key: str) -> str:
    """The key under which the time of receipt of another stands."""
    return f"{key}_received_s"


def reader(name: str, keys: Sequence[str], namespace: str = NAMESPACE) -> py_trees.blackboard.Client:
    """A client that may read these keys and their times of receipt."""
    return _client(name, keys, namespace, py_trees.common.Access.READ)


class AffectWriter:
    """Writes the results of the perception to the blackboard.

    Args:
        name: of the blackboard client, as py_trees displays it.
        namespace: of the keys.
    """

    def __init__(self, name: str = "affect", namespace: str = NAMESPACE) -> None:
        self._client = _client(name, (GROUP, FACES, SCENE), namespace, py_trees.common.Access.WRITE)

    def write_group(self, group: GroupAffect, received_s: float) -> None:
        """Write the group's affect with its time of receipt in s."""
        self._write(GROUP, group, received_s)

    def write_faces(self, faces: Sequence[FaceAffect], received_s: float) -> None:
        """Write the faces of one image with their time of receipt in s."""
        self._write(FACES, tuple(faces), received_s)

    def write_scene(self, scene: Scene, received_s: float) -> None:
        """Write the scene with its time of receipt in s."""
        self._write(SCENE, scene, received_s)

    def _write(self, key: str, value: Any, received_s: float) -> None:
        # The time comes last: a reader in another thread takes new values for old, never old for new.
        self._client.set(key, value)
        self._client.set(received(key), received_s)


def look_up(client: py_trees.blackboard.Client, key: str, clock: Clock, max_age_s: float) -> Found:
    """The value of a key and the time now, by the clock.

    Args:
        client: a :func:`reader` of the key.
        key: ``GROUP``, ``FACES`` or ``SCENE``.
        clock: returns the time in s.
        max_age_s: age in s up to which a value may be used.
    """
    if not (client.exists(key) and client.exists(received(key))):
        return Found(None, clock(), f"nothing was received yet: {key} is not on the blackboard")
    received_s = client.get(received(key))
    value = client.get(key)
    now_s = clock()
    problem = ""
    if now_s < received_s:
        problem = f"{key} comes from the future: the clock went back"
    elif now_s - received_s > max_age_s:
        problem = f"{key} is stale: the last one came more than {max_age_s:g} s ago"
    elif getattr(value, "stale", False):
        problem = f"{key} is stale: the camera is silent"
    return Found(value, now_s, problem)


def _client(
    name: str, keys: Sequence[str], namespace: str, access: py_trees.common.Access
) -> py_trees.blackboard.Client:
    client = py_trees.blackboard.Client(name=name, namespace=namespace)
    for key in keys:
        client.register_key(key=key, access=access)
        client.register_key(key=received(key), access=access)
    return client
