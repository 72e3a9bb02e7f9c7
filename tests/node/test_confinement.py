"""Pods on machines that allow less: an ordinary user, and no namespaces at all."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from raysail.api.resources import PODS
from raysail.node.capabilities import find_capabilities
from raysail.node.cgroups import Cgroups
from tests.node.running import machine, phase, ready, shell
from tests.node.test_crash import marked


async def test_without_namespaces_pods_still_have_addresses_and_names_and_leave_nothing() -> None:
    bare = replace(find_capabilities(), sandbox=False, user_namespace=False, cgroups=Cgroups(0, memory=False, cpu=False, detail=""))
    async with machine(capabilities=bare) as here:
        script = "hostname; python -c 'import socket; print(socket.gethostname(), socket.gethostbyname(socket.gethostname()))'; (setsid sleep 302 &); sleep 303"
        await here.create("bare", [shell(script)])
        pod = await here.until("bare", ready)
        log = await here.until_log(pod, f"bare {pod['status']['podIP']}")
        assert log
        assert len(marked(pod["metadata"]["uid"])) > 2
        await here.client.delete(PODS, "bare", "default", grace_seconds=0)
        await here.gone("bare")
        assert not marked(pod["metadata"]["uid"])
        await here.create("dies", [shell("(setsid sleep 304 &); exit 3")], restartPolicy="Never")
        failed = await here.until("dies", phase("Failed"))
        assert failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
        async with asyncio.timeout(10):
            while any(b"304" in Path(f"/proc/{p}/cmdline").read_bytes() for p in marked(failed["metadata"]["uid"])):
                await asyncio.sleep(0.02)


_AS_NOBODY = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from raysail.api.resources import PODS
from raysail.node.capabilities import find_capabilities
from tests.node.running import machine, phase, shell

async def main():
    found = find_capabilities()
    async with machine() as here:
        volumes = [{"name": "v", "emptyDir": {}}]
        script = "id -u; echo $BASHPID; hostname; echo kept > /some/where/f; cat /some/where/f; python -c 'import socket; a = socket.socket(); a.bind((\\"\\", 0)); print(a.getsockname()[0])'"
        one = shell(script, volumeMounts=[{"name": "v", "mountPath": "/some/where"}])
        await here.create("plain", [one], volumes=volumes, restartPolicy="Never")
        pod = await here.until("plain", lambda p: p["status"].get("phase") in ("Succeeded", "Failed"))
        print(json.dumps({"sandbox": found.sandbox, "user": found.user_namespace, "log": here.log(pod), "ip": pod["status"]["podIP"], "status": pod["status"]["phase"]}))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become an ordinary user")
def test_an_ordinary_user_runs_pods() -> None:
    """As nobody, in a mount namespace where what is root's alone on this machine (the interpreter) can be read."""
    root = Path(__file__).parents[2]
    home = Path(tempfile.mkdtemp(prefix="rsnobody-"))
    home.chmod(0o777)
    closed = [p for p in (Path(sys.prefix), Path(sys.base_prefix), root) if any(not q.stat().st_mode & 0o001 for q in p.parents)]
    opening = "\n".join(_open(p) for p in closed)
    program = home / "program.py"
    program.write_text(_AS_NOBODY)
    script = f"""
set -e
mount --make-rprivate /
{opening}
cd {home}
exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME={home} TMPDIR={home} PYTHONDONTWRITEBYTECODE=1 {sys.executable} {program} {root}
"""
    try:
        done = subprocess.run(["unshare", "--mount", "bash", "-c", script], capture_output=True, text=True, timeout=100, check=False)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    if not found["sandbox"]:
        pytest.skip("this machine does not allow user namespaces to ordinary users")
    assert found["user"]
    assert found["status"] == "Succeeded"
    assert found["log"].splitlines() == ["65534", "2", "plain", "kept", found["ip"]]


def _open(path: Path) -> str:
    """Covers the first closed folder above by one that can be entered and holds the same path."""
    closed = next(q for q in reversed(path.parents) if not q.stat().st_mode & 0o001)
    return f"""
keep=$(mktemp -d); mount --rbind {path} $keep
mountpoint -q {closed} || mount -t tmpfs -o mode=755 none {closed}
mkdir -p {path}; mount --move $keep {path}
"""
