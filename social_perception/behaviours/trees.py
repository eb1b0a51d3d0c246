"""Imports py_trees; its absence is reported in one line."""

from social_perception.core.errors import MissingDependencyError

try:
    import py_trees
except ImportError as error:
    raise MissingDependencyError("behaviour trees need py_trees: pip install py_trees") from error

__all__ = ["py_trees"]
