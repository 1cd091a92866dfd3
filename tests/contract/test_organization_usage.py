"""OpenAI's routes for the usage and costs of an organization: shapes, groupings, pages of days, and refusals."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.stores.counters.sqlite import connect
from tests.contract.test_usage_routes import ADA, EVE, ask, keys, stack
from tests.parts.live_stack import message
from tests.parts.usage import TODAY, chat, count, start_of

__all__ = ["keys"]
START = start_of(TODAY - timedelta(days=2))
KINDS = (
    "completions",
    "embeddings",
    "moderations",
    "images",
    "audio_speeches",
    "audio_transcriptions",
    "vector_stores",
    "code_interpreter_sessions",
    "decisions",
    "file_search_calls",
    "web_search_calls",
)


async def get(client: httpx.AsyncClient, path: str, bearer: str = "controller", **query: Any) -> dict[str, Any]:
    answer = await client.get(
        f"/v1/organization/{path}", params={"start_time": START} | query, headers={"authorization": f"Bearer {bearer}"}
    )
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


@pytest.fixture
async def more(tmp_path: Path, keys: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """And a batch, embeddings of two operations, a moderation and a rerank of ada's."""
    store = connect(str(tmp_path / "usage.db"))
    embedded = {"completion_tokens": 0, "prompt_tokens": 7}
    rows = (
        chat(api="batches", operation="chat_completion", cached_tokens=4, cache_write_tokens=1),
        chat("embedder", operation="embeddings", **embedded),
        chat("embedder", api="vector_io", operation="insert", **embedded),
        chat("guard", api="safety", operation="moderate"),
        chat("ranker", operation="rerank", **embedded),
        chat("", answers=0, prompt_tokens=0, completion_tokens=0, nanos=0, operation="embeddings"),
    )
    await count(store, ADA, *rows, teams="red")
    await store.close()
    return keys


