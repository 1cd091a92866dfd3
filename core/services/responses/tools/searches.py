"""The searches that the stack makes for a model: of vector stores, and of the web."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.apis.retrieval import Passage, Retrieval, RetrievalQuery
from core.apis.tools import GroupTool, ToolAccess, ToolResult, Tools
from core.config.vector_stores import VectorStoresConfig
from core.errors import ApiError, InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.platform.json_values import is_list, is_object, to_object
from core.services.responses.contract import Item, RunTool, Step, StepDone, StepPhase, ToolCall
from core.services.responses.tools.results import (
    ENDS_RUN,
    MOST_TOLD,
    cut,
    read_arguments,
    read_texts,
    text_of_result,
)
from core.services.responses.tools.shapes import FileSearchShape, WebSearchShape
from core.services.responses.tools.told import FILE_SEARCH, WEB_SEARCH, tell_item

MOST_QUERIES: Final = 8  # of one call
MOST_SOURCES: Final = 100
QUERY: Final[JsonObject] = {"type": "string", "description": "What to look for, in words."}
MORE_QUERIES: Final[JsonObject] = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Further wordings of the question, or parts of it, to look for as well.",
}
FILES: Final = "Search the files that are there for this conversation for passages that help to answer."
WEB: Final = "Search the web. Answers the best results with their titles, URLs and excerpts."
NO_QUERY: Final = "The arguments have no `query`. Call the tool again with what to look for."


@dataclass(frozen=True, slots=True)
class Search:
    """A search that can be made; `make` is given the name by which the model knows it."""

    name: str
    make: Callable[[str], RunTool]


@dataclass(frozen=True, slots=True)
class FileSearchTool:
    definition: JsonObject
    retrieval: Retrieval
    shape: FileSearchShape
    config: VectorStoresConfig
    hosted: bool = True
    counted: bool = True
    streams_arguments: bool = False

    def begin(self, call_id: str) -> Item | None:
        del call_id
        return {"type": "file_search_call", "status": "in_progress", "queries": [], "results": None}

    async def run(self, call: ToolCall, item: Item | None) -> AsyncGenerator[Step]:
        yield StepPhase("in_progress")
        done: Item = {**(item or {}), **(self.begin(call.call_id) or {})}
        try:
            done["queries"] = read_queries(call.arguments)
            yield StepPhase("searching")
            passages = await self.retrieval.retrieve(query_of(self.shape, done["queries"]))
        except ENDS_RUN:
            raise
        except ApiError as failure:
            yield StepDone({**done, "status": "failed"}, f"The search failed: {failure.message}")
            return
        yield StepPhase("completed")
        done |= {"status": "completed", "results": [_show(passage) for passage in passages]}
        translation = tell_item(done, config=self.config)
        yield StepDone(done, "" if translation is None else translation.output, passages)


@dataclass(frozen=True, slots=True)
class WebSearchTool:
    definition: JsonObject
    tools: Tools
    shape: WebSearchShape
    tool: GroupTool
    hosted: bool = True
    counted: bool = True
    streams_arguments: bool = False

    def begin(self, call_id: str) -> Item | None:
        del call_id
        return {"type": "web_search_call", "status": "in_progress", "action": {"type": "search", "query": ""}}

    async def run(self, call: ToolCall, item: Item | None) -> AsyncGenerator[Step]:
        yield StepPhase("in_progress")
        done: Item = {**(item or {}), **(self.begin(call.call_id) or {})}
        try:
            query = read_queries(call.arguments)[0]
            done["action"] = {"type": "search", "query": query, "queries": [query]}
            yield StepPhase("searching")
            result = await self.tools.call(self.tool, self._arguments(query), ToolAccess(key=call.key))
        except ENDS_RUN:
            raise
        except ApiError as failure:
            yield StepDone({**done, "status": "failed"}, f"The search failed: {failure.message}")
            return
        if result.failed:
            yield StepDone({**done, "status": "failed"}, cut(f"The search failed: {text_of_result(result)}"))
            return
        yield StepPhase("completed")
        sources, results = read_pages(result)
        links = [{"type": "url", "url": source["url"]} for source in sources]
        done |= {"status": "completed", "action": {**done["action"], "sources": links}, "results": results}
        translation = tell_item(done)
        yield StepDone(done, "" if translation is None else translation.output, sources=sources)

    def _arguments(self, query: str) -> JsonObject:
        """With what the request says of a search, as far as the engine's tool takes it."""
        parameters = to_object(self.tool.tool.input_schema.get("properties"))
        return {name: value for name, value in self.shape.arguments.items() if name in parameters} | {"query": query}


