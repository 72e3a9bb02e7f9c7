"""An AdmissionCheck's parameters: the object with its settings, of the one kind that its controller understands. Pure.

Source: Kueue pkg/util/admissioncheck/admissioncheck.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from raysail.api.kueue import AdmissionCheck
from raysail.api.kueue.workload import AdmissionCheckState
from raysail.api.resources import Resource

T = TypeVar("T")
BAD = "bad parameters reference"
NO_REFERENCE = "missing parameters reference"


class ParametersError(Exception):
    """The check's parameters cannot be used; the text is for its condition Active."""


def config_name(check: AdmissionCheck, kind: Resource) -> str:
    """The name of the settings, which must be of that kind. Raises ParametersError."""
    reference = check.spec.parameters
    if reference is None:
        raise ParametersError(NO_REFERENCE)
    if not reference.name:
        raise ParametersError(f"empty name: {BAD}")
    if reference.api_group != kind.group:
        raise ParametersError(f'wrong group "{reference.api_group}", expecting "{kind.group}": {BAD}')
    if reference.kind != kind.kind:
        raise ParametersError(f'wrong kind "{reference.kind}", expecting "{kind.kind}": {BAD}')
    return reference.name


def config_of(check: AdmissionCheck, kind: Resource, find: Callable[[str], T | None]) -> T:
    """The settings themselves. Raises ParametersError, also where they do not exist."""
    name = config_name(check, kind)
    found = find(name)
    if found is None:
        raise ParametersError(f'{kind.kind}.{kind.group} "{name}" not found')
    return found


def configs_used(check: AdmissionCheck, controller: str, kind: Resource) -> tuple[str, ...]:
    """For an index: the settings that a check of that controller refers to."""
    if check.spec.controller_name != controller:
        return ()
    try:
        return (config_name(check, kind),)
    except ParametersError:
        return ()


def checks_of(states: Iterable[AdmissionCheckState] | None, controller: str, find: Callable[[str], AdmissionCheck | None]) -> list[str]:
    """Names of those checks in a Workload's status that this controller decides."""
    found = []
    for state in states or ():
        check = find(state.name)
        if check is not None and check.spec.controller_name == controller:
            found.append(state.name)
    return found
