"""CEL: values, errors, types, budget; rules on schemas."""

from __future__ import annotations

import time
from typing import Any

import pytest

from raysail.api.openapi import SchemaNode
from raysail.apiserver.cel import CelError, CelSyntaxError, CostExceeded, SchemaRules, compile_expression
from raysail.apiserver.cel.types import DYN, INT, STRING, list_of, type_of_schema

VARIABLES = {"x": INT, "s": STRING, "l": list_of(INT), "d": DYN}
VALUES = (3, "text", [1, 2, 3], {"a": 1, "n": None})


def value_of(text: str) -> Any:
    return compile_expression(text, VARIABLES).evaluate(*VALUES)[0]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", 5),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7.0 / 2.0", 3.5),
        ("3u + 4u", 7),
        ("'a' + \"b\" + '''c'''", "abc"),
        (r"r'\d' == '\\d'", True),
        (r"'\u00e9\x41\101\n'.size()", 4),
        ("b'\\xff'.size()", 1),
        ("size('héllo')", 5),
        ("[1, 2] + [3]", [1, 2, 3]),
        ("{'a': 1}.a", 1),
        ("{1: 'x'}[1]", "x"),
        ("2 in [1, 2] && 'a' in {'a': 1}", True),
        ("x > 2 ? 'big' : 'small'", "big"),
        ("l.all(i, i > 0) && l.exists(i, i == 2) && l.exists_one(i, i == 2)", True),
        ("l.map(i, i * 2)", [2, 4, 6]),
        ("l.map(i, i > 1, i * 2)", [4, 6]),
        ("l.filter(i, i % 2 == 1)", [1, 3]),
        ("{'b': 1, 'a': 2}.all(k, k != 'z')", True),
        ("l.all(i, v, v == i + 1)", True),
        ("l.transformList(i, v, i * v)", [0, 2, 6]),
        ("{'a': 1}.transformMap(k, v, v + 1)", {"a": 2}),
        ("l.transformMapEntry(i, v, {string(v): i})", {"1": 0, "2": 1, "3": 2}),
        ("cel.bind(y, x + 1, y * y)", 16),
        ("has(d.a) && !has(d.b)", True),
        ("d.?a.orValue(0) + d.?zz.orValue(10)", 11),
        ("optional.of(1).hasValue()", True),
        ("d.?a.optMap(v, v + 1).orValue(0)", 2),
        ("d[?'zz'].orValue(7)", 7),
        ("[?d.?a, ?d.?zz]", [1]),
        ("{?'k': d.?zz}", {}),
        ("type(1) == int && type('') == string && type(null) == null_type", True),
        ("dyn(1) == 1.0 && dyn(1) == 1u && !(dyn(1) == true)", True),
        ("1 < 1.5 && 2u > 1", True),
        ("string(1) + string(1.5) + string(true)", "11.5true"),
        ("int('-5') + int(3.9)", -2),
        ("double('1e3')", 1000.0),
        ("duration('1h30m').getMinutes()", 90),
        ("timestamp('2024-02-29T12:00:00Z') + duration('24h') == timestamp('2024-03-01T12:00:00Z')", True),
        ("timestamp('2020-01-01T00:30:00Z').getHours('+01:00')", 1),
        ("timestamp('2020-01-01T00:00:00Z').getDayOfWeek()", 3),
        ("'abc'.matches('^a.c$')", True),
        ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
        ("'hello'.substring(1, 3) + 'x'.upperAscii() + ' y '.trim()", "elXy"),
        ("'aXbX'.replace('X', '-', 1).indexOf('-')", 1),
        ("'%s has %d of %.1f'.format(['a', 3, 2.55])", "a has 3 of 2.5"),
        ("['b', 'a'].sort().join('+')", "a+b"),
        ("[3, 1].min() + [1, 2].sum() + [1, 1].distinct().size()", 5),
        ("[1, 2, 2].isSorted() && [1, 2, 1].lastIndexOf(1) == 2", True),
        ("[[1], [2]].flatten()", [1, 2]),
        ("sets.contains([1, 2], [2]) && sets.intersects([1], [1, 3]) && sets.equivalent([1, 1], [1])", True),
        ("'a1b22'.findAll('[0-9]+')", ["1", "22"]),
        ("quantity('1Gi').isGreaterThan(quantity('1000Mi')) && quantity('50k').add(20).asInteger() == 50020", True),
        ("isQuantity('1Gib')", False),
        ("url('https://u@h:81/p?q=1').getHost() + url('/a b').getEscapedPath()", "h:81/a%20b"),
        ("ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && !isIP('1.2.3')", True),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && string(cidr('10.1.2.3/8').masked()) == '10.0.0.0/8'", True),
        ("!format.dns1123Label().validate('a-b').hasValue() && format.dns1123Label().validate('A').hasValue()", True),
        ("semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && semver('v1.2', true).minor() == 2", True),
    ],
)
def test_values(expression: str, value: Any) -> None:
    found = value_of(expression)
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 / 0 == 1 || true", True),
        ("true || 1 / 0 == 1", True),
        ("1 / 0 == 1 && false", False),
        ("[0, 1].exists(i, 1 / i == 1)", True),
        ("[0, 2].all(i, 1 / i == 1)", False),
        ("d.missing == 1 || d.a == 1", True),
        ("true ? 1 : 1 / 0", 1),
    ],
)
def test_errors_that_do_not_matter(expression: str, value: Any) -> None:
    assert value_of(expression) == value


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + x", "integer overflow"),
        ("-9223372036854775808 - x", "integer overflow"),
        ("4611686018427387904 * x", "integer overflow"),
        ("1u - 2u", "unsigned integer overflow"),
        ("l[5]", "index out of bounds: 5"),
        ("d.nope", "no such key: nope"),
        ("{'a': 1}['b']", "no such key: b"),
        ("d.a + 'x'", "no such overload"),
        ("1 / 0 == 1 || false", "division by zero"),
        ("[0, 2].exists(i, 1 / i == 1)", "division by zero"),
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("duration(s)", "type conversion error from 'string' to 'google.protobuf.Duration'"),
        ("optional.none().value()", "optional.none() dereference"),
        ("'abc'.substring(2, 1)", "invalid substring range"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "timestamp overflow"),
    ],
)
def test_errors(expression: str, error: str) -> None:
    with pytest.raises(CelError, match=error.replace("(", r"\(").replace(")", r"\)").replace(".", r"\.")):
        value_of(expression)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nope", "undeclared reference to 'nope'"),
        ("x == 'a'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("x + 1.0", "found no matching overload for '_+_' applied to '(int, double)'"),
        ("s.startsWith(1)", "found no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("l.all(i, i)", "expected type 'bool' but found 'int'"),
        ("x.all(i, true)", "cannot be range of a comprehension"),
        ("x.y", "type 'int' does not support field selection"),
        ("nosuch(1)", "undeclared reference to 'nosuch'"),
        ("x && true", "expected type 'bool' but found 'int'"),
        ("x ? 1 : 2", "found no matching overload for '_?_:_'"),
        ("[1, 'a']", "expected type 'int' but found 'string'"),
        ("1 +", "Syntax error"),
        ("(1", "Syntax error"),
        ("'abc", "Syntax error"),
        ("has(x)", "invalid argument to has() macro"),
        ("l.all(1, true)", "argument must be a simple name"),
        ("99999999999999999999", "invalid int literal"),
        ("duration('x') == duration('1s')", "invalid duration argument"),
        ("timestamp('today') == timestamp(0)", "invalid timestamp argument"),
        ("s.matches(')')", "invalid matches argument"),
        ("package", "reserved identifier: package"),
        ("(" * 300 + "1" + ")" * 300, "recursion limit"),
    ],
)
def test_what_does_not_compile(expression: str, message: str) -> None:
    with pytest.raises(CelSyntaxError) as refused:
        compile_expression(expression, VARIABLES)
    assert message in str(refused.value)


