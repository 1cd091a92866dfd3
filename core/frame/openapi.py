"""The OpenAPI 3.1 document of a deployment, from the same rows as its routes (https://spec.openapis.org/oas/v3.1.0)."""

from collections.abc import Sequence
import re
from typing import Any, Final

from core.frame.api import RouteRow
from core.frame.types import JsonObject, Wire

OBJECT: Final[JsonObject] = {"type": "object"}
ERROR: Final[JsonObject] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
PARAMETER: Final = re.compile(r"\{(\w+)(?::path)?\}")
REFERENCE: Final = "#/components/schemas/{model}"


def document(version: str, rows: Sequence[RouteRow]) -> JsonObject:
    """Every row as a path item; request schemas are shared under components."""
    schemas: JsonObject = {"Error": ERROR}
    paths: JsonObject = {}
    for row in rows:
        item = paths.setdefault(PARAMETER.sub(r"{\1}", row.path), {})
        item[row.method.lower()] = _operation(row, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "llambda", "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(row: RouteRow, schemas: JsonObject) -> JsonObject:
    operation: JsonObject = {
        "tags": [row.api],
        "summary": row.summary,
        "operationId": _operation_id(row),
        "responses": {
            "200": {"description": "Success.", "content": _response_content(row)},
            "default": {"description": "An error.", "content": _json(REFERENCE.format(model="Error"))},
        },
    }
    if parameters := _parameters(row):
        operation["parameters"] = parameters
    if (request := _request_type(row)) is not None:
        operation["requestBody"] = {"required": True, "content": _json(_component_reference(request, schemas))}
    return operation


def _parameters(row: RouteRow) -> list[JsonObject]:
    text = {"type": "string"}
    query = row.operation.query if row.operation is not None else ()
    return [
        *({"name": name, "in": "path", "required": True, "schema": text} for name in PARAMETER.findall(row.path)),
        *({"name": name, "in": "query", "schema": text} for name in query),
    ]


def _operation_id(row: RouteRow) -> str:
    return f"{row.method.lower()}_" + re.sub(r"\W+", "_", PARAMETER.sub(r"\1", row.path)).strip("_")


def _request_type(row: RouteRow) -> type[Wire] | None:
    if row.operation is not None:
        return row.operation.request_type()
    return row.kind.body_type() if row.kind is not None and row.method == "POST" else None


def _response_content(row: RouteRow) -> JsonObject:
    content: JsonObject = {"application/json": {"schema": OBJECT}}
    if row.operation is not None and row.operation.stream is not None:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    if row.method == "DELETE":
        content["application/json"] = {"schema": {"type": "null"}}
    return content


def _json(reference: str) -> JsonObject:
    return {"application/json": {"schema": {"$ref": reference}}}


def _component_reference(request: type[Wire], schemas: JsonObject) -> str:
    schema: dict[str, Any] = request.model_json_schema(ref_template=REFERENCE)
    schemas.update(schema.pop("$defs", {}))
    schemas[request.__name__] = schema
    return REFERENCE.format(model=request.__name__)
