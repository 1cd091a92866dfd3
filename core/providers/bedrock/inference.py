"""Amazon Bedrock: chat through Converse, embeddings through InvokeModel, reranking, its models from the control plane.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/welcome.html.
"""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from itertools import chain
import time
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, override
from uuid import uuid4

from pydantic import PositiveInt, model_validator
from pydantic_core import to_json

from core.apis.discovery import Description
from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, InferenceProvider, ServedModel
from core.config.fetch import FetchConfig
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.errors import InvalidRequest, NotFound, UpstreamFailed
from core.frame.types import Health, JsonObject, JsonStream
from core.platform.concurrency import run_all
from core.providers.aws.clients import AwsClients, RoleArn, list_pages
from core.providers.bedrock.config import BedrockConfig, JobsUri
from core.providers.bedrock.converse.reply import from_converse
from core.providers.bedrock.converse.request import (
    streams_tools,
    text_taken_from,
    to_answer_form,
    to_converse,
    without_stream_mode,
)
from core.providers.bedrock.converse.stream import ConverseChunks, WholeReply
from core.providers.bedrock.embeddings import Family, Vectors, embedding_list, family_of, from_invoke, to_invoke
from core.providers.bedrock.errors import translate_errors
from core.providers.bedrock.listing import served_models
from core.providers.http.fetch import GuardedFetcher
from core.providers.http.inlined_images import with_inlined_images
from core.providers.http.replies import health_of, read_object

if TYPE_CHECKING:
    from core.apis.rerank import RerankRequest
    from core.providers.bedrock.batches import BedrockBatches
    from core.providers.bedrock.reranking import BedrockRerank

RUNTIME: Final = "bedrock-runtime"
CONTROL: Final = "bedrock"
PROFILES: Final = ("SYSTEM_DEFINED", "APPLICATION")
PAGE: Final = 1000  # profiles, the most that one answer holds
MOST_DIGITS: Final = 12  # of a number of tokens
PIECE: Final = 64 * 1024  # bytes
AT_ONCE: Final = 8  # invocations of one embeddings request
TOKENS: Final = "x-amzn-bedrock-input-token-count"


class Config(BedrockConfig):
    """`fetch` is how images are fetched that a caller names by their URL: Converse takes their bytes alone.

    With the `openai` endpoint chat goes, unchanged, to Bedrock's own OpenAI-compatible one, which serves fewer models.
    Batches that Bedrock runs have their files below `batch_s3_uri`, where Bedrock reads and writes them as the role
    `batch_role_arn`; `batch_s3_endpoint_url` is S3's where it is not AWS's own, `batch_least_rows` the account's quota of
    records in a job.
    """

    fetch: FetchConfig = FetchConfig.model_construct()
    endpoint: Annotated[Literal["converse", "openai"], USER] = "converse"
    batch_s3_uri: JobsUri | None = None
    batch_role_arn: RoleArn = None
    batch_s3_endpoint_url: UpstreamUrl | None = None
    batch_least_rows: PositiveInt = 100

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if (self.batch_s3_uri is None) != (self.batch_role_arn is None):
            raise ValueError("give `batch_s3_uri` and `batch_role_arn` together, or neither")
        if self.batch_s3_uri and self.bearer is not None:
            raise ValueError("`batch_s3_uri` needs AWS credentials: S3 takes no API key of Bedrock")
        return self


