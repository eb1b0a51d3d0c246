"""``python -m social_perception.cli``: the command, where it is not on the path."""

import sys

from social_perception.cli.main import main

sys.exit(main())
