"""Chunks by themselves, as Llama Stack's vector-io has them, in the same stores as files.

A chunk's own id is under `=ID` in the index, so that none takes the place of a file's chunk.
"""

from collections.abc import Sequence
from hashlib import sha256
import sys
from typing import Any, Final, cast
from urllib.parse import quote
from uuid import UUID

from pydantic_core import from_json, to_json

from core.apis.answers.vector_stores import NativeChunk, NativeQueryAnswer
from core.apis.vector_filters import Scalar, number_of, parse_filter
from core.apis.vector_io import Chunk, ScoredChunk, Vector, VectorCapabilities
from core.apis.vector_stores import InsertChunks, NativeChunkInput, QueryChunks, RankingOptions
from core.errors import ApiError, InvalidRequest, shorten
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.services.vector_stores.metadata import MOST_VALUE
from core.services.vector_stores.ranking import ranking_of
from core.services.vector_stores.records import StoreRecord
from core.services.vector_stores.search import Query, check_mode, check_queries, check_reranker, find
from core.services.vector_stores.stores import Store, StoreCollection, missing

OWN: Final = "="
MOST_ID: Final = 500  # characters of an escaped one
MOST_METADATA: Final = 8192  # bytes, as JSON
CHUNKS: Final = 3  # where a query does not say
MOST_CHUNKS: Final = 100
MOST_IMPACT: Final = 10_000
MOST_WEIGHT: Final = 1_000_000
DOCUMENT: Final = "document_id"
RANKERS: Final = ("rrf", "weighted", "normalized", "neural")


class NativeVectorIORouter:
    """Answers `core.apis.vector_stores.NativeVectorIO`."""

    def __init__(self, stores: StoreCollection) -> None:
        self._stores = stores

    async def insert(self, request: InsertChunks) -> None:
        store = await self._stores.open(_store_id(request), "update")
        provider = self._stores.provider(store)
        vectors = await self._vectors(store, request.chunks)
        if self._stores.call is not None:
            self._stores.call.add_tokens(0)  # with vectors of the caller's own, what was reserved is given back
        chunks = [
            to_chunk(chunk, vector, provider.capabilities, f"chunks[{place}]")
            for place, (chunk, vector) in enumerate(zip(request.chunks, vectors, strict=True))
        ]
        if chunks:
            await put_chunks(self._stores, store, chunks)

    async def query(self, request: QueryChunks) -> NativeQueryAnswer:
        store = await self._stores.open(_store_id(request))
        params = request.params or {}
        ranking = ranking_of(self._stores.parts.vector_stores, _mode(params), _options(params), "params.ranker")
        check_mode(self._stores, store, ranking.mode)
        query = Query(
            check_queries(text_of(request.query, "query")),
            ranking,
            parse_filter(params.get("filters"), path="params.filters"),
            _limit(params),
            with_vectors=params.get("include_embeddings") is True,
        )
        await check_reranker(self._stores, ranking)
        rows = await find(self._stores, store, query)
        chunks = [show_chunk(scored, store.record) for scored in rows]
        return {"chunks": chunks, "scores": [scored.score for scored in rows]}

    async def _vectors(self, store: Store, chunks: list[NativeChunkInput]) -> list[Vector]:
        """Those of the request, and for what has none what the store's model makes of its text."""
        bare = [place for place, chunk in enumerate(chunks) if chunk.embedding is None]
        texts = [text_of(chunks[place].content, f"chunks[{place}].content") for place in bare]
        for place, text in zip(bare, texts, strict=True):
            if not text.strip():
                raise InvalidRequest(
                    "There is no text in it, so that no vector can be made of it.", param=f"chunks[{place}].content"
                )
        vectors = await self._stores.models.embed(store.id, store.record, texts) if texts else []
        by_place = dict(zip(bare, vectors, strict=True))
        for place, chunk in enumerate(chunks):
            if chunk.embedding is not None and len(chunk.embedding) != store.record.embedding_dimension:
                raise InvalidRequest(
                    f"The embedding has {len(chunk.embedding)} dimensions, and the vector store `{store.id}` was made for "
                    f"{store.record.embedding_dimension}, those of `{store.record.embedding_model}`.",
                    param=f"chunks[{place}].embedding",
                )
        return [by_place[place] if chunk.embedding is None else chunk.embedding for place, chunk in enumerate(chunks)]


