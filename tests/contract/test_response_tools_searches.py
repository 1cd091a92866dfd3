"""Searches in a response, over vector stores and search engines: what items have, what a model is told, and what it may cite."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidRequest, NotFound
from core.frame.callers import Call
from core.services.responses.contract import StepPhase
from core.services.responses.tools.surfaces import ToolSurfaces, surfaces_of
from core.services.responses.tools.told import passages_of, tell_item
from core.services.retrieval.citations import name_documents, resolve_citations
from tests.parts.ingest_stack import PRINCIPAL, stack_of
from tests.parts.rag_stack import document, insert, make_database, rag_client, rag_document
from tests.parts.response_tools import called, names_of, prepared, tools_of
from tests.parts.search_engines import searching
from tests.parts.secrets import plant
from tests.parts.vector_stack import ADA, VectorWorld

KEY = plant("key-for-searches-of-a-response")
FILES = {"type": "file_search", "vector_store_ids": ["notes"], "max_num_results": 2}


async def surfaces_with_notes(world: VectorWorld) -> ToolSurfaces:
    """Of the caller `ada`, who has the store `notes`; `others` is bob's."""
    client = await rag_client(world)
    await make_database(client)
    await make_database(client, "others", who="bob")
    await insert(client, document("d0", "the sun is a star"), document("a b", "tea is a drink", kind="drink"))
    stack = await stack_of(world, **rag_document(world))
    return surfaces_of(stack, Call(PRINCIPAL))


async def test_a_file_search_has_its_results_and_tells_marks_that_resolve(world: VectorWorld) -> None:
    surfaces = await surfaces_with_notes(world)
    tools, steps = await prepared(surfaces, FILES)
    assert (steps, names_of(tools)) == ([], ["file_search"])
    before, done = await called(tools, "file_search", {"query": "tea", "queries": ["the sun is a star", "tea"]})
    assert [step.phase for step in before if isinstance(step, StepPhase)] == ["in_progress", "searching", "completed"]
    item = done.item
    assert (item["status"], item["queries"]) == ("completed", ["tea", "the sun is a star"])
    tea = next(row for row in item["results"] if row["file_id"] == "a b")
    assert (tea["text"], tea["attributes"]["kind"], tea["filename"]) == ("tea is a drink", "drink", "a b")
    names = name_documents(done.passages)
    assert all(f"<|{name}|>" in str(done.output) for name in names)
    text, citations = resolve_citations("".join(f"So <|{name}|>." for name in names), names)
    assert (text, {row["file_id"] for row in citations}) == ("So.So.", {"a b", "d0"})
    kept = tell_item(item)
    assert kept is not None
    assert (kept.name, kept.output) == ("file_search", done.output)
    assert name_documents(passages_of(item)).keys() == names.keys()


async def test_a_store_of_others_and_what_cannot_be_searched_is_said_before_anything_is_asked(
    world: VectorWorld,
) -> None:
    surfaces = await surfaces_with_notes(world)
    for more, failure, param in (
        ({"vector_store_ids": ["others"]}, NotFound, "tools[0].vector_store_ids"),
        ({"vector_store_ids": ["nowhere"]}, NotFound, "tools[0].vector_store_ids"),
        ({"filters": {"type": "like"}}, InvalidRequest, "tools[0].filters.type"),
        ({"ranking_options": {"ranker": "x"}}, InvalidRequest, "tools[0].ranking_options.ranker"),
    ):
        with pytest.raises(failure) as refused:
            await prepared(surfaces, FILES | more)
        assert refused.value.param == param


async def test_a_store_that_goes_while_a_response_runs_fails_the_search_alone(world: VectorWorld) -> None:
    surfaces = await surfaces_with_notes(world)
    tools, _ = await prepared(surfaces, FILES)
    client = await rag_client(world)
    assert (await client.delete("/v1/vector-dbs/notes", headers=ADA)).is_success
    for arguments, told in (({"query": "tea"}, "notes"), ("{", "no JSON"), ({}, "no `query`")):
        _, done = await called(tools, "file_search", arguments)
        assert (done.item["status"], done.item["results"], done.passages) == ("failed", None, ())
        assert told in str(done.output)


