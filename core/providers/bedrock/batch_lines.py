"""Chat requests as records of a model invocation job of the type Converse, and its results as answers. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-data.html.
"""

from base64 import b64decode, b64encode
from binascii import Error as NoBase64
import json
import time
from typing import Any, Final
from uuid import uuid4

from pydantic import ValidationError

from core.apis.batch_engine import NativeResult, read_row
from core.apis.inference import ChatRequest
from core.errors import ApiError, InvalidRequest, UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.providers.bedrock.converse.answer_text import AnswerText
from core.providers.bedrock.converse.reply import from_converse
from core.providers.bedrock.converse.request import TOOLS, to_converse
from core.providers.bedrock.converse.sampling import read_stops
from core.providers.http.replies import read_object
from core.providers.http.upstream_errors import ErrorReport
from core.providers.http.upstream_failures import UpstreamError

PREFIX: Final = "R"
DIGITS: Final = 10  # ids of older documentation are 11 letters and digits
REMOTE: Final = ("http://", "https://")
NO_TOOLS: Final = "Bedrock's batches take no tools."
NO_GUARDRAIL: Final = "Bedrock's batches apply no guardrail."
MALFORMED: Final = "It is no chat completion as the API takes it."

type Note = dict[str, Any]
"""What an answer's text loses on its way to the caller: `stop`, a list, and `json`."""


def request_of(model: str, body: JsonObject) -> ChatRequest:
    """Raises InvalidRequest for what is none."""
    try:
        request = ChatRequest.model_validate({**body, "model": model})
        request.check_body()
    except ValidationError as invalid:
        raise InvalidRequest(MALFORMED) from invalid
    return request


def refusal_of(model: str, body: JsonObject) -> str | None:
    """Why it cannot be a record; a remote image says nothing, as it is fetched when the record is made."""
    fields = {name for name, value in body.items() if value is not None}
    if TOOLS & fields:
        return NO_TOOLS
    if {"guardrail_config", "guardrailConfig"} & fields:
        return NO_GUARDRAIL
    try:
        to_converse(request_of(model, _without_images(body)))
    except ApiError as refused:
        return refused.message
    return None


def to_record(row: int, request: ChatRequest) -> bytes:
    """A line; raises InvalidRequest."""
    record = {"recordId": f"{PREFIX}{row:0{DIGITS}}", "modelInput": to_converse(request)}
    return json.dumps(record, ensure_ascii=False, default=_blob, separators=(",", ":")).encode() + b"\n"


def note_of(request: ChatRequest) -> Note | None:
    """None for a request whose answers are as the model says them, as most are."""
    fields = request.model_extra or {}
    stop = fields.get("stop")
    is_json = to_object(fields.get("response_format")).get("type", "text") != "text"
    return {"stop": read_stops({"stop": stop}) if stop else [], "json": is_json} if stop or is_json else None


def read_record(provider_id: str, model: str, line: bytes, notes: JsonObject) -> NativeResult:
    """The result that a line of the output is; raises UpstreamFailed for a line that names no row."""
    record = read_object(provider_id, line)
    row = read_row(provider_id, record.get("recordId"), PREFIX)
    if is_object(error := record.get("error")):
        return NativeResult(row, failure=_failure(provider_id, error))
    note = to_object(notes.get(str(row)))
    text = AnswerText(note.get("stop", ()), json=bool(note.get("json"))) if note else None
    try:
        answer = from_converse(
            _with_blobs(to_object(record.get("modelOutput"))),
            model=model,
            created=int(time.time()),
            id=f"chatcmpl-{uuid4().hex}",
            text=text,
        )
    except UpstreamFailed as odd:
        return NativeResult(row, failure=odd)
    return NativeResult(row, answer)


def _failure(provider_id: str, error: JsonObject) -> ApiError:
    code = error.get("errorCode")
    status = code if type(code) is int else int(code) if isinstance(code, str) and code.isdecimal() else 0
    return UpstreamError(provider_id, status, ErrorReport(message=str(error.get("errorMessage") or ""))).failure()


def _blob(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)


def _with_blobs(reply: JsonObject) -> JsonObject:
    """With the one blob of an answer that is read as bytes, as the SDK has it."""
    blocks = to_object(to_object(reply.get("output")).get("message")).get("content")
    for block in blocks if is_list(blocks) else ():
        reasoning = to_object(to_object(block).get("reasoningContent"))
        if isinstance(content := reasoning.get("redactedContent"), str):
            try:
                reasoning["redactedContent"] = b64decode(content, validate=True)
            except NoBase64:
                del reasoning["redactedContent"]
    return reply


def _without_images(body: JsonObject) -> JsonObject:
    """With nothing in the place of remote images: what of it else is refused, is refused now."""
    messages = body.get("messages")
    if not is_list(messages):
        return body
    return {**body, "messages": [_without_image(to_object(message)) for message in messages]}


def _without_image(message: JsonObject) -> JsonObject:
    parts = message.get("content")
    if not is_list(parts):
        return message
    return {**message, "content": [{"type": "text", "text": "-"} if _is_remote(part) else part for part in parts]}


def _is_remote(part: object) -> bool:
    image = to_object(part).get("image_url")
    url = image if isinstance(image, str) else to_object(image).get("url")
    return isinstance(url, str) and url.lower().startswith(REMOTE)
