"""What a chat model says of where each chunk stands in its document, put before the chunk: it is then found by that too.

The document comes first in each question, in a message of its own, so that a model's server can keep what it made of it.
Sources: https://www.anthropic.com/engineering/contextual-retrieval, VectorStoreChunkingStrategyContextual of OGX 1.5.0.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from core.apis.inference import ChatRequest, Inference
from core.config.vector_stores import ContextualRetrieval, VectorStoresConfig
from core.errors import CONTEXT_LENGTH, InvalidRequest, NotFound, UpstreamTimeout
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.platform.json_values import is_object, to_object
from core.services.parts import surface_for
from core.services.vector_stores.ingest.failures import IngestFailed
from core.services.vector_stores.stores import StoreCollection

DOCUMENT: Final = "{{WHOLE_DOCUMENT}}"
CHUNK: Final = "{{CHUNK_CONTENT}}"
PROMPT: Final = f"""<document>
{DOCUMENT}
</document>

Below is a passage of this document. Say in one or two sentences where it stands in the document and what it is about, with the names, dates \
and subjects by which somebody would search for it. Answer with these sentences alone, in the passage's language.

<passage>
{CHUNK}
</passage>"""
SIZE: Final = 700
OVERLAP: Final = 400
MOST_PROMPT: Final = 8192  # characters
MOST_SECONDS: Final = 600
MOST_AT_ONCE: Final = 32
MOST_TOKENS: Final = 256  # of one context
MOST_CONTEXT: Final = 4000  # characters of one, from a model that heeds no bound
PARAM: Final = "chunking_strategy.contextual"
NO_MODEL: Final = (
    "No chat model is named that could give chunks their context: give one as `model_id`, have one named at "
    "`vector_stores.contextual_retrieval_params.model` of the run config, or use the chunking strategy `static`."
)


@dataclass(frozen=True, slots=True)
class Contextual:
    """How chunks get their context; what is None, the run config says. `seconds` are those of one question."""

    model: str | None = None
    prompt: str = PROMPT
    seconds: int | None = None
    at_once: int | None = None


def read_contextual(value: object) -> tuple[int, int, Contextual]:
    """The tokens of a chunk, how many of them the next one repeats, and the rest; raises InvalidRequest, which names the field."""
    if not is_object(value):
        raise InvalidRequest("`contextual` is an object.", param=PARAM)
    size = _whole(value, "max_chunk_size_tokens", (100, 4096)) or SIZE
    overlap = _whole(value, "chunk_overlap_tokens", (0, size - 1))
    model, prompt = value.get("model_id"), value.get("context_prompt")
    if model is not None and (not isinstance(model, str) or not 0 < len(model) <= 512):  # noqa: PLR2004 - as names are
        raise InvalidRequest("`model_id` is the id of a chat model.", param=f"{PARAM}.model_id")
    return (
        size,
        (OVERLAP if size >= SIZE else size // 2) if overlap is None else overlap,
        Contextual(
            model,
            PROMPT if prompt is None else _checked_prompt(prompt),
            _whole(value, "timeout_seconds", (1, MOST_SECONDS)),
            _whole(value, "max_concurrency", (1, MOST_AT_ONCE)),
        ),
    )


def _whole(fields: JsonObject, name: str, bounds: tuple[int, int]) -> int | None:
    value, (least, most) = fields.get(name), bounds
    if value is not None and (type(value) is not int or not least <= value <= most):
        raise InvalidRequest(f"`{name}` is a whole number from {least} to {most}.", param=f"{PARAM}.{name}")
    return value


def _checked_prompt(prompt: object) -> str:
    if not isinstance(prompt, str) or len(prompt) > MOST_PROMPT or not 0 <= prompt.find(DOCUMENT) < prompt.find(CHUNK):
        raise InvalidRequest(
            f"`context_prompt` is a text of at most {MOST_PROMPT} characters with {DOCUMENT} in it, and {CHUNK} after that.",
            param=f"{PARAM}.context_prompt",
        )
    return prompt


def contextual_in_force(size: int, overlap: int, contextual: Contextual, config: VectorStoresConfig) -> JsonObject:
    """As on the wire, with what the run config adds; raises InvalidRequest where neither names a model."""
    params = config.contextual_retrieval_params or ContextualRetrieval()
    model = contextual.model or (params.model and params.model.name)
    if not model:
        raise InvalidRequest(NO_MODEL, param=f"{PARAM}.model_id")
    fields: JsonObject = {
        "model_id": model,
        "max_chunk_size_tokens": size,
        "chunk_overlap_tokens": overlap,
        "timeout_seconds": contextual.seconds or params.default_timeout_seconds,
        "max_concurrency": contextual.at_once or min(params.default_max_concurrency, MOST_AT_ONCE),
    }
    fields |= {} if contextual.prompt == PROMPT else {"context_prompt": contextual.prompt}
    return {"type": "contextual", "contextual": fields}


class Contexts:
    """Of one document; `tokens` are those that its questions were charged with, by their model."""

    def __init__(self, stores: StoreCollection, contextual: Contextual, document: str) -> None:
        self._stores = stores
        self._model = contextual.model or ""
        self._seconds = contextual.seconds or ContextualRetrieval().default_timeout_seconds
        self.at_once = contextual.at_once or ContextualRetrieval().default_max_concurrency
        before, _, after = contextual.prompt.partition(CHUNK)
        self._system = before.replace(DOCUMENT, document).rstrip()
        self._user = f"{CHUNK}{after}"
        self.tokens: dict[str, int] = {}

    async def put_before(self, chunks: Sequence[str]) -> list[str]:
        """Each with its context before it; as it is where the model says nothing of it.

        Raises:
            IngestFailed: the model says nothing of any, or refuses.
            ApiError: it cannot be asked now.
        """
        before = self._count_charged()
        try:
            contexts = await run_all([partial(self._ask, chunk) for chunk in chunks], at_once=self.at_once)
        finally:
            self.tokens[self._model] = self.tokens.get(self._model, 0) + self._count_charged() - before
        if not any(contexts):
            raise IngestFailed(
                "server_error",
                f"The model `{self._model}` says nothing of where a chunk stands in this file. Name another as `model_id`, or use the "
                "chunking strategy `static`.",
            )
        return [f"{context}\n\n{chunk}" if context else chunk for context, chunk in zip(contexts, chunks, strict=True)]

    def _count_charged(self) -> int:
        return 0 if self._stores.call is None else self._stores.call.tokens or 0

    async def _ask(self, chunk: str) -> str:
        inference = cast("Inference", surface_for(self._stores.parts, "inference", self._stores.call))
        messages = [
            {"role": "system", "content": self._system},
            {"role": "user", "content": self._user.replace(CHUNK, chunk)},
        ]
        body = {"model": self._model, "messages": messages, "max_tokens": MOST_TOKENS, "temperature": 0.0}
        try:
            async with asyncio.timeout(self._seconds):
                answer = await inference.chat_completion(ChatRequest.model_validate(body))
        except TimeoutError as slow:
            raise UpstreamTimeout(
                f"The model `{self._model}` gave a chunk no context within {self._seconds} s."
            ) from slow
        except NotFound:
            raise IngestFailed(
                "server_error",
                f"The model `{self._model}`, which is to give chunks their context, is not there, or you may not use it. Name another as "
                "`model_id`, or use the chunking strategy `static`.",
            ) from None
        except InvalidRequest as refusal:
            hint = " The whole file is sent with each chunk: split it." if refusal.code == CONTEXT_LENGTH else ""
            raise IngestFailed("server_error", refusal.message + hint) from refusal
        choices = answer.get("choices")
        content = to_object(to_object(choices[0]).get("message")).get("content") if choices else None
        return content.strip()[:MOST_CONTEXT] if isinstance(content, str) else ""