def stack_with_search(folder: Path, url: str, *groups: dict[str, Any]) -> dict[str, Any]:
    kinds = {"tavily-search": {"api_key": KEY, "url": url}, "wolfram-alpha": {"api_key": KEY}}
    entries = [
        {"provider_id": name, "provider_type": f"remote::{name}", "config": config} for name, config in kinds.items()
    ]
    return {
        "version": 2,
        "image_name": "t",
        "apis": ["tool_runtime"],
        "providers": {"tool_runtime": entries},
        "tool_groups": list(groups),
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }


WOLFRAM = {"toolgroup_id": "builtin::websearch-of-a-kind", "provider_id": "wolfram-alpha"}
MINE = {"toolgroup_id": "mine", "provider_id": "tavily-search"}


async def test_a_web_search_has_its_sources_and_bounds_of_the_request(tmp_path: Path) -> None:
    async with (
        searching(KEY) as engines,
        tools_of(stack_with_search(tmp_path, engines.url_of("tavily-search"), WOLFRAM, MINE)) as surfaces,
    ):
        own = {
            "type": "web_search_preview",
            "search_context_size": "low",
            "filters": {"allowed_domains": ["example.com"]},
            "user_location": {"type": "approximate", "country": "US"},
        }
        tools, _ = await prepared(surfaces, own)
        before, done = await called(tools, "web_search", {"query": "What is new?"})
        [asked] = engines.asked
        assert (asked.told["include_domains"], asked.told["max_results"]) == (["example.com"], 3)
        assert [step.phase for step in before if isinstance(step, StepPhase)] == [
            "in_progress",
            "searching",
            "completed",
        ]
        action = done.item["action"]
        assert (action["query"], action["queries"], done.item["status"]) == (
            "What is new?",
            ["What is new?"],
            "completed",
        )
        assert action["sources"][0] == {"type": "url", "url": "https://example.com/0"}
        assert done.sources[0] == {"url": "https://example.com/0", "title": "Page 0"}
        assert "What is said of it on page 0." in str(done.output)
        assert "Markdown link" in str(done.output)
        kept = tell_item(done.item)
        assert kept is not None
        assert (kept.name, kept.arguments, kept.output) == ("web_search", '{"query":"What is new?"}', done.output)
        engines.keys.clear()
        _, failed = await called(tools, "web_search", {"query": "q"})
        assert (failed.item["status"], KEY in repr(failed)) == ("failed", False)
        assert "tavily" in str(failed.output)


async def test_the_run_configs_own_group_of_web_search_comes_first(tmp_path: Path) -> None:
    own = {
        "toolgroup_id": "builtin::websearch",
        "provider_id": "tavily-search",
        "args": {"search_context_size": "high"},
    }
    async with (
        searching(KEY) as engines,
        tools_of(stack_with_search(tmp_path, engines.url_of("tavily-search"), MINE, own)) as surfaces,
    ):
        tools, _ = await prepared(surfaces, {"type": "web_search"}, {"type": "function", "name": "web_search"})
        assert names_of(tools) == ["web_search_2", "web_search"]
        await called(tools, "web_search_2", {"query": "q"})
        assert engines.asked[0].told["max_results"] == 10


async def test_a_stack_without_what_a_tool_needs_says_what_is_missing(tmp_path: Path) -> None:
    async with tools_of(stack_with_search(tmp_path, "http://127.0.0.1:1", WOLFRAM)) as surfaces:
        with pytest.raises(InvalidRequest, match="builtin::websearch") as refused:
            await prepared(surfaces, {"type": "web_search"})
        assert refused.value.param == "tools[0].type"
    with pytest.raises(InvalidRequest, match="vector_io"):
        await prepared(ToolSurfaces(), FILES)
    for tool in ({"type": "web_search"}, {"type": "mcp", "server_label": "a", "server_url": "https://a.example/"}):
        with pytest.raises(InvalidRequest, match="tool_runtime"):
            await prepared(ToolSurfaces(), tool)
