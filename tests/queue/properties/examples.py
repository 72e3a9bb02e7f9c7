"""How many examples hypothesis looks at: few in `make test`, PROPERTY_EXAMPLES=2000 for the long run."""

from __future__ import annotations

import os


def examples(few: int) -> int:
    return int(os.environ.get("PROPERTY_EXAMPLES", few))
