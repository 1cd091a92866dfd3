"""What the two operations of reranking answer."""

from typing import Any, NotRequired, TypedDict


class RankedDocument(TypedDict):
    """`index` is the document's place in the request; `document` is there where it was asked for."""

    index: int
    relevance_score: float
    document: NotRequired[dict[str, Any]]


class RankingUsage(TypedDict):
    prompt_tokens: int
    total_tokens: int


class Ranking(TypedDict):
    """`meta` is what a provider of Cohere's shape says, as its billed units."""

    id: str
    model: str
    results: list[RankedDocument]
    usage: NotRequired[RankingUsage]
    meta: NotRequired[dict[str, Any]]


class RankedItem(TypedDict):
    """`index` is the item's place in the request."""

    index: int
    relevance_score: float


class NativeRanking(TypedDict):
    data: list[RankedItem]
