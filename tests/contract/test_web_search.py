"""Every search engine over real HTTP: what it is asked, what the tool answers, whose key is borne, and what its errors become."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
import json
from typing import Any, override

from aiohttp import web
import pytest

from core.apis.inference import TakesProviderData
from core.apis.tools import NO_ACCESS, ToolGroup, ToolResult
from core.errors import ApiError, InvalidRequest, NotFound, UpstreamExhausted, UpstreamFailed, UpstreamThrottled
from core.platform.secrets import is_reference
from core.providers.web_search.config import config_of
from core.providers.web_search.rows import ROWS, Row
from core.providers.web_search.tool_runtime import SearchEngine
from tests.parts.search_engines import PAGES, WIRES, SearchEngines, searching
from tests.parts.secrets import plant

OPERATORS = plant("operators-key-of-a-search-engine")
CALLERS = plant("callers-key-of-a-search-engine")
WRONG = plant("wrong-key-of-a-search-engine")
GROUP = ToolGroup("builtin::websearch", "builtin::websearch", trusted=True)
every = pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
searches = pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.count], ids=[n for n in ROWS if ROWS[n].count]
)


@pytest.fixture
async def engines() -> AsyncIterator[SearchEngines]:
    async with searching(OPERATORS, CALLERS) as engines:
        yield engines


@dataclass
class World:
    engines: SearchEngines
    row: Row
    made: list[SearchEngine]

    def provider(self, **config: Any) -> SearchEngine:
        kept = {"url": self.engines.url_of(self.name), "api_key": OPERATORS, **config}
        self.made.append(SearchEngine("engine", config_of(self.row.provider_type).model_validate(kept)))
        return self.made[-1]

    @property
    def name(self) -> str:
        return self.row.provider_type.removeprefix("remote::")

    async def search(
        self, provider: SearchEngine | None = None, group: ToolGroup = GROUP, **arguments: Any
    ) -> ToolResult:
        arguments = {"query": "What is new?", **arguments}
        return await (provider or self.provider()).invoke_tool(group, self.row.tool.name, arguments, NO_ACCESS)


@pytest.fixture
async def world(engines: SearchEngines, row: Row) -> AsyncIterator[World]:
    world = World(engines, row, [])
    yield world
    for provider in world.made:
        await provider.close()


def content(result: ToolResult) -> Any:
    assert isinstance(result.content, str)
    return json.loads(result.content)


@searches
async def test_a_search_answers_the_query_the_results_and_where_they_are_from(world: World) -> None:
    result = await world.search()
    (asked,) = world.engines.asked
    assert OPERATORS in asked.headers[next(iter(world.row.headers))]
    assert OPERATORS not in asked.url + json.dumps(asked.told)
    assert int(asked.told[world.row.count]) == 3
    found = content(result)
    assert found.pop("query") == "What is new?"
    results = found.pop(world.row.listed_as)
    assert found == {}
    assert len(results) == 3
    urls = [result["url"] for result in results]
    assert result.metadata == {"query": "What is new?", "sources": [{"url": url} for url in urls]}
    assert urls[0] == PAGES[0]["url"]
    assert PAGES[0]["text"] in json.dumps(results[0])
    assert not result.failed


KEPT = {
    "brave-search": {"type", "title", "url", "description"},
    "tavily-search": {"title", "url", "content", "score"},
    "bing-search": {"name", "url", "snippet"},
    "exa-search": {"title", "url", "highlights"},
    "serply-search": {"title", "url", "content"},
    "nimble-search": {"title", "url", "content"},
}


@searches
async def test_of_a_result_the_fields_of_the_reference_are_kept(world: World) -> None:
    results = content(await world.search())[world.row.listed_as]
    assert all(set(result) == KEPT[world.name] for result in results)
    if world.row.mixed:  # the page, the news that the engine puts behind it, and the next page
        assert [result["url"].split("/")[2] for result in results] == [
            "example.com",
            "news.example.com",
            "docs.example.com",
        ]


@searches
async def test_how_much_of_which_domains_for_where(world: World) -> None:
    asking: dict[str, Any] = {
        "search_context_size": "high",
        "allowed_domains": ["Example.com"],
        "user_location": {"country": "de"},
    }
    result = await world.search(**asking)
    told = world.engines.asked[-1].told
    assert int(told[world.row.count]) == 10
    assert told.get(world.row.domains, told[world.row.query]) in (["example.com"], "What is new? (site:example.com)")
    assert told.get(world.row.country, "DE").upper() == "DE"
    assert {source["url"].split("/")[2].removeprefix("docs.") for source in result.metadata["sources"]} <= {
        "example.com",
        "news.example.com",
    }
    assert len(result.metadata["sources"]) == 10


@searches
async def test_more_than_the_vendor_gives_is_not_asked_for(world: World) -> None:
    await world.search(world.provider(**{world.row.size: 1000}))
    assert int(world.engines.asked[-1].told[world.row.count]) == world.row.most


@searches
async def test_args_of_a_group_are_what_a_search_does_not_say_and_its_domains_bound_it(world: World) -> None:
    args = {"allowed_domains": ["example.com"], "search_context_size": "low", "user_location": {"country": "US"}}
    group = ToolGroup("g", "g", args=args)
    provider = world.provider()
    await world.search(provider, group)
    first = world.engines.asked[-1].told
    await world.search(
        provider, group, allowed_domains=["docs.example.com", "example.org"], search_context_size="medium"
    )
    second = json.dumps(world.engines.asked[-1].told)
    assert "docs.example.com" in second
    assert "example.org" not in second
    assert "example.com" in json.dumps(first)
    assert first.get(world.row.country, "US").upper() == "US"
    assert int(first[world.row.count]) == 3
    assert int(world.engines.asked[-1].told[world.row.count]) == 5
    with pytest.raises(InvalidRequest, match=r"must be among those of the tool group: example\.com"):
        await world.search(provider, group, allowed_domains=["badexample.com"])
    assert len(world.engines.asked) == 2


@every
async def test_nothing_found_is_an_empty_list(world: World) -> None:
    found = content(await world.search(query="nothing"))
    assert found.get(world.row.listed_as, []) == []
    assert found.get("queryresult", {"success": False})["success"] is False


@pytest.mark.parametrize("row", [ROWS["remote::wolfram-alpha"]])
async def test_wolfram_alpha_answers_its_pods_up_to_the_result(world: World) -> None:
    result = await world.search(query="2 + 2")
    assert content(result) == {
        "queryresult": {
            "success": True,
            "pods": [
                {"title": "Input interpretation", "subpods": [{"title": "", "plaintext": "2 + 2"}]},
                {"title": "Result", "subpods": [{"title": "", "plaintext": "4"}]},
            ],
        }
    }
    assert result.metadata == {"query": "2 + 2", "sources": []}
    assert world.engines.asked[-1].told["appid"] == OPERATORS


@every
async def test_a_callers_key_goes_before_the_operators_for_this_caller_alone(world: World) -> None:
    provider = world.provider()
    assert isinstance(provider, TakesProviderData)
    view: Any = provider.with_provider_data({world.row.data: CALLERS, "other_api_key": "x"})
    for each, key in ((view, CALLERS), (provider, OPERATORS)):
        await world.search(each)
        asked = world.engines.asked[-1]
        assert [known for known in (CALLERS, OPERATORS) if known in asked.url + json.dumps(asked.headers)] == [key]
    assert provider.with_provider_data({"other_api_key": CALLERS}) is provider
    assert provider.credentials_of(GROUP, NO_ACCESS) == ""
    digest = view.credentials_of(GROUP, NO_ACCESS)
    assert digest
    assert CALLERS not in digest
    for none in ("", "a b", 7, "k" * 4097):
        with pytest.raises(InvalidRequest, match=f"`{world.row.data}` in header X-LlamaStack-Provider-Data must be"):
            provider.with_provider_data({world.row.data: none})


@every
async def test_without_a_key_it_says_who_can_give_one(world: World) -> None:
    for empty in ("", None):
        provider = world.provider(api_key=empty)
        with pytest.raises(InvalidRequest) as lacking:
            await world.search(provider)
        assert f'Key in the header X-LlamaStack-Provider-Data as {{ "{world.row.data}": <your api key> }}' in str(
            lacking.value
        )
        assert "operator set `api_key` in the config of provider `engine`" in str(lacking.value)
        assert (await provider.health())["message"] == "It has no key of its own; callers bring theirs."
    assert (await world.provider().health())["status"] == "Not Implemented"
    assert not world.engines.asked


@every
async def test_a_key_that_the_vendor_refuses_is_never_the_callers_401(world: World) -> None:
    with pytest.raises(UpstreamFailed, match="refused the stack's credentials") as operators:
        await world.search(world.provider(api_key=WRONG))
    assert operators.value.unauthorized
    with pytest.raises(UpstreamFailed, match=f"refused the key given as `{world.row.data}`") as callers:
        await world.search(world.provider().with_provider_data({world.row.data: WRONG}))
    assert not callers.value.unauthorized
    for failure in (operators.value, callers.value):
        assert (failure.status, failure.__cause__, failure.__suppress_context__) == (502, None, True)
    assert len(world.engines.asked) == 2


@every
async def test_a_rate_limit_says_when_to_come_back(world: World) -> None:
    world.engines.replies[world.name] = WIRES[world.name].throttled
    with pytest.raises(UpstreamThrottled) as throttled:
        await world.search()
    assert throttled.value.headers == {"retry-after": "7"}
    assert len(world.engines.asked) == 1


@pytest.mark.parametrize("row", [ROWS[f"remote::{name}"] for name, wire in WIRES.items() if wire.spent is not None])
async def test_an_account_without_credit_is_whose_key_it_is(world: World) -> None:
    spent = WIRES[world.name].spent
    assert spent is not None
    world.engines.replies[world.name] = spent
    with pytest.raises(UpstreamExhausted):
        await world.search()
    with pytest.raises(InvalidRequest, match="no quota or credit left for the key given as") as callers:
        await world.search(world.provider().with_provider_data({world.row.data: CALLERS}))
    assert callers.value.status == 402


@every
async def test_what_the_vendor_says_of_a_mistake_is_told_without_the_query_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    status, body, _ = WIRES[world.name].mistake
    told = json.loads(json.dumps(body).replace("It failed.", "Cannot search for QUERY-OF-A-CALLER-1234"))
    world.engines.replies[world.name] = (status, told, {})
    with pytest.raises(ApiError) as mistaken:
        await world.search(query="QUERY-OF-A-CALLER-1234")
    assert mistaken.value.status == (status if status >= 400 else 502)
    assert "QUERY-OF-A-CALLER" not in caplog.text + (mistaken.value.reason or "")


@every
async def test_a_refusal_is_read_as_what_it_is_whatever_its_status(world: World) -> None:
    provider = world.provider()
    world.engines.replies[world.name] = (400, {"error": "Incorrect API key provided."}, {})
    with pytest.raises(UpstreamFailed, match="refused the stack's credentials"):
        await world.search(provider)
    world.engines.replies[world.name] = (404, {"error": {"code": "model_not_found", "message": "No such model."}}, {})
    with pytest.raises(UpstreamFailed, match="does not have what was asked for"):
        await world.search(provider)


ODD: tuple[bytes, ...] = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"<html>hello</html>",
    b'{"results": 7, "web": 7, "webPages": 7, "queryresult": 7}',
    b'{"results": {"a": 1}, "web": {"results": {"a": 1}}, "webPages": {"value": 1}, "queryresult": {"success": 1}}',
    b'{"results": NaN}',
    b"[" * 5000,
)


@every
async def test_what_is_no_answer_of_a_search_is_the_vendors_failure(world: World) -> None:
    provider = world.provider()
    for body in ODD:
        world.engines.replies[world.name] = web.Response(body=body, content_type="application/json")
        with pytest.raises(UpstreamFailed):
            await world.search(provider)
    world.engines.replies[world.name] = web.Response(body=b'{"a": "' + b"a" * 5_000_000 + b'"}')
    with pytest.raises(UpstreamFailed, match="too large"):
        await world.search(provider)


@every
async def test_a_redirect_is_not_followed(world: World) -> None:
    elsewhere = {"location": f"{world.engines.url}/elsewhere"}
    world.engines.replies[world.name] = web.Response(status=302, headers=elsewhere)
    with pytest.raises(UpstreamFailed):
        await world.search()
    assert len(world.engines.asked) == 1


class Unready(web.Response):
    """Ends the connection in the place of an answer."""

    @override
    async def prepare(self, request: web.BaseRequest) -> Any:
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)
        return await super().prepare(request)


@every
async def test_a_lost_search_says_nothing_of_the_key_and_none_is_posted_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.engines.replies[world.name] = Unready()
    with pytest.raises(UpstreamFailed) as lost:
        await world.search()
    assert (lost.value.__cause__, lost.value.__suppress_context__) == (None, True)
    assert OPERATORS not in caplog.text + str(lost.value)
    assert len(world.engines.asked) == (1 if world.row.method == "POST" else 2)  # aiohttp repeats a GET


@every
async def test_bad_arguments_are_refused_before_anybody_is_asked(world: World) -> None:
    provider = world.provider()
    bad: list[tuple[dict[str, Any], str]] = [
        ({"query": ""}, "query"),
        ({"query": " \x00 "}, "query"),
        ({"query": 7}, "query"),
        ({"query": "a" * 4001}, "query"),
        ({"allowed_domains": "example.com"}, "allowed_domains"),
        ({"allowed_domains": ["https://example.com"]}, "allowed_domains"),
        ({"allowed_domains": ["example.com OR site:evil.example"]}, "allowed_domains"),
        ({"allowed_domains": ["example.com"] * 101}, "allowed_domains"),
        ({"search_context_size": "huge"}, "search_context_size"),
        ({"search_context_size": ["low"]}, "search_context_size"),
        ({"user_location": {"country": "Germany"}}, "user_location.country"),
    ]
    for arguments, param in bad:
        with pytest.raises(InvalidRequest) as refused:
            await world.search(provider, **arguments)
        assert refused.value.param == param
    with pytest.raises(NotFound, match=f"it has `{world.row.tool.name}`"):
        await provider.invoke_tool(GROUP, "shell", {"query": "x"}, NO_ACCESS)
    assert not world.engines.asked


@every
async def test_a_group_has_no_endpoint_and_args_that_a_search_can_go_by(world: World) -> None:
    provider = world.provider()
    await provider.check_tool_group(GROUP)
    with pytest.raises(InvalidRequest, match="has no mcp_endpoint"):
        await provider.check_tool_group(ToolGroup("g", "g", "https://mcp.example.com/mcp"))
    with pytest.raises(InvalidRequest, match="search_context_size"):
        await provider.check_tool_group(ToolGroup("g", "g", args={"search_context_size": "huge"}))
    (tool,) = (await provider.list_tools(GROUP, NO_ACCESS)).tools
    assert (tool, tool.input_schema["required"]) == (world.row.tool, ["query"])
    assert not world.engines.asked


@every
def test_a_key_may_be_a_reference_and_must_be_sendable(row: Row) -> None:
    config = config_of(row.provider_type)
    assert is_reference(config.model_validate({"api_key": "aws-ssm:search"}).credentials().key)
    with pytest.raises(ValueError, match="header cannot carry"):
        config.model_validate({"api_key": "a b"})
    assert OPERATORS not in repr(config.model_validate({"api_key": OPERATORS}))
