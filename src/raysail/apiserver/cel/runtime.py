"""What compiled expressions call while they run: field access, logic with errors, loops, and the account of work done.

Each expression is compiled twice. The quick form uses Python's own operators; whatever goes wrong in it (a missing key, a null, a wrong type) ends it, and
the careful form, which is this module's functions all the way, says what the value or the error is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cmp_to_key
from typing import Any, Final

from raysail.apiserver.cel.operators_library import at, key_text, under
from raysail.apiserver.cel.types import Type
from raysail.apiserver.cel.values import (
    NONE,
    CelError,
    CostExceeded,
    Duration,
    Optional,
    Timestamp,
    compare,
    equal,
    lookup,
    parse_duration,
    parse_timestamp,
    type_name,
)
from raysail.apiserver.schema.decode import decode_base64

PER_CALL_LIMIT: Final = 1_000_000
"""Most work of one rule on one value (k8s.io/apiserver pkg/apis/cel/config.go PerCallLimit)."""

_MISSING: Final = object()


class Account:
    """The work one evaluation has done, in steps."""

    __slots__ = ("limit", "spent")

    def __init__(self, limit: int = PER_CALL_LIMIT) -> None:
        self.limit = limit
        self.spent = 0

    def charge(self, steps: int) -> None:
        """Raises CostExceeded."""
        self.spent += steps
        if self.spent > self.limit:
            raise CostExceeded("operation cancelled: actual cost limit exceeded")


def looped(account: Account, values: Any, steps: int) -> Any:
    """What a comprehension runs over, its work charged beforehand."""
    if type(values) is not list and type(values) is not dict:
        raise CelError(f"got '{type_name(values)}', expected iterable type")
    account.charge(len(values) * steps + 1)
    return values


def sized(account: Account, operand: Any) -> Any:
    """An operand whose size a function's work grows with."""
    try:
        account.charge(len(operand) // 10 + 1)
    except TypeError:
        return operand
    return operand


def pairs(values: Any) -> Iterable[tuple[Any, Any]]:
    """Index or key, and value."""
    return values.items() if type(values) is dict else enumerate(values)


Convert = Callable[[Any], Any]


def converter(kind: Type) -> Convert | None:
    """How a value of a schema's type becomes CEL's; None where it is the same. Objects are converted field by field, as they are read."""
    if kind.name in _SCALARS:
        return _SCALARS[kind.name]
    if kind.name == "list":
        inner = converter(kind.parameters[0])
        return None if inner is None else _each_item(inner)
    if kind.name == "map":
        inner = converter(kind.parameters[1])
        return None if inner is None else _each_value(inner)
    return None


def _each_item(convert: Convert) -> Convert:
    return lambda values: [convert(v) for v in values] if type(values) is list else values


def _each_value(convert: Convert) -> Convert:
    return lambda entries: {k: convert(v) for k, v in entries.items()} if type(entries) is dict else entries


def _as_int(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


def _as_double(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _as_timestamp(value: Any) -> Any:
    return parse_timestamp(value) if isinstance(value, str) else value


def _as_duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _as_bytes(value: Any) -> Any:
    return decode_base64(value) if isinstance(value, str) else value


_SCALARS: Final[Mapping[str, Convert]] = {
    "int": _as_int,
    "double": _as_double,
    "timestamp": _as_timestamp,
    "duration": _as_duration,
    "bytes": _as_bytes,
}


def select(operand: Any, name: str, shown: str) -> Any:
    """A field of an object whose schema names it. A null stands for a field that is not there."""
    if type(operand) is dict:
        found = operand.get(name)
        if found is not None:
            return found
        raise CelError(f"no such key: {shown}")
    raise CelError("no such overload")


def select_any(operand: Any, name: str) -> Any:
    """A field of a map, or of something known only now."""
    if type(operand) is dict:
        found = lookup(operand, name, _MISSING)
        if found is not _MISSING:
            return found
        raise CelError(f"no such key: {key_text(name)}")
    if type(operand) is Optional:
        return select_optional(operand, name)
    raise CelError("no such overload")


def select_optional(operand: Any, name: str) -> Optional:
    """`operand.?field`, and a field of an optional."""
    if type(operand) is Optional:
        if not operand.present:
            return NONE
        operand = operand.content
    if type(operand) is not dict:
        raise CelError("no such overload")
    found = operand.get(name)
    return NONE if found is None and name not in operand else Optional(True, found)


def has(operand: Any, name: str, *, null_is_absent: bool) -> bool:
    """Whether a field is there, which the macro of this name asks."""
    if type(operand) is Optional:
        return operand.present and has(operand.content, name, null_is_absent=null_is_absent)
    if type(operand) is not dict:
        raise CelError("no such overload")
    return operand.get(name) is not None if null_is_absent else name in operand


def index_optional(operand: Any, index: Any) -> Optional:
    """`operand[?index]`, and an index into an optional."""
    if type(operand) is Optional:
        if not operand.present:
            return NONE
        operand = operand.content
    if type(operand) is dict:
        found = lookup(operand, index, _MISSING)
        return NONE if found is _MISSING else Optional(True, found)
    if type(operand) is not list:
        raise CelError("no such overload")
    whole = int(index) if isinstance(index, float) and index.is_integer() else index
    if isinstance(whole, bool) or not isinstance(whole, int):
        raise CelError(f"unsupported index type '{type_name(index)}' in list")
    return Optional(True, operand[whole]) if 0 <= whole < len(operand) else NONE


def index_any(operand: Any, index: Any) -> Any:
    """`operand[index]` of something known only now."""
    if type(operand) is list:
        return at(operand, index)
    if type(operand) is dict:
        return under(operand, index)
    if type(operand) is Optional:
        return index_optional(operand, index)
    raise CelError("no such overload")


def truth(value: Any) -> bool:
    """A value that must be a bool."""
    if value is True or value is False:
        return bool(value)
    raise CelError("no such overload")


def either(*operands: Callable[[], Any]) -> bool:
    """`||`: one that is true makes up for errors of the others."""
    error: CelError | None = None
    for operand in operands:
        try:
            if truth(operand()):
                return True
        except CelError as found:
            error = error or found
    if error is not None:
        raise error
    return False


def both(*operands: Callable[[], Any]) -> bool:
    """`&&`: one that is false makes up for errors of the others."""
    error: CelError | None = None
    for operand in operands:
        try:
            if not truth(operand()):
                return False
        except CelError as found:
            error = error or found
    if error is not None:
        raise error
    return True


def every(values: Iterable[Any], accepts: Callable[..., Any], two: bool) -> bool:
    """all(): `&&` over the elements."""
    error: CelError | None = None
    for value in values:
        try:
            if not truth(accepts(*value) if two else accepts(value)):
                return False
        except CelError as found:
            error = error or found
    if error is not None:
        raise error
    return True


def some(values: Iterable[Any], accepts: Callable[..., Any], two: bool) -> bool:
    """exists(): `||` over the elements."""
    error: CelError | None = None
    for value in values:
        try:
            if truth(accepts(*value) if two else accepts(value)):
                return True
        except CelError as found:
            error = error or found
    if error is not None:
        raise error
    return False


def one(found: Iterable[Any]) -> bool:
    """exists_one(): how many predicates hold; each was evaluated, errors included."""
    return sum(map(truth, found)) == 1


def sorted_by(values: Any, key: Callable[[Any], Any]) -> list[Any]:
    """sortBy(): by what the expression makes of each element."""
    if type(values) is not list:
        raise CelError("no such overload")
    keys = [key(value) for value in values]

    def before(a: int, b: int) -> int:
        return compare(keys[a], keys[b])

    order = sorted(range(len(keys)), key=cmp_to_key(before))
    return [values[index] for index in order]


def merged(entries: Iterable[dict[Any, Any]]) -> dict[Any, Any]:
    """transformMapEntry(): one map of all; a key may come once."""
    found: dict[Any, Any] = {}
    for entry in entries:
        for key, value in entry.items():
            if lookup(found, key, _MISSING) is not _MISSING:
                raise CelError(f"insert failed: key {key_text(key)} already exists")
            found[key] = value
    return found


def make_map(entries: Iterable[tuple[Any, Any, bool]]) -> dict[Any, Any]:
    """A map literal. The flag says that the value is an optional, and absent ones leave no entry."""
    found: dict[Any, Any] = {}
    for key, value, optional in entries:
        if isinstance(key, float) or key is None or isinstance(key, list | dict | bytes | Duration | Timestamp):
            raise CelError(f"unsupported key type: {type_name(key)}")
        if lookup(found, key, _MISSING) is not _MISSING:
            raise CelError(f"Failed with repeated key: {key_text(key)}")
        if optional:
            if unwrap(value).present:
                found[key] = value.content
        else:
            found[key] = value
    return found


def make_list(elements: Iterable[tuple[Any, bool]]) -> list[Any]:
    """A list literal with optional elements."""
    return [unwrap(value).content if optional else value for value, optional in elements if not optional or unwrap(value).present]


def unwrap(value: Any) -> Optional:
    """A value that must be an optional."""
    if type(value) is Optional:
        return value
    raise CelError("no such overload")


def or_optional(value: Any, other: Callable[[], Any]) -> Any:
    """optional.or(optional)."""
    return value if unwrap(value).present else unwrap(other())


def or_value(value: Any, other: Callable[[], Any]) -> Any:
    """optional.orValue(value)."""
    return value.content if unwrap(value).present else other()


def map_optional(value: Any, change: Callable[[Any], Any], *, flat: bool) -> Any:
    """OptMap and optFlatMap."""
    if not unwrap(value).present:
        return NONE
    found = change(value.content)
    return unwrap(found) if flat else Optional(True, found)


def equal_sets(left: Any, right: Any) -> bool:
    """Lists of type set: order does not matter."""
    if type(left) is not list or type(right) is not list:
        return equal(left, right)
    return len(left) == len(right) and all(any(equal(a, b) for b in right) for a in left)


def equal_list_maps(left: Any, right: Any, keys: tuple[str, ...]) -> bool:
    """Lists of type map: items correspond by their keys, order does not matter."""
    if type(left) is not list or type(right) is not list:
        return equal(left, right)
    if len(left) != len(right):
        return False
    try:
        by_key = {tuple(item.get(k) for k in keys): item for item in right}
        return all(equal(item, by_key.get(tuple(item.get(k) for k in keys), _MISSING)) for item in left)
    except (AttributeError, TypeError):
        return equal(left, right)


def joined_sets(left: Any, right: Any) -> list[Any]:
    """`+` of lists of type set: what is new on the right is appended."""
    if type(left) is not list or type(right) is not list:
        raise CelError("no such overload")
    return left + [item for item in right if not any(equal(item, known) for known in left)]


def joined_list_maps(left: Any, right: Any, keys: tuple[str, ...]) -> list[Any]:
    """`+` of lists of type map: items on the right replace those with the same keys, others are appended."""
    if type(left) is not list or type(right) is not list:
        raise CelError("no such overload")
    found = list(left)
    try:
        places = {tuple(item.get(k) for k in keys): index for index, item in enumerate(left)}
        for item in right:
            place = places.get(tuple(item.get(k) for k in keys))
            if place is None:
                found.append(item)
            else:
                found[place] = item
    except (AttributeError, TypeError) as error:
        raise CelError("unexpected data format for element of array with x-kubernetes-list-type=map") from error
    return found
