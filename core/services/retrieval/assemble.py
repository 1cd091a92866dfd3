"""Assembles the RAG tool; nothing of it, nor of vector stores, is imported before it is asked."""

from typing import TYPE_CHECKING, Final

from core.errors import InvalidRequest
from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts

if TYPE_CHECKING:
    from core.apis.rag import RagTool

NO_STORES: Final = "This stack has no vector stores: add a provider of `vector_io` to the run config."


def assemble_rag_tool(parts: Parts) -> SurfaceFactory:
    """The surface `rag_tool`, which raises InvalidRequest where the stack was resolved without vector stores."""
    seen: set[str] = set()

    def rag_tool(call: Call | None) -> "RagTool":
        if "retrieval" not in parts.surfaces:
            raise InvalidRequest(NO_STORES)
        from core.services.retrieval.rag_tool import rag_tool_over

        return rag_tool_over(parts, call, seen)

    return rag_tool
