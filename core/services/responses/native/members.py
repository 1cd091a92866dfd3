"""Members of a provider's events, whatever it sent: none of these raises. Pure."""

from typing import Any, Final

from core.apis.shapes import MOST_TOKENS
from core.errors import shorten
from core.frame.types import JsonObject
from core.platform.json_values import is_list, to_object
from core.services.responses.contract import Usage

ANNOTATIONS: Final[dict[str, dict[str, type]]] = {
    "url_citation": {"url": str, "title": str, "start_index": int, "end_index": int},
    "file_citation": {"file_id": str, "filename": str, "index": int},
}
CODES: Final = frozenset({"rate_limit_exceeded", "invalid_prompt", "server_error"})
FAILED: Final = "The model's provider failed to answer."
MOST_MESSAGE: Final = 500  # characters of a provider's word on its failure


def read_annotation(theirs: JsonObject, length: int) -> JsonObject | None:
    """One of a text of so many characters; None for what is none, or is of text that has not come."""
    members = ANNOTATIONS.get(str(theirs.get("type")))
    if members is None or not all(isinstance(theirs.get(name), kind) for name, kind in members.items()):
        return None
    places: list[int] = [theirs[name] for name, kind in members.items() if kind is int]
    if not 0 <= places[0] <= places[-1] <= length:
        return None
    return {name: theirs[name] for name in ("type", *members)}


def usage_of(response: JsonObject) -> Usage:
    usage = to_object(response.get("usage"))
    cached = number_in(to_object(usage.get("input_tokens_details")).get("cached_tokens"))
    reasoning = number_in(to_object(usage.get("output_tokens_details")).get("reasoning_tokens"))
    return Usage(number_in(usage.get("input_tokens")), cached, number_in(usage.get("output_tokens")), reasoning)


def error_of(error: JsonObject) -> JsonObject:
    code, message = text_in(error, "code"), text_in(error, "message")
    text = shorten(message, MOST_MESSAGE) if message else FAILED
    return {"code": code if code in CODES else "server_error", "message": text}


def place_of(event: JsonObject) -> int:
    return number_in(event.get("output_index"))


def number_in(value: object) -> int:
    """0 for what no answer counts to, too: a database could not add it."""
    return value if type(value) is int and 0 < value <= MOST_TOKENS else 0


def text_in(part: JsonObject, name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""


def objects_in(value: Any) -> list[JsonObject]:  # noqa: ANN401 - whatever a provider sent
    return [to_object(entry) for entry in value] if is_list(value) else []
