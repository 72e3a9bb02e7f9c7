"""Addresses for Pods from the instance's range; each Pod keeps its own until it is gone. Pure state, kept by the agent, rebuilt from Pods' folders."""

from __future__ import annotations

import ipaddress


class AddressesExhaustedError(Exception):
    """All addresses of the range are taken."""


class AddressPool:
    """Hands out addresses in turn, so that one that has become free is not given again at once."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.ip_network(cidr)
        self._first = int(network.network_address) + 1
        self._count = network.num_addresses - 2
        self._next = 0
        self._taken: set[str] = set()
        self.cidr = cidr

    def take(self, wanted: str = "") -> str:
        """A free address, or `wanted` if it is in the range and free. Raises AddressesExhaustedError."""
        if wanted and wanted not in self._taken:
            self._taken.add(wanted)
            return wanted
        for _ in range(self._count):
            address = str(ipaddress.ip_address(self._first + self._next))
            self._next = (self._next + 1) % self._count
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise AddressesExhaustedError(f"all {self._count} Pod addresses of {self.cidr} are taken")

    def release(self, address: str) -> None:
        """The Pod is gone."""
        self._taken.discard(address)