def test_a_refusal_points_at_the_place() -> None:
    with pytest.raises(CelSyntaxError) as refused:
        compile_expression("x +\n  nope", VARIABLES)
    assert refused.value.report("x +\n  nope") == "ERROR: <input>:2:3: undeclared reference to 'nope' (in container '')\n |   nope\n | ..^"


def test_long_chains_need_no_deep_stack() -> None:
    assert value_of(" || ".join(["x == 0"] * 2000 + ["true"])) is True


@pytest.mark.parametrize(
    "expression",
    ["l.all(a, l.all(b, l.all(c, a + b + c >= 0)))", "l.map(a, l.map(b, a * b)).size() > 0", "l.exists(a, l.exists(b, a == b + 100000))"],
)
def test_a_runaway_rule_ends(expression: str) -> None:
    program = compile_expression(expression, {"l": list_of(INT)})
    started = time.monotonic()
    with pytest.raises(CostExceeded):
        program.evaluate(list(range(5000)))
    assert time.monotonic() - started < 5


def rules(schema: dict[str, Any], new: Any, old: Any = None) -> list[tuple[str, str, str]]:
    return [(c.reason, c.field, c.message) for c in SchemaRules(SchemaNode(schema)).check(new, old)]


def with_rule(*specs: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "x-kubernetes-validations": list(specs), "properties": properties}


