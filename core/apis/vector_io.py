"""Vector stores: what a provider of the API keeps of them, and how it is asked.

Sources: VectorIO of Llama Stack 0.2.12 and OGX 1.5.0, https://platform.openai.com/docs/api-reference/vector-stores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from core.apis.vector_filters import Filter, Scalar
from core.frame.types import Health

type Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """What a provider keeps of one vector store: `name` is the store's id at the provider, `dimension` that of its vectors."""

    store_id: str
    name: str
    dimension: int
    embedding_model: str = ""


@dataclass(frozen=True, slots=True)
class NamedStore:
    """What a vector store is called; `declared`: by the run config."""

    id: str
    name: str = ""
    description: str = ""
    declared: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of text, with its vector.

    `key` is unique in its index, 1 to 512 characters of ASCII; of a file's chunks `FILE_ID#N`, N from 0. `attributes` are what filters are
    about; `metadata` is JSON that comes back as it was, at most 8 KB of it. `source` is the file's id, or the document's.
    """

    key: str
    text: str
    vector: Vector = field(default=(), repr=False)
    attributes: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    metadata: str = ""
    source: str = ""
    filename: str = ""


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """`score` is from 0 to 1, the best first; `chunk.vector` is empty unless it was asked for."""

    chunk: Chunk
    score: float


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """With a `vector` what is near to it, with a `text` what has its words, with both (where a provider can) both rankings fused.

    A provider that `embeds` has the text alone: what is near to it in meaning, and with `hybrid` what has its words too. At most `limit` chunks for which `filter` holds: it is applied before the search, never to what was found.
    """

    vector: Vector | None = field(default=None, repr=False)
    text: str | None = None
    filter: Filter | None = None
    limit: int = 10
    with_vectors: bool = False
    hybrid: bool = False


@dataclass(frozen=True, slots=True)
class VectorCapabilities:
    """What a provider can do, for the service to print its errors by and to do itself what is missing.

    `hybrid`: it fuses a vector's ranking and a text's itself, by reciprocal ranks with a constant of 60; where it cannot, or other weights are asked for,
    the service asks twice. `filtered_bytes` bounds the attributes of one chunk as JSON. `writable` is False of a store that
    is filled elsewhere, `removable` of one whose chunks stay until the whole index goes: no file is added to it. `listing`: it is
    a VectorListing too. `embeds`: it makes the vectors of texts itself, and no embedding model is asked.
    """

    keyword: bool = False
    hybrid: bool = False
    most_dimensions: int = 4096
    most_results: int = 100
    filtered_bytes: int = 2048
    writable: bool = True
    removable: bool = True
    listing: bool = False
    embeds: bool = False


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys of an index; `next` is where the others begin, "" at the end. A page may be empty before the end."""

    keys: Sequence[str]
    next: str = ""


type SearchMode = Literal["vector", "keyword", "hybrid"]


class VectorIOProvider(Protocol):
    """A place for vectors. Every method raises ProviderUnavailable, or another failure of `core.errors`, where it cannot be reached.

    All writes are idempotent: what may be asked twice is asked again by whoever saw no answer.
    """

    @property
    def capabilities(self) -> VectorCapabilities: ...

    async def create(self, index: VectorIndex) -> None:
        """Make the index; one that is there already, with this dimension, is left as it is.

        Raises:
            InvalidRequest: it cannot have this dimension.
            Conflict: it is there with another one.
        """
        ...

    async def drop(self, index: VectorIndex) -> None:
        """Remove the index with all that is in it; one that is not there does not matter."""
        ...

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        """Keep the chunks, each in the place of one with its key; searches see them when this returns. Makes the index where it is missing.

        Raises:
            InvalidRequest: a key, a vector, a text or the attributes of one cannot be kept; then none is. Vectors of zeros are refused by some.
            Conflict: the index has another dimension.
        """
        ...

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        """The chunks with these keys, in their order; what is not there is left out."""
        ...

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        """Remove the chunks; those that are not there do not matter."""
        ...

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        """The best first; an index that is not there has nothing.

        Raises:
            InvalidRequest: the query is not of its capabilities, or its vector has another dimension.
        """
        ...

    async def health(self) -> Health:
        """Ask the provider; never raises for one that is down."""
        ...


class VectorListing(Protocol):
    """What a VectorIOProvider can beside, if it says so: tell what is in an index, so that it can be copied."""

    async def keys(self, index: VectorIndex, *, prefix: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        """At most `limit` keys that begin with `prefix`, each once, in an order of the provider's; `after` is the `next` of a page before.

        What is put or deleted meanwhile may be in a page or not; an index that is not there has none.
        """
        ...
