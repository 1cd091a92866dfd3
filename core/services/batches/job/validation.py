"""A line of an input file, and all that is wrong with it; nothing is asked of anybody here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from core.apis.answers.batches import BatchFault
from core.apis.batches import MOST_LINE
from core.platform.json_values import is_object, to_object
from core.services.batches.job import faults
from core.services.batches.job.endpoints import Endpoint
from core.services.batches.job.lines import Line

LONGEST_MODEL: Final = 1024
"""Characters: no model has a longer name, and none is remembered."""
FIELDS: Final[Sequence[tuple[str, type, str]]] = (
    ("custom_id", str, "a string"),
    ("method", str, "a string"),
    ("url", str, "a string"),
    ("body", dict, "a JSON object"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a line says: `custom_id` and `model` are "" where it says none that is one. It is to be asked where it has no `faults`."""

    custom_id: str = ""
    model: str = ""
    faults: Sequence[BatchFault] = ()


def check_line(line: Line, endpoint: Endpoint, most: int = MOST_LINE) -> Request:
    """The request with everything that is wrong with it; it raises nothing, whatever the line has."""
    if line.content is None:
        return Request(faults=[faults.too_long(line.number, line.stop - line.start, most)])
    try:
        value: Any = from_json(line.content)
    except ValueError as failure:
        return Request(faults=[faults.not_json(line.number, str(failure))])
    if not is_object(value):
        return Request(faults=[faults.no_object(line.number)])
    body = value.get("body")
    mistakes = [*_check_fields(line.number, value, endpoint), *_check_body(line.number, body, endpoint)]
    return Request(_text_of(value.get("custom_id")), _text_of(to_object(body).get("model")), mistakes)


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else ""


def _check_fields(line: int, value: dict[str, Any], endpoint: Endpoint) -> Iterator[BatchFault]:
    for name, kind, title in FIELDS:
        if name not in value:
            yield faults.missing(line, name)
        elif not isinstance(value[name], kind):
            yield faults.wrong_type(line, name, title)
    method, url = value.get("method", "POST"), value.get("url", "")
    if value.get("custom_id") == "":
        yield faults.wrong_type(line, "custom_id", "a string that is not empty")
    if isinstance(method, str) and method != "POST":
        yield faults.wrong_method(line, method)
    if "url" in value and isinstance(url, str) and not endpoint.matches(url):
        yield faults.wrong_url(line, url, endpoint)


def _check_body(line: int, body: object, endpoint: Endpoint) -> Iterator[BatchFault]:
    if not is_object(body):
        return
    for name, types in endpoint.required.items():
        if body.get(name) is None:
            yield faults.incomplete(line, name, endpoint)
        elif not isinstance(body[name], types):
            yield faults.wrong_field(line, name, types)
    if "model" not in endpoint.required and not isinstance(body.get("model"), str | None):
        yield faults.wrong_field(line, "model", (str,))
    if body.get("stream"):
        yield faults.streams(line)
    if body.get("background") is True:
        yield faults.in_background(line)
