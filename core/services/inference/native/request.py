"""Native requests as OpenAI's. Pure; errors are InvalidRequest with the native field's path as `param`."""

from collections.abc import Iterator
import re
from typing import Final

from core.apis.additions import ASK_USAGE, GREEDY, STRICT, Addition, greedy_addition, strict_addition, usage_addition
from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.native import (
    Conversation,
    Generation,
    NativeChatBatchRequest,
    NativeChatRequest,
    NativeCompletionBatchRequest,
    NativeCompletionRequest,
    NativeEmbeddingsRequest,
    ResponseFormat,
    SamplingParams,
    SamplingStrategy,
)
from core.errors import InvalidRequest
from core.frame.types import JsonObject, Wire
from core.services.inference.native.messages import text_of, to_openai_messages
from core.services.inference.native.tools import to_openai_tools

STREAM: Final[JsonObject] = {"stream": True, "stream_options": ASK_USAGE}
# These would change the shape of the provider's answer, which the native shapes have no room for.
NOT_FORWARDED: Final = frozenset({"stream", "stream_options", "n", "encoding_format"})
NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")
MOST_NAME: Final = 64  # characters, OpenAI's limit


def to_openai_chat(request: NativeChatRequest, *, stream: bool = False) -> ChatRequest:
    """The same conversation; `stream` asks for chunks with the usage at their end."""
    messages = to_openai_messages(request.messages, "messages")
    body = _conversation(request) | {"messages": messages} | (STREAM if stream else {})
    return ChatRequest.model_validate(body).note_additions(*_additions(request, body, stream=stream))


def to_openai_chats(request: NativeChatBatchRequest) -> list[ChatRequest]:
    """One request per conversation of the batch, in order."""
    shared = _conversation(request)
    additions = tuple(_additions(request, shared))
    return [
        ChatRequest.model_validate(
            shared | {"messages": to_openai_messages(messages, f"messages_batch[{position}]")}
        ).note_additions(*additions)
        for position, messages in enumerate(request.messages_batch)
    ]


def to_openai_completion(request: NativeCompletionRequest, *, stream: bool = False) -> CompletionRequest:
    """The content as a prompt; `stream` asks for chunks with the usage at their end."""
    body = _completion(request) | {"prompt": text_of(request.content, "content")} | (STREAM if stream else {})
    return CompletionRequest.model_validate(body).note_additions(*_additions(request, body, stream=stream))


def to_openai_completions(request: NativeCompletionBatchRequest) -> list[CompletionRequest]:
    """One request per content of the batch, in order."""
    shared = _completion(request)
    additions = tuple(_additions(request, shared))
    return [
        CompletionRequest.model_validate(
            shared | {"prompt": text_of(content, f"content_batch[{position}]")}
        ).note_additions(*additions)
        for position, content in enumerate(request.content_batch)
    ]


def to_openai_embeddings(request: NativeEmbeddingsRequest) -> EmbeddingsRequest:
    """The contents as a list of texts, even if there is one; vectors are asked for as numbers."""
    body = _extra_fields(request) | {
        "model": request.model_id,
        "input": [text_of(item, f"contents[{position}]") for position, item in enumerate(request.contents)],
    }
    if request.output_dimension is not None:
        body["dimensions"] = request.output_dimension
    if request.text_truncation not in {None, "none"}:
        body["text_truncation"] = request.text_truncation
    if request.task_type is not None:
        body["task_type"] = request.task_type
    options = {"text_truncation": request.text_truncation, "task_type": request.task_type}
    return EmbeddingsRequest.model_validate(body).note_native_options(
        {name: value for name, value in options.items() if value is not None}
    )


def _additions(request: Generation, body: JsonObject, *, stream: bool = False) -> Iterator[Addition]:
    """What `body` has beyond what the caller said."""
    if stream:
        yield usage_addition(None)
    if request.sampling_params is None or request.sampling_params.strategy is None:
        yield greedy_addition()
    if "response_format" in body:
        response_format = body["response_format"]
        schema = {name: value for name, value in response_format["json_schema"].items() if name not in STRICT}
        yield strict_addition({**response_format, "json_schema": schema})


def _conversation(request: Conversation) -> JsonObject:
    body = _generation(request) | to_openai_tools(request)
    if request.logprobs is not None:
        body["logprobs"] = True
        if request.logprobs.top_k:
            body["top_logprobs"] = request.logprobs.top_k
    return body


def _completion(request: Generation) -> JsonObject:
    body = _generation(request)
    if request.logprobs is not None:
        body["logprobs"] = request.logprobs.top_k or 0
    return body


def _generation(request: Generation) -> JsonObject:
    sampling = GREEDY if request.sampling_params is None else _sampling(request.sampling_params)
    return sampling | _extra_fields(request) | _response_format(request.response_format) | {"model": request.model_id}


def _extra_fields(request: Wire) -> JsonObject:
    return {name: value for name, value in (request.model_extra or {}).items() if name not in NOT_FORWARDED}


def _sampling(params: SamplingParams) -> JsonObject:
    options = dict(GREEDY) if params.strategy is None else _strategy(params.strategy)
    if params.max_tokens:
        options["max_tokens"] = params.max_tokens
    if params.repetition_penalty not in {None, 1.0}:
        options["repetition_penalty"] = params.repetition_penalty
    if params.stop:
        options["stop"] = params.stop
    return options


def _strategy(strategy: SamplingStrategy) -> JsonObject:
    match strategy.type:
        case "greedy":
            return dict(GREEDY)
        case "top_p":
            options = {"temperature": strategy.temperature, "top_p": strategy.top_p}
            return {name: value for name, value in options.items() if value is not None}
        case "top_k":
            if strategy.top_k is None:
                path = "sampling_params.strategy.top_k"
                raise InvalidRequest(f"{path}: is required by the strategy top_k.", param=path)
            return {"top_k": strategy.top_k}


def _response_format(response_format: ResponseFormat | None) -> JsonObject:
    if response_format is None:
        return {}
    if response_format.type == "grammar":
        message = "response_format: a grammar is not offered by OpenAI-compatible remotes; use a json_schema."
        raise InvalidRequest(message, param="response_format")
    if response_format.json_schema is None:
        path = "response_format.json_schema"
        raise InvalidRequest(f"{path}: is required by the response format json_schema.", param=path)
    title = response_format.json_schema.get("title")
    name = NOT_IN_NAMES.sub("_", title)[:MOST_NAME] if isinstance(title, str) else ""
    schema = {"name": name or "response", "schema": response_format.json_schema, **STRICT}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
