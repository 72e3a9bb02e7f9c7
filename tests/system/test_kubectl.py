"""A user with the real kubectl and the kubeconfig that `raysail up` wrote: objects, Pods that run, and streams to them."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from raysail.instance.processes import wait_until
from tests.system.instance import Instance, instance

pytestmark = [
    pytest.mark.kubectl,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: https://kubernetes.io/docs/tasks/tools"),
]

EXAMPLES = Path(__file__).parents[2] / "examples"

WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: prepare, image: any, command: [sh, -c, "echo prepared > /shared/index.html; echo ready"], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - name: server
    image: any
    command: [python, -u, -m, http.server, "8080", --directory, /shared]
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: talker
    image: any
    command: [sh, -c, "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.3; done"]
  volumes: [{name: shared, emptyDir: {}}]
"""
ECHO = """
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: any, stdin: true, command: [sh, -c, "while read line; do echo got $line; done"]}]
"""
SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {kind: test}}
data: {color: "red", size: "1"}
"""


@pytest.fixture(scope="module")
def up() -> Iterator[Instance]:
    nodes = "2x cpu=8,memory=16Gi"
    with instance("--nodes", nodes) as found:
        yield found


@pytest.fixture(scope="module")
def web(up: Instance) -> str:
    """A Pod with a web server and a container that writes lines; its name."""
    up.kubectl("apply", "-f", "-", text=WEB)
    up.kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=30s")
    return "web"


@contextmanager
def running(up: Instance, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """kubectl in the background, its output to be read line by line."""
    process = subprocess.Popen(["kubectl", *arguments], env=up.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def line_with(process: subprocess.Popen[str], text: str, limit_seconds: float = 20.0) -> str:
    """The first line of its output that holds the text."""
    timer = threading.Timer(limit_seconds, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if text in line:
                return line
    finally:
        timer.cancel()
    raise AssertionError(f"{text!r} was not printed, but {''.join(seen)!r}")


def kubectl_code(up: Instance, *arguments: str, text: str = "") -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    done = subprocess.run(["kubectl", *arguments], env=up.environment, capture_output=True, text=True, input=text, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# What is there.


def test_says_who_and_where_it_is(up: Instance) -> None:
    assert "v1.36" in up.kubectl("version")
    assert "Kubernetes control plane is running at https://127." in up.kubectl("cluster-info")
    assert "system:masters" in up.kubectl("auth", "whoami")
    versions = up.kubectl("api-versions").split()
    assert {"v1", "apps/v1", "batch/v1", "ray.io/v1", "kueue.x-k8s.io/v1beta1", "kueue.x-k8s.io/v1beta2"} <= set(versions)
    resources = up.kubectl("api-resources", "-o", "name").split()
    assert {"pods", "rayclusters.ray.io", "rayjobs.ray.io", "clusterqueues.kueue.x-k8s.io", "priorityclasses.scheduling.k8s.io"} <= set(
        resources
    )
    code, _, fault = kubectl_code(up, "top", "nodes")
    assert (code, fault.strip()) == (1, "error: Metrics API not available")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("raycluster.spec", "headGroupSpec\t<Object> -required-"),
        ("rayjob.spec.rayClusterSpec", "workerGroupSpecs\t<[]Object>"),
        ("clusterqueue.spec", "cohortName\t<string>"),
        ("pod.spec.containers", "livenessProbe\t<Probe>"),
        ("job.spec.backoffLimit", "FIELD: backoffLimit <integer>"),
    ],
)
def test_explains(up: Instance, path: str, expected: str) -> None:
    assert expected in up.kubectl("explain", path)


def test_get_prints_in_every_way(up: Instance, web: str) -> None:
    wide = up.kubectl("get", "pods", "-o", "wide").splitlines()
    assert wide[0].split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert re.search(r"^web\s+2/2\s+Running\s+0\s", wide[1])
    assert up.kubectl("get", "pod", web, "-o", "name").strip() == "pod/web"
    assert up.kubectl("get", "pod", web, "-o", "jsonpath={.status.phase} {.spec.containers[*].name}") == "Running server talker"
    assert json.loads(up.kubectl("get", "pod", web, "-o", "json"))["status"]["phase"] == "Running"
    assert yaml.safe_load(up.kubectl("get", "pods", "-o", "yaml"))["kind"] == "List"
    assert "app=web" in up.kubectl("get", "pods", "--show-labels")
    assert "web" in up.kubectl("get", "pods", "-A", "-l", "app in (web, other)", "--field-selector", "status.phase=Running")
    assert "No resources found" in kubectl_code(up, "get", "pods", "-l", "app=none")[2]
    assert "IP" not in up.kubectl("get", "pods", "--no-headers", "-o", "custom-columns=N:.metadata.name")
    ages = up.kubectl("get", "pods", "--sort-by=.metadata.creationTimestamp", "-o", "name")
    assert ages.startswith("pod/")


def test_describes(up: Instance, web: str) -> None:
    pod = up.kubectl("describe", "pod", web)
    assert re.search(r"Scheduled .*Successfully assigned default/web to", pod)
    for container in ("prepare", "server", "talker"):
        assert f"Container started: {container}" in pod
        assert f"is not pulled: {container} runs in the Python environment" in pod
    assert "raysail.io/ImagePulled" in pod
    node = up.kubectl("describe", "node", pod_node(up, web))
    assert "KubeletReady" in node
    assert re.search(r"default\s+web\s", node)
    assert "Nominal Quota:  16" in up.kubectl("describe", "clusterqueue", "default")
    assert "Container started: server" in up.kubectl("get", "events")
    assert "Started" in up.kubectl("events", "--for", "pod/web")


def pod_node(up: Instance, name: str) -> str:
    return up.kubectl("get", "pod", name, "-o", "jsonpath={.spec.nodeName}")


def test_watches_a_pod_come_and_go(up: Instance) -> None:
    with running(up, "get", "pods", "-w", "--field-selector", "metadata.name=brief") as watch:
        up.kubectl("run", "brief", "--image=any", "--restart=Never", "--", "sh", "-c", "sleep 0.5")
        for state in ("Pending", "Running", "Completed"):
            line_with(watch, state)
    up.kubectl("delete", "pod", "brief", "--wait")
    assert kubectl_code(up, "get", "pod", "brief")[0] == 1


# Writing objects.


def test_applies_the_examples_on_either_side(up: Instance) -> None:
    queue = str(EXAMPLES / "queues" / "a-cluster-queue.yaml")
    kinds = len(list(yaml.safe_load_all(Path(queue).read_text())))
    assert len(re.findall("created", up.kubectl("apply", "-f", queue))) == kinds
    assert len(re.findall("unchanged", up.kubectl("apply", "-f", queue))) == kinds
    setup = str(EXAMPLES / "live-demo" / "setup.yaml")
    assert "serverside-applied" in up.kubectl("apply", "--server-side", "-f", setup)
    assert "1M" not in up.kubectl("get", "priorityclass", "high-priority")
    job = str(EXAMPLES / "live-demo" / "ray-job.yaml")
    assert "created (server dry run)" in up.kubectl("apply", "--dry-run=server", "-f", job)
    up.kubectl("delete", "-f", setup, "--wait")
    up.kubectl("delete", "-f", queue, "--wait")
    assert kubectl_code(up, "get", "clusterqueue", "a-cluster-queue")[0] == 1


def test_changes_a_rayjob_that_waits(up: Instance) -> None:
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "waits", "labels": {"kueue.x-k8s.io/queue-name": "nowhere"}},
        "spec": {
            "entrypoint": "python -c 1",
            "suspend": True,
            "shutdownAfterJobFinishes": True,
            "rayClusterSpec": {"headGroupSpec": {"template": HEAD}},
        },
    }
    up.kubectl("apply", "-f", "-", text=yaml.safe_dump(job))
    up.kubectl("patch", "rayjob", "waits", "--type=merge", "-p", '{"spec":{"ttlSecondsAfterFinished":5}}')
    up.kubectl("patch", "rayjob", "waits", "--type=json", "-p", '[{"op":"replace","path":"/spec/ttlSecondsAfterFinished","value":6}]')
    assert up.kubectl("get", "rayjob", "waits", "-o", "jsonpath={.spec.ttlSecondsAfterFinished}") == "6"
    assert "Suspend" in up.kubectl("describe", "rayjob", "waits")
    code, _, fault = kubectl_code(up, "patch", "rayjob", "waits", "--type=merge", "-p", '{"spec":{"backoffLimit":"many"}}')
    assert code == 1
    assert "spec.backoffLimit" in fault
    up.kubectl("delete", "rayjob", "waits", "--wait")


HEAD = {"spec": {"containers": [{"name": "head", "image": "any", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}}


def test_changes_a_configmap_in_every_way(up: Instance, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS)
    up.kubectl("apply", "-f", str(file))
    file.write_text(SETTINGS.replace("red", "blue"))
    code, differences, _ = kubectl_code(up, "diff", "-f", str(file))
    assert code == 1
    assert "+  color: blue" in differences
    assert "configured" in up.kubectl("apply", "-f", str(file))
    assert kubectl_code(up, "diff", "-f", str(file))[0] == 0
    up.kubectl("edit", "configmap", "settings", environment={"EDITOR": "sed -i s/blue/green/"})
    up.kubectl("label", "configmap", "settings", "team=a")
    code, _, fault = kubectl_code(up, "label", "configmap", "settings", "team=b")
    assert (code, "--overwrite is false" in fault) == (1, True)
    up.kubectl("annotate", "configmap", "settings", "note=here")
    found = json.loads(up.kubectl("get", "configmap", "settings", "-o", "json"))
    assert found["data"] == {"color": "green", "size": "1"}
    assert found["metadata"]["labels"] == {"kind": "test", "team": "a"}
    assert found["metadata"]["annotations"]["note"] == "here"
    code, _, fault = kubectl_code(up, "apply", "--server-side", "--field-manager=other", "-f", str(file))
    assert code == 1
    assert "conflict" in fault
    assert "serverside-applied" in up.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", str(file))
    assert "replaced" in up.kubectl("replace", "-f", str(file))
    assert "deleted" in up.kubectl("delete", "-f", str(file))


def test_creates_by_name(up: Instance) -> None:
    up.kubectl("create", "namespace", "team")
    here = ("-n", "team")
    for arguments in (
        ("secret", "generic", "password", "--from-literal=value=secret"),
        ("serviceaccount", "bot"),
        ("role", "reader", "--verb=get,list", "--resource=pods"),
        ("rolebinding", "reader", "--role=reader", "--serviceaccount=team:bot"),
        ("quota", "small", "--hard=pods=1"),
        ("priorityclass", "urgent", "--value=1000", "--description=first"),
    ):
        assert "created" in up.kubectl("create", *arguments, *here)
    assert up.kubectl("auth", "can-i", "list", "pods", "--as=system:serviceaccount:team:bot", *here).strip() == "yes"
    assert kubectl_code(up, "auth", "can-i", "delete", "pods", "--as=system:serviceaccount:team:bot", *here)[1].strip() == "no"
    assert re.search(
        r"pods\s+\[\]\s+\[\]\s+\[get list\]", up.kubectl("auth", "can-i", "--list", "--as=system:serviceaccount:team:bot", *here)
    )
    token = up.kubectl("create", "token", "bot", *here).strip()
    server = up.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    alone = (
        "--kubeconfig=/dev/null",
        f"--server={server}",
        f"--certificate-authority={up.home.path / 'pki' / 'ca.crt'}",
        f"--token={token}",
    )
    assert kubectl_code(up, "get", "pods", *here, *alone)[0] == 0
    code, _, fault = kubectl_code(up, "get", "secrets", *here, *alone)
    assert code == 1
    assert 'User "system:serviceaccount:team:bot" cannot list resource "secrets"' in fault
    assert "created" in up.kubectl("run", "one", "--image=any", "--restart=Never", *here, "--", "sleep", "60")
    code, _, fault = kubectl_code(up, "run", "two", "--image=any", *here, "--", "true")
    assert code == 1
    assert "exceeded quota: small" in fault
    up.kubectl("delete", "namespace", "team", "--wait")
    assert kubectl_code(up, "get", "secret", "password", *here)[0] == 1


def test_runs_a_job_and_a_deployment(up: Instance) -> None:
    up.kubectl("create", "job", "hello", "--image=any", "--", "sh", "-c", "echo hello from a job")
    up.kubectl("wait", "job/hello", "--for=condition=Complete", "--timeout=30s")
    assert up.kubectl("logs", "job/hello") == "hello from a job\n"
    up.kubectl("delete", "job", "hello")
    up.kubectl("create", "deployment", "sleepers", "--image=any", "--", "sh", "-c", "trap exit TERM; while :; do sleep 0.2; done")
    assert "successfully rolled out" in up.kubectl("rollout", "status", "deployment/sleepers", "--timeout=30s")
    up.kubectl("scale", "deployment/sleepers", "--replicas=2")
    up.kubectl("set", "env", "deployment/sleepers", "CHANGED=yes")
    assert "successfully rolled out" in up.kubectl("rollout", "status", "deployment/sleepers", "--timeout=60s")
    up.kubectl("rollout", "undo", "deployment/sleepers")
    assert "successfully rolled out" in up.kubectl("rollout", "status", "deployment/sleepers", "--timeout=60s")
    assert "CHANGED" not in up.kubectl("get", "deployment", "sleepers", "-o", "yaml")
    up.kubectl("delete", "deployment", "sleepers", "--wait", "--cascade=foreground")
    assert up.kubectl("get", "pods", "-l", "app=sleepers", "-o", "name") == ""


def test_drains_a_node(up: Instance) -> None:
    name = "drained"
    up.kubectl(
        "run", name, "--image=any", "--restart=Never", "--grace-period=1", "--", "sh", "-c", "trap exit TERM; while :; do sleep 0.2; done"
    )
    up.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=30s")
    node = pod_node(up, name)
    up.kubectl("create", "pdb", name, f"--selector=run={name}", "--min-available=0")
    up.kubectl("wait", f"pdb/{name}", "--for=jsonpath={.status.disruptionsAllowed}=1", "--timeout=30s")
    up.kubectl("cordon", node)
    assert "SchedulingDisabled" in up.kubectl("get", "node", node)
    up.kubectl("drain", node, "--force", "--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector=run={name}", "--timeout=30s")
    assert kubectl_code(up, "get", "pod", name)[0] == 1
    up.kubectl("uncordon", node)
    assert "SchedulingDisabled" not in up.kubectl("get", "nodes")


# Streams.


def test_logs(up: Instance, web: str) -> None:
    assert up.kubectl("logs", web, "-c", "prepare") == "ready\n"
    assert up.kubectl("logs", web, "-c", "talker", "--limit-bytes=6") == "line 0"
    tail = up.kubectl("logs", web, "-c", "talker", "--tail=2").splitlines()
    assert len(tail) == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z line \d+\n", up.kubectl("logs", web, "-c", "talker", "--tail=1", "--timestamps"))
    assert re.match(r"\[pod/web/talker\] line", up.kubectl("logs", "-l", "app=web", "-c", "talker", "--tail=1", "--prefix"))
    assert len(up.kubectl("logs", web, "-c", "talker", "--since=1s").splitlines()) <= 5
    with running(up, "logs", "-f", web, "-c", "talker", "--tail=1") as follow:
        first = int(line_with(follow, "line").split()[1])
        line_with(follow, f"line {first + 3}")
    code, _, fault = kubectl_code(up, "logs", web, "-c", "none")
    assert code == 1
    assert "container none is not valid for pod web" in fault


def test_the_log_of_the_run_before(up: Instance) -> None:
    up.kubectl("run", "again", "--image=any", "--restart=OnFailure", "--", "sh", "-c", "echo first $(date +%N); exit 1")
    up.kubectl("wait", "pod/again", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=30s")
    assert up.kubectl("logs", "-p", "again").startswith("first")
    up.kubectl("delete", "pod", "again", "--now")


def test_exec(up: Instance, web: str) -> None:
    code, out, fault = kubectl_code(up, "exec", web, "-c", "talker", "--", "sh", "-c", "echo out; echo fault >&2; exit 3")
    assert (code, out) == (3, "out\n")
    assert fault.splitlines() == ["fault", "command terminated with exit code 3"]
    text = "".join(f"{number}\n" for number in range(20_000))
    assert kubectl_code(up, "exec", "-i", web, "-c", "talker", "--", "cat", text=text)[:2] == (0, text)
    code, _, fault = kubectl_code(up, "exec", web, "-c", "talker", "--", "no-such-program")
    assert code == 1
    assert "executable file not found in $PATH" in fault


def test_exec_in_a_terminal(up: Instance, web: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["kubectl", "exec", "-it", web, "-c", "talker", "--", "sh", "-c", "tty; read word; echo heard $word; exit 4"],
        env=up.environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    screen = b""
    while b"/dev/pts" not in screen:
        screen += os.read(ours, 1024)
    os.write(ours, b"you\r")
    while b"heard you" not in screen:
        screen += os.read(ours, 1024)
    assert process.wait(20) == 4
    os.close(ours)


def test_attach(up: Instance, web: str) -> None:
    with running(up, "attach", web, "-c", "talker") as attached:
        line_with(attached, "line")
    up.kubectl("apply", "-f", "-", text=ECHO)
    up.kubectl("wait", "pod/echo", "--for=condition=Ready", "--timeout=30s")
    attached = subprocess.Popen(
        ["kubectl", "attach", "-i", "echo"],
        env=up.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert attached.stdin is not None
    attached.stdin.write("hello\n")
    attached.stdin.flush()
    line_with(attached, "got hello")
    attached.terminate()
    attached.communicate(timeout=10)
    up.kubectl("delete", "pod", "echo")


def test_run_with_stdin_ends_with_it(up: Instance) -> None:
    code, out, _ = kubectl_code(
        up, "run", "filter", "--image=any", "--restart=Never", "--rm", "-i", "--", "sh", "-c", "cat; exit 3", text="text\n"
    )
    assert code == 3
    assert out.startswith("text\n")
    assert kubectl_code(up, "get", "pod", "filter")[0] == 1


def test_copies_files_and_folders(up: Instance, web: str, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    (there / "deeper").mkdir(parents=True)
    (there / "one").write_bytes(os.urandom(3_000_000))
    (there / "deeper" / "two").write_text("two\n")
    up.kubectl("cp", str(there), f"{web}:/shared/copied", "-c", "server")
    assert up.kubectl("exec", web, "-c", "server", "--", "cat", "/shared/copied/deeper/two") == "two\n"
    up.kubectl("cp", f"{web}:/shared/copied", str(back), "-c", "server")
    assert (back / "one").read_bytes() == (there / "one").read_bytes()


@pytest.mark.parametrize("target", ["pod/web", "service/web"])
def test_forwards_a_port(up: Instance, web: str, target: str) -> None:
    if target.startswith("service"):
        up.kubectl("expose", "pod", web, "--port=80", "--target-port=8080")
        assert wait_until(lambda: "8080" in up.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web"), 10)
    local = free_port()
    with running(up, "port-forward", target, f"{local}:{8080 if target.startswith('pod') else 80}") as forward:
        line_with(forward, "Forwarding from 127.0.0.1")
        answers: list[bytes] = []

        def ask() -> None:
            answers.append(urllib.request.urlopen(f"http://127.0.0.1:{local}/index.html", timeout=10).read())

        asking = [threading.Thread(target=ask) for _ in range(5)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert answers == [b"prepared\n"] * 5


def test_a_forward_to_a_port_that_nobody_serves_says_so(up: Instance, web: str) -> None:
    local = free_port()
    with running(up, "port-forward", f"pod/{web}", f"{local}:9999") as forward:
        line_with(forward, "Forwarding from 127.0.0.1")
        with socket.create_connection(("127.0.0.1", local), 10) as client:
            assert client.recv(10) == b""
        assert "Connection refused" in line_with(forward, "an error occurred forwarding")
