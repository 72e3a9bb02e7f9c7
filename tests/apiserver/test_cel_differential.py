"""Our CEL against Google's, on expressions made by chance and on every rule of the kinds we serve."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysail.api.openapi import SchemaNode
from raysail.apiserver.cel import CelError, CelSyntaxError, SchemaRules, compile_expression
from raysail.apiserver.cel.types import BOOL, DOUBLE, DYN, INT, STRING, list_of, map_of
from raysail.apiserver.cel.values import Duration, Timestamp, UInt

google = pytest.importorskip("cel_expr_python.cel", reason="pip install cel-expr-python")

OURS = {
    "i": INT,
    "j": INT,
    "b": BOOL,
    "f": DOUBLE,
    "s": STRING,
    "l": list_of(INT),
    "w": list_of(STRING),
    "m": map_of(STRING, INT),
    "d": DYN,
}
THEIRS = google.NewEnv(
    variables={
        "i": google.Type.INT,
        "j": google.Type.INT,
        "b": google.Type.BOOL,
        "f": google.Type.DOUBLE,
        "s": google.Type.STRING,
        "l": google.Type.List(google.Type.INT),
        "w": google.Type.List(google.Type.STRING),
        "m": google.Type.Map(google.Type.STRING, google.Type.INT),
        "d": google.Type.DYN,
    }
)
ERROR = object()

ints = st.sampled_from(
    ["i", "j", "0", "1", "-1", "2", "7", "9223372036854775807", "-9223372036854775808", "size(s)", "l.size()", "m.size()"]
)
bools = st.sampled_from(["b", "true", "false", "has(m.a)", "'a' in m", "i in l", "s in w"])
floats = st.sampled_from(["f", "0.0", "1.5", "-2.0", "double(i)"])
texts = st.sampled_from(["s", "''", "'a'", "'ab'", "string(i)", "'é'"])
lists = st.sampled_from(["l", "[]", "[i, j]", "[1, 2, 3]", "l + [i]"])
dyns = st.sampled_from(["d", "dyn(i)", "dyn(s)", "dyn(f)", "d.a", "d['a']", "dyn(b)"])


def _deeper(kinds: tuple[st.SearchStrategy[str], ...]) -> tuple[st.SearchStrategy[str], ...]:
    i, b, f, s, ls, d = kinds

    def both(left: st.SearchStrategy[str], operators: list[str], right: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(left, st.sampled_from(operators), right).map(lambda t: f"({t[0]} {t[1]} {t[2]})")

    relations = ["==", "!=", "<", "<=", ">", ">="]
    whole = (
        i
        | both(i, ["+", "-", "*", "/", "%"], i)
        | i.map(lambda x: f"(-({x}))")
        | f.map(lambda x: f"int({x})")
        | s.map(lambda x: f"size({x})")
    )
    whole |= st.tuples(ls, i).map(lambda t: f"{t[0]}[{t[1]}]") | st.tuples(b, i, i).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})")
    logic = (
        b
        | both(b, ["&&", "||", "==", "!="], b)
        | b.map(lambda x: f"!({x})")
        | both(i, relations, i)
        | both(f, relations, f)
        | both(s, relations, s)
    )
    logic |= both(d, ["==", "!="], d) | both(d, ["<", ">"], i) | both(ls, ["==", "!="], ls)
    logic |= st.tuples(ls, st.sampled_from(["all", "exists", "exists_one"]), b, st.sampled_from(["e > 1", "e == i", "1 / e > 0"])).map(
        lambda t: f"{t[0]}.{t[1]}(e, {t[3]} || {t[2]})"
    )
    logic |= st.tuples(s, st.sampled_from(["startsWith", "endsWith", "contains"]), s).map(lambda t: f"{t[0]}.{t[1]}({t[2]})")
    real = f | both(f, ["+", "-", "*", "/"], f) | i.map(lambda x: f"double({x})")
    text = s | both(s, ["+"], s) | b.map(lambda x: f"string({x})") | st.tuples(b, s, s).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})")
    many = (
        ls
        | both(ls, ["+"], ls)
        | st.tuples(ls, i).map(lambda t: f"{t[0]}.map(e, e + {t[1]})")
        | st.tuples(ls, b).map(lambda t: f"{t[0]}.filter(e, {t[1]} || e > 0)")
    )
    anything = d | i.map(lambda x: f"dyn({x})") | s.map(lambda x: f"dyn({x})") | ls.map(lambda x: f"dyn({x})")
    return whole, logic, real, text, many, anything


def _expressions() -> st.SearchStrategy[str]:
    kinds: tuple[st.SearchStrategy[str], ...] = (ints, bools, floats, texts, lists, dyns)
    for _ in range(3):
        kinds = _deeper(kinds)
    return st.one_of(*kinds)


def _plain(value: Any) -> Any:
    """A value of either side in one form; NaN equals itself, bools are not numbers."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float):
        return ("double", "nan" if math.isnan(value) else value)
    if isinstance(value, UInt):
        return ("number", int(value))
    if isinstance(value, int):
        return ("number", value)
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, Duration):
        return dt.timedelta(microseconds=value.nanos / 1000)
    if isinstance(value, Timestamp):
        return value.moment()
    return value


