"""Knowledge Bases' Retrieve on loopback, for the SDK's own client: REST-JSON, with filters and a ranking that counts words.

What it does not show: how near texts are in meaning, what a data source becomes, rerankers, guardrails, images, managed knowledge
bases, pages, and what each kind of vector store makes of values of mixed types. No signature is checked.
Source: the description of the service in botocore, https://docs.aws.amazon.com/bedrock/latest/userguide/kb-test-config.html.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
import re
from typing import Any, Final, override
from urllib.parse import unquote

from aiohttp import web

from core.providers.knowledge_bases.vector_io import Config, KnowledgeBases
from tests.parts.bedrock import KEYS, REGION
from tests.parts.upstream import FakeUpstream, running

ID: Final = "KB12345678"
ORDERS: Final = {
    "greaterThan": lambda value, other: value > other,
    "greaterThanOrEquals": lambda value, other: value >= other,
    "lessThan": lambda value, other: value < other,
    "lessThanOrEquals": lambda value, other: value <= other,
}


@dataclass
class KnowledgeBaseDouble(FakeUpstream):
    """`documents` are of the one knowledge base that there is: text and metadata; `refuse` are the next answers but good ones."""

    documents: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    refuse: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    results: list[dict[str, Any]] | None = None
    hybrid: bool = True

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        body = self.seen[-1].body
        match = re.fullmatch(r"/knowledgebases/(.+)/retrieve", unquote(request.path))
        if match is None:
            return _refusal(404, "UnknownOperationException", request.path)
        if self.refuse:
            return _refusal(*self.refuse.pop(0))
        if match[1] not in (ID, f"arn:aws:bedrock:{REGION}:123456789012:knowledge-base/{ID}"):
            return _refusal(404, "ResourceNotFoundException", f"Knowledge Base with id {match[1]} does not exist")
        search = body["retrievalConfiguration"]["vectorSearchConfiguration"]
        if search["overrideSearchType"] == "HYBRID" and not self.hybrid:
            return _refusal(
                400, "ValidationException", "HYBRID search type is not supported for search operation on index x"
            )
        results = self._retrieve(body["retrievalQuery"]["text"], search) if self.results is None else self.results
        return web.Response(body=json.dumps({"retrievalResults": results}).encode(), content_type="application/json")

    def _retrieve(self, query: str, search: dict[str, Any]) -> list[dict[str, Any]]:
        words = set(query.lower().split())
        rows: list[dict[str, Any]] = [
            {
                "content": {"type": "TEXT", "text": text},
                "location": {"type": "S3", "s3Location": {"uri": f"s3://docs/{place}.txt"}},
                "metadata": {"x-amz-bedrock-kb-chunk-id": f"chunk-{place}", **metadata},
                "score": len(words & set(text.lower().split())) / max(1, len(words)),
            }
            for place, (text, metadata) in enumerate(self.documents)
            if "filter" not in search or holds(search["filter"], metadata)
        ]
        return sorted(rows, key=lambda row: -row["score"])[: search["numberOfResults"]]


def holds(tree: dict[str, Any], metadata: Mapping[str, Any]) -> bool:
    """As the description of the service says it."""
    [(operator, operand)] = tree.items()
    if operator in {"andAll", "orAll"}:
        assert len(operand) >= 2, "a group has two parts at least"
        return (all if operator == "andAll" else any)(holds(part, metadata) for part in operand)
    is_there = operand["key"] in metadata
    value, other = metadata.get(operand["key"]), operand["value"]
    match operator:
        case "equals":
            return is_there and _equal(value, other)
        case "notEquals":
            return not is_there or not _equal(value, other)
        case "in":
            assert len({_kind(one) for one in other}) == 1, "a list is of one type"
            return is_there and any(_equal(value, one) for one in other)
        case _:
            return is_there and _kind(value) == "number" and ORDERS[operator](value, other)


def _equal(value: object, other: object) -> bool:
    return _kind(value) == _kind(other) and value == other


def _kind(value: object) -> str:
    return "boolean" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"


def _refusal(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status, headers={"x-amzn-ErrorType": kind})


def config_of(double: KnowledgeBaseDouble, **more: Any) -> dict[str, Any]:
    return {"endpoint_url": double.url, "region_name": REGION, "total_max_attempts": 1, **KEYS, **more}


@asynccontextmanager
async def knowledge_bases(**of: Any) -> AsyncGenerator[tuple[KnowledgeBaseDouble, KnowledgeBases]]:
    double = KnowledgeBaseDouble(**of)
    async with running(double):
        provider = KnowledgeBases("kb", Config(**config_of(double)))
        try:
            yield double, provider
        finally:
            await provider.close()
