"""The preload library: what a process in a Pod sees of the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raysail.node.capabilities import PRELOAD

pytestmark = pytest.mark.skipif(not PRELOAD.exists(), reason="the preload library was not built: install a C compiler and raysail again")

POD = "127.96.128.5"
_START = "import socket, os, sys\ns = lambda k=socket.SOCK_STREAM, f=socket.AF_INET: socket.socket(f, k)\n"


def inside(program: str, address: str = POD, **env: str) -> list[str]:
    """What the program prints in a Pod of that address."""
    environment = {"PATH": os.environ["PATH"], "LD_PRELOAD": str(PRELOAD), "RAYSAIL_POD_IP": address, **env}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _START + program], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("wanted", ["0.0.0.0", "127.0.0.1", ""])
def test_the_wildcard_and_localhost_are_the_pods_address(wanted: str) -> None:
    assert inside(f"a = s(); a.bind(({wanted!r}, 0)); print(a.getsockname()[0])") == [POD]


@pytest.mark.parametrize("wanted", ["::", "::1"])
def test_so_are_theirs_of_ip_version_6(wanted: str) -> None:
    program = f"a = s(f=socket.AF_INET6); a.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1); a.bind(({wanted!r}, 0)); print(a.getsockname()[0])"
    assert inside(program) == [f"::ffff:{POD}"]


def test_two_pods_serve_one_port_and_each_reaches_its_own() -> None:
    program = """
a = s(); a.bind(("", 18265)); a.listen()
c = s(); c.connect(("localhost", 18265)); p, peer = a.accept()
print(c.getpeername()[0], peer[0]); sys.stdout.flush(); sys.stdin.read()
"""
    pods = []
    for address in (POD, "127.96.128.6"):
        environment = {"LD_PRELOAD": str(PRELOAD), "RAYSAIL_POD_IP": address}
        pods.append(
            subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START + program],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    try:
        for pod, address in zip(pods, (POD, "127.96.128.6"), strict=True):
            assert pod.stdout is not None
            assert pod.stdout.readline() == f"{address} {address}\n"
    finally:
        for pod in pods:
            pod.communicate("")


def test_a_port_that_is_taken_is_taken() -> None:
    program = """
a = s(); a.bind(("", 0)); port = a.getsockname()[1]; a.listen()
for address in ("", "0.0.0.0"):
    try: s().bind((address, port)); print("free")
    except OSError as error: print(error.errno)
"""
    assert inside(program) == ["98", "98"]


def test_one_that_binds_its_address_and_localhost_may() -> None:
    """Ray's agent does; without this its HTTP server gives up."""
    program = f"""
a = s(); a.bind(({POD!r}, 0)); port = a.getsockname()[1]; a.listen()
b = s(); b.bind(("127.0.0.1", port)); b.listen(); print(b.getsockname()[1] != port)
c = s(); c.connect(("127.0.0.1", port)); a.accept(); print("reached")
"""
    assert inside(program) == ["True", "reached"]


def test_connections_to_other_pods_come_from_ours() -> None:
    program = """
a = s(); a.bind(("127.96.128.9", 0)); a.listen()
c = s(); c.connect(a.getsockname()); print(a.accept()[1][0])
"""
    assert inside(program) == [POD]


@pytest.mark.parametrize("target", ["8.8.8.8", "127.96.128.9"])
def test_the_question_for_our_address_is_answered_with_the_pods(target: str) -> None:
    assert inside(f"a = s(socket.SOCK_DGRAM); a.connect(({target!r}, 80)); print(a.getsockname()[0])") == [POD]


def test_datagrams_to_localhost_stay_in_the_pod() -> None:
    program = """
a = s(socket.SOCK_DGRAM); a.bind(("0.0.0.0", 18125))
b = s(socket.SOCK_DGRAM); b.sendto(b"one", ("127.0.0.1", 18125)); print(a.recv(9)); print(a.getsockname()[0])
"""
    assert inside(program) == ["b'one'", POD]


def test_names_come_from_the_hosts_file_where_there_is_no_mount_namespace(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.96.128.7\thead.default.svc.cluster.local head # comment\n")
    program = 'print(socket.gethostbyname("head"), socket.getaddrinfo("HEAD", 80)[0][4], socket.gethostname())'
    found = inside(program, RAYSAIL_HOSTS_FILE=str(hosts), RAYSAIL_POD_HOSTNAME="mine")
    assert found == ["127.96.128.7 ('127.96.128.7', 80) mine"]


def test_it_can_be_switched_off_at_run_time() -> None:
    program = 'os.environ["RAYSAIL_PRELOAD_OFF"] = "1"; a = s(); a.bind(("127.0.0.1", 0)); print(a.getsockname()[0])'
    assert inside(program) == ["127.0.0.1"]
