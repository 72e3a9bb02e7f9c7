"""Strategic merge patch: a merge patch that knows from the schema which lists merge by a key.

Directives: `$patch: replace|delete`, `$deleteFromPrimitiveList/LIST`, `$setElementOrder/LIST`, `$retainKeys`. A port of the rules (not the code) of
k8s.io/apimachinery pkg/util/strategicpatch/patch.go, with its server options: parallel lists are merged, nulls without a match ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from raysail.api.errors import bad_request
from raysail.api.openapi import SchemaNode
from raysail.apiserver.patch.faults import bad_patch, go_text, internal, json_type, rejected
from raysail.apiserver.patch.merge_patch import without_nulls

DIRECTIVE: Final = "$patch"
RETAIN_KEYS: Final = "$retainKeys"
DELETE_FROM: Final = "$deleteFromPrimitiveList"
ELEMENT_ORDER: Final = "$setElementOrder"

JsonObject = dict[str, Any]


def apply_strategic_patch(current: Mapping[str, Any], patch: Any, schema: SchemaNode) -> JsonObject:
    """The patched object; unchanged subtrees are those of `current`.

    Raises StatusError: 400 for what is no patch, 422 for lists of lists, 500 (as kube-apiserver does) for directives and items it cannot read.
    """
    if patch is None:
        patch = {}
    if not isinstance(patch, dict):
        error = bad_patch(patch, "map[string]interface {}")
        raise bad_request(error.message.removeprefix("error decoding patch: "))
    return _merge_map(current, patch, schema)


def _merge_map(original: Mapping[str, Any], patch: Mapping[str, Any], schema: SchemaNode | None) -> JsonObject:
    if DIRECTIVE in patch:
        directive = patch[DIRECTIVE]
        if directive == "replace":
            return {key: value for key, value in patch.items() if key != DIRECTIVE}
        if directive == "delete":
            return {}
        raise internal(f"unknown patch type: {go_text(directive)} in map: {go_text(patch)}")
    result = _retained(original, patch)
    done = _merge_ordered_lists(result, patch, schema)
    for key, value in patch.items():
        if key in done or key == RETAIN_KEYS:
            continue
        is_deletion = key.startswith(DELETE_FROM)
        name = _named_list(key, DELETE_FROM) if is_deletion else key
        if value is None:
            result.pop(name, None)
        elif name not in result or json_type(result[name]) != json_type(value):
            if not is_deletion:
                kept, cleaned = _without_directives(without_nulls(value))
                if kept:
                    result[name] = cleaned
                else:
                    result.pop(name, None)
        elif isinstance(value, dict):
            field = _field(schema, name)
            strategy, _ = _list_rules(field)
            result[name] = value if strategy == "replace" else _merge_map(result[name], value, field)
        elif isinstance(value, list):
            result[name] = _merge_list_field(result[name], value, _field(schema, name), is_deletion=is_deletion)
        else:
            result[name] = value
    return result


def _field(schema: SchemaNode | None, name: str) -> SchemaNode | None:
    return schema.child(name) if schema is not None else None


def _list_rules(field: SchemaNode | None) -> tuple[str, str]:
    """The patch strategy (without retainKeys) and the merge key of a field."""
    if field is None:
        return "", ""
    return next((s for s in field.patch_strategies if s != "retainKeys"), ""), field.patch_merge_key


def _retained(original: Mapping[str, Any], patch: Mapping[str, Any]) -> JsonObject:
    """The original with only those members that `$retainKeys` names, if it is given."""
    if RETAIN_KEYS not in patch:
        return dict(original)
    keys = patch[RETAIN_KEYS]
    if not isinstance(keys, list) or any(
        value is not None and key != RETAIN_KEYS and not key.startswith((DELETE_FROM, ELEMENT_ORDER)) and key not in keys
        for key, value in patch.items()
    ):
        raise bad_request("invalid patch format of retainKeys")
    return {key: value for key, value in original.items() if key in keys}


def _named_list(key: str, prefix: str) -> str:
    start, slash, name = key.partition("/")
    if not slash or start != prefix:
        kind = "primitive list" if prefix == DELETE_FROM else "setElementOrder list"
        raise bad_request(f"invalid patch format of {kind}")
    return name


def _merge_ordered_lists(result: JsonObject, patch: Mapping[str, Any], schema: SchemaNode | None) -> set[str]:
    """Merges those lists whose order `$setElementOrder` gives. The members of the patch that are dealt with by this."""
    done: set[str] = set()
    for key, order in patch.items():
        if not key.startswith(ELEMENT_ORDER):
            continue
        done.add(key)
        if not isinstance(order, list):
            raise internal(f"expected a []interface {{}}, but received a {_go_type(order)}")
        name = _named_list(key, ELEMENT_ORDER)
        field = _field(schema, name)
        if field is None:
            struct = schema.definition.rpartition(".")[2] if schema is not None else ""
            raise internal(f'unable to find api field in struct {struct} for the json field "{name}"')
        live, patched = result.get(name), patch.get(name)
        for value in (live, patched):
            if value is not None and not isinstance(value, list):
                raise internal(f"expected a []interface {{}}, but received a {_go_type(value)}")
        strategy, merge_key = _list_rules(field)
        _check_order(patched or [], order, merge_key)
        if live is None and patched is None:
            continue
        if patched is None:
            merged = live or []
        elif live is None:
            _, merged = _without_directives(patched)
        else:
            merged = _merge_list_field(live, patched, field, is_deletion=False, strategy=strategy)
        _check_items([live or [], patched or []])
        result[name] = _in_order(merged, order, live or [], merge_key)
        done.add(name)
    return done


def _check_order(patched: Sequence[Any], order: Sequence[Any], merge_key: str) -> None:
    """Items of the patch must come in the order of `$setElementOrder`, which must name all of them."""
    if not patched or not order:
        return
    wanted = [item for item in patched if not (merge_key and isinstance(item, dict) and DIRECTIVE in item)]
    position = 0
    for item in order:
        if position < len(wanted) and _identity(wanted[position], merge_key) == _identity(item, merge_key):
            position += 1
    if position < len(wanted):
        raise internal(
            f"The order in patch list:\n{go_text(list(patched))}\n doesn't match {ELEMENT_ORDER} list:\n{go_text(list(order))}\n"
        )


def _merge_list_field(
    live: list[Any], patched: list[Any], field: SchemaNode | None, *, is_deletion: bool, strategy: str | None = None
) -> list[Any]:
    found_strategy, merge_key = _list_rules(field)
    if (strategy if strategy is not None else found_strategy) != "merge" and not is_deletion:
        return patched
    if not live and not patched:
        return live
    if _check_items([live, patched]) is not dict:
        if is_deletion:
            return [item for item in live if item not in patched]
        merged = list(dict.fromkeys([*live, *patched]))
        return _in_order(merged, patched, live, "")
    if not merge_key:
        raise internal(f"cannot merge lists without merge key for {field.type if field is not None else ''}")
    live, patched = _without_deleted(live, patched, merge_key)
    items = field.items if field is not None else None
    merged = list(live)
    places = {_identity(item, merge_key, required=False): place for place, item in reversed(list(enumerate(merged)))}
    for item in patched:
        identity = _identity(item, merge_key)
        if identity in places:
            merged[places[identity]] = _merge_map(merged[places[identity]], item, items)
        else:
            places[identity] = len(merged)
            merged.append(item)
    return _in_order(merged, patched, live, merge_key)


def _without_deleted(live: list[Any], patched: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Obeys the list's `$patch` items and takes them out of the patch."""
    plain: list[Any] = []
    replace = False
    for item in patched:
        directive = item.get(DIRECTIVE, "")
        if DIRECTIVE not in item:
            plain.append(item)
        elif directive == "delete":
            identity = _identity(item, merge_key)
            live = [other for other in live if _identity(other, merge_key, required=False) != identity]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise internal("merging lists cannot yet be specified in the patch")
        else:
            raise internal(f"unknown patch type: {go_text(directive)} in map: {go_text(item)}")
    return ([] if replace else live), plain


