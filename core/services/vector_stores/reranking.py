"""What a search found, ranked by a model that reads the query with each chunk: for the caller, who is charged for it."""

from collections.abc import Sequence
from dataclasses import replace
from math import exp
from typing import Final, cast

from core.apis.rerank import RerankRequest, Reranks
from core.apis.vector_io import ScoredChunk
from core.errors import InvalidRequest, NotFound, shorten
from core.frame.types import JsonObject
from core.services.parts import surface_for
from core.services.vector_stores.ranking import PATH, Reranker, no_ranker
from core.services.vector_stores.stores import StoreCollection

MOST_TEXT: Final = 32_000
"""Characters of a chunk that a model is shown, as many as Bedrock takes; rerank models read fewer."""
STEEPEST: Final = 700.0  # beyond, `exp` overflows


async def require_reranker(stores: StoreCollection, reranker: Reranker) -> None:
    """Raise InvalidRequest where the caller has no such model, before anything is searched for."""
    registry = stores.parts.registries.get("model")
    try:
        resource = None if registry is None else await registry(stores.call).get(reranker.model)
    except NotFound:
        resource = None
    if resource is None:
        raise _missing(reranker)
    if resource.attributes["model_type"] != "rerank":
        raise InvalidRequest(
            f"Model `{shorten(reranker.model, 64)}` does not rerank. Name one whose `model_type` is `rerank`.",
            param=reranker.param,
        )


async def rerank(
    stores: StoreCollection, reranker: Reranker, query: str, chunks: Sequence[ScoredChunk]
) -> list[ScoredChunk]:
    """The chunks with the model's scores, or with those mixed with the ones that they had; in any order.

    Raises:
        InvalidRequest: the model is gone, or refuses the query or a chunk.
    """
    if not chunks:
        return []
    inference = cast("Reranks | None", surface_for(stores.parts, "inference", stores.call))
    if inference is None:
        raise _missing(reranker)
    texts = [scored.chunk.text[:MOST_TEXT] or " " for scored in chunks]
    try:
        ranking = await inference.rerank(RerankRequest(model=reranker.model, query=query, documents=texts))
    except NotFound:
        raise _missing(reranker) from None
    except InvalidRequest as refusal:
        refusal.param = reranker.param
        raise
    rows: list[JsonObject] = ranking["results"]
    scores = scores_of([row["relevance_score"] for row in rows])
    ranked: list[ScoredChunk] = []
    for row, score in zip(rows, scores, strict=True):
        place: int = row["index"]
        scored = chunks[place]
        mixed = reranker.share * score + (1 - reranker.share) * scored.score
        ranked.append(replace(scored, score=min(max(mixed, 0.0), 1.0)))
    return ranked


def scores_of(scores: Sequence[float]) -> list[float]:
    """From 0 to 1; those of a model that are not are logits, all of them.

    >>> scores_of([0.5, 1])
    [0.5, 1]
    >>> scores_of([0, -800.0])
    [0.5, 0.0]
    """
    if all(0 <= score <= 1 for score in scores):
        return [*scores]
    return [0.0 if score < -STEEPEST else 1 / (1 + exp(-score)) for score in scores]


def _missing(reranker: Reranker) -> InvalidRequest:
    if reranker.param == f"{PATH}.ranker":
        return no_ranker(reranker.model, reranker.param)
    return InvalidRequest(
        f"There is no rerank model `{shorten(reranker.model, 64)}` here, or you may not use it. GET /v1/models lists what there is.",
        param=reranker.param,
    )
