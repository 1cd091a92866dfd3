"""Data sets of Hugging Face's hub: which rows come, by which way, and what is said where there are none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.errors import ApiError, InvalidRequest, UpstreamFailed
from core.providers.huggingface import datasets
from core.providers.huggingface.uris import HubDataset, read_uri
from tests.parts.datasets_server import DatasetsServer, serving_datasets
from tests.parts.upstream import FakeUpstream, raw, running, status

FEW = [{"question": f"é {number}", "answer": number} for number in range(250)]
MANY = [{"question": f"é {number}", "answer": number} for number in range(1001)]
SPLITS = {
    ("org/set", "default", "train"): FEW,
    ("org/set", "default", "test"): FEW[:5],
    ("org/many", "default", "train"): MANY,
    ("org/configs", "en", "validation"): FEW[:1],
    ("org/configs", "de", "validation"): FEW[1:3],
    ("old", "plain", "test"): FEW[:2],
}


@asynccontextmanager
async def hub(**changes: Any) -> AsyncIterator[tuple[Any, DatasetsServer]]:
    config = changes.pop("config", {})
    async with serving_datasets(DatasetsServer(splits={**SPLITS}, **changes)) as server:
        fetch = {
            "allow_private_addresses": True,
            "allowed_ports": [urlsplit(server.url).port],
            **config.pop("fetch", {}),
        }
        values = {"url": server.url, "hub_url": server.url, "fetch": fetch, **config}
        provider: Any = datasets.connect("hf", datasets.Config.model_validate(values), {})
        try:
            yield provider, server
        finally:
            await provider.close()


async def rows_of(provider: Any, uri: str) -> list[Any]:
    pages = await provider.read_rows(uri)
    return [row async for page in pages for row in page]


async def failure(provider: Any, uri: str) -> ApiError:
    with pytest.raises(ApiError) as failed:
        await rows_of(provider, uri)
    return failed.value


@pytest.mark.parametrize("form", ["huggingface://datasets/org/set", "huggingface://org/set"])
async def test_few_rows_come_by_pages_of_a_hundred(form: str) -> None:
    async with hub() as (provider, server):
        assert await rows_of(provider, f"{form}?split=train") == FEW
        assert server.paths() == ["/splits", "/size", "/rows", "/rows", "/rows"]


async def test_many_rows_come_from_the_parquet_files_in_their_order() -> None:
    async with hub() as (provider, server):
        assert await rows_of(provider, "huggingface://datasets/org/many?split=train") == MANY
        assert "/rows" not in server.paths()
        assert len([path for path in server.paths() if path.startswith("/cdn/")]) == 2


async def test_rows_without_parquet_come_by_pages_however_many_they_are() -> None:
    async with hub(converts=False) as (provider, server):
        assert await rows_of(provider, "huggingface://datasets/org/many?split=train") == MANY
        assert server.paths().count("/rows") == 11


async def test_rows_that_the_server_shortens_come_from_parquet_or_not_at_all() -> None:
    async with hub(cuts=True) as (provider, _):
        assert await rows_of(provider, "huggingface://datasets/org/set?split=train") == FEW
    async with hub(cuts=True, converts=False) as (provider, _):
        assert "shortens its rows" in (await failure(provider, "huggingface://datasets/org/set?split=train")).message


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("org/set", FEW),
        ("org/set?split=test", FEW[:5]),
        ("org/configs?name=de&split=validation", FEW[1:3]),
        ("org/configs?name=en", FEW[:1]),
        ("old", FEW[:2]),
    ],
)
async def test_what_the_uri_does_not_say_is_what_there_is_alone_or_usual(query: str, rows: list[Any]) -> None:
    async with hub() as (provider, _):
        assert await rows_of(provider, f"huggingface://datasets/{query}") == rows


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("org/set?split=dev", "source.uri: has no split `dev`. There is `train`, `test`."),
        ("org/configs", "source.uri: must say which `name` of the data set is meant. There is `en`, `de`."),
        ("org/configs?name=fr", "source.uri: has no name `fr`. There is `en`, `de`."),
        ("org/none", "source.uri: Hugging Face says: The dataset does not exist, or is not accessible without"),
    ],
)
async def test_what_is_not_there_is_refused_with_what_is(query: str, message: str) -> None:
    async with hub() as (provider, _):
        failed = await failure(provider, f"huggingface://datasets/{query}")
    assert isinstance(failed, InvalidRequest)
    assert failed.message.startswith(message)


async def test_the_token_goes_to_hugging_face_and_not_to_where_its_files_are() -> None:
    async with hub(token="hf_secret", config={"api_token": "hf_secret"}, files={"a/é b.csv": b"a\n1\n"}) as (
        provider,
        server,
    ):
        assert await rows_of(provider, "huggingface://datasets/org/many") == MANY
        content = await provider.open("huggingface://datasets/org/set/a/%C3%A9%20b.csv")
        assert (b"".join([chunk async for chunk in content.chunks]), content.name) == (b"a\n1\n", "é b.csv")
        bearers = {(path.startswith("/cdn/"), bearer) for path, bearer in server.seen}
        assert bearers == {(False, "Bearer hf_secret"), (True, "")}
        assert "hf_secret" not in repr(provider.__dict__) + repr(server.paths())


async def test_a_wrong_token_is_the_operators_fault_and_a_missing_one_the_uris() -> None:
    async with hub(token="right", config={"api_token": "wrong"}) as (provider, _):
        failed = await failure(provider, "huggingface://datasets/org/set")
        assert isinstance(failed, UpstreamFailed)
        assert "wrong" not in failed.message
    async with hub(token="right") as (provider, _):
        assert isinstance(await failure(provider, "huggingface://datasets/org/set"), InvalidRequest)


async def test_what_is_larger_than_the_bound_or_not_whole_is_refused() -> None:
    async with hub(config={"fetch": {"max_bytes": 10_000}}) as (provider, _):
        assert "more than 10000, which is the limit." in (await failure(provider, "huggingface://org/many")).message
    async with hub(partial=True) as (provider, _):
        assert "offers only the first rows" in (await failure(provider, "huggingface://org/many")).message


async def test_a_file_that_is_not_there_is_refused() -> None:
    async with hub() as (provider, _):
        assert await provider.read_rows("huggingface://datasets/org/set/none.csv") is None
        with pytest.raises(InvalidRequest, match="was answered with HTTP status 404"):
            await provider.open("huggingface://datasets/org/set/none.csv")
        with pytest.raises(InvalidRequest, match="has no path"):
            await provider.open("huggingface://datasets/org/set")


@pytest.mark.parametrize("answer", [{}, {"splits": [{}]}, {"splits": None}, [], "text"])
async def test_another_shape_of_an_answer_is_a_failure(answer: Any) -> None:
    async with running(FakeUpstream(replies={"/splits": raw(json.dumps(answer).encode())})) as upstream:
        provider: Any = datasets.connect("hf", datasets.Config(url=upstream.url), {})
        assert isinstance(await failure(provider, "huggingface://org/set"), UpstreamFailed)
        await provider.close()


async def test_health_is_whether_the_server_answers_as_itself() -> None:
    async with hub() as (up, _):
        assert await up.health() == {"status": "OK"}
    async with running(FakeUpstream(replies={"/is-valid": status(503, {"error": "busy"})})) as upstream:
        provider: Any = datasets.connect("hf", datasets.Config(url=upstream.url), {})
        assert (await provider.health())["status"] == "Error"
        await provider.close()


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("huggingface://datasets/org/set?split=train&name=en", HubDataset("org/set", split="train", config="en")),
        ("huggingface://org/set?split=train", HubDataset("org/set", split="train")),
        ("huggingface://datasets/squad", HubDataset("squad")),
        ("huggingface://org/set/a/b.csv?revision=v1%202", HubDataset("org/set", "a/b.csv", revision="v1 2")),
    ],
)
def test_every_form_of_a_uri_keeps_the_organisation(uri: str, source: HubDataset) -> None:
    assert read_uri(uri) == source


@pytest.mark.parametrize(
    "uri",
    [
        "huggingface://", "huggingface://datasets", "huggingface://datasets/a b/c", "huggingface://datasets/../x", "huggingface://o/s/../x",
        "huggingface://o/s?split=", "huggingface://o/s?split=train[:10%]", "huggingface://o/s?trust_remote_code=true", "https://huggingface.co/datasets/o/s",
        "huggingface://[", "huggingface://o/s/%2e%2e/x", "huggingface://user@o/s", "huggingface://o/s?" + "a=b&" * 20,
    ],
)  # fmt: skip
def test_what_names_no_data_set_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        datasets.HubDatasets("hf", datasets.Config()).check_source(uri)
    assert refused.value.param == "source.uri"
