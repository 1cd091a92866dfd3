"""The OpenAPI 3.1 document of a deployment, from the same rows as its routes (https://spec.openapis.org/oas/v3.1.0)."""

from collections.abc import Iterator, Sequence
import re
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from core.frame.api import RouteRow
from core.frame.dotted import load
from core.frame.operations import Upload
from core.frame.resources import ListQuery, ResourceList, ShownResource
from core.frame.types import JsonObject

type Mode = Literal["validation", "serialization"]

REQUEST: Final[Mode] = "validation"
ANSWER: Final[Mode] = "serialization"
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
                "request_id": {"type": "string"},
            },
        }
    },
}
TEXT: Final[JsonObject] = {"type": "string"}
BYTES: Final[JsonObject] = {"type": "string", "format": "binary"}
ANY_BYTES: Final[JsonObject] = {"*/*": {"schema": BYTES}}
PARAMETER: Final = re.compile(r"\{(\w+)(?::path)?\}")
REFERENCE: Final = "#/components/schemas/{model}"
FAILED: Final[JsonObject] = {"$ref": "#/components/responses/Error"}
ABOUT: Final = (
    "A Llama Stack with no server: what is here speaks OpenAI's protocol and Llama Stack's own, of 0.2 and of OGX."
)
TOKENS: Final = "An API key (`llambda keys create`), or an access token of an issuer that the run config names."
BEARER: Final = "bearer"
DESCRIPTIONS: Final = {
    200: "Success.",
    201: "Created.",
    202: "Accepted: it is done later.",
    204: "Success: there is nothing to say.",
    206: "The range that was asked for.",
    302: "The bytes are at the location.",
    304: "What the client has is current.",
}


def document(version: str, rows: Sequence[RouteRow], *, has_tokens: bool = False) -> JsonObject:
    """Every row as a path item; the schemas of requests and answers are shared under components.

    With `has_tokens` what is not open needs one. The server is where the document is, behind whatever prefix there is.
    """
    schemas = _Schemas(rows)
    paths: JsonObject = {}
    for row in rows:
        item = paths.setdefault(PARAMETER.sub(r"{\1}", row.path), {})
        item[row.method.lower()] = _operation(row, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "llambda", "version": version, "description": ABOUT},
        "servers": [{"url": ".", "description": "The stack that this document is of."}],
        "security": [{BEARER: []}] if has_tokens else [],
        "paths": paths,
        "components": {
            "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer", "description": TOKENS}},
            "schemas": {"Error": ERROR} | schemas.shared,
            "responses": {
                "Error": {"description": "An error.", "content": _json({"$ref": f"{REFERENCE}".format(model="Error")})}
            },
        },
    }


class _Schemas:
    """The schemas of all types that the rows name; `shared` are those with a name."""

    def __init__(self, rows: Sequence[RouteRow]) -> None:
        types: dict[tuple[int, Mode], tuple[Any, Mode]] = {}
        for row in rows:
            types |= {(id(kind), mode): (kind, mode) for kind, mode in _types(row)}
        adapters: list[tuple[Any, Mode, TypeAdapter[Any]]] = []
        for key, (kind, mode) in types.items():
            adapters.append((key, mode, TypeAdapter(kind)))
        self._schemas, definitions = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)
        self.shared: JsonObject = definitions.get("$defs", {})

    def of(self, kind: object, mode: Mode) -> JsonObject:
        """The schema of a type, most often a reference."""
        schema: JsonObject = self._schemas[(id(kind), mode), mode]
        return schema

    def query_fields(self, kind: object) -> Iterator[JsonObject]:
        """The parameters of a query."""
        schema = self.shared[self.of(kind, REQUEST)["$ref"].rpartition("/")[2]]
        for name, field in schema.get("properties", {}).items():
            yield {"name": name, "in": "query", "schema": field}


def _types(row: RouteRow) -> Iterator[tuple[Any, Mode]]:
    operation, kind = row.operation, row.kind
    if operation is not None:
        in_place = None if operation.upload is None else operation.upload.json
        for name in filter(None, (operation.request, operation.query, in_place)):
            yield load(name), "validation"
        for name in filter(None, (operation.response, operation.event)):
            yield load(name), "serialization"
    if kind is not None:
        yield kind.body_type(), "validation"
        yield ListQuery, "validation"
        yield ResourceList, "serialization"
        yield _resource_type(row), "serialization"


def _resource_type(row: RouteRow) -> Any:  # noqa: ANN401 - a type of the wire
    name = None if row.kind is None else row.kind.response
    return ShownResource if name is None else load(name)


def _operation(row: RouteRow, schemas: _Schemas) -> JsonObject:
    operation: JsonObject = {
        "tags": [row.api],
        "summary": row.summary,
        "operationId": _operation_id(row),
        "responses": _responses(row, schemas),
    }
    if row.operation is not None and row.operation.open:
        operation["security"] = []
    if parameters := list(_parameters(row, schemas)):
        operation["parameters"] = parameters
    if (content := _request_content(row, schemas)) is not None:
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _operation_id(row: RouteRow) -> str:
    return f"{row.method.lower()}_" + re.sub(r"\W+", "_", PARAMETER.sub(r"\1", row.path)).strip("_")


