"""Writing a folder of small files so that readers see all of an update or none of it (Kubernetes' AtomicWriter: pkg/volume/util/atomic_writer.go).

The files are links into `..data`, which is itself a link to a folder with the present content; an update swaps that one link.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class File:
    """One file: content and permission bits."""

    content: bytes
    mode: int = 0o644


def write_folder(folder: Path, files: Mapping[str, File]) -> bool:
    """Makes `folder` hold exactly these files (names may have sub-folders); False when it did already. Raises ValueError for a name that leads out."""
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts:
            raise ValueError(f"{name!r} is not a relative path inside the volume")
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "..data"
    if data.is_symlink() and _same(data.resolve(), files):
        return False
    old = folder / data.readlink() if data.is_symlink() else None
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    fresh.chmod(0o755)
    for name, file in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    swap = folder / "..data_tmp"
    with contextlib.suppress(FileNotFoundError):
        swap.unlink()
    swap.symlink_to(fresh.name)
    swap.replace(data)
    wanted = {PurePosixPath(name).parts[0] for name in files}
    for name in wanted:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
    if old is not None and old != fresh:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _same(folder: Path, files: Mapping[str, File]) -> bool:
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    if present != set(files):
        return False
    return all(
        (folder / name).read_bytes() == file.content and (folder / name).stat().st_mode & 0o7777 == file.mode
        for name, file in files.items()
    )
