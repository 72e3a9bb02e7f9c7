"""Only one of several identical processes works at a time: whoever holds the Lease (k8s.io/client-go tools/leaderelection).

The holder renews; another takes over when the lease has not changed for its whole duration as *it* measured it, so that clocks need not agree.
A write over a newer version is refused by the API, which makes two winners impossible.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from raysail.api.errors import StatusError, is_not_found
from raysail.api.meta import format_micro_time
from raysail.api.resources import LEASES
from raysail.kube.client import Client, JsonObject
from raysail.kube.clock import Clock, SystemClock

logger = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """The lease could not be renewed in time: whatever was run as leader was cancelled."""


def default_identity() -> str:
    """Unique for each process: host, process id, and a random part since both may come again."""
    return f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4()}"


@dataclass(slots=True)
class LeaderElection:
    """The contest for one Lease. All times are in seconds; the defaults are Kubernetes' own."""

    client: Client
    namespace: str
    name: str
    identity: str = field(default_factory=default_identity)
    lease_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0
    clock: Clock = field(default_factory=SystemClock)
    leading: bool = False
    _seen: tuple[str, float] = ("", 0.0)

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Waits for the lease, runs `work` while holding it, and gives it back. Raises LeadershipLostError."""
        while not await self._try():
            await self.clock.sleep(self.retry_seconds)
        logger.info("leading: holds lease %s/%s", self.namespace, self.name)
        self.leading = True
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(self._renew(), name="renew lease")
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            if renewing.done() and not working.done():
                renewing.result()
            if working.done():
                working.result()
        finally:
            self.leading = False
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            await self._release()

    async def _renew(self) -> None:
        renewed = self.clock.now()
        while True:
            await self.clock.sleep(self.retry_seconds)
            if await self._try():
                renewed = self.clock.now()
            elif (self.clock.now() - renewed).total_seconds() >= self.renew_deadline_seconds:
                raise LeadershipLostError(f"lease {self.namespace}/{self.name} was not renewed for {self.renew_deadline_seconds:g} s")

    async def _try(self) -> bool:
        try:
            async with asyncio.timeout(self.renew_deadline_seconds):
                return await self._acquire_or_renew()
        except (StatusError, ConnectionError, TimeoutError) as error:
            logger.debug("lease %s/%s: %s", self.namespace, self.name, error)
            return False

    async def _acquire_or_renew(self) -> bool:
        now = format_micro_time(self.clock.now())
        spec: JsonObject = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self.lease_seconds),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        }
        try:
            lease = await self.client.get(LEASES, self.name, self.namespace)
        except StatusError as error:
            if not is_not_found(error):
                raise
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": spec,
            }
            await self.client.create(LEASES, body, self.namespace)
            return True
        held = lease.get("spec") or {}
        version = str(lease["metadata"]["resourceVersion"])
        monotonic = asyncio.get_running_loop().time() if isinstance(self.clock, SystemClock) else self.clock.now().timestamp()
        if self._seen[0] != version:
            self._seen = (version, monotonic)
        holder = held.get("holderIdentity") or ""
        if holder and holder != self.identity and monotonic < self._seen[1] + float(held.get("leaseDurationSeconds") or self.lease_seconds):
            return False
        if holder == self.identity:
            spec["acquireTime"], spec["leaseTransitions"] = held.get("acquireTime") or now, held.get("leaseTransitions") or 0
        else:
            spec["leaseTransitions"] = int(held.get("leaseTransitions") or 0) + 1
        lease["spec"] = spec
        await self.client.update(LEASES, lease, self.namespace)
        return True

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(self.retry_seconds):
                lease = await self.client.get(LEASES, self.name, self.namespace)
                if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                    now = format_micro_time(self.clock.now())
                    lease["spec"] = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now, "acquireTime": now}
                    await self.client.update(LEASES, lease, self.namespace)
        except (StatusError, ConnectionError, TimeoutError) as error:
            # The next holder then waits out the lease: slower, not wrong.
            logger.info("could not give back lease %s/%s: %s", self.namespace, self.name, error)
