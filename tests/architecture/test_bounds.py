"""No request makes more faults than a person reads, whatever API it is for: its type stops validating."""

from collections.abc import Iterator
import json
from typing import Any, cast

from pydantic import ValidationError
import pytest

from core.apis.index import all_manifests, kinds
from core.frame.dotted import load
from core.frame.fail_fast import BY_NAME, LISTS, MOST_UNKNOWN, OPAQUE
from core.frame.resources import ListQuery
from core.frame.types import Wire

OPERATIONS = [operation for api in all_manifests() for surface in api.surfaces for operation in surface.operations]
TYPES: set[type[Wire] | None] = {
    *(operation.request_type() for operation in OPERATIONS if operation.request is not None),
    *(load(operation.query) for operation in OPERATIONS if operation.query is not None),
    *(kind.body_type() for kind in kinds()),
    ListQuery,
}


def nodes(part: object, key: str = "") -> Iterator[tuple[dict[str, Any], object]]:
    """Every schema within, with what is around it."""
    items = cast("dict[str, object]", part).items() if isinstance(part, dict) else ()
    if key not in BY_NAME and "type" in dict(items):
        yield cast("dict[str, Any]", part), None
    for name, inner in items:
        if key in BY_NAME or name not in OPAQUE:
            yield from ((node, around or part) for node, around in nodes(inner, "" if key in BY_NAME else name))
    for inner in cast("list[object]", part) if isinstance(part, list) else ():
        yield from nodes(inner)


@pytest.mark.parametrize("kind", sorted(TYPES, key=str), ids=str)
def test_a_request_stops_at_its_first_wrong_entries(kind: type[Wire]) -> None:
    assert issubclass(kind, Wire)
    kind.model_rebuild(force=True)
    for node, around in nodes(kind.__pydantic_core_schema__):
        if node["type"] in LISTS:
            assert node["fail_fast"], node
        if node["type"] == "dict" and node.get("values_schema", {}).get("type", "any") != "any":
            assert cast("dict[str, Any]", around)["type"] == "function-wrap", node
        if node["type"] == "model":
            assert issubclass(node["cls"], Wire), node["cls"]
            assert node["config"].get("extra_fields_behavior") != "forbid", node["cls"]


def test_every_list_and_object_is_looked_at() -> None:
    class Inner(Wire):
        count: int

    class Outer(Wire, extra="forbid"):
        default: list[Inner]
        choices: dict[str, list[Inner]] | None = None
        config: tuple[int, ...] | set[int] = ()

    Outer.model_rebuild()
    schemas = [node for node, _ in nodes(Outer.__pydantic_core_schema__)]
    assert sum(node["type"] in LISTS for node in schemas) == 4
    many = {f"k{n}": [7] * 99 for n in range(99)}
    with pytest.raises(ValidationError) as wrong:
        Outer.model_validate({"default": ["a"] * 99, "choices": many, "config": ["b"] * 99})
    assert wrong.value.error_count() == 4
    choices: dict[str, list[Inner]] = {f"k{n}": [] for n in range(99)}
    assert Outer.model_validate_json(json.dumps({"default": [], "choices": choices})).choices == choices
    with pytest.raises(ValidationError) as wrong:
        Outer.model_validate({"default": []} | {f"x{n}": n for n in range(99)})
    assert wrong.value.error_count() == MOST_UNKNOWN
