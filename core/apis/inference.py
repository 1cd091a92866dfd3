"""The inference API: OpenAI's chat completions, completions and embeddings.

Source: https://platform.openai.com/docs/api-reference. Only what the stack reads is typed.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Protocol, Self, override, runtime_checkable

from pydantic import Field, model_validator

from core.apis import bounds
from core.apis.additions import Addition
from core.errors import InvalidRequest
from core.frame.resources import Offer
from core.frame.types import Health, JsonObject, JsonStream, Wire

type ModelType = Literal["llm", "embedding", "rerank"]
Name = Annotated[str, Field(min_length=1, max_length=512)]
MOST_PROMPTS: Final = 128  # in one request
MOST_INPUTS: Final = 2048  # as OpenAI takes
MOST_DOCUMENTS: Final = 1000  # that are ranked, as Bedrock and Cohere take
PER_SEARCH: Final = 100  # documents, with one query: what Cohere and Bedrock bill as one search
OTHER_MODELS: Final = frozenset(
    {"models", "fallbacks"}
)  # with which gateways, as OpenRouter and LiteLLM, choose another
DECISIVE: Final = OTHER_MODELS | bounds.NUMBERS | {"model", "stream", "stream_options"}


def check_names(fields: Mapping[str, Any] | None) -> None:
    """Raises InvalidRequest where a server would read what was not judged: another model, or a bound that nobody counted.

    Servers in Go, as Ollama, take `Model` for `model`, and of the two the last.
    """
    for name in fields or ():
        exact = name.casefold()
        if exact in OTHER_MODELS:
            raise InvalidRequest(f"{name}: a request is for one model; for failover, give that `targets`.", param=name)
        if exact in DECISIVE and exact != name:
            raise InvalidRequest(f"{name}: write `{exact}`; some servers take the one for the other.", param=name)


class GenerationRequest(Wire):
    """`additions` are those of its fields that the stack put there: a cached property to pydantic, and no field."""

    additions: ClassVar[tuple[Addition, ...]] = ()

    def note_additions(self, *additions: Addition) -> Self:
        """This request, whose fields have them already."""
        vars(self)["additions"] = (*self.additions, *additions)
        return self


class ChatRequest(GenerationRequest):
    model: Name
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _normalize(self) -> Self:
        check_names(self.__pydantic_extra__)
        bounds.normalize_bounds(self.__pydantic_extra__)
        return self

    @override
    def check_body(self) -> None:
        from core.apis.body_rules import check_chat  # late, here and below: others import this and read no such body

        check_chat(self.messages, self.__pydantic_extra__)


class CompletionRequest(GenerationRequest):
    model: Name
    prompt: str | list[Any]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _normalize(self) -> Self:
        check_names(self.__pydantic_extra__)
        bounds.normalize_bounds(self.__pydantic_extra__)
        bounds.check_parts(self.prompt, MOST_PROMPTS, "prompt")
        return self

    @override
    def check_body(self) -> None:
        from core.apis.body_rules import check_completion

        check_completion(self.prompt, self.__pydantic_extra__)


class EmbeddingsRequest(Wire):
    """`native_options` are those of Llama Stack's native route, by its names: see `core.apis.embedding_options`."""

    model: Name
    input: str | list[Any]
    native_options: ClassVar[Mapping[str, str]] = {}

    def note_native_options(self, options: Mapping[str, str]) -> Self:
        """This request, which has them; no field, as `additions`."""
        vars(self)["native_options"] = options
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_names(self.__pydantic_extra__)
        bounds.check_parts(self.input, MOST_INPUTS, "input")
        return self

    @override
    def check_body(self) -> None:
        from core.apis.body_rules import check_embeddings

        check_embeddings(self.input, self.__pydantic_extra__)


class ServedModel(Offer):
    """A model that a provider says it serves."""

    model_type: ModelType
    metadata: JsonObject


class Inference(Protocol):
    """Answers are OpenAI's JSON objects, untouched but for `model`, which is the id the caller used.

    Every method raises the errors of `core.errors`. Opening a stream (awaiting the method) raises
    what fails before the first byte; iterating raises what fails later.
    """

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        """Answer the messages with one `chat.completion` object."""
        ...

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        """Answer with `chat.completion.chunk` objects; usage comes last, if the request asked for it."""
        ...

    async def completion(self, request: CompletionRequest) -> JsonObject:
        """Continue the prompt with one `text_completion` object."""
        ...

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        """Continue the prompt with `text_completion` chunks."""
        ...

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        """Embed the input: an OpenAI `list` of `embedding` objects, in the input's order."""
        ...


class InferenceProvider(Inference, Protocol):
    """A provider of inference: the API itself, and what the stack needs beside it."""

    async def list_models(self) -> list[ServedModel]:
        """What the provider serves now; raises ProviderUnavailable when it cannot be asked."""
        ...

    async def health(self) -> Health:
        """Ask the provider; never raises for a provider that is down."""
        ...

    async def close(self) -> None:
        """Close the connections; calls in flight fail."""
        ...


@runtime_checkable
class TakesProviderData(Protocol):
    """A provider that may be called with a caller's own key, for that caller's calls alone."""

    def with_provider_data(self, data: Mapping[str, Any]) -> InferenceProvider:
        """The provider with this caller's key; raises InvalidRequest for data that is not of its shape."""
        ...


def most_tokens(request: ChatRequest | CompletionRequest) -> int:
    """How many tokens the request lets the model make, over all prompts and choices; see `core.apis.bounds`."""
    prompts = bounds.count_parts(request.prompt) if isinstance(request, CompletionRequest) else 1
    return bounds.most_tokens(request.model_extra or {}, prompts)


def no_bound(request: object) -> int:
    """0: the only tokens of such a request are those of its input."""
    del request
    return 0


def count_prompts(request: CompletionRequest) -> int:
    return bounds.count_parts(request.prompt)


def refusal_in(answer: JsonObject) -> str:
    """What a chat completion says instead of an answer, where a shield or the model itself refused one; else ""."""
    match answer:
        case {"choices": [{"message": {"refusal": str(refusal), **message}}, *_]} if not message.get("content"):
            return refusal
        case _:
            return ""


def count_inputs(request: EmbeddingsRequest) -> int:
    return bounds.count_parts(request.input)