async def put_chunks(stores: StoreCollection, store: Store, chunks: Sequence[Chunk]) -> None:
    """Raises NotFound where the store was deleted meanwhile: what is put then may make its index again, or fail since that goes."""
    provider, failure = stores.provider(store), None
    try:
        await stores.ask(provider.put(store.index, chunks))
    except ApiError as refused:
        failure = refused
    if not await stores.is_there(store):
        await stores.ask(provider.drop(store.index))
        raise missing(store.id)
    if failure is not None:
        raise failure


def to_chunk(chunk: NativeChunkInput, vector: Vector, capabilities: VectorCapabilities, path: str) -> Chunk:
    """As a provider keeps it. What filters can be about are the metadata's strings (of at most 512 characters), numbers and booleans."""
    text, more = text_of(chunk.content, f"{path}.content"), chunk.chunk_metadata or {}
    source = chunk.metadata.get(DOCUMENT, more.get(DOCUMENT))
    chunk_id = chunk.chunk_id or chunk.stored_chunk_id or more.get("chunk_id") or _id_of(f"{source}:{text}")
    attributes = _attributes_of(chunk.metadata, f"{path}.metadata")
    about: JsonObject = {"chunk_id": str(chunk_id), "metadata": chunk.metadata, "chunk_metadata": chunk.chunk_metadata}
    if not isinstance(chunk.content, str):
        about["content"] = chunk.content
    metadata = _to_json(about, f"{path}.metadata", MOST_METADATA, "metadata, with what its content has beside text,")
    _to_json(
        dict(attributes),
        f"{path}.metadata",
        capabilities.filtered_bytes,
        "strings, numbers and booleans of its metadata",
    )
    name = chunk.metadata.get("filename")
    return Chunk(
        key=key_of(str(chunk_id)),
        text=text,
        vector=vector,
        attributes=attributes,
        metadata=metadata,
        source=str(source or chunk_id),
        filename=name if isinstance(name, str) else "",
    )


def _attributes_of(metadata: JsonObject, path: str) -> dict[str, Scalar]:
    attributes: dict[str, Scalar] = {}
    for key, value in metadata.items():
        if isinstance(value, bool) or (isinstance(value, str) and len(value) <= MOST_VALUE):
            attributes[key] = value
        elif isinstance(value, int | float):
            try:
                attributes[key] = number_of(value)
            except ValueError:
                raise InvalidRequest(
                    f"`{shorten(key, 64)}` is a number that cannot be kept: it is too large, or none.", param=path
                ) from None
    return attributes


def show_chunk(scored: ScoredChunk, record: StoreRecord) -> NativeChunk:
    """As the clients of vector-io have it; of a file's chunk the metadata is its attributes and where it is from."""
    chunk = scored.chunk
    about: JsonObject = to_object(from_json(chunk.metadata)) if chunk.metadata else {}
    if not chunk.key.startswith(OWN) or "chunk_id" not in about:
        metadata: JsonObject = {**chunk.attributes, "file_id": chunk.source, "filename": chunk.filename}
        metadata[DOCUMENT] = chunk.source
        more: JsonObject = {"chunk_id": chunk.key, DOCUMENT: chunk.source, "source": chunk.filename}
        about = dict[str, Any](chunk_id=chunk.key, metadata=metadata, chunk_metadata=more)
    return {
        "content": about.get("content", chunk.text),
        "metadata": about["metadata"],
        "chunk_id": about["chunk_id"],
        "embedding": list(chunk.vector),
        "embedding_model": record.embedding_model,
        "embedding_dimension": record.embedding_dimension,
        "chunk_metadata": about["chunk_metadata"] or {},
    }


def text_of(content: object, path: str) -> str:
    """The text in an interleaved content, which may have images beside it."""
    match content:
        case str():
            return content
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image"}:
            return ""
        case list():
            parts = cast("list[object]", content)
            texts = [_item_text(part, f"{path}[{place}]") for place, part in enumerate(parts)]
            return " ".join(filter(None, texts))
        case _:
            raise InvalidRequest(
                f'{path} must be a string, `{{"type": "text", "text": ...}}`, an image, or a list of these.', param=path
            )


def _item_text(part: object, path: str) -> str:
    if is_list(part):
        raise InvalidRequest(f"{path} must not be a list in a list.", param=path)
    return text_of(part, path)


