"""`inline::file-search` of OGX 1.5: the tool `file_search`."""

from collections.abc import Mapping
from typing import Any, Final

from core.apis.tools import ToolProvider
from core.providers.http.fetch import GuardedFetcher
from core.providers.retrieval.knowledge import Config, KnowledgeTool

__all__ = ["Config", "connect"]

DESCRIPTION: Final = "Search files for relevant information"


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ToolProvider:
    """Over the vector stores of this stack."""
    del provider_id
    return KnowledgeTool("file_search", DESCRIPTION, deps["retrieval"], GuardedFetcher(config.fetch))
