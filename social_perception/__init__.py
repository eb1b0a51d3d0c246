"""Social perception for robots: how much each person smiles, and how the group feels.

The way of one frame is written once, in :mod:`social_perception.pipeline`, as plain Python over
numpy arrays and frozen dataclasses. The ROS 2 nodes (:mod:`social_perception.nodes`) and the
command line (:mod:`social_perception.cli`) only feed it and show what it returns.
"""

__version__ = "0.1.0"
