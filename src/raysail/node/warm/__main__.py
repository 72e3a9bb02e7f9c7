"""Entry of the warm launcher: `python warm/__main__.py SOCKET IDLE_SECONDS`, in the Pods' Python environment."""

import os
import sys

# In place of this folder, which Python has put first.
sys.path[0] = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

from raysail.node.warm.server import main  # noqa: E402 - found by the line above

if __name__ == "__main__":
    sys.exit(main())