def theirs(text: str, data: dict[str, Any]) -> Any:
    found = THEIRS.compile(text).eval(data=data)
    return ERROR if str(found.type()) == "ERROR" else found.plain_value()


def ours(text: str, data: dict[str, Any]) -> Any:
    program = compile_expression(text, OURS)
    try:
        return program.evaluate(*(data[name] for name in OURS))[0]
    except CelError:
        return ERROR


DATA = st.fixed_dictionaries(
    {
        "i": st.sampled_from([0, 1, 2, -3]),
        "j": st.sampled_from([0, 5]),
        "b": st.booleans(),
        "f": st.sampled_from([0.0, 1.0, -0.5]),
        "s": st.sampled_from(["", "a", "ab"]),
        "l": st.sampled_from([[], [0], [1, 2, 3]]),
        "w": st.sampled_from([[], ["a", "b"]]),
        "m": st.sampled_from([{}, {"a": 1}]),
        "d": st.sampled_from([1, "a", True, {"a": 1}, {}, [1], 1.0]),
    }
)


@settings(max_examples=400, deadline=None)
@given(_expressions(), DATA)
def test_expressions_made_by_chance(text: str, data: dict[str, Any]) -> None:
    try:
        wanted = theirs(text, data)
    except RuntimeError:
        with pytest.raises(CelSyntaxError):
            compile_expression(text, OURS)
        return
    found = ours(text, data)
    assert (found is ERROR) == (wanted is ERROR), (text, found, wanted)
    if wanted is not ERROR:
        assert _plain(found) == _plain(wanted), text


@pytest.mark.parametrize(
    "text",
    [
        "timestamp('2024-02-29T23:59:59.123Z').getDayOfYear()",
        "timestamp('2024-02-29T23:59:59.123Z').getMilliseconds()",
        "timestamp('2024-02-29T23:59:59Z').getDate('America/New_York')",
        "timestamp('2024-02-29T23:59:59Z') - timestamp('2023-02-28T00:00:00Z')",
        "timestamp('2020-01-01T00:00:00+05:30') == timestamp('2019-12-31T18:30:00Z')",
        "duration('-90m').getHours()",
        "duration('3661s').getMinutes()",
        "int(timestamp('2020-01-01T00:00:00Z'))",
        "'héllo'.size() + b'h\\xc3\\xa9'.size()",
        "bytes('é') == b'\\303\\251'",
        "string(b'\\xff')",
        "uint('5') + 2u",
        "uint(-1)",
        "int(9223372036854775808u)",
        "double('1e400')",
        "1u / 0u",
        "[1, 2] == [1, 2]",
        "{'a': [1]} == {'a': [1]}",
        "{1: 1} == {1: 1}",
        "type(type(1)) == type",
        "'a' < 'B'",
        "'ab'.matches('a.$') && 'xaby'.matches('ab')",
        "[1, 2, 3].exists_one(x, x > 2)",
        "[[1, 2], [3]].map(x, x.map(y, y * 2))",
        "{'a': 1, 'b': 2}.filter(k, k == 'a')",
        "dyn(1) in [1, 2]",
        "dyn(1.0) in [1, 2]",
        "[true, false].exists(x, x)",
        "-(-9223372036854775808)",
        "9223372036854775807 / -1",
        "-9223372036854775808 / -1",
        "-9223372036854775808 % -1",
    ],
)
def test_corners(text: str) -> None:
    data = {"i": 0, "j": 0, "b": True, "f": 0.0, "s": "", "l": [], "w": [], "m": {}, "d": 1}
    wanted, found = theirs(text, data), ours(text, data)
    assert (found is ERROR) == (wanted is ERROR), (found, wanted)
    if wanted is not ERROR and not str(wanted).startswith("<"):
        assert _plain(found) == _plain(wanted)


def _served_schemas() -> list[tuple[str, dict[str, Any]]]:
    from raysail.api.crds import all_crds

    found = []
    for crd in all_crds():
        for version in crd["spec"]["versions"]:
            found.append((f"{crd['metadata']['name']}/{version['name']}", version["schema"]["openAPIV3Schema"]))
    return found


def test_every_rule_of_the_kinds_we_serve_compiles() -> None:
    from raysail.apiserver.customresources.rule_compilation import rule_causes

    for name, schema in _served_schemas():
        assert rule_causes(schema, name) == []
        SchemaRules(SchemaNode(schema))