def _parameters(row: RouteRow, schemas: _Schemas) -> Iterator[JsonObject]:
    for name in PARAMETER.findall(row.path):
        yield {"name": name, "in": "path", "required": True, "schema": TEXT}
    if row.operation is not None and row.operation.query is not None:
        yield from schemas.query_fields(load(row.operation.query))
    if row.kind is not None and row.method == "GET" and row.many:
        yield from schemas.query_fields(ListQuery)
    if row.operation is not None and row.operation.idempotent:
        yield {"name": "Idempotency-Key", "in": "header", "schema": TEXT}


def _request_content(row: RouteRow, schemas: _Schemas) -> JsonObject | None:
    operation = row.operation
    if operation is None:
        is_body = row.kind is not None and row.method == "POST"
        return _json(schemas.of(row.kind.body_type(), REQUEST)) if row.kind is not None and is_body else None
    body = None if operation.request is None else schemas.of(load(operation.request), REQUEST)
    if operation.upload is not None:
        content = {"multipart/form-data": {"schema": _form(operation.upload, body)}}
        name = operation.upload.json
        return content if name is None else content | _json(schemas.of(load(name), REQUEST))
    return None if body is None else _json(body)


def _form(upload: Upload, body: JsonObject | None) -> JsonObject:
    file: JsonObject = BYTES if upload.most == 1 else {"type": "array", "items": BYTES, "maxItems": upload.most}
    form: JsonObject = {"type": "object", "properties": {upload.field: file}}
    if upload.required:
        form["required"] = [upload.field]
    return form if body is None else {"allOf": [body, form]}


def _responses(row: RouteRow, schemas: _Schemas) -> JsonObject:
    operation = row.operation
    status = 200 if operation is None else operation.success
    success: JsonObject = {"description": DESCRIPTIONS.get(status, "Success.")}
    if content := _content(row, schemas):
        success["content"] = content
    responses: JsonObject = {str(status): success}
    if operation is not None and operation.reply == "bytes":
        responses["206"] = {"description": DESCRIPTIONS[206], "content": ANY_BYTES}
        responses |= {str(code): {"description": DESCRIPTIONS[code]} for code in (302, 304)}
    if operation is not None and operation.tagged:
        responses["304"] = {"description": DESCRIPTIONS[304]}
    failed = FAILED
    if operation is not None and operation.reply == "answer":  # in its own words, or in the stack's
        responses["202"] = {"description": DESCRIPTIONS[202]}
        schema = {"anyOf": [content["application/json"]["schema"], {"$ref": REFERENCE.format(model="Error")}]}
        failed = {"description": "An error.", "content": _json(schema)}
    return responses | {str(code): failed for code in sorted(_failures(row))} | {"default": failed}


def _failures(row: RouteRow) -> set[int]:
    """What may go wrong whatever the service does; `default` is the rest."""
    operation = row.operation
    codes = set[int]() if operation is not None and operation.open else {401, 403, 429}
    if PARAMETER.search(row.path):
        codes.add(404)
    if operation is None or operation.request or operation.read or operation.query or operation.upload:
        codes.add(400)
    if row.method in {"POST", "PUT", "PATCH"}:
        codes.add(413)
    if operation is not None and operation.upload:
        codes |= {415, 503}
    return codes | ({416} if operation is not None and operation.reply == "bytes" else set())


def _content(row: RouteRow, schemas: _Schemas) -> JsonObject:
    operation = row.operation
    if operation is None:
        return _json(_kind_schema(row, schemas))
    if operation.reply == "none":
        return {}
    if operation.reply == "bytes" and operation.response is None:
        return ANY_BYTES
    schema = {} if operation.response is None else schemas.of(load(operation.response), ANSWER)
    content = _json(schema)
    if operation.text:
        content[operation.text] = {"schema": TEXT}
    if operation.stream is not None:
        # What a client gets of each event is no schema of the whole text, and 3.1 has no other word for it.
        item = {} if operation.event is None else schemas.of(load(operation.event), ANSWER)
        content["text/event-stream"] = {"schema": TEXT, "x-frames": operation.frames, "x-item-schema": item}
    return content


def _kind_schema(row: RouteRow, schemas: _Schemas) -> JsonObject:
    resource = schemas.of(_resource_type(row), ANSWER)
    if row.method == "DELETE":
        return {"type": "null"}
    if row.method == "GET" and row.many:
        items = {"type": "object", "properties": {"data": {"type": "array", "items": resource}}}
        return {"allOf": [schemas.of(ResourceList, ANSWER), items]}
    return resource


def _json(schema: JsonObject) -> JsonObject:
    return {"application/json": {"schema": schema}}
