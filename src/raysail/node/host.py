"""What all Pods of one agent share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raysail.kube.manager import Manager
from raysail.node.addresses import AddressPool
from raysail.node.capabilities import Capabilities
from raysail.node.content import Content
from raysail.node.settings import NodeSettings

HOST_ADDRESS = "127.0.0.1"
"""The address of every Node: they are all this machine."""


@dataclass(slots=True)
class Host:
    """The agent's surroundings. `allocatable` is by Node name, then by resource, as quantities."""

    settings: NodeSettings
    manager: Manager
    capabilities: Capabilities
    content: Content
    addresses: AddressPool
    machine_memory_bytes: int
    allocatable: Mapping[str, Mapping[str, str]]
    gpus_taken: dict[str, set[str]] = field(default_factory=dict)
    """UUIDs of GPUs in use, by Pod uid."""
