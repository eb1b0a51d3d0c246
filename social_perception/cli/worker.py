"""A worker of ``social-perception annotate --jobs``: ``python -m social_perception.cli.worker FD``.

A program of its own and no process of multiprocessing, which would run the caller's program a second time.
"""

import sys
from multiprocessing.connection import Connection

from social_perception.cli.engines import work

if __name__ == "__main__":
    work(Connection(int(sys.argv[1])))
