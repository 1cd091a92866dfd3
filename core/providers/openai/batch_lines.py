"""Rows as lines of a batch of OpenAI's, and the lines of its files as results. Pure.

Source: https://platform.openai.com/docs/guides/batch.
"""

from collections.abc import Callable
import json
from typing import Any, Final

from core.apis.batch_engine import CHAT, BatchProgress, NativeResult, read_row
from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.shapes import check_chat, check_completion, check_embeddings
from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.providers.http.replies import read_object
from core.providers.http.upstream_errors import read_report
from core.providers.http.upstream_failures import UpstreamError

PREFIX: Final = "row-"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
REQUESTS: Final[dict[str, type[ChatRequest | CompletionRequest | EmbeddingsRequest]]] = {
    CHAT: ChatRequest,
    COMPLETIONS: CompletionRequest,
    EMBEDDINGS: EmbeddingsRequest,
}
"""The types of the requests of endpoints that a batch may be for."""
CHECKS: Final[dict[str, Callable[[JsonObject], JsonObject]]] = {
    CHAT: check_chat,
    COMPLETIONS: check_completion,
    EMBEDDINGS: check_embeddings,
}
ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
UNASKED: Final = frozenset({"batch_expired", "batch_cancelled"})
"""Codes of rows that were not asked: they have no result."""
FILES: Final = ("output_file_id", "error_file_id")
OK: Final = 200


def to_line(row: int, endpoint: str, body: bytes) -> bytes:
    """`body` is JSON."""
    head = json.dumps({"custom_id": f"{PREFIX}{row}", "method": "POST", "url": endpoint})
    return b'%b,"body":%b}\n' % (head[:-1].encode(), body)


def read_progress(batch: JsonObject) -> BatchProgress:
    """Of a batch as a vendor tells of it; some write its status in capitals."""
    counts = to_object(batch.get("request_counts"))
    faults: Any = to_object(batch.get("errors")).get("data")
    fault = to_object(faults[0]) if is_list(faults) and faults else {}
    return BatchProgress(
        str(batch.get("status")).lower() in ENDED,
        _count(counts.get("total")),
        _count(counts.get("completed")),
        _count(counts.get("failed")),
        str(fault.get("message") or batch.get("error") or ""),
    )


def read_line(provider_id: str, endpoint: str, line: bytes, secrets: tuple[str, ...]) -> NativeResult | None:
    """None for a row that was not asked; raises UpstreamFailed for a line that names no row."""
    entry = read_object(provider_id, line)
    row = read_row(provider_id, entry.get("custom_id"), PREFIX)
    response, error = to_object(entry.get("response")), to_object(entry.get("error"))
    if not response:
        if error.get("code") in UNASKED:
            return None
        return NativeResult(row, failure=UpstreamFailed(f"Provider `{provider_id}` did not answer this row."))
    request_id = response.get("request_id")
    status, body = response.get("status_code"), response.get("body")
    if isinstance(body, str):  # as servers of OGX have it
        body = _parse(body)
    name = request_id if isinstance(request_id, str) else ""
    if status != OK or not is_object(body):
        report = read_report(body if is_object(body) else {"error": error})
        code = status if type(status) is int else 0
        failure = UpstreamError(provider_id, code, report, secrets=secrets).failure()
        return NativeResult(row, failure=failure, request_id=name)
    try:
        return NativeResult(row, CHECKS[endpoint](body), request_id=name)
    except UpstreamFailed as odd:
        return NativeResult(row, failure=odd, request_id=name)


def _parse(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0
