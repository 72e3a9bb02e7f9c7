"""`python -m raysail.operator`: the controllers process alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from raysail.kube.connection import ConnectionConfigError
from raysail.kube.leader import LeadershipLostError
from raysail.operator.arguments import parse
from raysail.operator.process import main
from raysail.operator.settings import RegistrationError, SettingsError


def command(arguments: Sequence[str]) -> int:
    """Runs with those arguments; the exit status."""
    try:
        settings = parse(arguments)
    except SettingsError as error:
        print(f"raysail operator: {error}", file=sys.stderr)
        return 2
    try:
        main(settings)
    except (ConnectionConfigError, RegistrationError) as error:
        print(f"raysail operator: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        # A port in use, a log file that cannot be written; the API being away is waited for and never ends the process.
        print(f"raysail operator: {error}", file=sys.stderr)
        return 1
    except LeadershipLostError as error:
        print(f"raysail operator: {error}; another process leads now", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
