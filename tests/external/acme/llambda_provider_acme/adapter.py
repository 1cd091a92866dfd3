"""Acme over HTTP: it speaks OpenAI's API, so that requests and answers pass as they are."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, ServedModel
from core.errors import ApiError, InvalidRequest, UpstreamFailed, UpstreamThrottled, UpstreamTimeout
from core.frame.types import Health, JsonObject, JsonStream, Wire

from llambda_provider_acme.config import AcmeConfig

LONGEST_EVENT = 4 * 1024 * 1024  # bytes


class AcmeAdapter:
    """Keeps `InferenceProvider` of core.apis.inference. Every failure is one of core.errors."""

    def __init__(self, config: AcmeConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return await self._object("POST", "/chat/completions", request)

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        return await self._stream("/chat/completions", request)

    async def completion(self, request: CompletionRequest) -> JsonObject:
        return await self._object("POST", "/completions", request)

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        return await self._stream("/completions", request)

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        return await self._object("POST", "/embeddings", request)

    async def list_models(self) -> list[ServedModel]:
        answer = await self._object("GET", "/models", None)
        return [ServedModel(id=each["id"], model_type="llm", metadata={}) for each in answer.get("data", [])]

    async def health(self) -> Health:
        try:
            await self.list_models()
        except ApiError as failure:
            return Health(status="Error", message=failure.message)
        return Health(status="OK")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _object(self, method: str, path: str, request: Wire | None) -> JsonObject:
        async with self._answer(method, path, request) as response:
            answer = json.loads(await response.read())
            if not isinstance(answer, dict):
                raise UpstreamFailed("Acme did not answer with a JSON object.")
            return answer

    async def _stream(self, path: str, request: Wire) -> JsonStream:
        """What fails before the first event fails here, and not in the stream."""
        events = self._events(path, request)
        return _with_first(await anext(events, None), events)

    async def _events(self, path: str, request: Wire) -> AsyncGenerator[JsonObject]:
        async with self._answer("POST", path, request) as response:
            async for line in response.content:
                data = line.strip().removeprefix(b"data:").strip()
                if data == b"[DONE]":
                    return
                if line.startswith(b"data:"):
                    yield json.loads(data)

    @asynccontextmanager
    async def _answer(self, method: str, path: str, request: Wire | None) -> AsyncIterator[aiohttp.ClientResponse]:
        body = None if request is None else request.model_dump_json(exclude_unset=True)
        try:
            async with self._open().request(method, self._config.url.rstrip("/") + path, data=body) as response:
                if response.status >= 400:
                    raise _refusal(response.status, await response.text())
                yield response
        except TimeoutError as slow:
            raise UpstreamTimeout("Acme did not answer in time.") from slow
        except aiohttp.ClientError as failure:
            raise UpstreamFailed("Acme could not be reached, or broke off its answer.") from failure
        except ValueError as invalid:
            raise UpstreamFailed("Acme did not answer with valid JSON.") from invalid

    def _open(self) -> aiohttp.ClientSession:
        """One session, opened at the first call: in the event loop that serves."""
        if self._session is None:
            key = self._config.api_key.get_secret_value() if self._config.api_key else ""
            self._session = aiohttp.ClientSession(
                headers={"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {}),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=self._config.timeout),
                read_bufsize=LONGEST_EVENT,
            )
        return self._session


async def _with_first(first: JsonObject | None, rest: AsyncGenerator[JsonObject]) -> JsonStream:
    try:
        if first is not None:
            yield first
            async for event in rest:
                yield event
    finally:
        await rest.aclose()


def _refusal(status: int, text: str) -> ApiError:
    """Its 401 is about the stack's key and not the caller's: only what is the caller's fault is told as such."""
    if status in {400, 413, 422}:
        return InvalidRequest(_message(text) or "Acme refused the request as invalid.")
    if status == 429:
        return UpstreamThrottled("Acme is throttling. Try again later.")
    return UpstreamFailed(f"Acme failed with HTTP status {status}.")


def _message(text: str) -> str:
    try:
        answer: Any = json.loads(text)
    except ValueError:
        return ""
    match answer:
        case {"error": {"message": str(message)}}:
            return message[:500]
        case _:
            return ""
