"""Pods: what is filled in, what is refused, what may change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kinds import changed, made, put, strategy, texts, valid

PLAIN: dict[str, Any] = {"spec": {"containers": [{"name": "main", "image": "app"}]}}
ENVIRONMENT_RULE = "a valid environment variable name must consist only of printable ASCII characters other than '='"
RULE_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
    " (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def test_defaults_of_a_small_pod() -> None:
    pod = valid("Pod", PLAIN)
    assert pod["spec"] == {
        "containers": [
            {
                "name": "main",
                "image": "app",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "Always",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


@pytest.mark.parametrize(
    ("path", "value", "where", "expected"),
    [
        ("spec.containers.0.image", "app:1", "spec.containers.0.imagePullPolicy", "IfNotPresent"),
        ("spec.containers.0.image", "host:5000/app", "spec.containers.0.imagePullPolicy", "Always"),
        ("spec.containers.0.image", "app@sha256:" + "0" * 64, "spec.containers.0.imagePullPolicy", "IfNotPresent"),
        ("spec.containers.0.ports", [{"containerPort": 80}], "spec.containers.0.ports.0.protocol", "TCP"),
        (
            "spec.containers.0.livenessProbe",
            {"httpGet": {"port": 80}},
            "spec.containers.0.livenessProbe",
            {
                "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            },
        ),
        ("spec.containers.0.livenessProbe", {"grpc": {"port": 80}}, "spec.containers.0.livenessProbe.grpc", {"port": 80, "service": ""}),
        (
            "spec.containers.0.lifecycle",
            {"preStop": {"httpGet": {"port": "web"}}},
            "spec.containers.0.lifecycle.preStop.httpGet",
            {"path": "/", "port": "web", "scheme": "HTTP"},
        ),
        (
            "spec.containers.0.env",
            [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "spec.containers.0.env.0.valueFrom.fieldRef",
            {"apiVersion": "v1", "fieldPath": "metadata.name"},
        ),
        (
            "spec.containers.0.resources",
            {"limits": {"cpu": "0.5", "memory": "1024Mi"}},
            "spec.containers.0.resources",
            {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
        ),
        ("spec.volumes", [{"name": "v"}], "spec.volumes.0", {"name": "v", "emptyDir": {}}),
        ("spec.volumes", [{"name": "v", "secret": {"secretName": "s"}}], "spec.volumes.0.secret.defaultMode", 420),
        ("spec.volumes", [{"name": "v", "hostPath": {"path": "/x"}}], "spec.volumes.0.hostPath", {"path": "/x", "type": ""}),
        (
            "spec",
            {
                **PLAIN["spec"],
                "serviceAccountName": "sa",
                "volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
            },
            "spec.volumes.0.projected",
            {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]},
        ),
        ("spec.hostNetwork", True, "spec.hostNetwork", True),
        ("spec.serviceAccountName", "sa", "spec.serviceAccount", "sa"),
        ("spec.serviceAccount", "old", "spec.serviceAccountName", "old"),
    ],
)
def test_defaults(path: str, value: Any, where: str, expected: Any) -> None:
    place: Any = valid("Pod", put(PLAIN, path, value))
    for step in where.split("."):
        place = place[int(step)] if isinstance(place, list) else place[step]
    assert place == expected


def test_ports_of_the_host_network() -> None:
    spec = {"hostNetwork": True, "containers": [{"name": "main", "image": "app", "ports": [{"containerPort": 80}]}]}
    assert valid("Pod", {"spec": spec})["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
        ([{"limits": {"nvidia.com/gpu": "1"}}], "BestEffort"),
    ],
)
def test_class_of_service(resources: list[Any], expected: str) -> None:
    containers = [{"name": f"c{index}", "image": "app", "resources": amounts} for index, amounts in enumerate(resources)]
    assert valid("Pod", {"spec": {"containers": containers}})["status"]["qosClass"] == expected


C = "spec.containers.0."
REFUSED: list[tuple[str, Any, list[str]]] = [
    ("spec.containers", [], ["spec.containers: Required value"]),
    (C + "name", ..., ["spec.containers[0].name: Required value"]),
    (C + "name", "Main", [f'spec.containers[0].name: Invalid value: "Main": {RULE_LABEL}']),
    (C + "image", ..., ["spec.containers[0].image: Required value"]),
    (C + "image", " app", ['spec.containers[0].image: Invalid value: " app": must not have leading or trailing whitespace']),
    (
        "spec.containers.1",
        {"name": "main", "image": "app"},
        ['spec.containers[1].name: Duplicate value: "main"'],
    ),
    (
        C + "imagePullPolicy",
        "Sometimes",
        ['spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"'],
    ),
    (C + "ports", [{"containerPort": 0}], ["spec.containers[0].ports[0].containerPort: Required value"]),
    (
        C + "ports",
        [{"containerPort": 70000}],
        ["spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
    ),
    (
        C + "ports",
        [{"containerPort": 80, "protocol": "udp"}],
        ['spec.containers[0].ports[0].protocol: Unsupported value: "udp": supported values: "SCTP", "TCP", "UDP"'],
    ),
    (
        C + "ports",
        [{"containerPort": 80, "name": "a-name-that-is-too-long"}],
        ['spec.containers[0].ports[0].name: Invalid value: "a-name-that-is-too-long": must be no more than 15 characters'],
    ),
    (
        C + "ports",
        [{"containerPort": 80, "name": "web"}, {"containerPort": 81, "name": "web"}],
        ['spec.containers[0].ports[1].name: Duplicate value: "web"'],
    ),
    (
        C + "env",
        [{"name": "A=B", "value": "x"}],
        ['spec.containers[0].env[0].name: Invalid value: "A=B": ' + ENVIRONMENT_RULE],
    ),
    (
        C + "env",
        [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        ['spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
    ),
    (C + "volumeMounts", [{"name": "v", "mountPath": "/x"}], ['spec.containers[0].volumeMounts[0].name: Not found: "v"']),
    (
        C + "resources",
        {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
        ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ),
    (
        C + "resources",
        {"limits": {"cpu": "-1"}},
        [
            'spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
            'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        ],
    ),
    (
        C + "resources",
        {"requests": {"nvidia.com/gpu": "1"}},
        ["spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"],
    ),
    (
        C + "resources",
        {"limits": {"nvidia.com/gpu": "500m"}},
        [
            'spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer',
            'spec.containers[0].resources.requests[nvidia.com/gpu]: Invalid value: "500m": must be an integer',
        ],
    ),
    (
        C + "livenessProbe",
        {"httpGet": {"port": 80}, "successThreshold": 2},
        ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
    ),
    (C + "livenessProbe", {"periodSeconds": 1}, ["spec.containers[0].livenessProbe: Required value: must specify a handler type"]),
    ("spec.restartPolicy", "Now", ['spec.restartPolicy: Unsupported value: "Now": supported values: "Always", "OnFailure", "Never"']),
    (
        "spec.activeDeadlineSeconds",
        0,
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
    ),
    (
        "spec.dnsPolicy",
        "None",
        ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    ),
    (
        "spec.tolerations",
        [{"key": "k", "operator": "Exists", "value": "v"}],
        ["spec.tolerations[0].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'"],
    ),
    (
        "spec.tolerations",
        [{"key": "k", "tolerationSeconds": 3}],
        ["spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"],
    ),
    (
        "spec.topologySpreadConstraints",
        [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        ["spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than 0"],
    ),
    (
        "spec.volumes",
        [{"name": "v"}, {"name": "v"}],
        ['spec.volumes[1].name: Duplicate value: "v"'],
    ),
    (
        "spec.volumes",
        [{"name": "v", "emptyDir": {}, "configMap": {"name": "c"}}],
        ["spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type"],
    ),
    (
        "spec.initContainers",
        [{"name": "main", "image": "app"}],
        ['spec.initContainers[0].name: Duplicate value: "main"'],
    ),
    ("spec.ephemeralContainers", [{"name": "e", "image": "app"}], ["spec.ephemeralContainers: Forbidden: cannot be set on create"]),
    (
        "spec",
        {"containers": [{"name": "main", "image": "app"}], "nodeName": "n", "schedulingGates": [{"name": "x"}]},
        ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    ),
]


@pytest.mark.parametrize(("path", "value", "expected"), REFUSED, ids=[f"{path}-{index}" for index, (path, _, _) in enumerate(REFUSED)])
def test_refused(path: str, value: Any, expected: list[str]) -> None:
    assert texts(made("Pod", put(PLAIN, path, value))[1]) == expected


def pod(**spec: Any) -> dict[str, Any]:
    return valid("Pod", {"spec": {**PLAIN["spec"], **spec}})


ONLY_THESE = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to"
    " be set to 1 if it was previously negative)"
)


@pytest.mark.parametrize(
    ("old", "path", "value", "expected"),
    [
        ({}, C + "image", "app:2", []),
        ({}, "metadata.labels", {"a": "b"}, []),
        ({}, "spec.tolerations", [{"key": "a", "operator": "Exists"}], []),
        ({}, "spec.activeDeadlineSeconds", 5, []),
        ({"activeDeadlineSeconds": 5}, "spec.activeDeadlineSeconds", 4, []),
        (
            {"activeDeadlineSeconds": 5},
            "spec.activeDeadlineSeconds",
            6,
            ["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"],
        ),
        (
            {"activeDeadlineSeconds": 5},
            "spec.activeDeadlineSeconds",
            ...,
            ["spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"],
        ),
        ({"schedulingGates": [{"name": "g"}]}, "spec.schedulingGates", [], []),
        (
            {"schedulingGates": [{"name": "g"}]},
            "spec.schedulingGates.1",
            {"name": "h"},
            ["spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new scheduling gate 'h'"],
        ),
        (
            {"tolerations": [{"key": "a", "operator": "Exists"}]},
            "spec.tolerations",
            [],
            ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
        ),
        ({"schedulingGates": [{"name": "g"}]}, "spec.nodeSelector", {"a": "b"}, []),
    ],
)
def test_updates(old: dict[str, Any], path: str, value: Any, expected: list[str]) -> None:
    before = pod(**old)
    assert texts(changed("Pod", before, put(before, path, value))[1]) == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (C + "command", ["sh"]),
        (C + "env", [{"name": "A", "value": "b"}]),
        (C + "resources", {"limits": {"cpu": "1"}}),
        ("spec.nodeSelector", {"a": "b"}),
        ("spec.restartPolicy", "Never"),
        ("spec.hostNetwork", True),
        ("spec.priority", 5),
    ],
)
def test_the_rest_of_the_spec_stays(path: str, value: Any) -> None:
    before = pod()
    found = texts(changed("Pod", before, put(before, path, value))[1])
    assert any(text.startswith(ONLY_THESE) for text in found), found


def test_containers_are_neither_added_nor_removed() -> None:
    before = pod()
    found = texts(changed("Pod", before, put(before, "spec.containers.1", {"name": "more", "image": "app"}))[1])
    assert found == ["spec.containers: Forbidden: pod updates may not add or remove containers"]


def test_a_status_write_leaves_the_spec_alone() -> None:
    before = pod()
    wanted = put(put(before, C + "image", "other"), "status.phase", "Running")
    after, faults = changed("Pod", before, wanted, "status")
    assert faults == []
    assert after["spec"] == before["spec"]
    assert after["status"] == {"phase": "Running", "qosClass": "BestEffort"}


def test_a_plain_write_leaves_the_status_alone() -> None:
    before = pod()
    after, faults = changed("Pod", before, put(before, "status.phase", "Running"))
    assert (after["status"], faults) == (before["status"], [])


def test_the_class_of_service_stays() -> None:
    before = pod()
    _, faults = changed("Pod", before, put(before, "status.qosClass", "Guaranteed"), "status")
    assert texts(faults) == ['status.qosClass: Invalid value: "Guaranteed": field is immutable']


def test_resize_changes_sizes_only() -> None:
    before = pod(containers=[{"name": "main", "image": "app", "resources": {"requests": {"cpu": "1"}}}])
    wanted = put(put(before, C + "resources.requests.cpu", "2"), "spec.nodeSelector", {"a": "b"})
    after, faults = changed("Pod", before, wanted, "resize")
    assert texts(faults) == []
    assert after["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "2"}
    assert "nodeSelector" not in after["spec"]


def test_resize_keeps_the_class_of_service() -> None:
    before = pod(containers=[{"name": "main", "image": "app", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}])
    _, faults = changed("Pod", before, put(before, C + "resources.requests.cpu", "500m"), "resize")
    assert any("Pod QOS Class may not change as a result of resizing" in text for text in texts(faults))


def test_ephemeral_containers_are_added_by_their_subresource() -> None:
    before = pod()
    after, faults = changed(
        "Pod", before, put(before, "spec.ephemeralContainers", [{"name": "debug", "image": "tools"}]), "ephemeralcontainers"
    )
    assert texts(faults) == []
    assert after["spec"]["ephemeralContainers"][0]["name"] == "debug"
    gone = put(after, "spec.ephemeralContainers", [])
    _, faults = changed("Pod", after, gone, "ephemeralcontainers")
    assert texts(faults) == ['spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed\n']


def test_gated_pods_say_so() -> None:
    conditions = pod(schedulingGates=[{"name": "g"}])["status"]["conditions"]
    assert [(c["type"], c["status"], c["reason"]) for c in conditions] == [("PodScheduled", "False", "SchedulingGated")]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "spec.nodeSelector",
            {"beta.kubernetes.io/os": "linux"},
            ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
        ),
        (
            C + "env",
            [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
            ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'],
        ),
        (
            "spec.terminationGracePeriodSeconds",
            -1,
            ["spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"],
        ),
    ],
)
def test_warnings(path: str, value: Any, expected: list[str]) -> None:
    assert strategy("Pod").warnings(made("Pod", put(PLAIN, path, value))[0]) == expected
