"""Social perception for robots: how much each person smiles, and how the group feels.

The pipeline is written once, in :mod:`social_perception.perception.pipeline`, as plain Python over
numpy arrays and frozen dataclasses. The ROS 2 nodes (:mod:`social_perception.ros`) and the
command line (:mod:`social_perception.cli`) only feed it and show what it returns.
"""

import re
from pathlib import Path
from pkgutil import extend_path

# The generated messages (social_perception.msg) lie in another folder of the same name when Python
# starts in the source tree, or when the library came with pip: both folders make up the package.
__path__ = extend_path(__path__, __name__)


def _version() -> str:
    """The version in package.xml, which colcon and pip both install to ``PREFIX/share/social_perception``."""
    package = Path(__file__).resolve().parent
    places = [package.parent, *(above / "share" / package.name for above in package.parents)]
    for path in (place / "package.xml" for place in places):
        if path.is_file():
            match = re.search("<version>(.*?)</version>", path.read_text(encoding="utf-8"))
            return match[1] if match else "unknown"
    return "unknown"


__version__ = _version()
