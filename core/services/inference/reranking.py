"""The two operations of reranking over one: requests are read into texts, and their answers written for each."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, cast
from uuid import uuid4

from core.apis.answers.rerank import NativeRanking, RankedDocument, Ranking
from core.apis.rerank import NativeRerankRequest, RerankRequest, Reranks, text_at
from core.errors import ApiError
from core.frame.types import JsonObject
from core.platform.json_values import is_object

NATIVE_NAMES: Final = {"documents": "items", "top_n": "max_num_results"}


class RerankRouter:
    """The `Reranking` that callers get."""

    def __init__(self, inference: Reranks) -> None:
        self._inference = inference

    async def rerank(self, request: RerankRequest) -> Ranking:
        ranking = await self._inference.rerank(_as_texts(request))
        answer: JsonObject = {"id": f"rerank-{uuid4().hex}", **ranking, "model": request.model}
        if request.return_documents:
            answer["results"] = [_with_document(row, request.documents) for row in answer["results"]]
        return cast("Ranking", answer)

    async def native_rerank(self, request: NativeRerankRequest) -> NativeRanking:
        fields = {**(request.model_extra or {}), "model": request.model, "query": request.query}
        fields |= {"documents": request.items, "top_n": request.max_num_results}
        with _native_names():
            answer = await self._inference.rerank(_as_texts(RerankRequest.model_validate(fields)))
        return {"data": answer["results"]}


def _as_texts(request: RerankRequest) -> RerankRequest:
    """Documents are given back by the stack, which has them, and need not come from the provider."""
    texts = [text_at(document, f"documents[{place}]") for place, document in enumerate(request.documents)]
    query = text_at(request.query, "query")
    plain = {"model": request.model, "query": query, "documents": texts, **(request.model_extra or {})}
    return RerankRequest.model_validate(plain | ({} if request.top_n is None else {"top_n": request.top_n}))


def _with_document(row: RankedDocument, documents: list[Any]) -> RankedDocument:
    document = documents[row["index"]]
    return {**row, "document": document if is_object(document) else {"text": document}}


@contextmanager
def _native_names() -> Generator[None]:
    """Failures name the fields as this operation calls them."""
    try:
        yield
    except ApiError as failure:
        name, bracket, place = (failure.param or "").partition("[")
        if name in NATIVE_NAMES:
            failure.param = NATIVE_NAMES[name] + bracket + place
        raise
