"""`inline::file-search` of OGX 1.5: the tool `file_search`."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from core.apis.tools import ToolProvider
from core.config.fetch import FetchConfig
from core.providers.http.fetch import GuardedFetcher
from core.providers.retrieval.knowledge import KnowledgeTool

DESCRIPTION: Final = "Search files for relevant information"


class Config(BaseModel):
    """`fetch` is how documents are fetched that a caller names by their URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fetch: FetchConfig = FetchConfig.model_construct()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ToolProvider:
    """Over the vector stores of this stack."""
    del provider_id
    return KnowledgeTool("file_search", DESCRIPTION, deps["retrieval"], GuardedFetcher(config.fetch))
