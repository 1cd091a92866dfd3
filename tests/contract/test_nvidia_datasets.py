"""NVIDIA's data store is told of data sets as they come and go; it has no rows to read."""

from collections.abc import AsyncIterator
import json
from typing import Any

from aiohttp import web
import pytest

from core.errors import InvalidRequest, UpstreamFailed
from core.frame.resources import Resource
from core.providers.nvidia import datasets
from tests.parts.upstream import FakeUpstream, running, status

URI = "hf://datasets/default/sample"


class DataStore(FakeUpstream):
    """Data sets by namespace and name, as NeMo's entity store has them."""

    def __init__(self) -> None:
        super().__init__()
        self.datasets: dict[str, Any] = {}

    async def reply(self, request: web.Request) -> web.StreamResponse:  # type: ignore[explicit-override]
        if request.method == "DELETE":
            gone = self.datasets.pop(request.path.removeprefix("/v1/datasets/"), None)
            return web.json_response(
                {"detail": "not found"} if gone is None else {}, status=404 if gone is None else 200
            )
        if request.path != "/v1/datasets":
            return web.json_response({"detail": "no such path"}, status=405)
        if request.method == "GET":
            return web.json_response({"object": "list", "data": list(self.datasets.values())})
        body = json.loads(await request.read())
        key = f"{body['namespace']}/{body['name']}"
        if key in self.datasets:
            return web.json_response({"detail": "already exists"}, status=409)
        self.datasets[key] = body
        return web.json_response({"id": "dataset-1", **body})


@pytest.fixture
async def store() -> AsyncIterator[DataStore]:
    async with running(DataStore()) as store:
        assert isinstance(store, DataStore)
        yield store


def provider_of(store: FakeUpstream, **config: Any) -> Any:
    return datasets.connect(
        "nv", datasets.Config.model_validate({"datasets_url": store.url, "api_key": "nvapi-1", **config}), {}
    )


def dataset(name: str = "sample", **attributes: Any) -> Resource:
    values = {"purpose": "eval/question-answer", "source": {"type": "uri", "uri": URI}, "metadata": {}, **attributes}
    return Resource("dataset", name, "nv", name, values)


async def test_a_data_set_is_told_of_with_what_the_reference_sends(store: DataStore) -> None:
    provider = provider_of(store, project_id="p")
    await provider.register_dataset(dataset(metadata={"format": "json", "description": "d", "more": 1}))
    expected = {
        "name": "sample",
        "namespace": "default",
        "files_url": URI,
        "project": "p",
        "format": "json",
        "description": "d",
    }
    assert store.datasets == {"default/sample": expected}
    assert store.seen[-1].headers["authorization"] == "Bearer nvapi-1"
    await provider.register_dataset(dataset())  # one that is there stays
    assert store.datasets == {"default/sample": expected}
    await provider.close()


async def test_a_data_set_is_removed_once_and_what_is_gone_is_no_failure(store: DataStore) -> None:
    provider = provider_of(store, dataset_namespace="a b")
    await provider.register_dataset(dataset())
    await provider.unregister_dataset(dataset())
    assert store.datasets == {}
    await provider.unregister_dataset(dataset())
    await provider.close()


async def test_rows_are_refused_with_what_to_do(store: DataStore) -> None:
    provider = provider_of(store)
    for call in (provider.iterrows(dataset(), 0, None), provider.append_rows(dataset(), [{"a": 1}])):
        with pytest.raises(InvalidRequest, match=r"serves no rows\. Register the same source with another provider"):
            await call
    with pytest.raises(InvalidRequest, match="register a uri"):
        await provider.register_dataset(dataset(source={"type": "rows", "rows": []}))
    assert not store.seen


async def test_a_refused_key_and_a_store_that_is_down_are_failures_of_the_stacks() -> None:
    async with running(FakeUpstream(replies={"/v1/datasets": status(401, {"detail": "no"})})) as upstream:
        provider = provider_of(upstream)
        with pytest.raises(UpstreamFailed) as failed:
            await provider.register_dataset(dataset())
        assert "nvapi-1" not in failed.value.message + repr(provider.__dict__)
        assert (await provider.health())["status"] == "Error"
        await provider.close()


async def test_health_is_whether_the_store_lists_its_data_sets(store: DataStore) -> None:
    provider = provider_of(store)
    assert await provider.health() == {"status": "OK"}
    await provider.close()
