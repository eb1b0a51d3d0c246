"""Behaviour trees (py_trees) on the group's affect, without ROS.

``AffectWriter`` puts the affect on a blackboard, the conditions read it there. In ROS,
``social_perception.ros.support.behaviour_tree`` feeds the blackboard from the topics.
"""

from social_perception.behaviours.blackboard import NAMESPACE, AffectWriter
from social_perception.behaviours.conditions import (
    AffectCondition,
    GroupIsAbsent,
    GroupIsCheerful,
    GroupIsPresent,
    GroupLaughs,
    IsGroupSmiling,
    Mood,
    MoodIs,
    Reading,
    SomebodyLaughs,
    SomebodySpeaks,
    SomeoneSmiles,
)
from social_perception.behaviours.greeting import GreetingPlan, greeting_tree
from social_perception.behaviours.hysteresis import Hysteresis, Switch

__all__ = [
    "NAMESPACE",
    "AffectCondition",
    "AffectWriter",
    "GreetingPlan",
    "GroupIsAbsent",
    "GroupIsCheerful",
    "GroupIsPresent",
    "GroupLaughs",
    "Hysteresis",
    "IsGroupSmiling",
    "Mood",
    "MoodIs",
    "Reading",
    "SomebodyLaughs",
    "SomebodySpeaks",
    "SomeoneSmiles",
    "Switch",
    "greeting_tree",
]
