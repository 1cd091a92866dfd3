"""Reranking: documents in the order of how much they are about a query. Cohere's wire, which Jina, vLLM and others speak, and Llama Stack's.

Sources: https://docs.cohere.com/reference/rerank, https://jina.ai/reranker,
https://docs.vllm.ai/en/latest/serving/openai_compatible_server/, RerankRequest of OGX 1.5.0.
"""

from typing import Annotated, Any, Final, Protocol, Self, override, runtime_checkable

from pydantic import Field, WithJsonSchema, model_validator

from core.apis.answers.rerank import NativeRanking, Ranking
from core.apis.inference import MOST_DOCUMENTS, PER_SEARCH, InferenceProvider, Name, check_names
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.types import JsonObject, Wire
from core.platform.json_values import is_list, is_object, to_object

IMAGES: Final = frozenset({"image", "image_url"})
MOST_COUNT: Final = 2**53  # of tokens, that any store and any client can count
MOST_SCORE: Final = 1e12  # logits are far below; no whole number above can become a float

PART_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}
TEXT_SCHEMA: Final[JsonObject] = {"anyOf": [{"type": "string"}, PART_SCHEMA]}
type RankedText = Annotated[Any, WithJsonSchema(TEXT_SCHEMA)]
"""A text, or an object with a `text`; where it comes from the stack itself, a text."""


class RerankRequest(Wire):
    """`top_n` is how many results are answered, all if it is not given; `return_documents` puts each document into its result."""

    model: Name
    query: RankedText
    documents: Annotated[list[RankedText], Field(min_length=1)]
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_names(self.__pydantic_extra__)
        return self

    @override
    def check_body(self) -> None:
        if (self.model_extra or {}).get("rank_fields") is not None:
            raise InvalidRequest(
                "rank_fields: documents are ranked by their `text` alone; put what counts into it.", param="rank_fields"
            )
        check_texts(self.query, self.documents, "documents")


class NativeRerankRequest(Wire):
    """Llama Stack's: `items` are the documents, as texts or content parts; `max_num_results` is how many are answered."""

    model: Name
    query: RankedText
    items: Annotated[list[RankedText], Field(min_length=1)]
    max_num_results: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_names(self.__pydantic_extra__)
        return self

    @override
    def check_body(self) -> None:
        check_texts(self.query, self.items, "items")


class Reranking(Protocol):
    """The two operations; the results are the best first."""

    async def rerank(self, request: RerankRequest) -> Ranking:
        """Cohere's and Jina's.

        Raises:
            ContentRefused: a shield of the model finds fault with the query or a document.
        """
        ...

    async def native_rerank(self, request: NativeRerankRequest) -> NativeRanking:
        """Llama Stack's; raises as the other."""
        ...


@runtime_checkable
class Reranks(Protocol):
    """A provider that can rerank, and the inference API over such; no provider has to."""

    async def rerank(self, request: RerankRequest) -> JsonObject:
        """Rank documents that are texts: `{"results": [{"index", "relevance_score"}]}`, and `usage`, `meta` or `id` where it says them.

        Which index is a document's, and that all of them are there, is checked by who asks.
        """
        ...


async def rerank_at(provider: InferenceProvider, request: RerankRequest) -> JsonObject:
    """The provider's ranking, once it is one.

    Raises:
        InvalidRequest: it has none.
        UpstreamFailed: what it answered is none.
    """
    if not isinstance(provider, Reranks):
        raise InvalidRequest(
            f"Model `{request.model}` is of a provider that does not rerank: register it with one that does, as `remote::bedrock`, "
            "`remote::vllm` or `remote::openai-compatible`.",
            param="model",
        )
    return check_ranking(await provider.rerank(request), len(request.documents), request.top_n)


def check_texts(query: object, documents: list[Any], name: str) -> None:
    """Raises InvalidRequest for what no model ranks; `name` is what the documents are called."""
    if len(documents) > MOST_DOCUMENTS:
        raise InvalidRequest(
            f"{name}: has {len(documents)} entries; one request takes at most {MOST_DOCUMENTS}. Send several, and put the results "
            "together by their scores.",
            param=name,
        )
    if not text_at(query, "query").strip():
        raise InvalidRequest("query: is empty.", param="query")
    for place, document in enumerate(documents):
        text_at(document, f"{name}[{place}]")


def text_at(value: object, path: str) -> str:
    """The text of a query or a document; raises InvalidRequest, whose param is the path."""
    match value:
        case str():
            return value
        case {"text": str(text)}:
            return text
        case _ if not IMAGES.isdisjoint(to_object(value)):
            raise InvalidRequest(f"{path}: images are not ranked here; send a text.", param=path)
        case _:
            raise InvalidRequest(f"{path}: must be a text, or an object with a `text`.", param=path)


def check_ranking(reply: JsonObject, count: int, top_n: int | None) -> JsonObject:
    """Of an answer to `count` documents what is read of it: the `top_n` best, and its usage.

    Raises:
        UpstreamFailed: an index is of no document, or of one that was there before, a score is no number, or results are missing.
    """
    rows: object = reply.get("results")
    if not is_list(rows):
        raise _failure("has no results")
    scores: dict[int, float] = {}
    for row in rows:
        index: Any = to_object(row).get("index")
        score: Any = to_object(row).get("relevance_score")
        if type(index) is not int or not 0 <= index < count or index in scores:
            raise _failure("has a result of no document, or two of one")
        if type(score) not in (int, float) or not -MOST_SCORE <= score <= MOST_SCORE:
            raise _failure("has a score that is no number")
        scores[index] = float(score)
    most = min(top_n or count, count)
    if len(scores) < most:
        raise _failure(f"has {len(scores)} results, and {most} were asked for")
    ranked = sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))[:most]
    answer: JsonObject = {"results": [{"index": index, "relevance_score": score} for index, score in ranked]}
    if (tokens := _tokens(reply)) is not None:
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer |= {"meta": reply["meta"]} if is_object(reply.get("meta")) else {}
    return answer | ({"id": reply["id"]} if isinstance(reply.get("id"), str) else {})


def _tokens(reply: JsonObject) -> int | None:
    """Jina, vLLM and Together say them in `usage`, Cohere in `meta`; a reranker makes none."""
    usage, tokens = to_object(reply.get("usage")), to_object(to_object(reply.get("meta")).get("tokens"))
    counts = [usage.get("total_tokens"), usage.get("prompt_tokens"), tokens.get("input_tokens")]
    for count in counts:
        if isinstance(count, int | float) and 0 <= count <= MOST_COUNT and not isinstance(count, bool):
            return int(count)
    return None


def _failure(reason: str) -> UpstreamFailed:
    return UpstreamFailed(f"The provider's ranking {reason}.")


def count_searches(request: RerankRequest) -> int:
    """As how many requests it counts: a search has up to 100 documents."""
    return -(-len(request.documents) // PER_SEARCH)


def count_native_searches(request: NativeRerankRequest) -> int:
    return -(-len(request.items) // PER_SEARCH)
