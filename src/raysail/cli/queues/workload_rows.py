"""A Workload as a row of `raysail list workload`, in kueuectl's columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from raysail.api.durations import human_duration
from raysail.cli.output import age

Json = Mapping[str, Any]
COLUMNS: Final = ("NAME", "JOB TYPE", "JOB NAME", "LOCALQUEUE", "CLUSTERQUEUE", "STATUS", "POSITION IN QUEUE", "EXEC TIME", "AGE")
STATUSES: Final = ("all", "pending", "quotareserved", "admitted", "finished")
_LONGEST_TYPE: Final = 20


def status_of(workload: Json) -> str:
    """finished, admitted, quotareserved or pending."""
    for type_, status in (("Finished", "finished"), ("Admitted", "admitted"), ("QuotaReserved", "quotareserved")):
        if _condition(workload, type_).get("status") == "True":
            return status
    return "pending"


def cluster_queue_of(workload: Json, leads_to: Mapping[tuple[str, str], str]) -> str:
    """Whose quota it holds, else where its LocalQueue leads."""
    admitted: str = ((workload.get("status") or {}).get("admission") or {}).get("clusterQueue", "")
    return admitted or leads_to.get((workload["metadata"].get("namespace", ""), workload["spec"].get("queueName", "")), "")


def row(
    workload: Json,
    leads_to: Mapping[tuple[str, str], str],
    positions: Mapping[tuple[str, str], int],
    words: Mapping[tuple[str, str], str],
    now: datetime,
) -> list[object]:
    """`positions` by (namespace, name); `words`: what a kind is called, by its (apiVersion, kind)."""
    metadata = workload["metadata"]
    owners = metadata.get("ownerReferences") or ()
    types = sorted({_type(owner, words) for owner in owners} - {""})
    position = positions.get((metadata.get("namespace", ""), metadata["name"]))
    return [
        metadata["name"],
        ", ".join(types),
        ", ".join(sorted({owner["name"] for owner in owners})),
        workload["spec"].get("queueName", ""),
        cluster_queue_of(workload, leads_to),
        status_of(workload).upper(),
        "" if position is None else position,
        execution_time(workload, now),
        age(metadata.get("creationTimestamp"), now),
    ]


def execution_time(workload: Json, now: datetime) -> str:
    """How long it has been admitted, this time; empty where it is not."""
    admitted, finished = _condition(workload, "Admitted"), _condition(workload, "Finished")
    if admitted.get("status") != "True" or not admitted.get("lastTransitionTime"):
        return ""
    end = datetime.fromisoformat(finished["lastTransitionTime"]) if finished.get("status") == "True" else now
    return human_duration((end - datetime.fromisoformat(admitted["lastTransitionTime"])).total_seconds())


def _condition(workload: Json, type_: str) -> Json:
    found = (each for each in (workload.get("status") or {}).get("conditions") or () if each["type"] == type_)
    return next(found, {})


def _type(owner: Json, words: Mapping[tuple[str, str], str]) -> str:
    word = words.get((owner["apiVersion"], owner["kind"]), "")
    return f"{word[:_LONGEST_TYPE]}..." if len(word) > _LONGEST_TYPE else word
