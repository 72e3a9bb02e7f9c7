"""Bodies in Kubernetes' protobuf form become the JSON objects they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysail.api.errors import StatusError
from raysail.apiserver.protobuf import decode_object
from raysail.apiserver.protobuf.messages import decode_message


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def envelope(api_version: str, kind: str, message: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, message) + field(3, "") + field(4, "")


def test_a_priority_class_as_kubectl_create_sends_it() -> None:
    message = field(1, field(1, "p1") + field(8, b"")) + field(2, -5) + field(3, 0) + field(4, "for tests") + field(5, "Never")
    found = decode_object(envelope("scheduling.k8s.io/v1", "PriorityClass", message))
    assert found == {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "p1", "creationTimestamp": None},
        "value": -5,
        "globalDefault": False,
        "description": "for tests",
        "preemptionPolicy": "Never",
    }


def test_structs_that_go_inlines_belong_to_the_object_around_them() -> None:
    key_selector = field(1, field(1, "settings")) + field(2, "level")
    env = field(1, "LEVEL") + field(3, field(3, key_selector))
    assert decode_message("io.k8s.api.core.v1.EnvVar", env) == {
        "name": "LEVEL",
        "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}},
    }
    volume = field(1, "v") + field(2, field(2, field(1, "Memory")))
    assert decode_message("io.k8s.api.core.v1.Volume", volume) == {"name": "v", "emptyDir": {"medium": "Memory"}}


def test_quantities_times_and_alternatives_have_their_json_form() -> None:
    limits = field(1, field(1, "cpu") + field(2, field(1, "500m")))
    assert decode_message("io.k8s.api.core.v1.ResourceRequirements", limits) == {"limits": {"cpu": "500m"}}
    assert decode_message("io.k8s.apimachinery.pkg.apis.meta.v1.Time", field(1, 1_700_000_000)) == "2023-11-14T22:13:20Z"
    port = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    assert decode_message(port, field(1, 1) + field(3, "http")) == "http"
    assert decode_message(port, field(1, 0) + field(2, 8265)) == 8265


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), min_size=1))
def test_maps_keep_every_pair(data: dict[str, str]) -> None:
    message = b"".join(field(2, field(1, key) + field(2, value)) for key, value in data.items())
    assert decode_message("io.k8s.api.core.v1.ConfigMap", message)["data"] == data


@pytest.mark.parametrize("body", [b"{}", b"k8s\0\xff", envelope("v1", "Gizmo", b""), envelope("v1", "Pod", b"\x0a\x7f")])
def test_what_cannot_be_read_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(StatusError) as refused:
        decode_object(body)
    assert refused.value.code == 400
