"""An inference provider written for the reference, as one of this stack's."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final, cast

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, ModelType, ServedModel
from core.apis.shapes import check_chat, check_completion, check_embeddings
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.types import Health, JsonObject, JsonStream
from core.resolution.external.boundary import Foreign, Unusable
from core.resolution.external.reference.calls import Translated, call, open_stream, own_method
from core.resolution.external.reference.records import Record, plain, record

MOST_REGISTERED: Final = 10_000  # models; then they are registered again
METHODS: Final = ("openai_chat_completion", "openai_completion", "openai_embeddings")


class ReferenceModels:
    """The `model_store` of the reference: of a model that it is asked for, the provider's own name is the same."""

    def __init__(self, provider_id: str) -> None:
        self._provider_id = provider_id
        self.listed: dict[str, ServedModel] = {}

    async def get_model(self, identifier: Any) -> Record:  # noqa: ANN401 - a name, or a request for one
        return self.model(str(getattr(identifier, "model_id", identifier)))

    async def has_model(self, identifier: str) -> bool:
        del identifier
        return True

    def model(self, name: str, kind: ModelType = "llm") -> Record:
        offer = self.listed.get(name)
        model: Record = record(
            "Model",
            identifier=name,
            provider_resource_id=name,
            provider_id=self._provider_id,
            model_type=offer["model_type"] if offer else kind,
            metadata=offer["metadata"] if offer else {},
        )
        return model


class ReferenceInference:
    """`provider` has the reference's methods, of 0.2 or later; `models` is what it looks models up in."""

    def __init__(
        self,
        provider_id: str,
        provider: Any,  # noqa: ANN401 - somebody else's object
        models: ReferenceModels,
        data: SimpleNamespace | None = None,
    ) -> None:
        self._provider_id = provider_id
        self._provider = provider
        self._models = models
        self._data = data
        self._registered: set[str] = set()

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceInference":
        """This provider for a caller who brings `data`, which its `get_request_provider_data()` then returns."""
        provider = ReferenceInference(self._provider_id, self._provider, self._models, SimpleNamespace(**data))
        provider._registered = self._registered
        return provider

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return check_chat(self._object(await self._generate(METHODS[0], "OpenAIChatCompletion", request)))

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        answer = await self._generate(METHODS[0], "OpenAIChatCompletion", request, stream=True)
        return await open_stream(self._provider_id, self._data, answer)

    async def completion(self, request: CompletionRequest) -> JsonObject:
        return check_completion(self._object(await self._generate(METHODS[1], "OpenAICompletion", request)))

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        answer = await self._generate(METHODS[1], "OpenAICompletion", request, stream=True)
        return await open_stream(self._provider_id, self._data, answer)

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        return check_embeddings(self._object(await self._ask(METHODS[2], "OpenAIEmbeddings", request, "embedding")))

    async def list_models(self) -> list[ServedModel]:
        method = own_method(self._provider, "list_models")
        if method is None:
            return []
        with Translated(self._provider_id):
            models: list[Any] = await method() or []
        self._models.listed = {model["id"]: model for model in map(_to_offer, models)}
        return list(self._models.listed.values())

    async def health(self) -> Health:
        method = own_method(self._provider, "health")
        if method is None:
            return Health(status="Not Implemented", message="Its package does not say how it is.")
        try:
            with Foreign(f"health() of provider `{self._provider_id}`"):
                return cast("Health", plain(dict(await method())))
        except Unusable as failure:
            return Health(status="Error", message=str(failure))

    async def close(self) -> None:
        end = own_method(self._provider, "shutdown") or own_method(self._provider, "close")
        if end is not None:
            await end()

    async def _generate(
        self, name: str, record: str, request: ChatRequest | CompletionRequest, *, stream: bool = False
    ) -> Any:  # noqa: ANN401 - a package's answer
        request = request if bool(request.stream) == stream else request.model_copy(update={"stream": stream or None})
        return await self._ask(name, record, request, "llm")

    async def _ask(
        self, name: str, record: str, request: ChatRequest | CompletionRequest | EmbeddingsRequest, kind: ModelType
    ) -> Any:  # noqa: ANN401 - a package's answer
        method = own_method(self._provider, name)
        if method is None:
            raise InvalidRequest(f"Provider `{self._provider_id}` has no {name}: its package does not implement it.")
        with Translated(self._provider_id, self._data):
            await self._register(request.model, kind)
            fields = request.model_dump(exclude_unset=True)
            return await call(method, f"{record}RequestWithExtraBody", "model", fields)

    async def _register(self, name: str, kind: ModelType) -> None:
        """Once, as the reference does before the first call: some packages know no model that was not."""
        method = own_method(self._provider, "register_model")
        if method is None or name in self._registered:
            return
        await method(self._models.model(name, kind))
        if len(self._registered) >= MOST_REGISTERED:
            self._registered.clear()
        self._registered.add(name)

    def _object(self, answer: Any) -> JsonObject:  # noqa: ANN401 - a package's answer
        fields = plain(answer)
        if not isinstance(fields, dict):
            raise UpstreamFailed(f"Provider `{self._provider_id}` answered with no object.")
        return cast("JsonObject", fields)


def _to_offer(model: Any) -> ServedModel:  # noqa: ANN401 - the reference's Model, or a dictionary
    fields: JsonObject = plain(model)
    return ServedModel(
        id=fields.get("provider_resource_id") or fields["identifier"],
        model_type=fields.get("model_type") or "llm",
        metadata=fields.get("metadata") or {},
    )
