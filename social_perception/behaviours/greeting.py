"""An example tree: greet a group that has been smiling for a while, and do not repeat oneself.

    sequence "greeter"
      listen                          writes the results of the perception to the blackboard
      selector "greet or wait"
        sequence "good bye"           the group has left: the next one is greeted again
          is the group absent
          forget the greeting
        sequence "greet"
          is the group smiling        for GreetingPlan.smile_s
          is a greeting due           never greeted, or GreetingPlan.cooldown_s ago
          greet
        wait

A camera that falls silent is no departure: nothing is forgotten, and nobody is greeted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from social_perception.behaviours.blackboard import NAMESPACE, Clock
from social_perception.behaviours.conditions import GroupIsAbsent, IsGroupSmiling
from social_perception.behaviours.hysteresis import Hysteresis
from social_perception.behaviours.trees import py_trees

Status = py_trees.common.Status
GREETED = "greeted_s"
"""Blackboard key: when the group was greeted, in s of the tree's clock; it does not exist before."""


@dataclass(frozen=True, slots=True)
class GreetingPlan:
    """When a group is greeted; times in s, shares in [0, 1]."""

    smile_s: float
    smiling_on: float
    smiling_off: float
    absence_s: float
    cooldown_s: float


class GreetingIsDue(py_trees.behaviour.Behaviour):
    """SUCCESS if the group was not greeted, or so long ago that it may be greeted again."""

    def __init__(
        self, cooldown_s: float, *, clock: Clock = time.monotonic, namespace: str = NAMESPACE
    ) -> None:
        super().__init__("is a greeting due")
        self._cooldown_s, self._clock = cooldown_s, clock
        self._board = self.attach_blackboard_client(namespace=namespace)
        self._board.register_key(GREETED, access=py_trees.common.Access.READ)

    def update(self) -> Status:
        since_s = self._clock() - self._board.get(GREETED) if self._board.exists(GREETED) else None
        # A clock that went back (a bag again) knows nothing of the greeting.
        due = since_s is None or since_s < 0.0 or since_s >= self._cooldown_s
        self.feedback_message = "yes" if due else f"no: greeted less than {self._cooldown_s:g} s ago"
        return Status.SUCCESS if due else Status.FAILURE


class Greet(py_trees.behaviour.Behaviour):
    """Greets, and notes when.

    Args:
        greet: says the greeting; must return at once.
        clock: returns the time in s.
        namespace: of the blackboard's keys.
    """

    def __init__(
        self, greet: Callable[[], None], *, clock: Clock = time.monotonic, namespace: str = NAMESPACE
    ) -> None:
        super().__init__("greet")
        self._greet, self._clock = greet, clock
        self._board = self.attach_blackboard_client(namespace=namespace)
        self._board.register_key(GREETED, access=py_trees.common.Access.WRITE)

    def update(self) -> Status:
        self._greet()
        self._board.set(GREETED, self._clock())
        self.feedback_message = "greeted"
        return Status.SUCCESS


class ForgetGreeting(py_trees.behaviour.Behaviour):
    """Makes the next greeting due."""

    def __init__(self, *, namespace: str = NAMESPACE) -> None:
        super().__init__("forget the greeting")
        self._board = self.attach_blackboard_client(namespace=namespace)
        self._board.register_key(GREETED, access=py_trees.common.Access.WRITE)

    def update(self) -> Status:
        self.feedback_message = "forgotten" if self._board.unset(GREETED) else "there was none"
        return Status.SUCCESS


def greeting_tree(
    listen: py_trees.behaviour.Behaviour,
    greet: Callable[[], None],
    plan: GreetingPlan,
    *,
    clock: Clock = time.monotonic,
    namespace: str = NAMESPACE,
) -> py_trees.behaviour.Behaviour:
    """The tree of this module.

    Args:
        listen: a behaviour that feeds the blackboard and succeeds, for example
            ``nodes.behaviour_tree.AffectToBlackboard``.
        greet: called once for each greeting.
        plan: when to greet.
        clock: returns the time in s, the same by which the data is received.
        namespace: of the blackboard's keys.
    """
    shared: dict[str, Any] = {"clock": clock, "namespace": namespace}
    smiling = Hysteresis(plan.smiling_on, plan.smiling_off, on_dwell_s=plan.smile_s)
    good_bye = _sequence(
        "good bye", GroupIsAbsent(dwell_s=plan.absence_s, **shared), ForgetGreeting(namespace=namespace)
    )
    greeting = _sequence(
        "greet a group",
        IsGroupSmiling(hysteresis=smiling, **shared),
        GreetingIsDue(plan.cooldown_s, **shared),
        Greet(greet, **shared),
    )
    choice = py_trees.composites.Selector(name="greet or wait", memory=False)
    choice.add_children([good_bye, greeting, py_trees.behaviours.Success(name="wait")])
    return _sequence("greeter", listen, choice)


def _sequence(name: str, *children: py_trees.behaviour.Behaviour) -> py_trees.composites.Sequence:
    sequence = py_trees.composites.Sequence(name=name, memory=False)
    sequence.add_children(list(children))
    return sequence