NUMBER = {"type": "integer"}
LETTERS = {"type": "string"}


def test_a_failed_rule_on_an_object_does_not_print_it() -> None:
    schema = with_rule({"rule": "self.a < self.b", "message": "a must be below b"}, a=NUMBER, b=NUMBER)
    assert rules(schema, {"a": 1, "b": 2}) == []
    assert rules(schema, {"a": 2, "b": 1}) == [("FieldValueInvalid", "<nil>", "Invalid value: a must be below b")]


def test_a_failed_rule_on_a_scalar_prints_it() -> None:
    schema = with_rule(a={**NUMBER, "x-kubernetes-validations": [{"rule": "self > 0"}]})
    assert rules(schema, {"a": -1}) == [("FieldValueInvalid", "a", "Invalid value: -1: failed rule: self > 0")]


def test_reason_and_field_path() -> None:
    schema = with_rule(
        {"rule": "false", "message": "no", "reason": "FieldValueForbidden", "fieldPath": ".m['k.x']"},
        m={"type": "object", "additionalProperties": NUMBER},
    )
    assert rules({"type": "object", "properties": {"o": schema}}, {"o": {}}) == [("FieldValueForbidden", "o.m[k.x]", "Forbidden: no")]


def test_message_expression_and_its_fallback() -> None:
    good = with_rule({"rule": "self.a > 5", "messageExpression": "'a is ' + string(self.a)"}, a=NUMBER)
    assert rules(good, {"a": 1})[0][2] == "Invalid value: a is 1"
    broken = with_rule({"rule": "self.a > 5", "message": "fixed", "messageExpression": "string(self.a / 0)"}, a=NUMBER)
    assert rules(broken, {"a": 1})[0][2] == "Invalid value: fixed"


def test_an_error_in_a_rule_is_a_fault() -> None:
    schema = with_rule({"rule": "self.a > 1"}, a=NUMBER)
    assert rules(schema, {}) == [("FieldValueInvalid", "<nil>", 'Invalid value: "object": no such key: a evaluating rule: self.a > 1')]


def test_transition_rules_run_where_an_old_value_is() -> None:
    schema = with_rule(a={**LETTERS, "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed"}]})
    assert rules(schema, {"a": "x"}) == []
    assert rules(schema, {"a": "x"}, {}) == []
    assert rules(schema, {}, {"a": "x"}) == []
    assert rules(schema, {"a": "y"}, {"a": "x"}) == [("FieldValueInvalid", "a", 'Invalid value: "y": fixed')]


def test_optional_old_self_runs_always() -> None:
    schema = with_rule(a={**NUMBER, "x-kubernetes-validations": [{"rule": "oldSelf.orValue(0) <= self", "optionalOldSelf": True}]})
    assert rules(schema, {"a": -1}) != []
    assert rules(schema, {"a": 1}) == []
    assert rules(schema, {"a": 1}, {"a": 2}) != []


