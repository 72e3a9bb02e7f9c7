"""The output of Ray jobs' drivers outlives their clusters: kept when the head's container ends, before its private folders go.

Ray writes it to `SESSION/logs/job-driver-SUBMISSION_ID.log`; kept as `HOME/history/jobs/NAMESPACE/SUBMISSION_ID.log`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_PREFIX: Final = "job-driver-"


def keep_driver_logs(temporary: Path, target: Path) -> list[Path]:
    """Moves (or copies, across file systems) all drivers' logs of a container's /tmp into the target; where they are now.

    A log that is there already is replaced: the same submission can only have grown.
    """
    kept = []
    for log in temporary.glob(f"ray/session_*/logs/{_PREFIX}*.log"):
        if log.is_symlink() or log.parent.parent.is_symlink():
            continue  # session_latest, or a trick of the program: what it points at is not ours to publish
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = target / log.name.removeprefix(_PREFIX)
        try:
            os.link(log, place.with_suffix(".new"))
        except OSError:
            place.with_suffix(".new").write_bytes(log.read_bytes())
        place.with_suffix(".new").replace(place)
        kept.append(place)
    return kept
