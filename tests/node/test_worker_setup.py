"""What sets up Ray's workers in place of Ray's own program does the same: compared with Ray's, and Ray's own where we do not know."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from raysail.node.warm.worker_setup import plan

WORKER = ["/ray/_private/workers/default_worker.py", "--node-ip-address=127.0.0.1", "--name=a b'c", '--x={"y": 1}']


def arguments(context: dict[str, Any] | None, language: str = "PYTHON") -> list[str]:
    given = [] if context is None else [f"--serialized-runtime-env-context={json.dumps(context)}"]
    return [*given, f"--language={language}", *WORKER]


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        {"env_vars": {"A": "1", "B": "${A}2", "C": "x${NOT_THERE}y", "PATH": "/bin:$PATH"}},
        {"py_executable": "uv run --with x", "env_vars": {}},
        {"command_prefix": ["cd", "/tmp", "&&"], "java_jars": ["a.jar"]},
        {"override_worker_entrypoint": "/elsewhere/default_worker.py"},
        {"command_prefix": None, "env_vars": None, "py_executable": None, "override_worker_entrypoint": None, "java_jars": None},
    ],
    ids=str,
)
def test_the_same_as_ray(context: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    context_module: Any = pytest.importorskip("ray._private.runtime_env.context")
    before = dict(os.environ)
    ours, environment = plan(arguments(context), before, sys.executable)
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda file, args: became.append([file, *args[1:]]))
    monkeypatch.setattr(os, "environ", dict(before))
    ray_own = context_module.RuntimeEnvContext.deserialize(json.dumps(context or {}))
    ray_own.exec_worker(list(WORKER), context_module.Language.Value("PYTHON"))
    assert [ours] == became
    assert environment == os.environ


@pytest.mark.parametrize(("context", "language"), [({"news_of_another_ray": 1}, "PYTHON"), ({}, "JAVA"), ({}, "CPP")])
def test_what_is_not_known_is_left_to_ray(context: dict[str, Any], language: str) -> None:
    given = arguments(context, language)
    program, environment = plan(given, {"A": "1"}, "/venv/bin/python")
    assert program == ["/venv/bin/python", "/ray/_private/workers/setup_worker.py", *given]
    assert environment == {"A": "1"}
