"""Tools that the stack runs: file search, web search, MCP with and without approval."""

import json
from typing import Any

from tests.clients.scripts.harness import run
from tests.clients.scripts.responses.asking import WEATHER, box, kinds, of_kind, openai, streamed
from tests.parts.model_script import Call, Round


def store_of(client: Any, name: str, text: str) -> tuple[str, str]:
    """The ids of a store with one file in it, and of the file."""
    store = client.vector_stores.create(name=name)
    file = client.files.create(file=(name, text.encode()), purpose="assistants")
    added = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    assert added.status == "completed", added
    return store.id, file.id


def file_search_with_citations(url: str) -> None:
    store, file = store_of(openai(url), "tea.txt", "Tea is a drink that is made of leaves.")
    tool = {"type": "file_search", "vector_store_ids": [store], "max_num_results": 2}
    rounds = (Round(calls=(Call("search", {"query": "drink"}),)), Round("Tea is a drink {mark}. Yes."))
    final, events = streamed(url, *rounds, tools=[tool], include=["file_search_call.results"])
    assert kinds(final) == ["file_search_call", "message"]
    found = final.output[0]
    assert (found.queries, found.status) == (["drink"], "completed")
    assert (found.results[0].file_id, found.results[0].filename) == (file, "tea.txt")
    assert found.results[0].text.startswith("Tea is a drink")
    [annotation] = final.output[1].content[0].annotations
    assert final.output_text == "Tea is a drink. Yes."
    assert (annotation.type, annotation.file_id, annotation.filename, annotation.index) == (
        *("file_citation", file, "tea.txt"),
        len("Tea is a drink"),
    )
    phases = ["in_progress", "searching", "completed"]
    assert [event.type for event in of_kind(events, *(f"response.file_search_call.{name}" for name in phases))] == [
        f"response.file_search_call.{name}" for name in phases
    ]
    assert of_kind(events, "response.output_text.annotation.added")
    bare, _ = streamed(url, *rounds, tools=[tool])
    assert bare.output[0].results is None


def web_search(url: str) -> None:
    rounds = (Round(calls=(Call("search", {"query": "news"}),)), Round("It is said [there]({link}) so."))
    tool = {"type": "web_search", "search_context_size": "low"}
    final, events = streamed(url, *rounds, tools=[tool], include=["web_search_call.action.sources"])
    assert kinds(final) == ["web_search_call", "message"]
    search = final.output[0]
    assert (search.status, search.action.type, search.action.query) == ("completed", "search", "news")
    assert search.action.sources[0].url.startswith("https://example.com/")
    assert of_kind(events, "response.web_search_call.searching")
    part = final.output[1].content[0]
    for annotation in part.annotations:
        assert (annotation.type, annotation.url) == ("url_citation", search.action.sources[0].url)
        assert 0 <= annotation.start_index < annotation.end_index <= len(part.text)
    assert part.annotations


def mcp_without_approval(url: str) -> None:
    rounds = (Round(calls=(Call("greet", {"name": "Bo"}), Call("fail"))), Round("It said: {quote}"))
    final, events = streamed(url, *rounds, tools=[box(require_approval="never", authorization="secret-of-bo")])
    assert kinds(final) == ["mcp_list_tools", "mcp_call", "mcp_call", "message"]
    listed, greeted, failed, _ = final.output
    assert [tool.name for tool in listed.tools] == ["greet", "add", "fail", "vanish"]
    assert (greeted.name, greeted.server_label, json.loads(greeted.arguments)) == ("greet", "box", {"name": "Bo"})
    assert (greeted.output, greeted.error) == ("Hello, Bo!", None)
    assert "it failed" in str(failed.error)
    assert final.output_text.startswith("It said: Hello, Bo!")
    assert "secret-of-bo" not in final.model_dump_json()
    for kind in ("mcp_list_tools.in_progress", "mcp_list_tools.completed", "mcp_call.in_progress"):
        assert of_kind(events, f"response.{kind}"), kind
    assert len(of_kind(events, "response.mcp_call.completed")) == 1
    assert len(of_kind(events, "response.mcp_call.failed")) == 1


def mcp_with_approval(url: str) -> None:
    rounds = (Round(calls=(Call("greet", {"name": "Bo"}),)), Round("It said: {quote}"))
    asked, _ = streamed(url, *rounds, tools=[box()])
    assert kinds(asked) == ["mcp_list_tools", "mcp_approval_request"]
    request = asked.output[1]
    assert (request.name, request.server_label, json.loads(request.arguments)) == ("greet", "box", {"name": "Bo"})
    approved, _ = streamed(url, input=[approval(request, approve=True)], previous_response_id=asked.id, tools=[box()])
    assert kinds(approved) == ["mcp_call", "message"]  # the list is the one of before
    assert approved.output[0].output == "Hello, Bo!"
    assert approved.output[0].approval_request_id == request.id
    assert approved.output_text == "It said: Hello, Bo!"
    refused, _ = streamed(url, input=[approval(request, approve=False)], previous_response_id=asked.id, tools=[box()])
    assert "mcp_call" not in kinds(refused)
    assert "Hello, Bo!" not in refused.output_text


def approval(request: Any, *, approve: bool) -> dict[str, Any]:
    return {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve}


def many_tools_in_one_response(url: str) -> None:
    store, _ = store_of(openai(url), "sun.txt", "The sun is a star.")
    tools = [box(require_approval="never"), {"type": "file_search", "vector_store_ids": [store]}, WEATHER]
    rounds = (
        Round("First.", (Call("greet", {"name": "Bo"}), Call("search", {"query": "sun"})), interleaved=True),
        Round(calls=(Call("add", {"a": 1, "b": 2}),), reasoning="Hm."),
        Round("Then.", (Call("weather", {"city": "Oslo"}),)),
    )
    final, _ = streamed(url, *rounds, tools=tools)
    found = kinds(final)
    assert found[:2] == ["mcp_list_tools", "message"]
    assert sorted(found[2:4]) == ["file_search_call", "mcp_call"]
    assert found[4:] == ["reasoning", "mcp_call", "message", "function_call"]
    assert final.usage.input_tokens > 30


SCENARIOS = (
    file_search_with_citations,
    web_search,
    mcp_without_approval,
    mcp_with_approval,
    many_tools_in_one_response,
)

if __name__ == "__main__":
    run(SCENARIOS)
