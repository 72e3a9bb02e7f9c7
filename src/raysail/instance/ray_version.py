"""Which Ray is installed beside raysail, and whether raysail knows it. Ray itself is not imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from raysail.instance.home import InstanceError

OLDEST: Final = (2, 9)
"""Token-less jobs, `/api/jobs/` and KubeRay's command line are as today from here on."""
NEWEST_TESTED: Final = (2, 60)


def installed() -> str | None:
    """Ray's version in this Python environment; None without Ray."""
    try:
        return version("ray")
    except PackageNotFoundError:
        return None


def check(found: str) -> str:
    """A warning for a Ray newer than those tested, else an empty text. Raises InstanceError for one that is not supported."""
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if len(numbers) < 2 or numbers < OLDEST or numbers[0] != OLDEST[0]:
        raise InstanceError(
            f"Ray {found} is installed, raysail runs Ray {OLDEST[0]}.{OLDEST[1]} to {NEWEST_TESTED[0]}.x: pip install 'ray[default,serve]>={OLDEST[0]}.{OLDEST[1]},<3'"
        )
    return (
        f"Ray {found} is newer than {NEWEST_TESTED[0]}.{NEWEST_TESTED[1]}, the newest this raysail was tested with"
        if numbers > NEWEST_TESTED
        else ""
    )