class Bedrock:
    """An inference provider over Bedrock's runtime and control plane, in one region."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """The SDK is imported and its clients are opened at the first call."""
        self._provider_id = provider_id
        self._clients = AwsClients(config)
        self._seconds = config.read_timeout or 60.0
        self._most_seconds = max(config.limits.max_seconds, self._seconds)
        self._fetcher = GuardedFetcher(config.fetch)
        self._embedding_models: dict[str, JsonObject] = {}  # what was listed of them, by id
        self._config = config
        self._rerank: BedrockRerank | None = None
        self._batches: BedrockBatches | None = None

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        body = to_converse(await with_inlined_images(request, self._fetcher))
        with translate_errors(self._provider_id, body):
            async with self._patience():
                runtime = await self._clients.client(RUNTIME)
                reply = await runtime.converse(modelId=request.model, **body)
            return from_converse(reply, **_head(request))

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        chunks = self._chunks(request)
        await anext(chunks)
        return chunks

    async def completion(self, request: CompletionRequest) -> JsonObject:
        raise _no_completions(request)

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        raise _no_completions(request)

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        family = await self._family(request.model)
        bodies = to_invoke(family, request)
        answers = await run_all([partial(self._embed, request.model, family, body) for body in bodies], at_once=AT_ONCE)
        vectors = [vector for batch, _ in answers for vector in batch]
        return embedding_list(request, vectors, sum(tokens for _, tokens in answers))

    async def rerank(self, request: "RerankRequest") -> JsonObject:
        if self._rerank is None:
            from core.providers.bedrock.reranking import BedrockRerank  # late: few stacks have it

            self._rerank = BedrockRerank(self._provider_id, self._config, self._clients)
        with translate_errors(self._provider_id):
            async with self._patience():
                return await self._rerank.rerank(request)

    async def list_models(self) -> list[ServedModel]:
        lists = [partial(self._models), *(partial(self._profiles, kind) for kind in PROFILES)]
        models, *profiles = await run_all(lists, at_once=len(lists))
        with translate_errors(self._provider_id):
            offers = served_models(models, chain.from_iterable(profiles))
        self._embedding_models = {
            model["id"]: model["metadata"] for model in offers if model["model_type"] == "embedding"
        }
        return offers

    async def describe(self) -> Description:
        """Its region, whether there are credentials, and the models that may be called."""
        from core.providers.bedrock.description import describe

        return await describe(self._provider_id, self._clients, self._list_offers)

    def batches(self) -> "BedrockBatches | None":
        """None without a bucket for them."""
        if self._batches is None and self._config.batch_s3_uri:
            from core.providers.bedrock.batches import BedrockBatches  # late: few stacks have them, and in the worker

            self._batches = BedrockBatches(self._provider_id, self._config, self._clients, self._fetcher)
        return self._batches

    def warm(self) -> None:
        """Import the SDK now, at init, where Lambda gives a full CPU, rather than at the first call."""
        self._clients.warm(RUNTIME)

    async def health(self) -> Health:
        return await health_of(self._models())

    async def close(self) -> None:
        if self._rerank is not None:
            await self._rerank.close()
        if self._batches is not None:
            await self._batches.close()
        await self._clients.close()
        await self._fetcher.close()

    async def _list_offers(self) -> Description:
        from core.providers.openai.offered import offered_profile

        return Description(models=[offered_profile(model) for model in await self.list_models()])

    async def _chunks(self, request: ChatRequest) -> JsonStream:
        """An empty object once the first event is there, and then the chunks: closing it always closes the call."""
        body = to_converse(await with_inlined_images(request, self._fetcher))
        usage = bool((request.stream_options or {}).get("include_usage"))
        chunks = ConverseChunks(**_head(request), usage=usage)
        with translate_errors(self._provider_id, body):
            answer = await self._open_stream(request.model, body)
            now = asyncio.get_running_loop().time
            until = (
                now() + self._most_seconds
            )  # looked at between events: how long one may take, the SDK's read timeout says
            with closing(answer) as stream:
                events = aiter(stream)
                event = await anext(events, None)
                if event is not None:
                    yield {}
                while event is not None:
                    for chunk in chunks.feed(event):
                        yield chunk
                    if now() > until:
                        raise TimeoutError
                    event = await anext(events, None)
        if not chunks.finished:
            raise UpstreamFailed(f"Provider `{self._provider_id}` ended its stream before it was complete.")

    async def _open_stream(self, model: str, body: JsonObject) -> Any:  # noqa: ANN401 - as the SDK has it
        """The events of an answer; told at once where the model cannot stream it."""
        async with self._patience():
            runtime = await self._clients.client(RUNTIME)
            if "toolConfig" in body and not streams_tools(model):
                return WholeReply(await runtime.converse(modelId=model, **without_stream_mode(body)))
            return (await runtime.converse_stream(modelId=model, **body))["stream"]

    def _patience(self) -> asyncio.Timeout:
        """The SDK would ask again after a timeout, and every answer that nobody waits for has its price."""
        return asyncio.timeout(self._seconds)

    async def _models(self) -> list[JsonObject]:
        with translate_errors(self._provider_id):
            control = await self._clients.client(CONTROL)
            return list((await control.list_foundation_models()).get("modelSummaries", []))

    async def _profiles(self, kind: str) -> list[JsonObject]:
        with translate_errors(self._provider_id):
            control = await self._clients.client(CONTROL)
            pages = control.get_paginator("list_inference_profiles").paginate(
                typeEquals=kind, PaginationConfig={"PageSize": PAGE}
            )
            return await list_pages(pages, "inferenceProfileSummaries")

    async def _family(self, model: str) -> Family:
        if model not in self._embedding_models:
            await self.list_models()
        if model not in self._embedding_models:
            raise NotFound(f"Provider `{self._provider_id}` lists no embedding model `{model}`.", param="model")
        family = family_of(self._embedding_models[model])
        if family is None:
            raise InvalidRequest(f"`{model}` has a request format that this provider does not know.", param="model")
        return family

    async def _embed(self, model: str, family: Family, question: JsonObject) -> tuple[Vectors, int]:
        with translate_errors(self._provider_id, question):
            async with self._patience():
                runtime = await self._clients.client(RUNTIME)
                answer = await runtime.invoke_model(
                    modelId=model, body=to_json(question), contentType="application/json", accept="application/json"
                )
                with closing(answer["body"]) as body:
                    content = b"".join([piece async for piece in body.iter_chunks(PIECE)])
        tokens = answer["ResponseMetadata"]["HTTPHeaders"].get(TOKENS, "")
        vectors = from_invoke(family, read_object(self._provider_id, content))
        return vectors, int(tokens) if tokens.isdecimal() and len(tokens) <= MOST_DIGITS else 0


class BedrockOverOpenAI(Bedrock):
    """The same provider, whose chat goes to Bedrock's OpenAI-compatible endpoint."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """As the other: what chat needs is imported now, when it is known to be used."""
        from core.providers.bedrock.openai import BedrockOpenAI

        super().__init__(provider_id, config)
        self._chat = BedrockOpenAI(provider_id, config, self._clients)

    @override
    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return await self._chat.chat_completion(request)

    @override
    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        return await self._chat.stream_chat_completion(request)

    @override
    async def close(self) -> None:
        await self._chat.close()
        await super().close()


def _head(request: ChatRequest) -> dict[str, Any]:
    return {
        "model": request.model,
        "created": int(time.time()),
        "id": f"chatcmpl-{uuid4().hex}",
        "text": text_taken_from(request),
        "form": to_answer_form(request),
    }


def _no_completions(request: CompletionRequest) -> InvalidRequest:
    message = f"Model `{request.model}` is served by Bedrock, which has no completions: use chat completions."
    return InvalidRequest(message, param="model")


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> InferenceProvider:
    """A provider over Bedrock in one region; it depends on no other API."""
    del deps
    return (BedrockOverOpenAI if config.endpoint == "openai" else Bedrock)(provider_id, config)
