"""`inline::rag-runtime` of Llama Stack 0.2: the tool `knowledge_search`, and what fetches documents for the RAG tool."""

from collections.abc import Mapping
from typing import Any, Final

from core.apis.tools import ToolProvider
from core.providers.http.fetch import GuardedFetcher
from core.providers.retrieval.knowledge import Config, KnowledgeTool

__all__ = ["Config", "connect"]

DESCRIPTION: Final = "Search for information in a database."


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ToolProvider:
    """Over the vector stores of this stack."""
    del provider_id
    return KnowledgeTool("knowledge_search", DESCRIPTION, deps["retrieval"], GuardedFetcher(config.fetch))
