"""One word for where a RayJob stands. Apart from what follows a job: lists need no event loop."""

from __future__ import annotations

from typing import Any


def phase(job: dict[str, Any]) -> str:
    """One word for where a RayJob stands: Queued, Starting, Running, Succeeded, Failed, Stopped, Suspended, Retrying."""
    status = job.get("status") or {}
    deployment, ray = status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")
    if deployment == "Complete":
        return "Succeeded" if ray == "SUCCEEDED" else ray.capitalize() or "Succeeded"
    if deployment in ("Failed", "ValidationFailed"):
        return "Stopped" if ray == "STOPPED" else "Failed"
    if deployment in ("Suspended", "Suspending") or (job["spec"].get("suspend") and deployment in ("", "New")):
        return "Queued" if (job["metadata"].get("labels") or {}).get("kueue.x-k8s.io/queue-name") else "Suspended"
    if deployment == "Running":
        return "Running" if ray == "RUNNING" else "Starting"
    return "Retrying" if deployment == "Retrying" else "Starting" if deployment in ("Initializing", "Waiting") else "Queued"
