"""Queries as a chat model of the run config would search for them."""

from functools import partial
from typing import Final, cast

from core.apis.inference import ChatRequest, Inference
from core.apis.vector_stores import MOST_QUERY
from core.config.vector_stores import RewriteQuery
from core.errors import InvalidRequest, NotFound
from core.platform.concurrency import run_all
from core.platform.json_values import to_object
from core.services.parts import surface_for
from core.services.vector_stores.stores import StoreCollection

AT_ONCE: Final = 4
PROMPT: Final = (
    "Rewrite this question as a short query for a search in documents. Keep names, numbers and its language; add synonyms of what it is "
    "about. Answer with the query alone.\n\n{query}"
)
NO_MODEL: Final = "Query rewriting is not available on this stack: name a chat model at `vector_stores.rewrite_query_params.model` of the run config, or leave `rewrite_query` out."


async def rewrite(stores: StoreCollection, queries: list[str]) -> list[str]:
    """Each rewritten; as it was where the model answers nothing. Raises InvalidRequest where the run config names no model."""
    config = stores.parts.vector_stores.rewrite_query_params
    if config is None or config.model is None:
        raise InvalidRequest(NO_MODEL, param="rewrite_query")
    return await run_all(
        [partial(_rewrite, stores, config, config.model.name, query) for query in queries], at_once=AT_ONCE
    )


async def _rewrite(stores: StoreCollection, config: RewriteQuery, model: str, query: str) -> str:
    inference = cast("Inference | None", surface_for(stores.parts, "inference", stores.call))
    if inference is None:
        raise InvalidRequest(NO_MODEL, param="rewrite_query")
    prompt = (config.prompt or PROMPT).replace("{query}", query)
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    limits = {"max_tokens": config.max_tokens, "temperature": config.temperature}
    try:
        answer = await inference.chat_completion(ChatRequest.model_validate(body | limits))
    except NotFound:
        raise InvalidRequest(
            f"The model `{model}`, which rewrites queries here, is not there, or you may not use it. Leave `rewrite_query` out.",
            param="rewrite_query",
        ) from None
    choices = answer.get("choices")
    content = to_object(to_object(choices[0]).get("message")).get("content") if choices else None
    return (content.strip()[:MOST_QUERY] if isinstance(content, str) else "") or query
