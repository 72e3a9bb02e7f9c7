"""Reading kubeconfigs, and credentials that programs hand out."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysail.kube import kubeconfig
from raysail.kube.connection import Connection, ConnectionConfigError
from raysail.kube.credentials import CredentialError, ExecPlugin
from raysail.kube.kubeconfig import KubeconfigError


def write(path: Path, *, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, name: str = "c", **more: Any) -> Path:
    document = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "team"}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443", **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
        **more,
    }
    path.write_text(yaml.safe_dump(document))
    return path


async def headers(connection: Connection) -> dict[str, str]:
    return dict(await connection.credentials.headers())


async def test_a_token(tmp_path: Path) -> None:
    found = kubeconfig.load(write(tmp_path / "c", user={"token": "t"}))
    assert (found.server, found.namespace) == ("https://c:6443", "team")
    assert await headers(found) == {"Authorization": "Bearer t"}


async def test_a_password(tmp_path: Path) -> None:
    found = kubeconfig.load(write(tmp_path / "c", user={"username": "u", "password": "p"}))
    assert await headers(found) == {"Authorization": "Basic dTpw"}


async def test_a_token_file_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    found = kubeconfig.load(write(tmp_path / "c", user={"tokenFile": "token", "token": "ignored"}))
    assert await headers(found) == {"Authorization": "Bearer from-file"}


def test_embedded_data_and_files(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("FILE")
    embedded = base64.b64encode(b"DATA").decode()
    by_file = kubeconfig.load(write(tmp_path / "a", cluster={"certificate-authority": "ca.crt"}))
    by_data = kubeconfig.load(write(tmp_path / "b", cluster={"certificate-authority": "ca.crt", "certificate-authority-data": embedded}))
    assert (by_file.ca_pem, by_data.ca_pem) == ("FILE", "DATA")


def test_several_files_merge(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", name="first"), write(tmp_path / "b", name="second")
    environment = {"KUBECONFIG": f"{first}:{tmp_path / 'missing'}:{second}"}
    assert kubeconfig.load(environment=environment).server == "https://first:6443"
    assert kubeconfig.load(context="second", environment=environment).server == "https://second:6443"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("[1]", "not a kubeconfig"),
        ("a: [", "cannot read"),
        ("contexts: []", "no current-context"),
        ("current-context: x", "no context 'x'"),
        ("current-context: x\ncontexts: [{name: x, context: {cluster: y}}]", "which has no server"),
    ],
)
def test_faults_name_the_file(tmp_path: Path, document: str, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(document)
    with pytest.raises(KubeconfigError, match=text) as fault:
        kubeconfig.load(path)
    assert str(path) in str(fault.value)


def test_faults_of_data(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="not base64"):
        kubeconfig.load(write(tmp_path / "c", cluster={"certificate-authority-data": "%%"}))
    with pytest.raises(KubeconfigError, match="auth-provider 'gcp'"):
        kubeconfig.load(write(tmp_path / "c", user={"auth-provider": {"name": "gcp"}}))
    with pytest.raises(KubeconfigError, match="there is no kubeconfig"):
        kubeconfig.load(tmp_path / "absent")


async def test_in_cluster(tmp_path: Path) -> None:
    for name, text in (("token", "t"), ("ca.crt", "CA"), ("namespace", "pods")):
        (tmp_path / name).write_text(text)
    found = kubeconfig.in_cluster(tmp_path, environment={"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"})
    assert found is not None
    assert (found.server, found.ca_pem, found.namespace) == ("https://[fd00::1]:443", "CA", "pods")
    assert await headers(found) == {"Authorization": "Bearer t"}
    assert kubeconfig.in_cluster(tmp_path, environment={}) is None


def test_bad_pem_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConnectionConfigError, match="not a PEM certificate"):
        Connection("https://c", ca_pem="nonsense").ssl_context()
    assert Connection("http://c").ssl_context() is None


def plugin(tmp_path: Path, program: str, **fields: Any) -> ExecPlugin:
    script = tmp_path / "plugin.py"
    script.write_text(program)
    return ExecPlugin(sys.executable, [str(script)], {"COLOUR": "red"}, "client.authentication.k8s.io/v1", **fields)


PRINTS_A_TOKEN = """
import json, os, pathlib
count = pathlib.Path(__file__).with_suffix(".count")
n = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(n))
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
status = {"token": f"{os.environ['COLOUR']}-{n}", "expirationTimestamp": EXPIRES}
print(json.dumps({"kind": "ExecCredential", "apiVersion": info["apiVersion"], "status": status}))
"""


async def test_an_exec_plugin_is_asked_once(tmp_path: Path) -> None:
    found = plugin(tmp_path, PRINTS_A_TOKEN.replace("EXPIRES", "'2999-01-01T00:00:00Z'"))
    assert await found.headers() == {"Authorization": "Bearer red-1"}
    assert await found.headers() == {"Authorization": "Bearer red-1"}
    assert found.refresh()
    assert await found.headers() == {"Authorization": "Bearer red-2"}


async def test_an_expired_token_is_renewed(tmp_path: Path) -> None:
    found = plugin(tmp_path, PRINTS_A_TOKEN.replace("EXPIRES", "'2020-01-01T00:00:00Z'"))
    await found.headers()
    assert await found.headers() == {"Authorization": "Bearer red-2"}


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("import sys; print('no luck', file=sys.stderr); sys.exit(3)", "exit code 3: no luck"),
        ("print('hello')", "did not print an ExecCredential"),
        ("print('{}')", "did not print an ExecCredential"),
        ('print(\'{"apiVersion": "client.authentication.k8s.io/v1beta1", "status": {"token": "t"}}\')', "v1beta1"),
        ('print(\'{"apiVersion": "client.authentication.k8s.io/v1", "status": {}}\')', "no token"),
    ],
)
async def test_faults_of_exec_plugins(tmp_path: Path, program: str, text: str) -> None:
    with pytest.raises(CredentialError, match=text):
        await plugin(tmp_path, program).headers()


async def test_a_missing_plugin_tells_how_to_get_it() -> None:
    found = ExecPlugin("no-such-plugin", [], {}, "client.authentication.k8s.io/v1", install_hint="brew install it")
    with pytest.raises(CredentialError, match="brew install it"):
        await found.headers()


def test_the_plugin_as_a_kubeconfig_names_it(tmp_path: Path) -> None:
    entry = {
        "command": "./tool",
        "args": ["a"],
        "env": [{"name": "X", "value": "1"}],
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "provideClusterInfo": True,
    }
    found = kubeconfig.load(write(tmp_path / "c", user={"exec": entry})).credentials
    assert isinstance(found, ExecPlugin)
    assert found.command == str(tmp_path / "./tool")
    assert found.environment == {"X": "1"}
    assert found.cluster == {"server": "https://c:6443"}
    assert json.dumps(found.arguments) == '["a"]'
