"""A tool for each vector store that a caller may read: it searches it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.apis.tools import Tool, ToolResult
from core.errors import InvalidRequest, NotFound
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.mcp.naming import NAME, SEARCH, store_name
from core.services.parts import Parts, surface_for

if TYPE_CHECKING:
    from core.apis.retrieval import Passage, Retrieval, RetrievalQuery
    from core.apis.vector_io import NamedStore
    from core.apis.vector_stores import VectorStores

MOST_STORES: Final = 100
"""Of the newest, a tool each: a client that gave its model more could do nothing with them."""
MOST_RESULTS: Final = 50
RESULTS: Final = 5  # where a call does not say
LONGEST_NAME: Final = 64  # characters of an argument that there is not
LONGEST_SHOWN: Final = 512  # characters of a store's name or description, which a caller wrote
SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What to look for, in words."},
        "max_num_results": {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_RESULTS,
            "default": RESULTS,
            "description": "How many passages at most.",
        },
        "filters": {
            "type": "object",
            "description": 'Which passages: {"type": "eq", "key": "year", "value": 2026}, or {"type": "and", "filters": [...]}; '
            "types are eq, ne, gt, gte, lt, lte, in, nin, and, or.",
        },
    },
    "required": ["query"],
    "additionalProperties": False,
}
PASSAGE: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "score": {"type": "number"},
        "file_id": {"type": "string"},
        "filename": {"type": "string"},
        "attributes": {"type": "object"},
    },
    "required": ["text", "score", "file_id", "filename", "attributes"],
}
OUTPUT: Final[JsonObject] = {
    "type": "object",
    "properties": {"results": {"type": "array", "items": PASSAGE}},
    "required": ["results"],
}


@dataclass(frozen=True, slots=True)
class StoreTools:
    """Those of one caller; a stack without vector stores has none."""

    parts: Parts
    call: Call | None

    async def list(self) -> dict[str, Tool]:
        """By name; with the newest MOST_STORES of them, which are not expired."""
        stores = self._stores()
        if stores is None:
            return {}
        return {_name_of(store): _tool(store) for store in await stores.list_names(limit=MOST_STORES)}

    async def find(self, name: str) -> "NamedStore | None":
        """The store whose tool has this name; it need not be listed."""
        stores = self._stores()
        if stores is None or not name.startswith(SEARCH) or not NAME.fullmatch(name):
            return None
        with suppress(NotFound):
            store = await stores.find_name(name.removeprefix(SEARCH))
            if _name_of(store) == name:
                return store
        return next((store for store in await stores.list_names(limit=MOST_STORES) if _name_of(store) == name), None)

    async def search(self, store: "NamedStore", arguments: JsonObject) -> ToolResult:
        """The passages, as text with their sources, and structured; raises what a search does."""
        retrieval: Retrieval = surface_for(self.parts, "retrieval", self.call)
        passages = await retrieval.retrieve(_query_of(store.id, arguments))
        return ToolResult(_text(passages), structured={"results": [_show(passage) for passage in passages]})

    def _stores(self) -> "VectorStores | None":
        surface: VectorStores | None = surface_for(self.parts, "vector_io", self.call)
        return surface


def _query_of(store_id: str, arguments: JsonObject) -> "RetrievalQuery":
    """Raises InvalidRequest for what SCHEMA has not."""
    from core.apis.retrieval import RetrievalQuery

    query, most = arguments.get("query"), arguments.get("max_num_results", RESULTS)
    if unknown := sorted(arguments.keys() - SCHEMA["properties"].keys()):
        raise InvalidRequest(
            f"There is no argument `{unknown[0][:LONGEST_NAME]}`; there are: {', '.join(SCHEMA['properties'])}."
        )
    if not isinstance(query, str):
        raise InvalidRequest("`query` must be a string.")
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MOST_RESULTS:
        raise InvalidRequest(f"`max_num_results` must be a whole number from 1 to {MOST_RESULTS}.")
    return RetrievalQuery([query], [store_id], limit=most, filters=arguments.get("filters"))


def _name_of(store: "NamedStore") -> str:
    return store_name(store.id, store.name, declared=store.declared)


def _tool(store: "NamedStore") -> Tool:
    title = _short(store.name or store.id)
    about = f" {_short(store.description)}" if store.description else ""
    return Tool(
        _name_of(store),
        f"Search the vector store `{title}` for passages about a question.{about}",
        SCHEMA,
        OUTPUT,
        title=f"Search {title}",
        read_only=True,
    )


def _short(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST_SHOWN]).strip()


def _show(passage: "Passage") -> JsonObject:
    return {
        "text": passage.text,
        "score": passage.score,
        "file_id": passage.document_id,
        "filename": passage.filename,
        "attributes": dict(passage.attributes),
    }


def _text(passages: "Sequence[Passage]") -> str:
    if not passages:
        return "Nothing was found."
    return "\n\n".join(f"[{row.index}] {row.filename or row.document_id}\n{row.text}" for row in passages)
