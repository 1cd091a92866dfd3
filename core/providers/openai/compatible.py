"""One adapter over every remote that speaks OpenAI's HTTP API; what tells them apart is in `rows`.

Source: https://platform.openai.com/docs/api-reference.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from core.apis.additions import ASK_USAGE, OTHER_BOUND, USAGE, Addition, bound_addition, usage_addition
from core.apis.discovery import Description
from core.apis.embedding_options import in_vendors_words
from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, ModelType, ServedModel
from core.apis.shapes import check_chat, check_completion, check_embeddings
from core.config.media_urls import find_refused_url
from core.errors import ApiError, InvalidRequest, ProviderUnavailable, UpstreamFailed
from core.frame.callers import PROVIDER_DATA_HEADERS
from core.frame.types import Health, JsonObject, JsonStream, Wire
from core.platform import secrets
from core.platform.json_values import to_object
from core.providers.http.operators_key import call_with_key
from core.providers.http.remote import HEADER_KEY, Credentials
from core.providers.http.replies import health_of
from core.providers.openai.config import Settings
from core.providers.openai.refused import RefusedAdditions

if TYPE_CHECKING:
    from core.apis.native_bodies import NativeBody
    from core.apis.rerank import RerankRequest
    from core.platform.addresses import Reach
    from core.providers.http.upstream import UpstreamClient
    from core.providers.openai.batches import OpenAIBatches

HEADER: Final = PROVIDER_DATA_HEADERS[0]
MOST_MODELS: Final = 10_000  # that one listing has
MOST_NAME: Final = 512  # characters; a model of a longer name cannot be called
NO_KEY: Final = "It has no key of its own; callers bring theirs."


class OpenAICompatible:
    """An inference provider over OpenAI's wire; requests and answers pass through unchanged."""

    def __init__(
        self,
        provider_id: str,
        settings: Settings,
        credentials: Credentials | None = None,
        upstream: "UpstreamClient | None" = None,
        refused: RefusedAdditions | None = None,
    ) -> None:
        """With the operator's key, a client of its own, imported and opened at the first call, and nothing known of what is refused, unless given."""
        self._provider_id = provider_id
        self._settings = settings
        self._row = settings.own_row() if credentials is None else settings.row
        self._credentials = credentials or Credentials(settings.credential())
        self._is_renewed = secrets.is_reference(self._credentials.key) and not self._credentials.source
        self._media_reach: Reach = "private" if settings.allow_private_urls else settings.media_reach
        self._upstream = upstream
        self._refused = refused or RefusedAdditions(settings.row.refuses)
        self._models = settings.callable_models()
        self._batches: OpenAIBatches | None = None

    @property
    def _http(self) -> "UpstreamClient":
        if self._upstream is None:
            from core.providers.http.upstream import UpstreamClient

            self._upstream = UpstreamClient(self._settings.remote(self._provider_id))
        return self._upstream

    def warm(self) -> None:
        """Import the HTTP client now, at init, where Lambda gives a full CPU, rather than at the first call."""
        _ = self._http
        secrets.warm(self._credentials.key)

    def with_provider_data(self, data: Mapping[str, Any]) -> "OpenAICompatible":
        """This provider with a caller's key, over the same connections; itself where `data` has none for it."""
        name = next((name for name in self._row.data if data.get(name) is not None), None)
        if name is None:
            return self
        key, source = data[name], f"`{name}` in header {HEADER}"
        if not isinstance(key, str) or not HEADER_KEY.fullmatch(key):
            raise InvalidRequest(f"The key given as {source} must be a string without spaces.")
        return OpenAICompatible(self._provider_id, self._settings, Credentials(key, source), self._http, self._refused)

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return check_chat(await self._generate("/chat/completions", request))

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        return await self._stream("/chat/completions", request)

    async def completion(self, request: CompletionRequest) -> JsonObject:
        return check_completion(await self._generate("/completions", request))

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        return await self._stream("/completions", request)

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        self._check_call(request)
        request = in_vendors_words(request, self._row.embeddings, f"provider `{self._provider_id}`")
        return check_embeddings(await self._post("/embeddings", _json(request), finite=True))

    async def stream_response(self, request: JsonObject) -> JsonStream:
        """The remote's own, of a model that has `responses: native`; see `core.apis.responses.AnswersResponses`."""
        from core.apis.native_bodies import NativeBody
        from core.apis.native_responses import EventChecker
        from core.providers.openai.responses import PATH, cap_tokens, raise_failures  # late: few models have it

        body = NativeBody.model_validate(request)
        self._check_call(body)
        content, row = _json(cap_tokens(body, self._settings.max_tokens)), self._row.headers
        events = await self._with_key(lambda key: self._http.stream(PATH, content, key, row, EventChecker()))
        return raise_failures(self._provider_id, events)

    async def rerank(self, request: "RerankRequest") -> JsonObject:
        from core.providers.openai import reranking  # late: few rows are asked for it

        rerank = reranking.rerank_of(self._row, request.model, self._provider_id)
        self._check_call(request)
        answer = await self._post(rerank.path, reranking.to_body(request, rerank), finite=True)
        return reranking.from_answer(answer, rerank)

    def batches(self) -> "OpenAIBatches | None":
        """Those of the remote itself, with the operator's key; None of a row that has none."""
        if self._batches is None and self._row.batches is not None and self._has_key():
            from core.providers.http.transfers import TransferClient  # late: few models have them, and in the worker
            from core.providers.openai.batches import OpenAIBatches

            client = TransferClient(self._settings.remote(self._provider_id))
            self._batches = OpenAIBatches(client, self._provider_id, self._row, self._credentials, self._row_body)
        return self._batches

    async def list_models(self) -> list[ServedModel]:
        """What the operator's key may see; without a key that is needed, nothing."""
        return [model for model, _ in await self._list_entries()] if self._has_key() else []

    async def describe(self) -> Description:
        """Its models, and the server's version where it says one.

        Raises:
            ProviderUnavailable: only callers bring a key.
        """
        from core.providers.openai.offered import offered_model

        if not self._has_key():
            raise ProviderUnavailable(NO_KEY)
        description = Description(models=[offered_model(model, entry) for model, entry in await self._list_entries()])
        if version := await self._version():
            description["version"] = version
        return description

    async def health(self) -> Health:
        if not self._has_key():
            return Health(status="Not Implemented", message=NO_KEY)
        return await health_of(self.list_models())

    async def close(self) -> None:
        if self._upstream is not None:
            await self._upstream.close()
        if self._batches is not None:
            await self._batches.close()

    def _row_body(self, endpoint: str, model: str, body: JsonObject) -> bytes:
        """A request as it is sent live; raises InvalidRequest."""
        from pydantic import ValidationError

        from core.providers.openai.batch_lines import REQUESTS

        try:
            request = REQUESTS[endpoint].model_validate({**body, "model": model})
        except ValidationError as invalid:
            raise InvalidRequest("It is no request as the API takes it.") from invalid
        request.check_body()
        self._check_call(request)
        if isinstance(request, EmbeddingsRequest):
            return _json(request)
        request = self._cap_tokens(request)
        return _json(request, tuple(each for each in self._additions(request) if each.field in self._row.refuses))

    async def _list_entries(self) -> list[tuple[ServedModel, JsonObject]]:
        """The models that may be called, each with its entry in the listing."""
        listing = self._row.listing
        forms = listing.headers or self._row.headers
        answer = await self._with_key(lambda key: self._http.get(listing.path, key, forms))
        match (
            cast("JsonObject", answer).get(listing.entries) if listing.entries and isinstance(answer, dict) else answer
        ):
            case [*entries] if len(entries) <= MOST_MODELS:
                objects = [to_object(entry) for entry in entries]
            case [*_]:
                raise UpstreamFailed(f"Provider `{self._provider_id}` listed more than {MOST_MODELS} models.")
            case _:
                raise UpstreamFailed(f"Provider `{self._provider_id}` did not list its models.")
        models = [(model, entry) for entry in objects if (model := self._served_model(entry)) is not None]
        return [pair for pair in models if self._models is None or pair[0]["id"] in self._models]

    async def _version(self) -> str:
        """The server's own; empty where it says none, as a stand-in for it may."""
        if not self._row.version:
            return ""
        try:
            answer = await self._with_key(lambda key: self._http.get(self._row.version, key, self._row.headers))
        except ApiError:
            return ""
        match answer:
            case {"version": str(version)}:
                return version
            case _:
                return ""

    def _served_model(self, entry: JsonObject) -> ServedModel | None:
        listing = self._row.listing
        name = entry.get(listing.id)
        if not isinstance(name, str) or not name:
            raise UpstreamFailed(f"Provider `{self._provider_id}` listed a model without an id.")
        kind: ModelType | None = (
            listing.types.get(str(entry.get("type"))) if listing.types else self._settings.model_type
        )
        if kind is None or len(name) > MOST_NAME:
            return None
        dimension = self._settings.embedding_dimension
        metadata: JsonObject = {"embedding_dimension": dimension} if dimension else {}
        model = ServedModel(id=name.removeprefix(listing.prefix), model_type=kind, metadata=metadata)
        created = entry.get("created")
        if isinstance(created, int):
            model["created"] = created
        return model

    async def _post(self, path: str, content: bytes, *, finite: bool = False) -> JsonObject:
        if not self._is_renewed:
            return await self._http.post(path, content, self._credentials, self._row.headers, finite=finite)
        return await self._with_key(lambda key: self._http.post(path, content, key, self._row.headers, finite=finite))

    async def _generate(self, path: str, request: ChatRequest | CompletionRequest) -> JsonObject:
        """With what the stack adds to the request, here and in a stream, as far as the upstream takes that."""
        self._check_call(request)
        request = self._cap_tokens(request)
        additions = self._additions(request)
        if not additions:
            return await self._post(path, _json(request))
        return await self._refused.send(
            request.model, additions, lambda replaced: self._post(path, _json(request, replaced))
        )

    async def _stream(self, path: str, request: ChatRequest | CompletionRequest) -> JsonStream:
        self._check_call(request)
        request = self._cap_tokens(request)
        return await self._refused.send(
            request.model, self._additions(request), lambda replaced: self._open(path, _json(request, replaced))
        )

    async def _open(self, path: str, content: bytes) -> JsonStream:
        return await self._with_key(lambda key: self._http.stream(path, content, key, self._row.headers))

    async def _with_key[Answer](self, call: Callable[[Credentials], Awaitable[Answer]]) -> Answer:
        return await call_with_key(self._credentials, call)

    def _has_key(self) -> bool:
        return bool(self._credentials.key) or not self._settings.needs_key()

    def _check_call(
        self, request: "ChatRequest | CompletionRequest | EmbeddingsRequest | RerankRequest | NativeBody"
    ) -> None:
        if self._models is not None and request.model not in self._models:
            raise InvalidRequest(
                f"Provider `{self._provider_id}` is not configured to serve this model.", param="model"
            )
        if not self._has_key():
            example = f'{{"{self._row.data[0]}": "..."}}'
            raise InvalidRequest(f"Provider `{self._provider_id}` has no key; send yours as {HEADER}: {example}.")
        if (refused := find_refused_url(request, self._media_reach)) is not None:
            raise InvalidRequest(f"{refused[0]}: {refused[1]}", param=refused[0])

    def _cap_tokens(self, request: ChatRequest | CompletionRequest) -> ChatRequest | CompletionRequest:
        most, extra = self._settings.max_tokens, request.model_extra or {}
        if most is None or any(extra.get(name) is not None for name in OTHER_BOUND):
            return request
        if not isinstance(request, ChatRequest):
            return request.model_copy(update={"max_tokens": most})
        bound = self._row.bound
        return request.model_copy(update={bound: most}).note_additions(bound_addition(bound, most))

    def _additions(self, request: ChatRequest | CompletionRequest) -> tuple[Addition, ...]:
        """And what of the caller's own the vendor has in another form: nothing of it is given up.

        Where the usage comes unasked, the caller's wish for it need not be sent, and is fulfilled.
        """
        if not self._row.refuses:
            return request.additions
        additions = {addition.field: addition for addition in request.additions}
        options, extra = request.stream_options, request.model_extra or {}
        if options is not None and USAGE.field in self._row.refuses:
            rest = {name: value for name, value in options.items() if name not in ASK_USAGE}
            additions[USAGE.field] = usage_addition(rest or None)
        for name in OTHER_BOUND:
            if extra.get(name) is not None and name in self._row.refuses:
                additions[name] = bound_addition(name, extra[name])
        return tuple(additions.values())


def _json(request: Wire, replaced: tuple[Addition, ...] = ()) -> bytes:
    serializer = request.__pydantic_serializer__
    if not replaced:
        return serializer.to_json(request, exclude_unset=True)
    instead = {name: value for addition in replaced for name, value in addition.instead.items()}
    left_out = {addition.field for addition in replaced} - instead.keys()
    return serializer.to_json(request.model_copy(update=instead), exclude_unset=True, exclude=left_out)
