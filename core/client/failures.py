"""What can go wrong between a client and a running stack, and what to do about it."""

from collections.abc import Mapping
import json
from typing import Final, override

from core.config.redact import redact_text
from core.platform.json_values import to_object

HINTS: Final = {
    401: "Give an API key: the client's api_key, or LLAMBDA_API_KEY for the command.",
    403: "Whoever runs the stack can permit it, in server.auth.access_policy of its run config.",
    502: "Try again in a moment.",
    503: "Try again in a moment.",
    504: "Try again in a moment.",
}
MOST_SHOWN: Final = 200  # characters of an answer that is not a stack's
REDIRECTION: Final = range(300, 400)
FAULT: Final = 500  # and above: the server's


class ApiFailed(Exception):
    """The server refused. `code` is the error's own, as "not_found", or "". str() says what to do, where that is known."""

    def __init__(self, status: int, message: str, code: str = "", hint: str = "") -> None:
        """`message` and `hint` are sentences."""
        super().__init__(status, message, code, hint)
        self.status = status
        self.message = message
        self.code = code
        self.hint = hint

    @override
    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.message} {self.hint}".rstrip()


class Unreachable(Exception):
    """Nobody answered at `url`, or not to the end."""

    def __init__(self, url: str, reason: str) -> None:
        """`reason` is a part of a sentence."""
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    @override
    def __str__(self) -> str:
        return f"{self.url} cannot be reached: {self.reason}. Is the stack running, and is this its URL?"


def failure_of(status: int, headers: Mapping[str, str], content: bytes) -> ApiFailed:
    """What an answer with this status, which is not one of success, says."""
    if status in REDIRECTION:
        message = f"it redirects to {redact_text(headers.get('location', 'nowhere'))}."
        return ApiFailed(status, message, hint="If that is the stack, use its address as the URL.")
    waiting = headers.get("retry-after")
    hints = [f"Try again in {waiting} s." if waiting else HINTS.get(status, "")]
    if status >= FAULT and "x-request-id" in headers:
        hints.append(f"In the stack's log it is request {headers['x-request-id']}.")
    message, code = _message_and_code(content)
    return ApiFailed(status, message, code, " ".join(filter(None, hints)))


def not_json(status: int, content: bytes) -> ApiFailed:
    """For an answer that no stack gives."""
    return ApiFailed(status, f"the answer is not JSON: {_beginning(content)!r}.", hint="Is this the URL of a stack?")


def _message_and_code(content: bytes) -> tuple[str, str]:
    """Message and code of the one error body; of another body (a proxy's, a gateway's) its beginning."""
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    outer = to_object(body)
    error = to_object(outer.get("error")) or outer  # API Gateway's own errors are {"message"}
    message, code = error.get("message"), error.get("code")
    if isinstance(message, str) and message:
        return message, code if isinstance(code, str) else ""
    return (f"the answer is {_beginning(content)!r}." if content.strip() else "the answer is empty."), ""


def _beginning(content: bytes) -> str:
    return redact_text(content[:MOST_SHOWN].decode(errors="replace")).strip()
