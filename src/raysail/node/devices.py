"""The machine's NVIDIA GPUs, by NVML where its Python binding is installed, else by nvidia-smi."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

GPU_RESOURCE: Final = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as CUDA_VISIBLE_DEVICES may name it (`uuid`)."""

    index: int
    uuid: str
    name: str
    memory_bytes: int


def find_gpus() -> tuple[Gpu, ...]:
    """All GPUs, none where there is no driver."""
    found = _by_nvml()
    return found if found is not None else _by_nvidia_smi()


def assign(gpus: Iterable[Gpu], taken: Collection[str], count: int) -> tuple[str, ...]:
    """The UUIDs for a container that asks for `count`. Raises ValueError when fewer are free: the binder counted with other ones."""
    free = [gpu.uuid for gpu in gpus if gpu.uuid not in taken]
    if len(free) < count:
        raise ValueError(f"{count} GPUs are asked for, {len(free)} are free")
    return tuple(free[:count])


def _by_nvml() -> tuple[Gpu, ...] | None:
    try:
        pynvml = importlib.import_module("pynvml")
        pynvml.nvmlInit()
    except Exception:  # not installed, or no driver: each binding has errors of its own
        return None
    try:
        gpus = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid, name = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle).total
            gpus.append(Gpu(index, _text(uuid), _text(name), int(memory)))
        return tuple(gpus)
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _by_nvidia_smi() -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return ()  # the tool without a working driver
    rows = [[part.strip() for part in line.split(",")] for line in output.splitlines() if line.count(",") >= 3]
    return tuple(Gpu(int(index), uuid, name, int(memory) << 20) for index, uuid, name, memory, *_ in rows)
