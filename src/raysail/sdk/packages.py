"""Shipping a working directory: a zip named by its content, which every Ray node unpacks (Ray's `working_dir` runtime environment).

Files that git ignores stay behind (as does `.git`); outside a git work tree, caches and virtual environments do.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LIMIT_BYTES: Final = 500 << 20
"""Ray's own limit for a package of a working directory."""

_PASSED_OVER: Final = {
    ".git",
    ".hg",
    ".venv",
    "venv",
    "__pycache__",
    "node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".ipynb_checkpoints",
}
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_TOP: Final = "working_dir"
"""Ray takes one folder around all files away from a package that it gets by URI."""


class PackageError(ValueError):
    """The directory cannot be shipped; the text says why and what to do."""


def make_package(directory: Path, target_folder: Path) -> Path:
    """The zip of the directory, in `target_folder`; the same content gives the same file. Raises PackageError."""
    if not directory.is_dir():
        raise PackageError(f"the working directory {directory} is not a directory")
    files = sorted(_files(directory))
    sizes = {file: (directory / file).stat().st_size for file in files}
    total = sum(sizes.values())
    if total > LIMIT_BYTES:
        largest = max(sizes, key=lambda file: sizes[file])
        raise PackageError(
            f"the working directory {directory} holds {total >> 20} MiB, more than the {LIMIT_BYTES >> 20} MiB that Ray ships to a cluster "
            f"(the largest file is {largest}, {sizes[largest] >> 20} MiB): name a smaller one with --working-dir, list data in .gitignore, or use --working-dir ''"
        )
    target_folder.mkdir(parents=True, exist_ok=True)
    temporary = target_folder / f".{os.getpid()}.zip"
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in files:
            path = directory / file
            # Fixed times: the digest depends on content and mode only.
            info = zipfile.ZipInfo(f"{_TOP}/{file}", _LONG_AGO)
            info.external_attr = (path.stat().st_mode & 0xFFFF) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    with temporary.open("rb") as made:
        digest = hashlib.file_digest(made, "sha256").hexdigest()[:32]
    package = target_folder / f"{digest}.zip"
    temporary.replace(package)
    return package


def _files(directory: Path) -> Iterator[str]:
    listed = (
        subprocess.run(
            ["git", "-C", str(directory), "ls-files", "--cached", "--others", "--exclude-standard", "-z"], capture_output=True, check=False
        )
        if (_in_work_tree(directory))
        else None
    )
    if listed is not None and listed.returncode == 0:
        for name in os.fsdecode(listed.stdout).split("\0"):
            if name and (directory / name).is_file():
                yield name
        return
    for root, folders, names in os.walk(directory):
        folders[:] = [f for f in folders if f not in _PASSED_OVER]
        for name in names:
            path = Path(root) / name
            if path.is_file():
                yield str(path.relative_to(directory))


def _in_work_tree(directory: Path) -> bool:
    return any((parent / ".git").exists() for parent in (directory.absolute(), *directory.absolute().parents))
