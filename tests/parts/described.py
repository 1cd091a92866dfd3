"""What a stack answers, held to its own OpenAPI document."""

from functools import cache
import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from core.apis.index import names, route_rows
from core.frame.api import RouteRow
from core.frame.openapi import PARAMETER, document


@cache
def _rows() -> list[tuple[str, re.Pattern[str], RouteRow]]:
    rows = list(route_rows(names()))
    patterns = [re.escape(PARAMETER.sub("ONE" if "path" not in row.path else "ANY", row.path)) for row in rows]
    texts = [pattern.replace("ONE", "[^/]+").replace("ANY", ".+") for pattern in patterns]
    return [(row.method, re.compile(text), row) for row, text in zip(rows, texts, strict=True)]


@cache
def _document() -> dict[str, Any]:
    return document("1", [row for _, _, row in _rows()])


def check(response: httpx.Response) -> None:
    """Fail where the document has no such answer; `response` has been read."""
    method, path = response.request.method, response.request.url.path
    row = next((row for of, pattern, row in _rows() if of == method and pattern.fullmatch(path)), None)
    if row is None:
        return
    item = _document()["paths"][PARAMETER.sub(r"{\1}", row.path)][method.lower()]
    answer = item["responses"].get(str(response.status_code), item["responses"]["default"])
    assert "$ref" not in answer or response.status_code >= 400, (path, response.status_code)
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if "$ref" in answer:
        answer = _document()["components"]["responses"]["Error"]
    if "content" not in answer:
        assert not response.content, (path, response.status_code)
        return
    content = answer["content"].get("*/*") or answer["content"][media_type]
    shared = {"components": _document()["components"]}
    validator = Draft202012Validator(content["schema"] | shared)
    if media_type == "application/json":
        if not _is_abridged(row, body := response.json()):
            validator.validate(body)
    elif media_type == "text/event-stream" and content["x-frames"] == "data":
        _check_events(row, response.text, Draft202012Validator(content["x-item-schema"] | shared))


def _check_events(row: RouteRow, text: str, validator: Draft202012Validator) -> None:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    for event in (json.loads(line) for line in lines if line != "[DONE]"):
        if "error" not in event and not _is_abridged(row, event):
            validator.validate(event)


def _is_abridged(row: RouteRow, body: object) -> bool:
    """What an upstream of a test has shortened is handed on as it is."""
    return row.surface == "inference" and isinstance(body, dict) and not {"object", "error"} & body.keys()


async def hold_to_document(response: httpx.Response) -> None:
    """An event hook of an httpx client."""
    await response.aread()
    check(response)