async def find_file_search(retrieval: Retrieval, shape: FileSearchShape, config: VectorStoresConfig) -> Search:
    """Raises NotFound for a store that the caller may not read, and InvalidRequest; nothing is searched."""
    try:
        await retrieval.check(query_of(shape, ()))
    except (InvalidRequest, NotFound) as refused:
        param = refused.param if isinstance(refused, InvalidRequest) else None
        path = f"{shape.path}.{param or 'vector_store_ids'}"
        raise type(refused)(f"{path}: {refused.message}", param=path) from None

    def make(name: str) -> FileSearchTool:
        return FileSearchTool(define_file_search(name), retrieval, shape, config)

    return Search(FILE_SEARCH, make)


async def find_web_search(tools: Tools, shape: WebSearchShape) -> Search:
    """Raises InvalidRequest where the caller may use none."""
    try:
        tool = await tools.find_web_search()
    except NotFound as missing:
        raise InvalidRequest(f"{shape.path}: {missing.message}", param=f"{shape.path}.type") from None

    def make(name: str) -> WebSearchTool:
        return WebSearchTool(define_web_search(name), tools, shape, tool)

    return Search(WEB_SEARCH, make)


def define_file_search(name: str = FILE_SEARCH) -> JsonObject:
    return _define(name, FILES, {"query": QUERY, "queries": MORE_QUERIES})


def define_web_search(name: str = WEB_SEARCH) -> JsonObject:
    return _define(name, WEB, {"query": QUERY})


def query_of(shape: FileSearchShape, queries: Sequence[str]) -> RetrievalQuery:
    return RetrievalQuery(
        queries, shape.store_ids, limit=shape.limit, filters=shape.filters, ranking_options=shape.ranking_options
    )


def read_queries(arguments: str) -> list[str]:
    """Each once, `query` first; raises InvalidRequest where there is none."""
    values = read_arguments(arguments)
    queries = list(dict.fromkeys([*read_texts(values.get("query")), *read_texts(values.get("queries"))]))
    if not queries:
        raise InvalidRequest(NO_QUERY)
    return queries[:MOST_QUERIES]


def read_pages(result: ToolResult) -> tuple[list[JsonObject], list[JsonObject]]:
    """Where the results are from, `{url, title}`, and the results that are kept: as the engine's tool has them, or their text."""
    text = text_of_result(result)
    try:
        answer = to_object(read_json(text, allow_nan=True))
    except ValueError:
        answer = {}
    rows = [row for value in answer.values() if is_list(value) for row in value if is_object(row)]
    places = [row for row in (*map(to_object, _sources(result.metadata)), *rows) if isinstance(row.get("url"), str)]
    titles = {row["url"]: row["title"] for row in places if isinstance(row.get("title"), str)}
    urls = dict.fromkeys(row["url"] for row in places)
    sources = [{"url": url, "title": titles.get(url) or url} for url in [*urls][:MOST_SOURCES]]
    return sources, _bound(rows) if rows else [{"text": cut(text)}] if text and not answer else []


def _sources(metadata: Mapping[str, object]) -> Sequence[object]:
    sources = metadata.get("sources")
    return sources if is_list(sources) else ()


def _bound(rows: Sequence[JsonObject]) -> list[JsonObject]:
    """The first, as far as a model is told of them."""
    from core.services.tools.shown import size_of

    first, size = list[JsonObject](), 0
    for row in rows:
        size += size_of(row)
        if first and size > MOST_TOLD:
            break
        first.append(row)
    return first


def _show(passage: Passage) -> JsonObject:
    return {
        "file_id": passage.document_id,
        "filename": passage.filename or passage.document_id,
        "score": passage.score,
        "text": passage.text,
        "attributes": dict(passage.attributes),
    }


def _define(name: str, description: str, properties: JsonObject) -> JsonObject:
    schema = {"type": "object", "properties": properties, "required": ["query"]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
