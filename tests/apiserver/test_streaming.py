"""Streams to Pods: which container, and the SPDY frames inside kubectl's port-forward."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysail.api.errors import StatusError
from raysail.apiserver.streaming import spdy
from raysail.apiserver.streaming.target import KUBELET_SOCKET, container_target


class SpdyClient:
    """kubectl's side of a connection, as moby/spdystream writes it."""

    def __init__(self) -> None:
        self.deflate = zlib.compressobj(zdict=spdy.DICTIONARY)

    def open(self, stream: int, headers: dict[str, str]) -> bytes:
        text = struct.pack(">I", len(headers))
        for pair in headers.items():
            for part in pair:
                text += struct.pack(">I", len(part)) + part.encode()
        block = self.deflate.compress(text) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack(">IIH", stream, 0, 0) + block
        return struct.pack(">HHI", 0x8003, 1, len(payload)) + payload


def test_streams_open_with_headers_that_share_one_compression_state() -> None:
    client, server = SpdyClient(), spdy.Connection()
    data = client.open(1, {"Streamtype": "error", "Port": "8265", "Requestid": "0"}) + client.open(
        3, {"Streamtype": "data", "Port": "8265", "Requestid": "0"}
    )
    events = list(server.receive(data))
    assert [(e.stream, e.headers["streamtype"], e.headers["port"]) for e in events if isinstance(e, spdy.StreamOpened)] == [
        (1, "error", "8265"),
        (3, "data", "8265"),
    ]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_frames_survive_any_cut_of_the_bytes(payload: bytes, step: int) -> None:
    server, sender = spdy.Connection(), spdy.Connection()
    wire = sender.data(3, payload) + sender.data(3, b"", finished=True) + sender.ping(7)
    events = [event for at in range(0, len(wire), step) for event in server.receive(wire[at : at + step])]
    assert events == [spdy.DataReceived(3, payload, False), spdy.DataReceived(3, b"", True), spdy.PingReceived(7)]


def test_another_protocol_is_refused() -> None:
    with pytest.raises(spdy.SpdyError):
        list(spdy.Connection().receive(struct.pack(">HHI", 0x8002, 1, 0)))


def pod(*containers: str, **more: Any) -> dict[str, Any]:
    spec = {"nodeName": "n", "containers": [{"name": c} for c in containers], **more}
    return {"metadata": {"name": "p", "namespace": "a"}, "spec": spec}


NODE = {"metadata": {"annotations": {KUBELET_SOCKET: "/run/node.sock"}}}


def test_the_only_container_is_meant() -> None:
    assert container_target("exec", pod("ray-head"), NODE, "").path == "/exec/a/p/ray-head"


@pytest.mark.parametrize(
    ("subject", "container", "message"),
    [
        (pod("a", "b"), "", "a container name must be specified for pod p, choose one of: [a b]"),
        (
            pod("a", "b", initContainers=[{"name": "i"}]),
            "",
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]",
        ),
        (pod("a"), "x", "container x is not valid for pod p"),
        (pod("a", nodeName=""), "", "pod p does not have a host assigned"),
    ],
)
def test_what_is_not_clear_is_refused_in_kubernetes_words(subject: dict[str, Any], container: str, message: str) -> None:
    with pytest.raises(StatusError) as refused:
        container_target("exec", subject, NODE, container)
    assert (refused.value.code, refused.value.message) == (400, message)


def test_a_node_without_an_agent_is_unavailable() -> None:
    with pytest.raises(StatusError) as refused:
        container_target("exec", pod("a"), {"metadata": {}}, "")
    assert refused.value.code == 503
