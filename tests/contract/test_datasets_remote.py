"""Datasets of remote sources, through the stack: what is imported, and what is said of a source that cannot be."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.contract.fetching import serving, writes
from tests.parts.dataset_stack import (
    DATASETS,
    ROWS,
    DatasetWorld,
    Json,
    data_uri,
    dataset,
    dataset_world,
    questions,
    register,
    rows_of,
)
from tests.parts.datasets_server import DatasetsServer, parquet_of, serving_datasets
from tests.parts.file_stack import by
from tests.parts.upstream import FakeUpstream, raw, running, status

ADA = by("ada")
MANY = questions(1001)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[DatasetWorld]:
    async with dataset_world(tmp_path) as world:
        yield world


def provider(kind: str, name: str, **config: Any) -> Json:
    return {"provider_id": name, "provider_type": kind, "config": config}


def local(url: str, **fetch: Any) -> Json:
    limits = {"allow_private_addresses": True, "allowed_ports": [urlsplit(url).port], **fetch}
    return provider("inline::localfs", "localfs", fetch=limits)


async def failure(client: httpx.AsyncClient, uri: str) -> str:
    """What reading says of a source, whose registration is answered before it is asked."""
    made = await register(client, {"uri": uri})
    while (answer := await client.get(f"{ROWS}/{made['identifier']}", headers=ADA)).status_code == 409:
        assert int(answer.headers["retry-after"]) > 0
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"]["message"])


async def test_data_sets_of_hugging_face_are_imported_in_both_forms_of_their_uri(world: DatasetWorld) -> None:
    splits = {("org/set", "default", "train"): MANY, ("org/set", "default", "test"): MANY[:3]}
    async with serving_datasets(DatasetsServer(splits=splits)) as server:
        fetch = {"allow_private_addresses": True, "allowed_ports": [urlsplit(server.url).port]}
        hub = provider("remote::huggingface", "huggingface", url=server.url, hub_url=server.url, fetch=fetch)
        client = await world.client(sources=[local(server.url), hub])
        async with world.working(sources=[local(server.url), hub]):
            made = await register(client, {"uri": "huggingface://datasets/org/set?split=train"})
            assert made["provider_id"] == "huggingface"
            page = await rows_of(client, made["identifier"], start_index=998)
            assert page["data"] == MANY[998:]
            made = await register(client, {"uri": "huggingface://org/set?split=test"})
            assert (await rows_of(client, made["identifier"]))["data"] == MANY[:3]
            assert "has no split `dev`" in await failure(client, "huggingface://org/set?split=dev")


async def test_an_object_is_read_by_the_one_provider_that_has_its_bucket(world: DatasetWorld) -> None:
    def bucket(name: str) -> Json:
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        return {"bucket_name": name, "region": "eu-west-1", "endpoint_url": "http://127.0.0.1:9", **keys}

    sources = [
        provider("inline::localfs", "localfs", buckets=[bucket("own")]),
        provider("remote::s3", "one", buckets=[bucket("shared"), bucket("own")], **bucket("one")),
        provider("remote::s3", "two", buckets=[bucket("shared")], **bucket("two")),
    ]
    client = await world.client(sources=sources)
    for name, provider_id in (("own", "localfs"), ("one", "one"), ("two", "two")):
        assert (await register(client, {"uri": f"s3://{name}/rows.jsonl"}))["provider_id"] == provider_id
    for uri in ("s3://shared/rows.jsonl", "s3://none/rows.jsonl"):  # of two, or none
        refused = await client.post(DATASETS, json=dataset({"uri": uri}), headers=ADA)
        assert (refused.status_code, "names the buckets" in refused.text) == (400, True)
    named = await register(client, {"uri": "s3://shared/rows.jsonl"}, provider_id="two")
    assert named["provider_id"] == "two"


async def test_parquet_of_every_way_is_left_to_the_worker(world: DatasetWorld) -> None:
    content = parquet_of(MANY[:300])
    async with running(FakeUpstream(replies={"/rows": raw(content, "application/octet-stream")})) as upstream:
        folder = world.document()["providers"]["datasetio"][0]["config"]
        source = {**local(upstream.url), "config": {**local(upstream.url)["config"], **folder}}
        client = await world.client(sources=[source])
        uris = [data_uri(content, "None"), world.source("rows.parquet", content), f"{upstream.url}/rows"]
        made = [await register(client, {"uri": uri}) for uri in uris]
        async with world.working(sources=[source]):
            for each in made:
                assert (await rows_of(client, each["identifier"]))["data"] == MANY[:300]


async def test_a_source_that_cannot_be_read_is_named_with_its_line(world: DatasetWorld) -> None:
    replies = {
        "/rows.jsonl": raw(b'{"question": "a", "answer": "b"}\n{"question": }\n', "text/plain"),
        "/page": raw(b"<!doctype html>", "text/html"),
        "/none": status(404),
    }
    async with running(FakeUpstream(replies=replies)) as upstream, world.working(sources=[local(upstream.url)]):
        client = await world.client(sources=[local(upstream.url)])
        assert "The source `rows.jsonl`, line 2: is no JSON" in await failure(client, f"{upstream.url}/rows.jsonl")
        assert "is a web page" in await failure(client, f"{upstream.url}/page")
        told = await failure(client, f"{upstream.url}/none")
        assert "was answered with HTTP status 404." in told
        assert told.endswith("mended, or upload the file and register its id as the uri.")


async def test_a_source_at_a_private_address_or_beyond_the_bound_is_not_read(world: DatasetWorld) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: 5000000000\r\n\r\na\n"
    async with serving(writes(head)) as (url, accepted):
        client = await world.client(sources=[local(url, allow_private_addresses=False)])
        async with world.working(sources=[local(url, allow_private_addresses=False)]):
            assert "cannot be reached, or fetching from it is not allowed" in await failure(client, f"{url}/rows.csv")
        assert not accepted
        client = await world.client(sources=[local(url)])
        async with world.working(sources=[local(url)]):
            told = await failure(client, f"{url}/rows.csv")
        assert "holds more than 1073741824 bytes, which is the limit: split it, or let the operator raise" in told


@pytest.mark.parametrize(
    "uri",
    ["ftp://host/x", "s3://bucket/key", "https://user:hidden@host/x", "huggingface://datasets/org/set", "rows.csv"],
)
async def test_a_source_that_no_provider_has_is_refused_at_once(world: DatasetWorld, uri: str) -> None:
    client = await world.client()
    answer = await client.post(DATASETS, json=dataset({"uri": uri}), headers=ADA)
    assert answer.status_code == 400
    assert "hidden" not in answer.text
    assert (await client.get(DATASETS, headers=ADA)).json() == {"data": []}


async def test_nvidias_data_store_has_a_data_set_and_no_rows(world: DatasetWorld) -> None:
    replies = {"/v1/datasets": raw(b'{"id": "dataset-1"}'), "/v1/datasets/default/d1": raw(b"{}")}
    async with running(FakeUpstream(replies=replies)) as upstream:
        client = await world.client(sources=[provider("remote::nvidia", "nvidia", datasets_url=upstream.url)])
        made = await register(client, {"uri": "hf://datasets/default/d1"}, "d1", metadata={"format": "json"})
        assert made["provider_id"] == "nvidia"
        rows = await client.get(f"{ROWS}/d1", headers=ADA)
        assert rows.status_code == 400
        assert "serves no rows. Register the same source with another provider" in rows.text
        assert (await client.delete(f"{DATASETS}/d1", headers=ADA)).status_code == 200
        assert [seen.method for seen in upstream.seen] == ["POST", "DELETE"]
