"""Kinds whose object carries a pod template for each pod set and one switch `suspend`: starting and stopping them is the same for all."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from raysail.queue.jobs.kind import Job, JobKind, JsonObject, Step, check_length
from raysail.queue.model.podset import PodSetInfo, inject, restore


class TemplatedKind(JobKind):
    """Needs `templates`; and `switch` where spec.suspend is not the switch."""

    def switch(self, spec: JsonObject) -> JsonObject:
        """The part of the spec that holds `suspend`; made where it is missing."""
        return spec

    def templates(self, spec: JsonObject) -> list[JsonObject]:
        """The pod templates in the order of the pod sets: to change in place."""
        raise NotImplementedError

    def suspended(self, job: Job) -> bool:
        """Whether the switch is on."""
        return bool(self.switch(copy.deepcopy(job.spec)).get("suspend"))

    def start(self, job: Job, infos: Sequence[PodSetInfo]) -> Step:
        """Runs, with the infos in its templates."""
        spec = copy.deepcopy(job.spec)
        templates = self.templates(spec)
        check_length(infos, len(templates))
        self.switch(spec)["suspend"] = False
        for template, info in zip(templates, infos, strict=True):
            inject(template, info)
        return Step(spec)

    def stop(self, job: Job, infos: Sequence[PodSetInfo]) -> list[Step]:
        """Suspends; restores the templates unless the pod sets are not the admitted ones any more."""
        if self.suspended(job):
            return []
        spec = copy.deepcopy(job.spec)
        self.switch(spec)["suspend"] = True
        templates = self.templates(spec)
        if len(templates) == len(infos):
            for template, info in zip(templates, infos, strict=True):
                restore(template, info)
        return [Step(spec)]


def condition_is_true(job: Job, type_: str) -> bool:
    """Whether the job's status has this condition, and it is True."""
    return any(each.get("type") == type_ and each.get("status") == "True" for each in job.status.get("conditions") or ())
