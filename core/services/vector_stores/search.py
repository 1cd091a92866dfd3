"""A search of a vector store: one query or several, by vector, by words or by both, with the ranking that the request names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from core.apis.answers.vector_stores import SearchPage, SearchResult
from core.apis.inference import MOST_DOCUMENTS
from core.apis.vector_filters import Filter, parse_filter
from core.apis.vector_io import ScoredChunk, SearchMode, Vector, VectorQuery
from core.apis.vector_stores import MOST_QUERY, SearchRequest
from core.errors import InvalidRequest
from core.platform.concurrency import run_all
from core.services.vector_stores.fusion import fuse
from core.services.vector_stores.ranking import Ranking, ranking_of
from core.services.vector_stores.stores import Store, StoreCollection

RESULTS: Final = 10  # where a request does not say
MOST_QUERIES: Final = 10
AT_ONCE: Final = 4  # searches of one request under way together
DEPTH: Final = 5  # how many times as many as asked for each of two rankings has, before they are fused


async def search(stores: StoreCollection, store: Store, request: SearchRequest) -> SearchPage:
    """The page that OpenAI's API answers."""
    queries = check_queries(request.query)
    ranking = ranking_of(stores.parts.vector_stores, request.search_mode, request.ranking_options)
    check_mode(stores, store, ranking.mode)
    condition = parse_filter(request.filters)
    await check_reranker(stores, ranking)
    if request.rewrite_query:
        from core.services.vector_stores.rewriting import rewrite

        queries = await rewrite(stores, queries)
    chunks = await find(stores, store, Query(queries, ranking, condition, request.max_num_results or RESULTS))
    return {
        "object": "vector_store.search_results.page",
        "search_query": queries,
        "data": [_show(scored) for scored in chunks],
        "has_more": False,
        "next_page": None,
    }


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: the `texts`, each by itself, at most `limit` chunks for which `condition` holds."""

    texts: list[str]
    ranking: Ranking
    condition: Filter | None = None
    limit: int = RESULTS
    with_vectors: bool = False

    @property
    def depth(self) -> int:
        """How many chunks are found of each text, for a model to rank if there is one."""
        reranker = self.ranking.reranker
        return (
            self.limit if reranker is None else max(self.limit, min(self.limit * reranker.multiplier, MOST_DOCUMENTS))
        )


async def find(
    stores: StoreCollection, store: Store, query: Query, known: Sequence[Vector] | None = None
) -> list[ScoredChunk]:
    """The chunks, the best first, each once with its best score; `known` are the vectors of the texts, where they are."""
    texts, vectors = query.texts, list[Vector | None]([None] * len(query.texts))
    if takes_vectors(stores, store, query.ranking):
        vectors = list(known or await stores.models.embed(store.id, store.record, texts))
    if stores.call is not None:
        stores.call.add_tokens(0)  # words are found without a model: then what was reserved is given back
    jobs = [partial(_find_one, stores, store, query, *pair) for pair in zip(texts, vectors, strict=True)]
    best: dict[str, ScoredChunk] = {}
    for scored in (scored for chunks in await run_all(jobs, at_once=AT_ONCE) for scored in chunks):
        if scored.score > (best[scored.chunk.key].score if scored.chunk.key in best else -1):
            best[scored.chunk.key] = scored
    rows = [scored for scored in best.values() if scored.score >= query.ranking.threshold]
    return sorted(rows, key=lambda scored: (-scored.score, scored.chunk.key))[: query.limit]


def takes_vectors(stores: StoreCollection, store: Store, ranking: Ranking) -> bool:
    """Whether a search of the store needs its texts as vectors."""
    return ranking.mode != "keyword" and not stores.provider(store).capabilities.embeds


def check_queries(query: str | Sequence[str]) -> list[str]:
    """The queries, one at least; raises InvalidRequest for what cannot be searched for."""
    queries = [query] if isinstance(query, str) else list(query)
    if not 0 < len(queries) <= MOST_QUERIES:
        raise InvalidRequest(f"query must be a string, or a list of 1 to {MOST_QUERIES}.", param="query")
    for text in queries:
        if not text.strip():
            raise InvalidRequest("query is empty.", param="query")
        if len(text) > MOST_QUERY:
            raise InvalidRequest(
                f"query has {len(text)} characters, and may have {MOST_QUERY}. Search for what it is about.",
                param="query",
            )
    return queries


def check_mode(stores: StoreCollection, store: Store, mode: SearchMode) -> None:
    """Raise InvalidRequest for one that the store's provider has not."""
    capabilities = stores.provider(store).capabilities
    if mode == "vector" or capabilities.keyword or (mode == "hybrid" and capabilities.embeds and capabilities.hybrid):
        return
    modes = "by meaning, or by meaning and words (`hybrid`)," if capabilities.embeds else "by vector alone"
    raise InvalidRequest(
        f"Provider `{store.record.provider_id}`, which keeps the vector store `{store.id}`, searches {modes}: `{mode}` is not to "
        "be had of it. Leave `search_mode` out, or say `vector`.",
        param="search_mode",
    )


async def check_reranker(stores: StoreCollection, ranking: Ranking) -> None:
    """Raise InvalidRequest for a model that the caller has not, before anything is searched for."""
    if ranking.reranker is not None:
        from core.services.vector_stores.reranking import require_reranker  # late: few searches have one

        await require_reranker(stores, ranking.reranker)


async def _find_one(
    stores: StoreCollection, store: Store, query: Query, text: str, vector: Vector | None
) -> list[ScoredChunk]:
    chunks = await _search_one(stores, store, query, text, vector)
    if query.ranking.reranker is None:
        return chunks
    from core.services.vector_stores.reranking import rerank

    return await rerank(stores, query.ranking.reranker, text, chunks)


async def _search_one(
    stores: StoreCollection, store: Store, query: Query, text: str, vector: Vector | None
) -> list[ScoredChunk]:
    provider, mode, fusion = stores.provider(store), query.ranking.mode, query.ranking.fusion
    most = provider.capabilities.most_results
    ask = VectorQuery(vector, text, query.condition, min(query.depth, most), query.with_vectors)
    if provider.capabilities.embeds:
        if mode == "hybrid" and not fusion.is_plain:
            raise InvalidRequest(
                f"The provider of vector store `{store.id}` fuses both rankings itself, in its own way: leave rankers and weights out.",
                param="ranking_options",
            )
        return await stores.ask(provider.search(store.index, replace(ask, hybrid=mode == "hybrid")))
    if mode == "vector":
        return await stores.ask(provider.search(store.index, replace(ask, text=None)))
    if mode == "keyword":
        return await stores.ask(provider.search(store.index, replace(ask, vector=None)))
    if fusion.is_plain and provider.capabilities.hybrid:
        return await stores.ask(provider.search(store.index, ask))
    deep = replace(ask, limit=min(query.limit * DEPTH if query.ranking.reranker is None else query.depth, most))
    by_vector = await stores.ask(provider.search(store.index, replace(deep, text=None)))
    by_words = await stores.ask(provider.search(store.index, replace(deep, vector=None)))
    return fuse(by_vector, by_words, fusion)[: query.depth]


def _show(scored: ScoredChunk) -> SearchResult:
    chunk = scored.chunk
    return {
        "file_id": chunk.source,
        "filename": chunk.filename,
        "score": scored.score,
        "attributes": dict(chunk.attributes),
        "content": [{"type": "text", "text": chunk.text}],
    }
