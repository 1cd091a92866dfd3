"""A rerank request in a vendor's shape, and its answer in Cohere's. Pure.

Sources: https://docs.vllm.ai/en/latest/serving/openai_compatible_server/, https://docs.together.ai/reference/rerank,
https://docs.fireworks.ai/api-reference/rerank-documents, https://docs.nvidia.com/nim/nemo-retriever/text-reranking/latest/reference.html.
"""

from pydantic_core import to_json

from core.apis.rerank import RerankRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list, to_object
from core.providers.openai.rows import Rerank, Row


def rerank_of(row: Row, model: str, provider_id: str) -> Rerank:
    """Raises InvalidRequest where the vendor has none."""
    if row.rerank is None:
        raise InvalidRequest(
            f"Model `{model}` is served by provider `{provider_id}` ({row.provider_type}), whose API has no rerank.",
            param="model",
        )
    return row.rerank


def to_body(request: RerankRequest, rerank: Rerank) -> bytes:
    """With the caller's further fields, none of which takes the place of one that was judged."""
    query, documents = request.query, request.documents
    if rerank.wraps:
        query, documents = {"text": query}, [{"text": text} for text in documents]
    body: JsonObject = {"model": request.model, "query": query, rerank.documents: documents}
    if request.top_n is not None and rerank.top_n:
        body[rerank.top_n] = min(request.top_n, len(request.documents))
    return to_json((request.model_extra or {}) | body, inf_nan_mode="constants")


def from_answer(answer: JsonObject, rerank: Rerank) -> JsonObject:
    """What is not of the shape is left to whoever checks it."""
    rows: object = next((answer[name] for name in rerank.results if name in answer), None)
    if is_list(rows):
        objects = [to_object(row) for row in rows]
        rows = [{"index": row.get("index"), "relevance_score": row.get(rerank.score)} for row in objects]
    return {**answer, "results": rows}
