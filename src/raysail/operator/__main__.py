"""`python -m raysail.operator`: the controllers process alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from raysail.operator.arguments import parse
from raysail.operator.process import main
from raysail.operator.settings import SettingsError


def command(arguments: Sequence[str]) -> int:
    """Runs with those arguments; the exit status."""
    try:
        settings = parse(arguments)
    except SettingsError as error:
        print(f"raysail operator: {error}", file=sys.stderr)
        return 2
    main(settings)
    return 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
