"""What the pages of docs/queue show is true: their YAML is applied, their commands are run, their output is what comes out.

In a page, a block ```yaml is applied; in a block ```console, each line after `$ ` is run and must, within some seconds, print the lines below it, where `...`
stands for anything (as in doctest). Every page has a namespace of its own on one instance.
"""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from raysail.api.resources import NAMESPACES, PODS
from raysail.instance.processes import wait_until
from tests.system.instance import Instance, instance

PAGES = sorted((Path(__file__).parents[2] / "docs" / "queue").glob("*.md"))
PATIENCE_SECONDS = 30.0

pytestmark = [pytest.mark.slow]


@dataclass
class Step:
    """YAML to apply, or a command with what it prints."""

    yaml: str = ""
    command: str = ""
    output: list[str] = field(default_factory=list)


def steps(page: str) -> Iterator[Step]:
    for language, text in re.findall(r"^```(yaml|console)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if language == "yaml":
            yield Step(yaml=text)
            continue
        step = None
        for line in text.splitlines():
            if line.startswith("$ "):
                if step is not None:
                    yield step
                step = Step(command=line[2:])
            elif step is not None:
                step.output.append(line)
        if step is not None:
            yield step


@pytest.fixture(scope="module")
def up() -> Iterator[Instance]:
    with instance("--nodes", "2x cpu=8,memory=32Gi") as found:
        yield found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(up: Instance, page: Path) -> None:
    found = list(steps(page.read_text()))
    assert found, f"{page.name} shows nothing"
    with namespace(up, page.stem):
        for step in found:
            if step.yaml:
                up.run("apply", "-n", page.stem, "-f", "-", text=step.yaml)
            else:
                show(up, page.stem, step)


@contextmanager
def namespace(up: Instance, name: str) -> Iterator[None]:
    """A namespace whose Pods are gone afterwards: the next page finds the nodes free."""
    up.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield
    up.run("delete", "namespace", name)
    assert wait_until(lambda: not up.api.list(PODS, name), PATIENCE_SECONDS), up.run("get", "pods", "-n", name).stdout


def show(up: Instance, namespace: str, step: Step) -> None:
    program, *arguments = shlex.split(step.command)
    assert program == "raysail", f"{step.command}: pages show raysail's own commands"
    wanted = "\n".join(step.output).strip() + "\n"
    printed = ""

    def comes() -> bool:
        nonlocal printed
        done = up.run(*arguments, "-n", namespace, check=False)
        printed = done.stdout + done.stderr
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        return wanted == "\n" or doctest.OutputChecker().check_output(wanted, printed.strip() + "\n", flags)

    assert wait_until(comes, PATIENCE_SECONDS, 0.3), f"$ {step.command}\n--- shown\n{wanted}\n--- printed\n{printed}"
