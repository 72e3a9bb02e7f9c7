"""Label and field selectors, from text (`a=b,c in (d,e)`) and from objects (`matchLabels`, `matchExpressions`).

Grammar: k8s.io/apimachinery/pkg/labels/selector.go and pkg/fields/selector.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_KEY: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET: Final = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)", re.ASCII)
_EQUAL: Final = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})", re.ASCII)
_COMPARE: Final = re.compile(rf"({_KEY})\s*([<>])\s*(-?[0-9]+)", re.ASCII)
_EXISTS: Final = re.compile(rf"(!?)\s*({_KEY})", re.ASCII)
_VALUE_ONLY: Final = re.compile(_VALUE, re.ASCII)


class SelectorError(ValueError):
    """The text or object is not a selector."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term. `operator` is In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy this term. NotIn also holds for an absent key."""
        present = self.key in labels
        match self.operator:
            case "In":
                return present and labels[self.key] in self.values
            case "NotIn":
                return not present or labels[self.key] not in self.values
            case "Exists":
                return present
            case "DoesNotExist":
                return not present
        if not present or not re.fullmatch(r"-?[0-9]+", labels[self.key]):
            return False
        bound = int(next(iter(self.values)))
        return int(labels[self.key]) > bound if self.operator == "Gt" else int(labels[self.key]) < bound


@dataclass(frozen=True, slots=True)
class Selector:
    """All terms must hold. No terms: everything matches. `nothing`: nothing does."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether an object with these labels is selected."""
        return not self.nothing and all(r.matches(labels or {}) for r in self.requirements)


EVERYTHING: Final = Selector()
NOTHING: Final = Selector(nothing=True)


def parse_labels(text: str) -> Selector:
    """A label selector from its query-string form. Raises SelectorError."""
    terms: list[Requirement] = []
    for part in _split(text):
        if match := _SET.fullmatch(part):
            values = frozenset(v.strip() for v in match.group(3).split(","))
            if any(not _VALUE_ONLY.fullmatch(value) for value in values):
                raise SelectorError(f"unable to parse requirement: invalid value in {part!r}")
            terms.append(Requirement(match.group(1), "In" if match.group(2) == "in" else "NotIn", values))
        elif match := _EQUAL.fullmatch(part):
            terms.append(Requirement(match.group(1), "NotIn" if match.group(2) == "!=" else "In", frozenset((match.group(3),))))
        elif match := _COMPARE.fullmatch(part):
            terms.append(Requirement(match.group(1), "Gt" if match.group(2) == ">" else "Lt", frozenset((match.group(3),))))
        elif match := _EXISTS.fullmatch(part):
            terms.append(Requirement(match.group(2), "DoesNotExist" if match.group(1) else "Exists"))
        else:
            raise SelectorError(f"unable to parse requirement: found {part!r}, expected a label selector such as app=x or tier in (a,b)")
    return Selector(tuple(terms))


def from_object(selector: Mapping[str, Any] | None) -> Selector:
    """A Selector from a LabelSelector object. None selects nothing, `{}` everything (as LabelSelectorAsSelector). Raises SelectorError."""
    if selector is None:
        return NOTHING
    terms = [Requirement(key, "In", frozenset((value,))) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator, values = expression.get("operator", ""), frozenset(expression.get("values") or ())
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise SelectorError(f"{operator!r} is not a valid label selector operator")
        if (operator in ("In", "NotIn")) != bool(values):
            raise SelectorError(f"values must be {'given' if operator in ('In', 'NotIn') else 'empty'} for operator {operator}")
        terms.append(Requirement(expression.get("key", ""), operator, values))
    return Selector(tuple(terms))


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One term of a field selector."""

    path: str
    value: str
    equal: bool = True


def parse_fields(text: str) -> tuple[FieldRequirement, ...]:
    """A field selector (`metadata.name=x,status.phase!=Failed`) as terms. Raises SelectorError."""
    terms = []
    for part in (p.strip() for p in re.split(r"(?<!\\),", text)):
        if not part:
            continue
        path, operator, value = part.partition("!=") if "!=" in part else part.partition("==") if "==" in part else part.partition("=")
        if not operator:
            raise SelectorError(f"invalid selector: {text!r}; can't understand {part!r}")
        terms.append(FieldRequirement(path.strip(), re.sub(r"\\([\\,=])", r"\1", value.strip()), operator != "!="))
    return tuple(terms)


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    parts.append(text[start:].strip())
    return parts if parts != [""] else []
