"""The RAG tool by the client of 0.2, and its search as a tool."""

from typing import Any

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import refusal, run

QUERY: dict[str, Any] = {
    "max_chunks": 2,
    "max_tokens_in_context": 4096,
    "chunk_template": "{index}: {chunk.content}\n",
    "query_generator_config": {"type": "default", "separator": " "},
}


def client(url: str) -> Any:
    module, make_client = package()
    return make_client(module, url, "none")


def make(url: str, name: str) -> None:
    api = client(url)
    api.vector_dbs.register(vector_db_id=name, embedding_model="words", embedding_dimension=64, provider_id="vectors")
    documents: list[dict[str, Any]] = [
        {
            "document_id": "sun",
            "content": "The sun is a star.",
            "mime_type": "text/plain",
            "metadata": {"topic": "sky"},
        },
        {"document_id": "tea", "content": {"uri": "data:text/plain,Tea%20is%20a%20drink."}, "metadata": {}},
    ]
    api.tool_runtime.rag_tool.insert(documents=documents, vector_db_id=name, chunk_size_in_tokens=512)


def documents_are_inserted_and_told(url: str) -> None:
    make(url, "told")
    tool = client(url).tool_runtime.rag_tool
    answer = tool.query(content="a drink", vector_db_ids=["told"])
    assert [item.type for item in answer.content] == ["text"] * 5
    assert answer.content[0].text.startswith("knowledge_search tool found 2 chunks:\nBEGIN")
    assert answer.content[1].text.startswith("Result 1\nContent: Tea is a drink.\nMetadata: {'document_id': 'tea'}")
    assert answer.metadata["document_ids"] == ["tea", "sun"]
    own = tool.query(content=[{"type": "text", "text": "sun"}], vector_db_ids=["told"], query_config=QUERY)
    assert own.content[1].text == "1: The sun is a star.\n"
    chunks = client(url).vector_io.query(vector_db_id="told", query="sun").chunks
    assert chunks[0].metadata == {"topic": "sky", "document_id": "sun"}
    client(url).vector_dbs.unregister("told")


def what_is_not_there_is_a_404_and_no_store_a_400(url: str) -> None:
    tool, errors = client(url).tool_runtime.rag_tool, package()[0]
    refusal(errors.NotFoundError, lambda: tool.query(content="a", vector_db_ids=["nowhere"]))
    refusal(errors.BadRequestError, lambda: tool.query(content="a", vector_db_ids=[]))
    refusal(errors.NotFoundError, lambda: tool.insert(documents=[], vector_db_id="nowhere", chunk_size_in_tokens=512))


def the_search_is_a_tool_of_a_group(url: str) -> None:
    make(url, "group")
    api = client(url)
    [tool] = api.tool_runtime.list_tools(tool_group_id="builtin::rag")
    assert (tool.name, tool.parameters[0].name) == ("knowledge_search", "query")
    kwargs = {"query": "sun", "vector_db_ids": ["group"], "query_config": QUERY}
    result = api.tool_runtime.invoke_tool(tool_name="knowledge_search", kwargs=kwargs)
    assert (result.content[1].text, result.error_code) == ("1: The sun is a star.\n", 0)
    assert result.metadata["document_ids"][0] == "sun"
    api.vector_dbs.unregister("group")


SCENARIOS = (
    documents_are_inserted_and_told,
    what_is_not_there_is_a_404_and_no_store_a_400,
    the_search_is_a_tool_of_a_group,
)

if __name__ == "__main__":
    run(SCENARIOS)
