"""What remotes that speak the OpenAI HTTP API share; a vendor's file adds its Config and `connect`.

Source: https://platform.openai.com/docs/api-reference.
"""

from typing import TYPE_CHECKING, Any

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, ModelType, ServedModel
from core.apis.types import Health, JsonObject, JsonStream, Wire
from core.errors import ApiError, UpstreamFailed
from core.providers.target import Target

if TYPE_CHECKING:
    from core.providers.upstream import Upstream


def base_url(url: str) -> str:
    """`url` as the root of the OpenAI API: with `/v1` at its end, whether it was given or not."""
    root = url.rstrip("/")
    return root if root.endswith("/v1") else f"{root}/v1"


class OpenAICompatible:
    """An inference provider over OpenAI's wire; requests and answers pass through unchanged.

    `model_type` is what its listed models are taken for, since OpenAI's listing does not say.
    """

    def __init__(
        self,
        target: Target,
        *,
        model_type: ModelType = "llm",
        embedding_dimension: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """Keep where it is; the HTTP client is imported and opened at the first call."""
        self._target = target
        self._upstream: Upstream | None = None
        self._model_type: ModelType = model_type
        self._metadata: JsonObject = {"embedding_dimension": embedding_dimension} if embedding_dimension else {}
        self._max_tokens = max_tokens

    @property
    def _http(self) -> "Upstream":
        if self._upstream is None:
            from core.providers.upstream import Upstream

            self._upstream = Upstream(self._target)
        return self._upstream

    def warm(self) -> None:
        """Import the HTTP client now, at init, where Lambda gives a full CPU, rather than at the first call."""
        _ = self._http

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return await self._http.post("/chat/completions", self._body(request))

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        return await self._http.stream("/chat/completions", self._body(request))

    async def completion(self, request: CompletionRequest) -> JsonObject:
        return await self._http.post("/completions", self._body(request))

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        return await self._http.stream("/completions", self._body(request))

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        return await self._http.post("/embeddings", _json(request))

    async def list_models(self) -> list[ServedModel]:
        answer = await self._http.get("/models")
        match answer:
            case {"data": [*entries]}:
                return [self._served(entry) for entry in entries]
            case _:
                raise UpstreamFailed(f"Provider `{self._target.provider_id}` did not list its models.")

    def _served(self, entry: Any) -> ServedModel:  # noqa: ANN401 - whatever an upstream sent
        match entry:
            case {"id": str(name)} if name:
                created = entry.get("created")
                served = ServedModel(id=name, model_type=self._model_type, metadata=dict(self._metadata))
                if isinstance(created, int):
                    served["created"] = created
                return served
            case _:
                raise UpstreamFailed(f"Provider `{self._target.provider_id}` listed a model without an id.")

    async def health(self) -> Health:
        try:
            await self.list_models()
        except ApiError as failure:
            return Health(status="Error", message=failure.message)
        return Health(status="OK")

    async def close(self) -> None:
        if self._upstream is not None:
            await self._upstream.close()

    def _body(self, request: ChatRequest | CompletionRequest) -> bytes:
        unbounded = self._max_tokens is not None and not _bounds(request)
        return _json(request.model_copy(update={"max_tokens": self._max_tokens}) if unbounded else request)


def _bounds(request: Wire) -> bool:
    extra = request.model_extra or {}
    return extra.get("max_tokens") is not None or extra.get("max_completion_tokens") is not None


def _json(request: Wire) -> bytes:
    return request.__pydantic_serializer__.to_json(request, exclude_unset=True)
