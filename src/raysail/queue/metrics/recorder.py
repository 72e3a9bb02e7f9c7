"""The shell of the metrics: sees Workloads change and cycles end, keeps what is counted, and writes it all out when asked."""

from __future__ import annotations

import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from raysail.api.kueue import ClusterQueue, LocalQueue, Workload, names
from raysail.api.meta import parse_time
from raysail.api.prometheus import Counter, Family, Histogram
from raysail.api.resources import PODS
from raysail.kube.informer import Informer
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.jobs.kind import Job
from raysail.queue.metrics import families
from raysail.queue.metrics.gates import gates_gone, is_group, seconds_since_admission
from raysail.queue.metrics.gauges import LocalQueueState, QueueState, local_queue_samples, queue_samples
from raysail.queue.metrics.transitions import class_of, observe, queue_of, unadmitted
from raysail.queue.model.workload import is_admitted, is_finished
from raysail.queue.planner.decisions import Admit, Plan, Preempt
from raysail.queue.settings import QueueSettings

State = tuple[str, str, str, str]
"""Of a Workload: its LocalQueue (namespace, name), and why it is not admitted (reason, cause); FINISHED for one that is over."""

FINISHED = "finished"


class Recorder:
    """`lines` is what the manager asks for. `role` is standalone, or leader where several processes elect one."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings, jobs: Mapping[tuple[str, str], Informer[Job]]) -> None:
        """`jobs`: the informers of all kinds of jobs, by group and kind."""
        self.cache = cache
        self.clock = manager.clock
        self.settings = settings.metrics
        self.fair_sharing = settings.fair_sharing_strategies is not None
        self.role = manager.role
        self._jobs = jobs
        self._counters: dict[Family, Counter] = {}
        self._histograms: dict[Family, Histogram] = {}
        self._skips: dict[str, int] = {}
        self._ungated: dict[str, frozenset[str]] = {}
        """Gates of each Pod (by uid) whose removal was timed."""
        self._states: dict[str, State] = {}
        self._by_state: Tally[State] = Tally()
        cache.workloads.on_change(self.workload_changed)
        # The same two informers that the ungaters have: plain Pods, and Pods of jobs.
        for pods in (jobs.get(("", "Pod")), manager.informer(PODS, Job, label_selector=names.POD_SET_LABEL)):
            if pods is not None:
                pods.on_change(self.pod_changed)
        cache.cluster_queues.on_change(self._cluster_queue_changed)
        cache.local_queues.on_change(self._local_queue_changed)
        manager.add_metrics(self.lines)

    # what happened

    def count(self, family: Family, *labels: str, amount: float = 1) -> None:
        """One more, or that many; without the label of the role."""
        self._counters.setdefault(family, Counter(family)).add((*labels, self.role), amount)

    def time(self, family: Family, seconds: float, *labels: str) -> None:
        """One observation; without the label of the role."""
        self._histograms.setdefault(family, Histogram(family)).observe((*labels, self.role), seconds)

    def cycle_ended(self, plan: Plan, seconds: float) -> None:
        """A scheduling cycle that looked at something."""
        if not plan.traces and not plan.decisions:
            return
        result = "success" if any(isinstance(each, Admit) for each in plan.decisions) else "inadmissible"
        self.count(families.ADMISSION_ATTEMPTS, result)
        self.time(families.ADMISSION_ATTEMPT_SECONDS, seconds, result)
        self._skips.update(plan.skipped_preemptions)
        for queue, results in plan.recomputed_targets.items():
            for outcome, times in results.items():
                self.count(families.PREEMPTION_RECOMPUTATIONS, queue, outcome, amount=times)
        for decision in plan.decisions:
            if isinstance(decision, Preempt):
                for victim in decision.victims:
                    self.count(families.PREEMPTED, decision.preemptor.cluster_queue, victim.reason)

    def workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        """Counts what the change tells; what was there when the process started tells nothing."""
        self._note(old, new)
        if new is None:
            return
        if old is None:
            self._created(new)
            return
        for family, labels, value, local in observe(old, new, self.clock.now()):
            if local and not self._tells(new.metadata.namespace, new.spec.queue_name):
                continue
            if value is None:
                self.count(family, *labels)
            else:
                self.time(family, value, *labels)
        if not is_admitted(old) and is_admitted(new) and new.status.admission is not None and not is_finished(new):
            queue = self.cache.world.cluster_queues.get(new.status.admission.cluster_queue)
            for cohort in queue.ancestors() if queue is not None else ():
                self.count(families.SUBTREE_ADMITTED, cohort.name, class_of(new))

    def pod_changed(self, old: Job | None, new: Job | None) -> None:
        """Times the removal of gates. A Pod may be seen by two informers, each with its own first look at it: what is gone is counted once."""
        if new is None:
            self._ungated.pop((old.metadata.uid) if old is not None else "", None)
            return
        gone = set(gates_gone(old, new)) if old is not None else set()
        fresh = gone - self._ungated.get(new.metadata.uid, frozenset())
        if not fresh:
            return
        self._ungated[new.metadata.uid] = self._ungated.get(new.metadata.uid, frozenset()) | fresh
        workload = self._workload_of(new)
        seconds = seconds_since_admission(workload, self.clock.now()) if workload is not None else None
        if workload is not None and seconds is not None:
            for gate in sorted(fresh):
                self.time(families.GATE_REMOVAL, seconds, gate, queue_of(workload), is_group(new))

    def _workload_of(self, pod: Job) -> Workload | None:
        namespace = pod.metadata.namespace
        named = self.cache.workloads.get(namespace, pod.annotations.get(names.WORKLOAD_ANNOTATION, ""))
        if named is not None:
            return named
        owned = self.cache.workloads.by_index("owner", (namespace, "Pod", pod.metadata.name))
        return next(iter(owned), None)

    def _created(self, workload: Workload) -> None:
        owner = workload.metadata.controller_owner()
        if owner is None or not self.cache.workloads.synced:
            return
        group = owner.api_version.partition("/")[0] if "/" in owner.api_version else ""
        informer = self._jobs.get((group, owner.kind))
        job = informer.get(workload.metadata.namespace, owner.name) if informer is not None else None
        if job is None or job.metadata.uid != owner.uid or (job.metadata.generation or 0) > 1 or not job.metadata.creation_timestamp:
            return
        seconds = (self.clock.now() - parse_time(job.metadata.creation_timestamp)).total_seconds()
        self.time(families.CREATION_LATENCY, max(0.0, seconds), owner.kind)

    def _note(self, old: Workload | None, new: Workload | None) -> None:
        workload = new if new is not None else old
        if workload is None:
            return
        key = workload.metadata.uid
        before = self._states.pop(key, None)
        if before is not None:
            self._by_state[before] -= 1
            if not self._by_state[before]:
                del self._by_state[before]
        if new is None:
            return
        local = (new.metadata.namespace, new.spec.queue_name)
        why = (FINISHED, "") if is_finished(new) else unadmitted(new)
        if why is not None:
            state = self._states[key] = (*local, *why)
            self._by_state[state] += 1

    def _cluster_queue_changed(self, old: ClusterQueue | None, new: ClusterQueue | None) -> None:
        if new is not None or old is None:
            return
        name = old.metadata.name
        self._skips.pop(name, None)
        self._forget(lambda labels: labels.get("cluster_queue") == name or labels.get("preempting_cluster_queue") == name)

    def _local_queue_changed(self, old: LocalQueue | None, new: LocalQueue | None) -> None:
        if new is None and old is not None:
            name, namespace = old.metadata.name, old.metadata.namespace
            self._forget(lambda labels: labels.get("name") == name and labels.get("namespace") == namespace)

    def _forget(self, gone: Callable[[Mapping[str, str]], bool]) -> None:
        for kept in self._kept():
            kept.forget(gone)

    def _kept(self) -> list[Counter | Histogram]:
        return [*self._counters.values(), *self._histograms.values()]

    def _tells(self, namespace: str, name: str) -> bool:
        queue = self.cache.local_queues.get(namespace, name)
        return queue is not None and self.settings.tells(queue.metadata.labels)

    # what is told

    def lines(self) -> Iterator[str]:
        """Prometheus' text format."""
        yield from families.BUILD_INFO.lines([((_version(), "", "", platform.python_version(), "cpython", _platform()), 1)])
        states = {
            queue.metadata.name: QueueState(self._active(queue.metadata.name), queue.metadata.deletion_timestamp is not None)
            for queue in self.cache.cluster_queues.list()
        }
        resources = self.settings.cluster_queue_resources
        world, role = self.cache.world, self.role
        samples, waiting = queue_samples(world, self.cache.pending, states, resources=resources, fair_sharing=self.fair_sharing, role=role)
        told = [queue for queue in self.cache.local_queues.list() if self.settings.tells(queue.metadata.labels)]
        samples |= local_queue_samples(world, waiting, [_local_state(queue) for queue in told], role)
        samples |= self._counted(told)
        for family, values in samples.items():
            yield from family.lines(values)
        yield from families.PREEMPTION_SKIPS.lines(((name, role), count) for name, count in self._skips.items())
        for kept in self._kept():
            yield from kept.lines()

    def _active(self, name: str) -> bool:
        activity = self.cache.activities.get(name)
        return activity is not None and activity.active

    def _counted(self, told: list[LocalQueue]) -> dict[Family, list[tuple[tuple[str, ...], float]]]:
        """Finished and not admitted workloads, per queue."""
        leads = {queue.metadata.key: queue.spec.cluster_queue for queue in self.cache.local_queues.list()}
        local_finished = Tally({queue.metadata.key: 0 for queue in told})
        finished = Tally(dict.fromkeys(self.cache.world.cluster_queues, 0))
        waiting: Tally[tuple[str, str, str]] = Tally()
        local_waiting: list[tuple[tuple[str, ...], float]] = []
        visible = set(local_finished)
        for (namespace, name, reason, cause), count in self._by_state.items():
            queue = leads.get((namespace, name), "")
            if reason == FINISHED:
                local_finished[namespace, name] += count
                finished[queue] += count
            elif queue:
                waiting[queue, reason, cause] += count
                if (namespace, name) in visible:
                    local_waiting.append(((name, namespace, queue, reason, cause, self.role), float(count)))
        return {
            families.FINISHED: [((queue, self.role), float(count)) for queue, count in finished.items() if queue],
            families.LOCAL_FINISHED: [
                ((name, namespace, self.role), float(count))
                for (namespace, name), count in local_finished.items()
                if (namespace, name) in visible
            ],
            families.UNADMITTED: [((*labels, self.role), float(count)) for labels, count in waiting.items()],
            families.LOCAL_UNADMITTED: local_waiting,
        }


def _local_state(queue: LocalQueue) -> LocalQueueState:
    active = next((each.status for each in queue.status.conditions or () if each.type == "Active"), "")
    return LocalQueueState(queue.metadata.namespace, queue.metadata.name, queue.spec.cluster_queue, active)


def _version() -> str:
    try:
        return version("raysail")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return ""


def _platform() -> str:
    return f"{platform.system().lower()}/{platform.machine()}"
