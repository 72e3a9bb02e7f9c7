"""The planner alone, without an API: how fast it decides, how long one plan takes on a deep queue, and what a pending workload weighs."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

import msgspec

from bench.figure import Figure
from raysail.api.kueue import ClusterQueue, ResourceFlavor, Workload
from raysail.queue.model.cluster_queue import Flavor
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.model.world import World
from raysail.queue.pending.queues import Pending
from raysail.queue.planner.cycle import plan
from raysail.queue.planner.decisions import Admit, Plan, Preempt
from raysail.queue.planner.options import Options
from raysail.queue.settings import HEADS_PER_PLAN

QUEUES, COHORTS, EACH = 1_000, 10, 6
DEEP, PLANS, FREED = 100_000, 50, 20
NOW = 1_800_000_000.0


def run() -> list[Figure]:
    """All figures. CPU time of this process, so that neighbours on the machine do not count."""
    return [*_many_queues(), *_deep_queue()]


def _cluster_queue(name: str, cpu: int, cohort: str = "", *, policies: bool = False) -> ClusterQueue:
    spec: dict[str, Any] = {
        "cohortName": cohort,
        "namespaceSelector": {},
        "queueingStrategy": "BestEffortFIFO",
        "resourceGroups": [
            {
                "coveredResources": ["cpu", "memory"],
                "flavors": [
                    {
                        "name": "default",
                        "resources": [{"name": "cpu", "nominalQuota": str(cpu)}, {"name": "memory", "nominalQuota": f"{4 * cpu}Gi"}],
                    }
                ],
            }
        ],
    }
    if policies:
        spec["preemption"] = {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"}
    return msgspec.convert({"metadata": {"name": name}, "spec": spec}, ClusterQueue)


def _workload(name: str, queue: str, cpu: int, created: int, priority: int = 0) -> Workload:
    requests = {"cpu": str(cpu), "memory": f"{cpu}Gi"}
    pod_set = {"name": "main", "count": 1, "template": {"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}}}
    body = {
        "metadata": {"name": name, "namespace": "ns", "uid": name, "creationTimestamp": _time(created), "generation": 1},
        "spec": {"queueName": queue, "podSets": [pod_set], "priority": priority},
    }
    return msgspec.convert(body, Workload)


def _time(second: int) -> str:
    return f"2026-01-{1 + second // 86_400:02d}T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"


def _world(queues: list[ClusterQueue]) -> tuple[World, Pending]:
    world, pending = World(), Pending()
    world.set_flavor(Flavor.from_object(msgspec.convert({"metadata": {"name": "default"}, "spec": {}}, ResourceFlavor)))
    world.namespaces["ns"] = {}
    for obj in queues:
        queue = world.set_cluster_queue(obj)
        pending.queue(queue.name, queue.strategy)
        pending.local_queues[f"ns/{queue.name}"] = queue.name
    return world, pending


def _settle(world: World, pending: Pending, result: Plan) -> None:
    """Victims leave at once, as if their jobs had stopped."""
    for decision in result.decisions:
        if isinstance(decision, Preempt):
            for victim in decision.victims:
                world.remove_workload(victim.info.key)
    for waiting in pending.queues.values():
        waiting.retry(NOW, lambda _: True)


def _many_queues() -> list[Figure]:
    """1,000 ClusterQueues in 10 cohorts, fair sharing and preemption: quota for two thirds, then urgent work that has to preempt."""
    names = [f"q{at}" for at in range(QUEUES)]
    world, pending = _world([_cluster_queue(name, 4, f"c{at % COHORTS}", policies=True) for at, name in enumerate(names)])
    for at, name in enumerate(names):
        for each in range(EACH):
            pending.push(WorkloadInfo(_workload(f"{name}-{each}", name, 1 + (at + each) % 2, 60 * each + at % 60)), NOW)
    options = Options(fair_strategies=())
    decided = preempted = 0
    started = time.process_time()
    result = plan(world, pending, NOW, options)
    decided += len(result.decisions)
    filled = time.process_time() - started
    for name in names[:: len(names) // 200]:
        pending.push(WorkloadInfo(_workload(f"{name}-urgent", name, 2, 4_000, priority=10)), NOW)
    begun = time.process_time()
    for _ in range(3):
        result = plan(world, pending, NOW, options)
        decided += len(result.decisions)
        preempted += sum(len(each.victims) for each in result.decisions if isinstance(each, Preempt))
        _settle(world, pending, result)
    seconds = filled + time.process_time() - begun
    return [
        Figure("decisions/s, 1,000 queues, fair, preempting", decided / seconds, "1/s", 2_000, higher_is_better=True),
        Figure("of that: victims", float(preempted), "", None),
    ]


def _deep_queue() -> list[Figure]:
    """100,000 workloads of different shapes wait in one ClusterQueue."""
    world, pending = _world([_cluster_queue("deep", 200)])
    objects = [_workload(f"w{at}", "deep", 1 + at % 50, at % 80_000, priority=at % 7) for at in range(DEEP)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for obj in objects:
        pending.push(WorkloadInfo(obj), NOW)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    options = Options(max_heads=HEADS_PER_PLAN)
    first, admitted = _longest(world, pending, options)
    again = 0.0
    for key in list(world.holders)[:FREED]:
        world.remove_workload(key)
        started = time.process_time()
        pending.queues["deep"].retry(NOW, lambda _: True)
        plan(world, pending, NOW, options)
        again = max(again, time.process_time() - started)
    return [
        Figure(f"a plan on {DEEP:,} pending, the longest of {PLANS}", 1000 * first, "ms", 50, rival=f"{admitted} admitted"),
        Figure(f"a plan on {DEEP:,} pending, quota freed once", 1000 * again, "ms", 50),
        Figure("planner memory per pending workload", held / DEEP, "bytes", 2_048),
    ]


def _longest(world: World, pending: Pending, options: Options) -> tuple[float, int]:
    """Plans one after the other, as the scheduler does: the longest, and how much was admitted."""
    longest, admitted, names = 0.0, 0, None
    for _ in range(PLANS):
        started = time.process_time()
        result = plan(world, pending, NOW, options, names)
        longest = max(longest, time.process_time() - started)
        admitted += sum(isinstance(each, Admit) for each in result.decisions)
        names = result.unfinished
        if not names:
            break
    return longest, admitted
