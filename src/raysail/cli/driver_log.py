"""A driver's log where it is written: in the head Pod's folder on this machine.

Ray's job server gives the same text over the network, but looks for more only once a second, and its end is lost when the cluster goes away with the
job. A file that was opened once can be read to its end whatever becomes of its Pod.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from raysail.instance.home import Home

_CHUNK_BYTES: Final = 1 << 16


def live_log(home: Home, pod_uid: str, job_id: str) -> Path | None:
    """The file in a head Pod's folder, once the driver has started; None too where its containers keep Ray's files elsewhere."""
    pattern = f"containers/*/*.tmp/ray/session_[0-9]*/logs/job-driver-{job_id}.log"
    return next((home.path / "pods" / pod_uid).glob(pattern), None)


def kept_log(home: Home, namespace: str, name: str, job_id: str = "") -> Path | None:
    """The driver's log of a job whose cluster is gone; the latest one where the job itself is gone too."""
    folder = home.history / "jobs" / namespace
    if job_id:
        file = folder / f"{job_id}.log"
        return file if file.exists() else None
    kept = sorted(folder.glob(f"{name}-?????.log"), key=lambda file: file.stat().st_mtime) if folder.exists() else []
    return kept[-1] if kept else None


class LogReader:
    """Reads what has been added to a log since the last time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> str:
        """The new text; empty when there is none yet."""
        parts = []
        while data := self._file.read(_CHUNK_BYTES):
            parts.append(self._decoder.decode(data))
        return "".join(parts)

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()
