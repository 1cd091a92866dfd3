"""Calling a package for the reference: its methods by either form of their signatures, its exceptions as this stack has them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from inspect import Parameter, isawaitable, signature
import json
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self

from pydantic import ValidationError

from core.apis.shapes import ChunkChecker
from core.config.redact import redact_keys, redact_text
from core.errors import ApiError, InvalidRequest, ProviderUnavailable, UpstreamFailed, UpstreamTimeout
from core.frame.types import JsonObject, JsonStream
from core.platform.json_values import to_object
from core.providers.http.upstream_errors import read_report
from core.providers.http.upstream_failures import UpstreamError
from core.resolution.external.finder import unmet_need
from core.resolution.external.reference.helpers import PROVIDER_DATA
from core.resolution.external.reference.records import plain, record_class

MOST_TOLD: Final = 300  # characters of what a package says
NO_MISTAKE: Final = (ValidationError, json.JSONDecodeError, UnicodeError)
"""ValueErrors that say nothing of the request: an answer that was not understood."""
UNREACHED: Final = frozenset({"APIConnectionError", "ConnectError", "ClientConnectionError", "ClientConnectorError"})
LATE: Final = frozenset({"APITimeoutError", "ReadTimeout", "ConnectTimeout", "PoolTimeout"})


class Translated:
    """`with` it, what a package raises is an error of `core.errors`; a ValueError is the caller's mistake, as there."""

    def __init__(self, provider_id: str, data: SimpleNamespace | None = None) -> None:
        """`data` is what the caller brought, for the time of this."""
        self._provider_id = provider_id
        self._data = data

    def __enter__(self) -> Self:
        self._token = PROVIDER_DATA.set(self._data)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        PROVIDER_DATA.reset(self._token)
        if isinstance(error, Exception) and not isinstance(error, ApiError | StopAsyncIteration):
            translation = self._translate(error)
            if translation is not None:
                raise translation from error

    def _translate(self, error: Exception) -> ApiError | None:
        name = f"Provider `{self._provider_id}`"
        status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
            report = read_report(getattr(error, "body", None) or str(error))
            return UpstreamError(self._provider_id, status, report, headers).failure()
        if isinstance(error, TimeoutError) or type(error).__name__ in LATE:
            return UpstreamTimeout(f"{name} did not answer in time.")
        if isinstance(error, ConnectionError | asyncio.IncompleteReadError) or type(error).__name__ in UNREACHED:
            return ProviderUnavailable(f"{name} could not be reached.")
        if isinstance(error, NotImplementedError):
            return InvalidRequest(f"{name} does not do that{_quote(error)}.")
        if isinstance(error, ValueError) and not isinstance(error, NO_MISTAKE):
            return InvalidRequest(f"{name} refused the request{_quote(error)}.")
        need = unmet_need(error)
        return None if need is None else ProviderUnavailable(f"{name} cannot do that: {need}.")


def _quote(error: Exception) -> str:
    text = redact_keys(redact_text(" ".join(str(error).split())[:MOST_TOLD]))
    return f": {text.rstrip('.')}" if text else ""


def own_method(provider: object, name: str) -> Callable[..., Any] | None:
    """The method, unless it is only the stub of the reference's Protocol."""
    owner = next((base for base in type(provider).__mro__ if name in vars(base)), None)
    method = getattr(provider, name, None)
    return None if method is None or getattr(owner, "_is_protocol", False) else method


def parameters(method: Callable[..., Any]) -> Mapping[str, Parameter]:
    try:
        return signature(method).parameters
    except (TypeError, ValueError):  # of something built in
        return {}


async def call(method: Callable[..., Any], record: str, first: str, fields: JsonObject) -> Any:  # noqa: ANN401 - its answer
    """By the form of its signature: `method(first=..., ...)` of 0.2, or `method(<record>)` of later versions.

    Raises:
        InvalidRequest: the request has a field that the older form does not take.
    """
    offered = parameters(method)
    request = record_class(record)(**fields)
    if first in offered:
        takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in offered.values())
        every = vars(request) | (request.__pydantic_extra__ or {})
        values = {name: every[name] for name in fields if every[name] is not None}
        unknown = [] if takes_any else [name for name in values if name not in offered]
        if unknown:
            raise InvalidRequest(f"The model's provider does not take {', '.join(unknown)}.", param=unknown[0])
        answer = method(**values)
    else:
        answer = method(request)
    return await answer if isawaitable(answer) else answer


async def open_stream(provider_id: str, data: SimpleNamespace | None, stream: Any) -> JsonStream:  # noqa: ANN401 - a package's answer
    """Its chunks as JSON; what fails before the first of them is raised here."""
    if not hasattr(stream, "__aiter__"):
        raise UpstreamFailed(f"Provider `{provider_id}` answered a stream with something else.")
    chunks: AsyncIterator[Any] = aiter(stream)

    checker = ChunkChecker()

    async def read() -> JsonObject | None:
        with Translated(provider_id, data):
            try:
                return checker.check(to_object(plain(await anext(chunks))))
            except StopAsyncIteration:
                return None

    is_open = False
    try:
        first = await read()
        is_open = True
    finally:
        if not is_open:
            await _close(stream)

    async def follow() -> JsonStream:
        chunk = first
        try:
            while chunk is not None:
                yield chunk
                chunk = await read()
        finally:
            await _close(stream)

    return follow()


async def _close(stream: Any) -> None:  # noqa: ANN401 - an async generator, or a response of some client
    close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
    closing = close() if close is not None else None
    if isawaitable(closing):
        await closing
