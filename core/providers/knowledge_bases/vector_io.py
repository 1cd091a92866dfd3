"""Knowledge bases of Amazon Bedrock as vector stores that are searched alone: the service fills them, and makes the vectors.

A store of the run config has the id or the ARN of one as its `provider_vector_store_id`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from core.apis.vector_io import Chunk, ScoredChunk, VectorCapabilities, VectorIndex, VectorIOProvider, VectorQuery
from core.errors import ApiError, InvalidRequest, ProviderUnavailable, UpstreamFailed
from core.frame.types import Health
from core.platform.aws_errors import Fault, fault_of
from core.providers.aws.clients import AwsClients, AwsConfig
from core.providers.bedrock.errors import translate_errors
from core.providers.http.replies import health_of
from core.providers.knowledge_bases import wire

SERVICE: Final = "bedrock-agent-runtime"


class Config(AwsConfig):
    """What every provider of AWS takes: which knowledge base is asked, each store says."""


class KnowledgeBases:
    """Every search is one request; nothing is kept of it."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """The SDK is imported and its client is opened at the first call."""
        self._provider_id = provider_id
        self._clients = AwsClients(config)

    @property
    def capabilities(self) -> VectorCapabilities:
        return wire.CAPABILITIES

    def warm(self) -> None:
        """Import what the first call would wait for."""
        self._clients.warm(SERVICE)

    async def create(self, index: VectorIndex) -> None:
        self._refuse(index)

    async def drop(self, index: VectorIndex) -> None:
        self._refuse(index)

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        del chunks
        self._refuse(index)

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        """Nothing: a knowledge base is searched alone."""
        del index, keys, with_vectors
        return []

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        del keys
        self._refuse(index)

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        arguments = wire.print_query(index, query)
        if not wire.NAME.fullmatch(index.name):
            raise ProviderUnavailable(
                f"The vector store `{index.store_id}` needs the id or the ARN of a knowledge base as its `provider_vector_store_id` in the "
                "run config."
            )
        if arguments is None:
            return []
        try:
            with translate_errors(self._provider_id, arguments):
                answer = await (await self._clients.client(SERVICE)).retrieve(**arguments)
                scored = [wire.read_result(result) for result in answer["retrievalResults"]]
        except ApiError as failure:
            raise self._own_failure(index, failure) from failure
        return sorted(scored, key=lambda one: -one.score)[: query.limit]

    async def health(self) -> Health:
        """Whether there are credentials: no right is needed to search that says more without a search."""
        return await health_of(self._probe())

    async def close(self) -> None:
        await self._clients.close()

    async def _probe(self) -> None:
        with translate_errors(self._provider_id):
            await self._clients.credentials()

    def _own_failure(self, index: VectorIndex, failure: ApiError) -> ApiError:
        cause = failure.__cause__
        match fault_of(cause) if isinstance(cause, Exception) else None:
            case Fault.PERMISSION:
                return UpstreamFailed(
                    f"Provider `{self._provider_id}` may not search the knowledge base of `{index.store_id}`: the stack's role needs "
                    "`bedrock:Retrieve` on it, which `llambda iam` prints."
                )
            case Fault.MISSING:
                return ProviderUnavailable(
                    f"Provider `{self._provider_id}` has no knowledge base `{index.name}` in its region: correct "
                    f"`provider_vector_store_id` of `{index.store_id}` in the run config, or `region_name` of the provider."
                )
            case _:
                return failure

    def _refuse(self, index: VectorIndex) -> NoReturn:
        raise InvalidRequest(
            f"Provider `{self._provider_id}` is of knowledge bases, which Amazon Bedrock fills itself: nothing can be made, put or removed in "
            f"`{index.store_id}` here. Declare a knowledge base at `vector_stores` of the run config, and add documents to its data source.",
            param="vector_store_id",
        )


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> VectorIOProvider:
    """A provider over the knowledge bases of one region; it depends on no other API."""
    del deps
    return KnowledgeBases(provider_id, config)
