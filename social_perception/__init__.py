"""Social perception for robots: how much each person smiles, and how the group feels.

The pipeline is written once, in :mod:`social_perception.perception.pipeline`, as plain Python over
numpy arrays and frozen dataclasses. The ROS 2 nodes (:mod:`social_perception.ros`) and the
command line (:mod:`social_perception.cli`) only feed it and show what it returns.
"""

from pkgutil import extend_path

# The generated messages (social_perception.msg) lie in another folder of the same name when Python
# starts in the source tree, or when the library came with pip: both folders make up the package.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
