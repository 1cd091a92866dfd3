"""Bedrock's Rerank: a signed POST, since the SDK would read the description of a whole service for it (docs/adr/0072).

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html.
"""

from typing import Final

from pydantic_core import to_json

from core.apis.rerank import RerankRequest
from core.errors import InvalidRequest, ProviderUnavailable, UpstreamFailed
from core.frame.types import JsonObject
from core.platform.aws_sdk import partition_of
from core.platform.json_values import is_list, to_object
from core.platform.signed_json import SignedJson
from core.providers.aws.clients import AwsClients, call_options
from core.providers.bedrock.config import BedrockConfig
from core.providers.bedrock.errors import translate_errors

SERVICE: Final = "bedrock-agent-runtime"
SIGNED_AS: Final = "bedrock"
ATTEMPTS: Final = 3
MOST_CHARACTERS: Final = 32_000  # of a query or a document
MOST_PAGES: Final = 20  # of one ranking


class BedrockRerank:
    """`clients` say who calls, and where."""

    def __init__(self, provider_id: str, config: BedrockConfig, clients: AwsClients) -> None:
        self._provider_id = provider_id
        self._clients = clients
        self._signed = SignedJson(
            SERVICE,
            clients,
            call_options(config, config.region_name, tries=ATTEMPTS, signed_as=SIGNED_AS, dual_stack=False),
        )

    async def rerank(self, request: RerankRequest) -> JsonObject:
        """Raises InvalidRequest for a text that is empty or too long, or what the service refuses."""
        if await self._clients.bearer_token():
            raise ProviderUnavailable(
                f"Provider `{self._provider_id}` has an API key of Bedrock, which Rerank does not take: give it keys of AWS, a profile "
                "or a role, or leave them to the SDK."
            )
        with translate_errors(self._provider_id):
            region = await self._signed.region()
            model = request.model
            arn = model if model.startswith("arn:") else _arn(model, region)
        body, rows = to_rerank(request, arn), list[object]()
        for _ in range(MOST_PAGES):
            with translate_errors(self._provider_id, body):
                page = await self._signed.post("rerank", to_json(body))
            results: object = page.get("results")
            rows += results if is_list(results) else []
            if not page.get("nextToken") or not results:
                return {"results": [_to_result(row) for row in rows]}
            body["nextToken"] = page["nextToken"]
        raise UpstreamFailed(f"Provider `{self._provider_id}` sent a ranking of too many pages.")

    async def close(self) -> None:
        await self._signed.close()


def to_rerank(request: RerankRequest, arn: str) -> JsonObject:
    """The body; fields that the stack does not know go to the model.

    Raises:
        InvalidRequest: Bedrock takes no such text.
    """
    _check(request.query, "query", "The query")
    for place, text in enumerate(request.documents):
        _check(text, f"documents[{place}]", f"Document {place}")
    model: JsonObject = {"modelArn": arn}
    if request.model_extra:
        model["additionalModelRequestFields"] = request.model_extra
    count = len(request.documents)
    ranking = {"modelConfiguration": model, "numberOfResults": min(request.top_n or count, count)}
    return {
        "queries": [{"type": "TEXT", "textQuery": {"text": request.query}}],
        "sources": [
            {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
            for text in request.documents
        ],
        "rerankingConfiguration": {"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": ranking},
    }


def _check(text: str, param: str, subject: str) -> None:
    if not 0 < len(text) <= MOST_CHARACTERS:
        raise InvalidRequest(
            f"{subject} has {len(text)} characters, and Bedrock ranks texts of 1 to {MOST_CHARACTERS}: leave it out, or cut it.",
            param=param,
        )


def _arn(model: str, region: str) -> str:
    return f"arn:{partition_of(region)}:bedrock:{region}::foundation-model/{model}"


def _to_result(row: object) -> JsonObject:
    result = to_object(row)
    return {"index": result.get("index"), "relevance_score": result.get("relevanceScore")}
