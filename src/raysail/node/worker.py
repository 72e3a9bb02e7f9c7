"""One Pod: watches what becomes of it, asks `machine` for the next step, does it, and reports the status.

All that decides is in `machine` and `status`; here is what can fail, wait or race. A worker lives from the Pod's arrival on this Node to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec

from raysail.api.core.containers import Container
from raysail.api.core.pod import FAILED, SUCCEEDED, Pod
from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import PODS
from raysail.kube.client import PatchType
from raysail.node import cgroups, launching, machine, records, status, volumes
from raysail.node.content import Tokens
from raysail.node.devices import assign
from raysail.node.driverlogs import keep_driver_logs
from raysail.node.environment import ConfigError
from raysail.node.host import HOST_ADDRESS, Host
from raysail.node.monitoring import Monitor
from raysail.node.observed import Attempt, Phase, Sandbox, Seen, as_deleted, inits
from raysail.node.resources import gpu_count
from raysail.node.runs import Runs
from raysail.node.sandbox import SandboxError, Supervisor, SupervisorGoneError, end_marked
from raysail.node.stopping import HookFailedError, Stopping, run_hook

logger = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 2.0
_VOLUME_SECONDS: Final = 60.0
"""How often tokens are looked at; changes of ConfigMaps and Secrets come by themselves."""


class PodWorker:
    """Runs one Pod. `current` gives its newest version, None when the API has it no more; `hosts` the text of its hosts file."""

    def __init__(
        self,
        host: Host,
        pod: Pod,
        current: Callable[[], Pod | None],
        absorb: Callable[[dict[str, Any]], object],
        hosts: Callable[[Pod, str], str],
    ) -> None:
        self.host = host
        self.pod = pod
        self.uid = pod.metadata.uid
        self.folder = host.settings.pods / self.uid
        self.supervisor = Supervisor(self.folder)
        self.record: records.PodRecord | None = records.read_record(self.folder)
        self._current = current
        self._absorb = absorb
        self._hosts = hosts
        self.runs = Runs(self.folder, restore=self.record is not None)
        self._sandbox = Sandbox.ABSENT
        self._sandbox_error = ""
        self._waiting: dict[str, tuple[str, str]] = {}
        self._verdict: machine.Verdict | None = None
        self._monitors: dict[tuple[str, int], Monitor] = {}
        self._stopping: dict[tuple[str, int], Stopping] = {}
        self._ended: dict[tuple[str, int], asyncio.Event] = {}
        self._tasks: dict[Any, asyncio.Task[None]] = {}
        self._retry_at: dict[str, float] = {}
        self._tokens = Tokens()
        self._wake = asyncio.Event()
        self._gone = False
        self._python = host.settings.python

    @property
    def address(self) -> str:
        """The Pod's address, empty before it has one."""
        return self.record.address if self.record else ""

    def waiting_reason(self, container: str) -> str:
        """Why the container has not begun."""
        return self._waiting.get(container, ("PodInitializing" if inits(self.pod) else "ContainerCreating", ""))[0]

    def wake(self) -> None:
        """Something may have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Until the Pod is gone from the API and from this machine. Cancelled (the agent ends), it leaves the Pod running."""
        try:
            with contextlib.suppress(ConfigError):  # said when its first container is made
                self._python = launching.python_of(self.pod, self.host.settings)
            if self.record is not None:
                await self._adopt(self.record)
            self._spawn("volumes", self._keep_volumes())
            while not self._gone:
                self._wake.clear()
                wake_at = await self._step()
                if self._gone:
                    break
                await self._wait(wake_at)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _step(self) -> datetime | None:
        """One look and what follows from it; when to look again."""
        now = self.host.manager.clock.now()
        current = self._current()
        if current is not None:
            self.pod = current
        elif self.pod.metadata.deletion_timestamp is None:
            # Removed at once (grace 0, or while we were away): nobody waits for us, but its processes must go.
            self.pod = as_deleted(self.pod, now)
        seen = self._seen()
        step = machine.plan(self.pod, seen, now, self._verdict)
        self._verdict = step.verdict or self._verdict
        for action in step.actions:
            self._perform(action)
        if current is not None and not any(isinstance(a, machine.Forget) for a in step.actions):
            await self._report(now)
        retries = [at for at in self._retry_at.values() if at > time.time()]
        wakes = [step.wake_at] if step.wake_at else []
        wakes += [datetime.fromtimestamp(min(retries), now.tzinfo)] if retries else []
        return min(wakes, default=None)

    async def _wait(self, wake_at: datetime | None) -> None:
        if wake_at is None:
            await self._wake.wait()
            return
        seconds = max(0.01, (wake_at - self.host.manager.clock.now()).total_seconds())
        waking = asyncio.create_task(self._wake.wait())
        timer = asyncio.create_task(self.host.manager.clock.sleep(seconds))
        try:
            await asyncio.wait((waking, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            timer.cancel()

    def _seen(self) -> Seen:
        start = datetime.fromtimestamp(self.record.start_time, self.host.manager.clock.now().tzinfo) if self.record else None
        address = HOST_ADDRESS if self.pod.spec.host_network else self.address
        return Seen(
            self._sandbox, self._sandbox_error, address, HOST_ADDRESS, start, self.runs.seen(self._with_health), dict(self._waiting)
        )

    def _with_health(self, name: str, attempt: Attempt) -> Attempt:
        monitor = self._monitors.get((name, attempt.number))
        if monitor is None or attempt.phase not in (Phase.RUNNING, Phase.STOPPING):
            return attempt
        container = self._container(name)
        health = monitor.health
        unhealthy = attempt.unhealthy or health.unhealthy(container)
        return replace(attempt, started=health.started(container), ready=health.ready(container), unhealthy=unhealthy)

    def _perform(self, action: machine.Action) -> None:
        """Begins an action, unless it is under way or was refused a moment ago."""
        match action:
            case machine.Prepare():
                if "sandbox" not in self._tasks and self._may_try("sandbox"):
                    self._sandbox = Sandbox.PREPARING
                    self._spawn("sandbox", self._prepare())
            case machine.Start(name, number, streak):
                if ("start", name) not in self._tasks and self._may_try(name):
                    self._spawn(("start", name), self._start(self._container(name), number, streak))
            case machine.Stop(name, number, grace, message):
                self._stop(self._container(name), number, grace, message)
            case machine.Dismantle():
                if "dismantle" not in self._tasks:
                    self._spawn("dismantle", self._dismantle())
            case machine.Forget():
                if "forget" not in self._tasks:
                    self._spawn("forget", self._forget())

    def _may_try(self, what: str) -> bool:
        return self._retry_at.get(what, 0.0) <= time.time()

    def _spawn(self, key: Any, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception:  # one Pod's fault stays with that Pod: logged with its name, looked at again
                logger.exception("pod %s/%s: %s failed", self.pod.metadata.namespace, self.pod.metadata.name, key)
                await asyncio.sleep(_RETRY_SECONDS)

        def ended(task: asyncio.Task[None]) -> None:
            work.close()  # one that was cancelled before it began
            if self._tasks.get(key) is task:
                del self._tasks[key]
            self._wake.set()

        task = self._tasks[key] = asyncio.create_task(guarded(), name=f"pod {self.pod.metadata.name}: {key}")
        task.add_done_callback(ended)

    # The sandbox: address, volumes, supervisor.

    async def _prepare(self) -> None:
        host, pod = self.host, self.pod
        try:
            if self.record is None:
                address = "" if pod.spec.host_network else host.addresses.take()
                namespace, name = pod.metadata.key
                self.record = records.PodRecord(namespace, name, self.uid, pod.spec.node_name, address, time.time(), self._take_gpus())
                records.write_record(self.folder, self.record)
            for part in ("shm", "home", "containers", "logs", "volumes"):
                (self.folder / part).mkdir(exist_ok=True)
            for container in (*inits(pod), *pod.spec.containers):
                (self.folder / "containers" / container.name).mkdir(exist_ok=True)
            self.write_hosts()
            await host.content.fetch(pod, self._tokens)
            volumes.prepare(host.settings.pods, pod, self._objects())
            sandbox = host.capabilities.sandbox
            shm = [] if not sandbox else [{"path": str(self.folder / "shm"), "size_bytes": 0}]
            await self.supervisor.launch(
                {
                    "hostname": launching.hostname_of(pod),
                    "user_namespace": host.capabilities.user_namespace,
                    "mount_namespace": sandbox,
                    "pid_namespace": sandbox and not pod.spec.host_pid,
                    "tmpfs": shm + (volumes.memory_folders(host.settings.pods, pod) if sandbox else []),
                }
            )
        except (volumes.VolumeError, SandboxError, ConfigError, StatusError, ConnectionError, OSError, ValueError) as error:
            self._sandbox, self._sandbox_error = Sandbox.ABSENT, str(error)
            self._retry_at["sandbox"] = time.time() + _RETRY_SECONDS
            reason = "FailedMount" if isinstance(error, volumes.VolumeError) else "FailedCreatePodSandBox"
            self.event("Warning", reason, str(error), "Preparing")
            return
        self._sandbox, self._sandbox_error = Sandbox.READY, ""
        self._spawn("watch", self._watch())

    def _take_gpus(self) -> dict[str, list[str]]:
        taken = {uuid for uuids in self.host.gpus_taken.values() for uuid in uuids}
        given: dict[str, list[str]] = {}
        for container in self.pod.spec.containers:
            count = gpu_count(container)
            if count and self.host.capabilities.gpus:
                given[container.name] = list(assign(self.host.capabilities.gpus, taken, count))
                taken |= set(given[container.name])
        self.host.gpus_taken[self.uid] = {uuid for uuids in given.values() for uuid in uuids}
        return given

    async def _adopt(self, record: records.PodRecord) -> None:
        """Goes on with a Pod that an earlier agent has started."""
        self.host.gpus_taken[self.uid] = {uuid for uuids in record.gpus.values() for uuid in uuids}
        arrived = asyncio.Event()
        self._spawn("watch", self._watch(arrived))
        await arrived.wait()

    async def _watch(self, arrived: asyncio.Event | None = None) -> None:
        """Follows the supervisor. When it is gone, so are all containers."""
        try:
            async for message in self.supervisor.watch():
                if "containers" in message:
                    self._sandbox = Sandbox.READY
                    for name, states in message["containers"].items():
                        for number, state in states.items():
                            self._observe(name, int(number), state)
                    self.runs.drop_unstarted(self._is_starting)
                    if arrived is not None:
                        arrived.set()
                else:
                    self._observe(message["name"], message["attempt"], message["state"])
                self._wake.set()
        except SupervisorGoneError:
            logger.info("pod %s/%s: its supervisor is gone", self.pod.metadata.namespace, self.pod.metadata.name)
        finally:
            if arrived is not None:
                arrived.set()
        if self._sandbox is Sandbox.READY or arrived is not None:
            self._sandbox = Sandbox.GONE
        if not self.host.capabilities.sandbox:
            end_marked(self.uid)
        for name, number in self.runs.lose(self.host.manager.clock.now(), self._is_starting):
            self._finish(name, number)

    def _is_starting(self, container: str) -> bool:
        return ("start", container) in self._tasks

    # Containers.

    async def _start(self, container: Container, number: int, streak: int) -> None:
        name = container.name
        try:
            await self.host.content.fetch(self.pod, self._tokens)
            spec = launching.specification(
                self.pod,
                container,
                number,
                self._place(name),
                self.host.content.services_for(self.pod),
                self._objects(),
                self.host.settings,
                self.host.capabilities,
                self.host.machine_memory_bytes,
            )
        except (ConfigError, volumes.VolumeError, StatusError, ConnectionError, OSError) as error:
            self._waiting[name] = ("CreateContainerConfigError" if isinstance(error, ConfigError) else "CreateContainerError", str(error))
            self._retry_at[name] = time.time() + _RETRY_SECONDS
            self.event("Warning", "Failed", f"Error: {error}", "Starting", name)
            return
        self._waiting.pop(name, None)
        if number == 0:
            text = f'Container image "{container.image}" is not pulled: {name} runs in {launching.describe_environment(self._python)}'
            self.event("Normal", "ImageNotPulled", text, "Pulling", name)
        path = self.runs.begin(name, number, streak, spec, hooked=_hookless(container))
        self.event("Normal", "Created", f"Container created: {name}", "Starting", name)
        try:
            await self.supervisor.start(name, number, path)
        except SandboxError as error:
            self.event("Warning", "Failed", f"Error: {error}", "Starting", name)
            self._observe(name, number, self.runs.fail(name, number, error.reason, str(error), self.host.manager.clock.now()))
            return
        self.event("Normal", "Started", f"Container started: {name}", "Starting", name)
        await self._after_start(container, number)

    async def _after_start(self, container: Container, number: int) -> None:
        lifecycle = container.lifecycle
        if lifecycle is None or lifecycle.post_start is None:
            return
        try:
            await run_hook(lifecycle.post_start, container, self.supervisor, self.address)
        except HookFailedError as error:
            self.event("Warning", "FailedPostStartHook", str(error), "Starting", container.name)
            self._change(container.name, number, unhealthy="FailedPostStartHook")
        else:
            self._change(container.name, number, hooked=True)

    def _observe(self, name: str, number: int, state: dict[str, Any]) -> None:
        """A container has started or ended."""
        changed = self.runs.apply(name, number, state)
        if changed is None:
            return  # of a container that the Pod does not have
        before, after = changed
        if after.phase is Phase.EXITED and before.live:
            self._finish(name, number)
        elif after.phase is Phase.RUNNING and (name, number) not in self._monitors and after.started_at is not None:
            self._monitor(name, number, after.started_at)
        self._wake.set()

    def _monitor(self, name: str, number: int, started_at: datetime) -> None:
        def failed(kind: str, message: str) -> None:
            self.event("Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {message}", "Probing", name)

        address = HOST_ADDRESS if self.pod.spec.host_network else self.address
        monitor = Monitor(self._container(name), self.supervisor, address, self.host.manager.clock, started_at, self.wake, failed)
        self._monitors[name, number] = monitor
        self._ended.setdefault((name, number), asyncio.Event())
        self._spawn(("monitor", name, number), monitor.run())

    def _finish(self, name: str, number: int) -> None:
        """Tidies up after a container has ended."""
        self._ended.setdefault((name, number), asyncio.Event()).set()
        self._monitors.pop((name, number), None)
        self._stopping.pop((name, number), None)
        if (monitor := self._tasks.get(("monitor", name, number))) is not None:
            monitor.cancel()
        cgroups.remove(self.host.capabilities.cgroups, launching.cgroup_name(self.pod, name, number))
        history = self.host.settings.home / "history" / "jobs" / self.pod.metadata.namespace
        keep_driver_logs(self.runs.own(name) / f"{number}.tmp", history)
        self.runs.tidy(name, number)

    def _stop(self, container: Container, number: int, grace: int, message: str) -> None:
        key = (container.name, number)
        stopping = self._stopping.get(key)
        if stopping is not None:
            stopping.hasten(grace)
            return
        stopping = Stopping(
            container, number, self.supervisor, self.address, self.host.manager.clock, self._ended.setdefault(key, asyncio.Event())
        )
        self._stopping[key] = stopping
        self._change(container.name, number, phase=Phase.STOPPING)
        text = f"{message} {container.name}" if message == "Stopping container" else message
        self.event("Normal", "Killing", text, "Stopping", container.name)

        def hook_failed(text: str) -> None:
            self.event("Warning", "FailedPreStopHook", text, "Stopping", container.name)

        self._spawn(("stop", *key), stopping.run(grace, hook_failed))

    def _change(self, name: str, number: int, **fields: Any) -> None:
        self.runs.change(name, number, **fields)
        self._wake.set()

    # The end.

    async def _dismantle(self) -> None:
        self._sandbox = Sandbox.GONE
        await self.supervisor.shutdown()
        if not self.host.capabilities.sandbox:
            end_marked(self.uid)
        cgroups.remove_tree(self.host.capabilities.cgroups, launching.cgroup_name(self.pod))
        self.host.gpus_taken.pop(self.uid, None)

    async def _forget(self) -> None:
        """Writes the last status, confirms the deletion and removes what is left of the Pod."""
        if (watch := self._tasks.get("watch")) is not None:
            watch.cancel()
        meta = self.pod.metadata
        try:
            if self._current() is not None:
                await self._report(self.host.manager.clock.now())
                await self.host.manager.client.delete(PODS, meta.name, meta.namespace, grace_seconds=0, uid=self.uid)
        except StatusError as error:
            if not is_not_found(error) and error.reason != "Conflict":
                raise  # Conflict: another Pod has the name by now, so ours is gone
        except ConnectionError as error:
            logger.warning("pod %s/%s: %s; its deletion is confirmed later", meta.namespace, meta.name, error)
            await asyncio.sleep(_RETRY_SECONDS)
            return
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        if self.address:
            self.host.addresses.release(self.address)
        self._gone = True

    # Status, volumes, names.

    async def _report(self, now: datetime) -> None:
        """Writes the status if the API has another one."""
        if self.record is None and self.pod.status.phase in (SUCCEEDED, FAILED):
            return  # it ended before our time; what the API says is all that is known
        wanted = status.render(self.pod, self._seen(), now, self._verdict, launching.describe_environment(self._python))
        if not status.differs(msgspec.to_builtins(self.pod.status), wanted):
            return
        meta = self.pod.metadata
        for container in (*wanted["containerStatuses"], *wanted.get("initContainerStatuses", ())):
            if container["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff":
                text = f"Back-off restarting failed container {container['name']} in pod {meta.name}_{meta.namespace}({meta.uid})"
                self.event("Warning", "BackOff", text, "Restarting", container["name"])
        try:
            patch = {"metadata": {"uid": self.uid}, "status": wanted}
            answer = await self.host.manager.client.patch(
                PODS, meta.name, patch, meta.namespace, type=PatchType.STRATEGIC, subresource="status", field_manager="kubelet"
            )
            self._absorb(answer)
        except StatusError as error:
            if not is_not_found(error) and error.reason != "Conflict":
                logger.warning("pod %s/%s: its status is refused: %s", meta.namespace, meta.name, error)
                self._retry_at["status"] = time.time() + _RETRY_SECONDS
        except ConnectionError:
            self._retry_at["status"] = time.time() + _RETRY_SECONDS  # the API is away; the manager says so

    async def _keep_volumes(self) -> None:
        while True:
            await asyncio.sleep(_VOLUME_SECONDS)
            await self.refresh_volumes()

    async def refresh_volumes(self) -> None:
        """Brings changed ConfigMaps, Secrets and tokens into the running Pod."""
        if self._sandbox is not Sandbox.READY or not self.pod.spec.volumes:
            return
        try:
            await self.host.content.fetch(self.pod, self._tokens)
            volumes.prepare(self.host.settings.pods, self.pod, self._objects())
        except (volumes.VolumeError, StatusError, ConnectionError, OSError) as error:
            logger.warning("pod %s/%s: volumes stay as they are: %s", self.pod.metadata.namespace, self.pod.metadata.name, error)

    def write_hosts(self) -> None:
        """Brings the Pod's hosts file up to date, in place: it is mounted."""
        if self.record is None or "forget" in self._tasks:
            return
        path = self.folder / "hosts"
        text = self._hosts(self.pod, self.address)
        try:
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
        except OSError as error:
            logger.warning("pod %s/%s: its hosts file stays as it is: %s", self.pod.metadata.namespace, self.pod.metadata.name, error)

    def event(self, kind: str, reason: str, message: str, action: str, container: str = "") -> None:
        """Tells the Pod's owner; where it is about a container, each has a count of its own."""
        field = "initContainers" if container in {c.name for c in inits(self.pod)} else "containers"
        path = f"spec.{field}{{{container}}}" if container else ""
        self.host.manager.events.event(self.pod, kind, reason, message, action, field_path=path)

    def _objects(self) -> volumes.Objects:
        address = HOST_ADDRESS if self.pod.spec.host_network else self.address
        fields = {"status.podIP": address, "status.podIPs": address, "status.hostIP": HOST_ADDRESS, "status.hostIPs": HOST_ADDRESS}
        allocatable = self.host.allocatable.get(self.pod.spec.node_name, {})
        return self.host.content.objects(self.pod, self._tokens, fields, allocatable)

    def _place(self, container: str) -> launching.Place:
        gpus = tuple(self.record.gpus.get(container, ())) if self.record else ()
        return launching.Place(self.folder, self.address, HOST_ADDRESS, launching.hostname_of(self.pod), gpus)

    def _container(self, name: str) -> Container:
        return next(c for c in (*inits(self.pod), *self.pod.spec.containers) if c.name == name)


def _hookless(container: Container) -> bool:
    return container.lifecycle is None or container.lifecycle.post_start is None