@pytest.mark.usefixtures("more")
async def test_each_kind_has_its_own_of_each_day(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        sums = {kind: [bucket["results"] for bucket in (await get(client, f"usage/{kind}"))["data"]] for kind in KINDS}
        assert [len(days) for days in sums.values()] == [3] * len(KINDS)
        [none, [before], [today]] = sums["completions"]
        assert (none, before["num_model_requests"]) == ([], 2)
        assert today == {
            "object": "organization.usage.completions.result",
            "input_tokens": 160,
            "output_tokens": 35,
            "input_cached_tokens": 64,
            "input_cache_write_tokens": 1,
            "input_uncached_tokens": 95,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "num_model_requests": 7,
            **dict.fromkeys(("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")),
        }
        [embeddings] = sums["embeddings"][-1]
        assert (embeddings["input_tokens"], embeddings["num_model_requests"]) == (14, 2)
        assert embeddings["object"] == "organization.usage.embeddings.result"
        [[moderation]] = [day for day in sums["moderations"] if day]
        assert (moderation["input_tokens"], "output_tokens" in moderation) == (10, False)
        assert all(day == [] for kind in KINDS[3:] for day in sums[kind])
        buckets = (await get(client, "usage/completions"))["data"]
        assert [bucket["start_time"] for bucket in buckets] == [START, START + 86_400, START + 2 * 86_400]
        assert all(bucket["end_time"] - bucket["start_time"] == 86_400 for bucket in buckets)


async def test_results_are_grouped_and_filtered_by_openais_names(
    tmp_path: Path, more: dict[str, tuple[str, str]]
) -> None:
    async def today(path: str, *names: str, **query: Any) -> dict[tuple[Any, ...], int]:
        query = {"start_time": start_of(TODAY)} | query
        [bucket] = (await get(client, path, **query))["data"]
        rows = [(tuple(row[name] for name in names), row["num_model_requests"]) for row in bucket["results"]]
        assert len(dict(rows)) == len(rows)
        return dict(rows)

    ci = more["ci"][0]
    async with stack(tmp_path) as client:
        for name, groups in (
            ("project_id", {(None,): 3, ("blue+red",): 1, ("red",): 3}),
            ("user_id", {("ada",): 3, ("eve",): 1, ("bob",): 1, ("anonymous",): 1, (ci,): 1}),
            ("api_key_id", {(None,): 6, (ci,): 1}),
            ("model", {("small",): 5, ("large",): 1, ("local/free",): 1}),
            ("batch", {(True,): 1, (False,): 6}),
            ("service_tier", {(None,): 7}),
        ):
            assert await today("usage/completions", name, group_by=name) == groups
            assert await today("usage/completions", name, **{"group_by[]": [name]}) == groups
        both = await today("usage/completions", "model", "batch", group_by=["model", "batch"])
        assert both[("small", True)] == 1
        for query, requests in (
            ({"project_ids": "red"}, 4),
            ({"user_ids[]": ["eve", "bob"]}, 2),
            ({"api_key_ids": ci}, 1),
            ({"models": ["large", "other"]}, 1),
            ({"batch": "true"}, 1),
            ({"batch": "false"}, 6),
        ):
            assert sum((await today("usage/completions", **query)).values()) == requests, query


@pytest.mark.usefixtures("more")
async def test_costs_are_of_line_items_and_what_has_no_price_is_not_free(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        [*_, bucket] = (await get(client, "costs", group_by=["line_item", "project_id"]))["data"]
        amounts = {(row["line_item"], row["project_id"]): row["amount"] for row in bucket["results"]}
        assert amounts["large", "red"] == {"value": 3.0, "currency": "usd"}
        assert amounts["local/free", None] is None
        assert {row["unpriced_answers"] for row in bucket["results"]} == {0, 1}
        [_, _, one] = (await get(client, "costs"))["data"]
        [row] = one["results"]
        assert (row["amount"]["value"], row["line_item"], row["unpriced_answers"]) == (3.000160001, None, 1)


@pytest.mark.usefixtures("more")
async def test_days_come_in_pages_of_the_same_query(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        whole = await get(client, "usage/completions", start_time=start_of(TODAY - timedelta(days=9)), limit=31)
        assert (len(whole["data"]), whole["has_more"], whole["next_page"]) == (10, False, None)
        query: dict[str, Any] = {"start_time": start_of(TODAY - timedelta(days=9)), "limit": 4}
        pages = [await get(client, "usage/completions", **query)]
        while pages[-1]["has_more"]:
            pages.append(await get(client, "usage/completions", **query, page=pages[-1]["next_page"]))
        assert [bucket for page in pages for bucket in page["data"]] == whole["data"]
        usual = await get(client, "usage/completions", start_time=start_of(TODAY - timedelta(days=9)))
        assert len(usual["data"]) == 7
        answer = await client.get(
            "/v1/organization/costs", params=query | {"page": pages[0]["next_page"]}, headers=BEARER
        )
        assert (answer.status_code, "`page` must be `next_page`" in message(answer)) == (400, True)


BEARER = {"authorization": "Bearer controller"}


@pytest.mark.usefixtures("more")
async def test_callers_read_their_own(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        [*_, today] = (await get(client, "usage/completions", "eve", group_by="user_id"))["data"]
        assert [row["user_id"] for row in today["results"]] == ["eve"]
        answer = await client.get(
            "/v1/openai/v1/organization/costs",
            params={"start_time": START, "api_key_ids": "nobodys"},
            headers={"authorization": "Bearer eve"},
        )
        assert (answer.status_code, "usage::key:nobodys" in message(answer)) == (403, True)
        assert (await ask(client, "eve")).status_code == 200
        assert EVE.endswith(":eve")


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("usage/completions", {"start_time": "now"}, "start_time: Input should be a valid integer"),
        ("usage/completions", {"start_time": 0}, "Usage is kept 400 days: `start_time` may be"),
        ("usage/completions", {"end_time": START}, "`end_time` must be after `start_time`."),
        ("usage/embeddings", {"bucket_width": "1h"}, "Usage is counted by day: `bucket_width` must be 1d."),
        ("costs", {"bucket_width": "1m"}, "Usage is counted by day: `bucket_width` must be 1d."),
        ("usage/completions", {"group_by": "modle"}, "there is no grouping `modle` here; did you mean `model`?"),
        ("usage/embeddings", {"group_by": "batch"}, "no grouping `batch` here; it is one of project_id, user_id"),
        ("costs", {"group_by[]": "user"}, "`group_by`: there is no grouping `user` here"),
        ("usage/images", {"group_by": "weekday"}, "there is no grouping `weekday` here"),
        ("usage/completions", {"limit": 32}, "limit: Input should be less than or equal to 31"),
        ("costs", {"limit": 0}, "limit: Input should be greater than or equal to 1"),
        ("costs", {"page": "3"}, "`page` must be `next_page` of the page before"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused_with_the_reason(
    tmp_path: Path, path: str, query: dict[str, Any], says: str
) -> None:
    async with stack(tmp_path, auth=False) as client:
        answer = await client.get(f"/v1/organization/{path}", params={"start_time": START} | query)
        assert (answer.status_code, says in message(answer)) == (400, True), answer.text
