"""A question asked of several vector stores at once, and what a model is told of what they found."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, cast

from pydantic import ValidationError

from core.apis.rag import MOST_STORES, QueryGenerator, QueryRag, RagQueryConfig, RagRanker
from core.apis.retrieval import Context, Passage, RetrievalQuery, Wording
from core.apis.vector_filters import parse_filter
from core.apis.vector_io import ScoredChunk, SearchMode, Vector
from core.apis.vector_stores import RankingOptions
from core.errors import InvalidRequest, shorten
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.services.retrieval.budget import fit
from core.services.retrieval.merging import Found, merge
from core.services.retrieval.questions import question_of, texts_of
from core.services.retrieval.wording import print_passages, templates_of
from core.services.vector_stores.native import show_chunk
from core.services.vector_stores.ranking import ranking_of
from core.services.vector_stores.search import (
    RESULTS,
    Query,
    check_mode,
    check_queries,
    check_reranker,
    find,
    takes_vectors,
)
from core.services.vector_stores.stores import Store, StoreCollection

AT_ONCE: Final = 4  # stores of one question that are asked together
MOST_TOKENS: Final = 4000
"""Of what is shown to a model, where neither a request nor the run config says."""
CHUNKS: Final = 5
TOKENS: Final = {"knowledge_search": 4096, "file_search": MOST_TOKENS}
"""What a tool shows at most where nobody says, as its generation has it."""
STORES_PARAM: Final = "vector_store_ids"


class RetrievalRouter:
    """Answers `core.apis.retrieval.Retrieval`."""

    def __init__(self, stores: StoreCollection) -> None:
        self._stores = stores

    async def retrieve(self, query: RetrievalQuery) -> list[Passage]:
        texts = check_queries(query.texts)
        opened, question = await self._prepare(query, texts)
        if query.rewrite:
            from core.services.vector_stores.rewriting import rewrite

            question = replace(question, texts=await rewrite(self._stores, texts))
        rows = await self._find(opened, question)
        found = merge(rows, question.limit)
        return self._passages(found, {store.id: store for store in opened}, self._budget(query))

    async def check(self, query: RetrievalQuery) -> None:
        await self._prepare(query, [*query.texts])

    async def _prepare(self, query: RetrievalQuery, texts: list[str]) -> tuple[list[Store], Query]:
        """The stores, and what each is asked."""
        stores = self._stores
        ranking = ranking_of(
            stores.parts.vector_stores, cast("SearchMode | None", query.mode), read_options(query.ranking_options)
        )
        condition = parse_filter(query.filters)
        opened = await self._open(query.store_ids)
        for store in opened:
            check_mode(stores, store, ranking.mode)
        await check_reranker(stores, ranking)
        limit = RESULTS if query.limit is None else query.limit
        return opened, Query(texts, ranking, condition, limit)

    async def tell(self, query: QueryRag, wording: Wording = "knowledge_search") -> Context:
        stores, config = self._stores, query.query_config or RagQueryConfig()
        texts = texts_of(query.content, "content")
        question = await question_of(
            stores.parts, stores.call, config.query_generator_config or QueryGenerator(), texts
        )
        passages = await self.retrieve(
            RetrievalQuery(
                [question],
                query.vector_db_ids,
                limit=config.max_chunks or CHUNKS,
                most_tokens=config.max_tokens_in_context or self._most_tokens or TOKENS[wording],
                ranking_options=_options_of(config.ranker, config.mode),
                mode=config.mode,
            )
        )
        templates = templates_of(wording, stores.parts.vector_stores, config.chunk_template)
        return Context(print_passages(passages, " ".join(texts), templates, wording), passages)

    @property
    def _most_tokens(self) -> int | None:
        """What the run config says."""
        params = self._stores.parts.vector_stores.chunk_retrieval_params
        return None if params is None else params.max_tokens_in_context

    def _budget(self, query: RetrievalQuery) -> int:
        return query.most_tokens or self._most_tokens or MOST_TOKENS

    async def _open(self, store_ids: Sequence[str]) -> list[Store]:
        """Each once; raises as `StoreCollection.open` does."""
        ids = list(dict.fromkeys(store_ids))
        if not 0 < len(ids) <= MOST_STORES:
            raise InvalidRequest(f"Name 1 to {MOST_STORES} vector stores to search.", param=STORES_PARAM)
        return await run_all([partial(self._stores.open, store_id) for store_id in ids], at_once=AT_ONCE)

    async def _find(self, opened: Sequence[Store], query: Query) -> list[Found]:
        vectors = await self._embed(opened, query)

        async def ask(store: Store) -> list[Found]:
            chunks = await find(self._stores, store, query, vectors.get(_model_of(store)))
            return [(store.id, scored) for scored in chunks]

        rows = await run_all([partial(ask, store) for store in opened], at_once=AT_ONCE)
        return [row for part in rows for row in part]

    async def _embed(self, opened: Sequence[Store], query: Query) -> dict[tuple[str, int], list[Vector]]:
        """The texts as vectors of each model that a store needs them of: once, however many stores have it."""
        firsts = {_model_of(store): store for store in opened if takes_vectors(self._stores, store, query.ranking)}
        models = self._stores.models
        jobs = [partial(models.embed, store.id, store.record, query.texts) for store in firsts.values()]
        return dict(zip(firsts, await run_all(jobs, at_once=AT_ONCE), strict=True))

    def _passages(self, found: Sequence[Found], stores: dict[str, Store], most_tokens: int) -> list[Passage]:
        texts = fit([scored.chunk.text for _, scored in found], most_tokens)
        rows = zip(found, texts, strict=False)
        return [
            _passage(place, stores[store_id], scored, text) for place, ((store_id, scored), text) in enumerate(rows, 1)
        ]


def read_options(options: JsonObject | None) -> RankingOptions | None:
    """Ranking options as a request has them; raises InvalidRequest for what are none."""
    if options is None:
        return None
    try:
        return RankingOptions.model_validate(options)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        path = ".".join(["ranking_options", *map(str, error["loc"])])
        raise InvalidRequest(f"{shorten(path, 200)}: {error['msg']}", param=path) from None


def _options_of(ranker: RagRanker | None, mode: SearchMode | None) -> JsonObject | None:
    """0.2's ranker in OpenAI's place; it is of a hybrid search alone."""
    if ranker is None or mode not in {None, "hybrid"}:
        return None
    name = "impact_factor" if ranker.type == "rrf" else "alpha"
    return {"ranker": ranker.type, name: ranker.impact_factor if ranker.type == "rrf" else ranker.alpha}


def _model_of(store: Store) -> tuple[str, int]:
    return store.record.embedding_model, store.record.embedding_dimension


def _passage(index: int, store: Store, scored: ScoredChunk, text: str) -> Passage:
    chunk, native = scored.chunk, show_chunk(scored, store.record)
    name = chunk.filename or native["metadata"].get("filename")
    return Passage(
        index=index,
        text=text,
        score=scored.score,
        store_id=store.id,
        document_id=chunk.source,
        filename=name if isinstance(name, str) else "",
        attributes=dict(chunk.attributes),
        metadata=native["metadata"],
        chunk_id=native["chunk_id"],
    )