_NO_IDENTITY: Final = object()


def _identity(item: Any, merge_key: str, *, required: bool = True) -> Any:
    """By what an item is found: itself, or its merge key's value."""
    if merge_key:
        if not isinstance(item, dict):
            raise internal(f"expected a map[string]interface {{}}, but received a {_go_type(item)}")
        if merge_key not in item:
            if not required:
                return _NO_IDENTITY
            raise internal(f"map: {go_text(item)} does not contain declared merge key: {merge_key}")
        item = item[merge_key]
    if isinstance(item, dict | list):
        raise internal(f"{go_text(item)} cannot be compared")
    return item


def _check_items(lists: Sequence[Sequence[Any]]) -> type:
    """The one type of all items. Raises for lists of lists, mixed and empty lists."""
    kinds = [type(item) for values in lists for item in values]
    if not kinds:
        raise internal("no elements in any of the given slices")
    if kinds[0] is list:
        raise rejected()
    if any(kind is not kinds[0] for kind in kinds):
        raise internal(f"list element types are not identical: {go_text([list(values) for values in lists])}")
    return kinds[0]


def _in_order(merged: Sequence[Any], order: Sequence[Any], live: Sequence[Any], merge_key: str) -> list[Any]:
    """Items that `order` names come in its order; the others keep their place among them as in `live`, as far as both are known there."""
    ranks = _ranks(order, merge_key)
    server_ranks = _ranks(live, merge_key)
    ours = [item for item in merged if _identity(item, merge_key) in ranks]
    others = [item for item in merged if _identity(item, merge_key) not in ranks]
    ours.sort(key=lambda item: ranks[_identity(item, merge_key)])
    others.sort(key=lambda item: server_ranks.get(_identity(item, merge_key), len(live)))
    result: list[Any] = []
    left = right = 0
    while left < len(others) and right < len(ours):
        rank = server_ranks.get(_identity(others[left], merge_key))
        other = server_ranks.get(_identity(ours[right], merge_key))
        if rank is not None and other is not None and rank < other:
            result.append(others[left])
            left += 1
        else:
            result.append(ours[right])
            right += 1
    return [*result, *others[left:], *ours[right:]]


def _ranks(items: Sequence[Any], merge_key: str) -> dict[Any, int]:
    return {_identity(item, merge_key): place for place, item in reversed(list(enumerate(items)))}


def _without_directives(value: Any) -> tuple[bool, Any]:
    """Whether a new value is kept, and what is left of it: what carries a `$patch` directive is not."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return False, None
        members = {key: _without_directives(member) for key, member in value.items()}
        return True, {key: cleaned for key, (kept, cleaned) in members.items() if kept}
    if isinstance(value, list):
        return True, [cleaned for kept, cleaned in map(_without_directives, value) if kept]
    return True, value


def _go_type(value: Any) -> str:
    names = {dict: "map[string]interface {}", list: "[]interface {}", str: "string", bool: "bool", int: "int64", float: "float64"}
    return names.get(type(value), "%!s(<nil>)")
