"""What the error of an upstream says, whatever its vendor: the message, code, type, param and status of its body. Pure.

Sources: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors,
https://cloud.google.com/apis/design/errors, https://openrouter.ai/docs/api-reference/errors,
https://learn.microsoft.com/en-us/azure/ai-services/openai/concepts/content-filter,
https://fastapi.tiangolo.com/tutorial/handling-errors/, RFC 9457, and the sources of vLLM, TGI and llama.cpp.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
import re
from typing import Any, Final, cast

from core.config.redact import MASK, redact_keys, redact_text
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.platform.log_records import to_line
from core.providers.http.replies import read_repaired, reports_error

MOST_READ: Final = 4096  # characters of a message that are looked at
MOST_QUOTED: Final = 500  # characters of it that a caller and the log see
MOST_DEPTH: Final = 5  # of errors in errors: gateways put another's body into their own
MOST_FAULTS: Final = 3  # of a list of them
LEAST_SECRET: Final = 8  # characters; a shorter key, as "fake", is a word that messages may use
MESSAGES: Final = (
    "message",
    "detail",
    "Message",
    "error_message",
    "error_msg",
    "msg",
    "error",
    "errors",
    "title",
    "reason",
)
STATUSES: Final = ("code", "status", "status_code", "statusCode", "http_status_code", "error_code")
CODES: Final = ("code", "error_code", "status")
TYPES: Final = ("type", "error_type", "__type")
ERROR_STATUS: Final = range(400, 600)
NO_CODE: Final = re.compile(r"(?:error|failed|urn:.*|https?:.*|about:blank|[0-9]+)?", re.IGNORECASE)
WORD_BREAKS: Final = re.compile(r"[ ._-]")
INPUT_VALUE: Final = re.compile(r"input_value=.*?(?=, input_type=|\]|$)", re.DOTALL)
"""What pydantic quotes of a caller's request."""


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Empty is what it does not say, 0 a status. A number is never a `code`: it is a status, or one vendor's own count."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""
    status: int = 0

    def over(self, other: "ErrorReport") -> "ErrorReport":
        """What it says, and what it does not say as `other` does."""
        return ErrorReport(*(getattr(self, field.name) or getattr(other, field.name) for field in fields(self)))

    @property
    def words(self) -> tuple[str, ...]:
        """Its code and its type, in small letters alone: `BadRequestError` and `bad_request_error` are one."""
        return tuple(WORD_BREAKS.sub("", word).lower() for word in (self.code, self.type) if word)


def error_in(answer: JsonObject) -> ErrorReport | None:
    """What an answer with status 200, or an event of a stream, reports in the place of what was asked for."""
    if not reports_error(answer):
        return None
    choices: object = answer.get("choices")
    if answer.get("error") or not isinstance(choices, list):
        return read_report(answer)
    failures = (to_object(choice).get("error") for choice in cast("list[object]", choices))
    return next((read_report({"error": failure}) for failure in failures if failure), read_report(answer))


def error_in_body(content: bytes) -> ErrorReport | None:
    """As `error_in`, of a whole body, which may be a list of errors."""
    try:
        answer: Any = read_repaired(content.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return None
    if isinstance(answer, dict):
        return error_in(cast("JsonObject", answer))
    report = read_report(answer)
    return report if report.message else None


def read_report(answer: Any, depth: int = 0) -> ErrorReport:  # noqa: ANN401 - whatever an upstream sent
    """Of an error's body: an object of any vendor's, a list of them, or text, which may be JSON again."""
    if depth > MOST_DEPTH:
        return ErrorReport()
    match answer:
        case str(text):
            return _read_text(text.strip(), depth)
        case [{"msg": _}, *_]:
            return _read_faults([to_object(fault) for fault in cast("list[object]", answer)[:MOST_FAULTS]])
        case [first, *_]:
            return read_report(first, depth + 1)
        case {**entries}:
            return _read_object(cast("JsonObject", entries), depth)
        case _:
            return ErrorReport()


def read_body(content: bytes) -> ErrorReport:
    """Of the body of an answer that is none of success: a page of HTML says nothing."""
    try:
        return read_report(read_repaired(content))
    except ValueError:
        text = content[: 4 * MOST_READ].decode(errors="replace").lstrip("\ufeff \t\r\n")
        return ErrorReport() if text.startswith("<") else read_report(text)


def clean_message(text: str, secrets: Iterable[str]) -> str:
    """A message as a caller or the log may see it: on one line, cut, without the secrets and what looks like a key."""
    for secret in secrets:
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, MASK)
    text = INPUT_VALUE.sub("input_value=...", text[:MOST_READ])
    return redact_keys(redact_text(text))[:MOST_QUOTED]


def _read_text(text: str, depth: int) -> ErrorReport:
    plain = ErrorReport(message=text)
    if text[:1] not in {"{", "["}:
        return plain
    try:
        report = read_report(read_repaired(text.encode(errors="replace")), depth + 1)
    except ValueError:
        return plain
    return report.over(plain)


def _read_object(entries: JsonObject, depth: int) -> ErrorReport:
    own = ErrorReport(
        code=_code(entries, CODES),
        type=_code(entries, TYPES),
        param=_text(entries.get("param")),
        status=next((status for name in STATUSES if (status := _status(entries.get(name)))), 0),
    )
    # What is within counts before a text, as {"error": "Bad Request", "message": ...} has one that says little.
    values = sorted((entries[name] for name in MESSAGES if entries.get(name)), key=lambda value: isinstance(value, str))
    reports = (read_report(value, depth + 1) for value in values)
    report = next((report for report in reports if report.message), ErrorReport()).over(own)
    match entries:
        case {"metadata": {"raw": raw}} if (passed_on := read_report(raw, depth + 1)).message:
            return ErrorReport(message=passed_on.message, status=report.status).over(passed_on).over(report)
        case {"innererror": {"code": "ResponsibleAIPolicyViolation"}}:
            return ErrorReport(code="content_filter").over(report)
        case _:
            return report


def _read_faults(faults: list[JsonObject]) -> ErrorReport:
    """FastAPI's list of what is wrong where."""
    paths = [_path(fault.get("loc")) for fault in faults]
    texts = [_text(fault.get("msg")) for fault in faults]
    message = "; ".join(f"{path}: {text}" if path else text for path, text in zip(paths, texts, strict=True))
    return ErrorReport(message=message, code=_text(faults[0].get("type")), param=paths[0])


def _path(place: Any) -> str:  # noqa: ANN401 - whatever an upstream sent
    match place:
        case ["body" | "query" | "path", *rest] | [*rest]:
            parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest]
            return "".join(parts).removeprefix(".")
        case _:
            return ""


def _code(entries: JsonObject, names: Iterable[str]) -> str:
    texts = (_text(entries.get(name)) for name in names)
    return next((to_line(text) for text in texts if not NO_CODE.fullmatch(text)), "")


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _status(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len("599"):
        value = int(value)
    return value if type(value) is int and value in ERROR_STATUS else 0
