"""Qdrant's REST API on loopback, exact and in memory, which refuses what the vendor's description of it does not have.

What it does not show: an index that is approximate, what is written and not there yet, strict mode, shards, quotas. The shapes are an excerpt of
https://github.com/qdrant/qdrant/blob/master/docs/redoc/v1.19.x/openapi.json, written as data.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import math
import re
from typing import Any, Final, override
from uuid import UUID

from aiohttp import web

from core.providers.qdrant.config import Config
from core.providers.qdrant.vector_io import Qdrant
from tests.parts.upstream import FakeUpstream, running


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and str(UUID(value)) == value


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(number, float | int) for number in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _list_of(shape: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(fits(shape, one) for one in value)


def _are_unique(value: Any) -> bool:
    return _list_of(_is_text)(value) and len(set(value)) == len(value)


def _is_value(value: Any) -> bool:
    return isinstance(value, str | bool | int) and not isinstance(value, float)


def _is_condition(value: Any) -> bool:
    return fits("FieldCondition" if "key" in value else "Filter", value)


def _is_match(value: Any) -> bool:
    return fits("MatchAny" if "any" in value else "MatchValue", value)


SHAPES: Final[dict[str, tuple[tuple[str, ...], dict[str, Any]]]] = {
    "CreateCollection": ((), {"vectors": "VectorParams"}),
    "VectorParams": (("distance", "size"), {"size": _is_number, "distance": _is_text}),
    "PointsList": (("points",), {"points": _list_of("PointStruct")}),
    "PointStruct": (
        ("id", "vector"),
        {"id": _is_id, "vector": _is_vector, "payload": lambda value: isinstance(value, dict)},
    ),
    "PointIdsList": (("points",), {"points": _list_of(_is_id)}),
    "PointRequest": (("ids",), {"ids": _list_of(_is_id), "with_payload": _is_flag, "with_vector": _is_flag}),
    "ScrollRequest": (
        (),
        {"offset": _is_id, "limit": _is_number, "with_payload": _list_of(_is_text), "with_vector": _is_flag},
    ),
    "QueryRequest": (
        (),
        {
            "query": _is_vector,
            "filter": "Filter",
            "limit": _is_number,
            "with_payload": _is_flag,
            "with_vector": _is_flag,
        },
    ),
    "Filter": (
        (),
        {"must": _list_of(_is_condition), "should": _list_of(_is_condition), "must_not": _list_of(_is_condition)},
    ),
    "FieldCondition": (("key",), {"key": _is_text, "match": _is_match, "range": "Range"}),
    "MatchValue": (("value",), {"value": _is_value}),
    "MatchAny": (("any",), {"any": _are_unique}),
    "Range": ((), dict.fromkeys(("lt", "gt", "gte", "lte"), _is_number)),
}
"""What a shape must have, and what each of its fields is: another shape, or a test."""
PATH_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def fits(shape: Any, value: Any) -> bool:
    if not isinstance(shape, str):
        return bool(shape(value))
    required, fields = SHAPES[shape]
    return (
        isinstance(value, dict)
        and set(required) <= value.keys() <= fields.keys()
        and all(fits(fields[name], one) for name, one in value.items())
    )


@dataclass
class Collection:
    vectors: dict[str, Any]
    points: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


@dataclass
class QdrantDouble(FakeUpstream):
    """`faults` are the next answers but good ones."""

    collections: dict[str, Collection] = field(default_factory=dict[str, Collection])
    faults: list[web.Response] = field(default_factory=list[web.Response])

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        if self.faults:
            return self.faults.pop(0)
        if request.path == "/collections":
            return _ok({"collections": [{"name": name} for name in self.collections]})
        _, _, name, *more = request.path.split("/", 3)
        if name not in self.collections and (request.method, more) != ("PUT", []):
            return _fault(404, f"Not found: Collection `{name}` doesn't exist!")
        if not more:
            return self._act_on(name, request.method)
        return _act(self.collections[name], more[0], request, self.seen[-1].body)

    def _act_on(self, name: str, method: str) -> web.Response:
        match method:
            case "PUT" if name in self.collections:
                return _fault(409, f"Wrong input: Collection `{name}` already exists!")
            case "PUT":
                _check("CreateCollection", self.seen[-1].body)
                self.collections[name] = Collection(self.seen[-1].body["vectors"])
            case "DELETE":
                del self.collections[name]
            case _:
                return _ok({"status": "green", "config": {"params": {"vectors": self.collections[name].vectors}}})
        return _ok(result=True)


def _act(collection: Collection, operation: str, request: web.Request, body: Any) -> web.Response:
    match request.method, operation:
        case "PUT", "points":
            assert request.query["wait"] == "true"
            _check("PointsList", body)
            return _put(collection, body["points"])
        case "POST", "points/delete":
            assert request.query["wait"] == "true"
            _check("PointIdsList", body)
            for point in body["points"]:
                collection.points.pop(point, None)
            return _ok({"operation_id": 1, "status": "completed"})
        case "POST", "points":
            _check("PointRequest", body)
            points = [collection.points[point] for point in body["ids"] if point in collection.points]
            return _ok([_shown(point, body) for point in points])
        case "POST", "points/scroll":
            _check("ScrollRequest", body)
            return _scroll(collection, body)
        case "POST", "points/query":
            _check("QueryRequest", body)
            return _query(collection, body)
        case _:
            raise AssertionError(operation)


def _put(collection: Collection, points: list[dict[str, Any]]) -> web.Response:
    size = collection.vectors["size"]
    for point in points:
        if len(point["vector"]) != size:
            return _fault(400, f"Wrong input: Vector dimension error: expected dim: {size}, got {len(point['vector'])}")
    for point in points:
        norm = math.hypot(*point["vector"]) or 1.0
        collection.points[point["id"]] = point | {"vector": [number / norm for number in point["vector"]]}
    return _ok({"operation_id": 1, "status": "completed"})


def _scroll(collection: Collection, body: dict[str, Any]) -> web.Response:
    ids = sorted(point for point in collection.points if point >= body.get("offset", ""))
    page = [collection.points[point] for point in ids[: body["limit"]]]
    points = [{"id": one["id"], "payload": {key: one["payload"][key] for key in body["with_payload"]}} for one in page]
    return _ok({"points": points, "next_page_offset": next(iter(ids[body["limit"] :]), None)})


def _query(collection: Collection, body: dict[str, Any]) -> web.Response:
    size = collection.vectors["size"]
    if len(body["query"]) != size:
        return _fault(400, f"Wrong input: Vector dimension error: expected dim: {size}, got {len(body['query'])}")
    norm = math.hypot(*body["query"]) or 1.0
    rows = [
        _shown(point, body) | {"version": 1, "score": math.sumprod(point["vector"], body["query"]) / norm}
        for point in collection.points.values()
        if holds(body.get("filter", {}), point["payload"])
    ]
    return _ok({"points": sorted(rows, key=lambda row: -row["score"])[: body["limit"]]})


def holds(condition: dict[str, Any], payload: Mapping[str, Any]) -> bool:
    """Numbers are numbers whatever they are written like; a value of another type is none that a condition is about."""
    if "key" not in condition:
        must, should, must_not = (condition.get(name, ()) for name in ("must", "should", "must_not"))
        return (
            all(holds(part, payload) for part in must)
            and (not should or any(holds(part, payload) for part in should))
            and not any(holds(part, payload) for part in must_not)
        )
    assert PATH_KEY.fullmatch(condition["key"]), "a path of JSON"
    value = payload.get(condition["key"])
    if "range" in condition:
        tests = {"lt": float.__lt__, "lte": float.__le__, "gt": float.__gt__, "gte": float.__ge__}
        return _is_number(value) and all(
            tests[name](float(value or 0), float(bound)) for name, bound in condition["range"].items()
        )
    values = condition["match"].get("any") or [condition["match"]["value"]]
    return any(type(value) is type(one) and value == one for one in values)


def _shown(point: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    wanted = {"vector": body.get("with_vector"), "payload": body.get("with_payload")}
    return {name: one for name, one in point.items() if wanted.get(name, True)}


def _check(shape: str, body: Any) -> None:
    if not fits(shape, body):
        raise web.HTTPBadRequest(text=f"Format error in JSON body: no {shape}")


def _ok(result: Any) -> web.Response:
    return web.json_response({"result": result, "status": "ok", "time": 0.001})


def _fault(status: int, error: str) -> web.Response:
    return web.json_response({"status": {"error": error}, "time": 0.001}, status=status)


@asynccontextmanager
async def qdrant(**config: Any) -> AsyncGenerator[tuple[QdrantDouble, Qdrant]]:
    double = QdrantDouble()
    async with running(double):
        provider = Qdrant("qdrant", Config.model_validate({"url": double.url, **config}))
        try:
            yield double, provider
        finally:
            await provider.close()