def test_items_of_keyed_lists_have_an_old_self() -> None:
    item = {"type": "object", "properties": {"k": LETTERS, "v": NUMBER}, "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}]}
    schema = with_rule(l={"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item})
    old = {"l": [{"k": "a", "v": 1}, {"k": "b", "v": 5}]}
    assert rules(schema, {"l": [{"k": "b", "v": 6}, {"k": "c", "v": 0}, {"k": "a", "v": 1}]}, old) == []
    assert [field for _, field, _ in rules(schema, {"l": [{"k": "b", "v": 4}]}, old)] == ["l[0]"]


def test_faults_in_unchanged_parts_are_forgiven_but_not_transitions() -> None:
    schema = with_rule(a={**NUMBER, "x-kubernetes-validations": [{"rule": "self > 0"}]}, b=NUMBER)
    assert rules(schema, {"a": -1, "b": 2}, {"a": -1, "b": 1}) == []
    assert rules(schema, {"a": -2}, {"a": -1}) != []


def test_order_of_set_and_map_lists_does_not_count() -> None:
    schema = with_rule({"rule": "self.s == oldSelf.s"}, s={"type": "array", "items": LETTERS, "x-kubernetes-list-type": "set"})
    assert rules(schema, {"s": ["a", "b"]}, {"s": ["b", "a"]}) == []
    assert rules(schema, {"s": ["a"]}, {"s": ["b"]}) != []


def test_formats_and_numbers_become_their_types() -> None:
    schema = with_rule(
        {
            "rule": "self.t > timestamp('2020-01-01T00:00:00Z') && self.d < duration('1h') && self.n / 2.0 == 0.5 && self.b == b'hi' && self.i + 1 == 3"
        },
        t={"type": "string", "format": "date-time"},
        d={"type": "string", "format": "duration"},
        n={"type": "number"},
        b={"type": "string", "format": "byte"},
        i=NUMBER,
    )
    assert rules(schema, {"t": "2021-01-01T00:00:00Z", "d": "5m", "n": 1, "b": "aGk=", "i": 2.0}) == []


def test_names_that_are_no_identifiers_are_escaped() -> None:
    schema = with_rule(
        {"rule": "self.a__dash__b == 1 && self.__if__ == 2 && self.namespace == self.__namespace__"},
        **{"a-b": NUMBER, "if": NUMBER, "namespace": NUMBER},
    )
    assert rules(schema, {"a-b": 1, "if": 2, "namespace": 3}) == []


def test_metadata_has_its_names_only() -> None:
    ok = with_rule({"rule": "self.metadata.name.size() < 5 && self.kind == 'X'"}, metadata={"type": "object"})
    assert rules(ok, {"kind": "X", "apiVersion": "v1", "metadata": {"name": "abc"}}) == []
    labels = with_rule({"rule": "has(self.metadata.labels)"})
    assert "undefined field 'labels'" in rules(labels, {"metadata": {}})[0][2]


def test_null_in_a_nullable_field_counts_as_absent() -> None:
    schema = with_rule({"rule": "!has(self.n) || self.n == 'x'"}, n={**LETTERS, "nullable": True})
    assert rules(schema, {"n": None}) == []


def test_the_budget_of_an_object_is_shared_by_its_rules() -> None:
    heavy = {"rule": "self.l.all(a, self.l.all(b, a + b >= 0))"}
    schema = with_rule(*[heavy] * 40, l={"type": "array", "items": NUMBER})
    found = rules(schema, {"l": list(range(250))})
    assert [reason for reason, _, _ in found] == ["FieldValueInvalid"]
    assert "running out of cost budget" in found[0][2]


def array(items: dict[str, Any], **limits: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **limits}


@pytest.mark.parametrize(
    ("schema", "rule", "cost"),
    [
        (array({"type": "number"}), "self.all(x, true)", 4718591),
        (array({"type": "number"}, maxItems=10), "self.all(x, true)", 32),
        (array({"type": "string"}), "self.all(x, true)", 3145727),
        (array({"type": "boolean"}), "self.all(x, true)", 1887437),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "self.all(x, true)", 1348169),
        ({"type": "string"}, "self.contains('test')", 314574),
        ({"type": "string", "maxLength": 10}, "self.contains('test')", 5),
        ({"type": "string"}, "self.startsWith('test')", 2),
        ({"type": "string"}, "size(self + 'hello') > size('hello')", 314578),
        (array({"type": "string"}), "self[1] == self[1]", 314577),
        (array({"type": "number"}, maxItems=10), "self.all(x, self.all(y, true))", 352),
        ({"type": "string", "maxLength": 50}, "self.matches('x')", 22),
        ({"type": "string"}, "'x'.matches('(((((((((())))))))))[0-9]')", 7),
        (array({"type": "string", "format": "duration"}), "self[0].getHours() == 2", 4),
        (array({"type": "string", "format": "date-time"}), "self.all(x, true)", 428963),
        (array({"x-kubernetes-int-or-string": True}), "self[0] == 5", 3),
    ],
)
def test_the_most_a_rule_can_cost_is_what_kubernetes_says(schema: dict[str, Any], rule: str, cost: int) -> None:
    node = SchemaNode(schema)
    kind = type_of_schema(node)
    assert kind is not None
    assert compile_expression(rule, {"self": kind, "oldSelf": kind}).most_cost(node) == cost