def _store_id(request: InsertChunks | QueryChunks) -> str:
    store_id = request.vector_store_id or request.vector_db_id
    if store_id is None:
        raise InvalidRequest("`vector_store_id` is missing, which 0.2 calls `vector_db_id`.", param="vector_store_id")
    return store_id


def _id_of(text: str) -> str:
    """The same of the same text, as the reference makes it a UUID."""
    return str(UUID(bytes=sha256(text.encode(errors="surrogatepass")).digest()[:16]))


def key_of(chunk_id: str) -> str:
    """Under which the index has a chunk that is put by itself."""
    key = quote(chunk_id, safe=" !#$&'()*+,/:;=?@[]", errors="surrogatepass")
    return OWN + (key if len(key) <= MOST_ID else f"sha256:{sha256(key.encode()).hexdigest()}")


def _to_json(value: JsonObject, path: str, most: int, noun: str) -> str:
    try:
        text = to_json(value)
    except ValueError as unfit:
        raise InvalidRequest(f"{path} has what cannot be kept as JSON.", param=path) from unfit
    if len(text) > most:
        raise InvalidRequest(
            f"The {noun} of a chunk have {len(text)} bytes as JSON, and may have {most}. Put long texts into its content.",
            param=path,
        )
    return text.decode()


def _limit(params: JsonObject) -> int:
    limit = params.get("max_chunks", CHUNKS)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_CHUNKS:
        raise InvalidRequest(f"max_chunks must be a whole number from 1 to {MOST_CHUNKS}.", param="params.max_chunks")
    return limit


def _mode(params: JsonObject) -> Any:  # noqa: ANN401 - one of three names, or None
    mode = params.get("mode")
    if mode not in (None, "vector", "keyword", "hybrid"):
        raise InvalidRequest("mode must be `vector`, `keyword` or `hybrid`.", param="params.mode")
    return mode


def _options(params: JsonObject) -> RankingOptions:
    """`ranker` is an object here, and its options are in it."""
    ranker, threshold = params.get("ranker"), params.get("score_threshold")
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, int | float)):
        raise InvalidRequest("score_threshold must be a number.", param="params.score_threshold")
    if ranker is not None and not is_object(ranker):
        raise InvalidRequest('ranker must be an object, as `{"type": "rrf"}`.', param="params.ranker")
    fields = to_object(ranker)
    kind = fields.get("type")
    if ranker is not None and kind not in RANKERS:
        raise InvalidRequest(
            f"There is no ranker `{shorten(str(kind), 64)}`: there are {', '.join(RANKERS)}.",
            param="params.ranker.type",
        )
    options: JsonObject = {"ranker": kind, "score_threshold": threshold}
    for name in ("impact_factor", "alpha"):
        value = fields.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InvalidRequest(f"{name} must be a number.", param=f"params.ranker.{name}")
        least, most = (0, 1) if name == "alpha" else (sys.float_info.min, MOST_IMPACT)
        if value is not None and not least <= value <= most:
            bounds = "from 0 to 1" if name == "alpha" else f"above 0, and {MOST_IMPACT} at most"
            raise InvalidRequest(f"{name} must be {bounds}.", param=f"params.ranker.{name}")
        options[name] = None if value is None else float(value)
    if kind == "neural":
        options |= _neural(fields)
    # `alpha` of an rrf, and `impact_factor` of another, are nothing in 0.2
    options["alpha"] = options["alpha"] if kind == "weighted" else None
    options["impact_factor"] = options["impact_factor"] if kind == "rrf" else None
    return RankingOptions(**options)


def _neural(fields: JsonObject) -> JsonObject:
    """The model that ranks, and the weights of its scores and of those before it."""
    model, weights = fields.get("model"), fields.get("weights")
    if model is not None and not isinstance(model, str):
        raise InvalidRequest("model must be the id of a rerank model.", param="params.ranker.model")
    numbers = to_object(weights)
    if weights is not None and not (
        is_object(weights)
        and all(type(weight) in (int, float) and 0 <= weight <= MOST_WEIGHT for weight in numbers.values())
    ):
        raise InvalidRequest(
            f"weights must be an object of numbers from 0 to {MOST_WEIGHT}.", param="params.ranker.weights"
        )
    return {"model": model, "weights": {name: float(weight) for name, weight in numbers.items()} or None}
