"""Real Kubernetes for tests: builds etcd, kube-apiserver, kube-controller-manager and kube-scheduler from their Go modules.

    python tools/envtest/build.py          # prints the folder of the binaries on its last line, and nothing else on stdout

No image and no release download is needed, only Go and its module proxy (as `go env` has it); versions and hashes stand in go.mod and go.sum beside
this file. The folder that KUBEBUILDER_ASSETS names is taken as it is where it holds all four. Else they are kept, by version, in the user's
cache folder (XDG_CACHE_HOME, ~/.cache), each put there whole: an interrupted build goes on where it stopped. The first build takes 15 to 20 minutes on
two cores (Go's own build cache grows to 4.5 GB meanwhile); nice to others by itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
}
OLDEST_GO = (1, 21)
"""From here on Go fetches by itself the tool chain that go.mod asks for."""
PROGRESS_SECONDS = 30.0


def kubernetes_version() -> str:
    """The pinned one, such as v1.36.3."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (HERE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{HERE / 'go.mod'} requires no k8s.io/kubernetes")
    return found[1]


def cache_folder() -> Path:
    """Where this version's binaries are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "raysail" / "envtest" / kubernetes_version()


def complete(folder: Path) -> bool:
    """Whether all programs are there."""
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


def find() -> Path | None:
    """The folder with all binaries, built before or named by KUBEBUILDER_ASSETS; None where there is none."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return next((folder for folder in (*([Path(named)] if named else []), cache_folder()) if complete(folder)), None)


def say(text: str) -> None:
    """Progress; stdout is for the result."""
    print(f"envtest: {text}", file=sys.stderr, flush=True)


def check_go() -> str:
    """Go's path. Ends the program with what to install when it is missing or too old."""
    go = shutil.which("go")
    if go is None:
        raise SystemExit(
            "envtest: Go is needed to build kube-apiserver and etcd, and `go` is not on the PATH (Debian: apt install golang-go; or go.dev/dl).\n"
            "envtest: where binaries are there already, name their folder: KUBEBUILDER_ASSETS=... (setup-envtest makes such folders)"
        )
    answer = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", answer)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GO:
        raise SystemExit(f"envtest: Go {'.'.join(map(str, OLDEST_GO))} or newer is needed, here is: {answer.strip()}")
    return go


def stamp(version: str) -> str:
    """Linker flags; without a version kube-apiserver reports v0.0.0 and some clients refuse it."""
    major, minor, _ = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    return " ".join(["-s", "-w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())])


def build(go: str, folder: Path) -> None:
    """What is missing in the folder, one program after the other. Ends the program with Go's words when a build fails."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]
    for at, name in enumerate(missing, 1):
        say(f"building {name} ({at} of {len(missing)}) into {folder}")
        started = time.monotonic()
        unfinished = folder / f".{name}.{os.getpid()}"
        command = [
            go,
            "build",
            "-mod=readonly",
            "-ldflags",
            stamp(kubernetes_version()),
            "-o",
            str(unfinished),
            PROGRAMS[name],
        ]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
        with _ticking(name, started):
            done = subprocess.run(command, cwd=HERE, env=environment, stdout=sys.stderr, preexec_fn=lambda: os.nice(10), check=False)
        if done.returncode:
            unfinished.unlink(missing_ok=True)
            raise SystemExit(f"envtest: go build {PROGRAMS[name]} failed (see above); is the Go module proxy reachable (go env GOPROXY)?")
        unfinished.rename(folder / name)
        say(f"{name}: {(folder / name).stat().st_size / 1e6:.0f} MB after {time.monotonic() - started:.0f} s")


class _ticking:  # noqa: N801 (a context that reads like a verb)
    """Says now and then that a long build still goes on."""

    def __init__(self, name: str, started: float) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tick, args=(name, started), daemon=True)

    def _tick(self, name: str, started: float) -> None:
        while not self._done.wait(PROGRESS_SECONDS):
            say(f"{name}: {time.monotonic() - started:.0f} s so far")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def main() -> int:
    """Builds what is missing; prints the folder."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if named and not complete(Path(named)):
        lacking = [name for name in PROGRAMS if not os.access(Path(named) / name, os.X_OK)]
        say(f"KUBEBUILDER_ASSETS={named} has no {', '.join(lacking)}; using {cache_folder()} instead")
    folder = find()
    if folder is None:
        folder = cache_folder()
        build(check_go(), folder)
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
