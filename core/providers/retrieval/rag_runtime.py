"""`inline::rag-runtime` of Llama Stack 0.2: the tool `knowledge_search`, and what fetches documents for the RAG tool."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from core.apis.tools import ToolProvider
from core.config.fetch import FetchConfig
from core.providers.http.fetch import GuardedFetcher
from core.providers.retrieval.knowledge import KnowledgeTool

DESCRIPTION: Final = "Search for information in a database."


class Config(BaseModel):
    """`fetch` is how documents are fetched that a caller names by their URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fetch: FetchConfig = FetchConfig.model_construct()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ToolProvider:
    """Over the vector stores of this stack."""
    del provider_id
    return KnowledgeTool("knowledge_search", DESCRIPTION, deps["retrieval"], GuardedFetcher(config.fetch))
