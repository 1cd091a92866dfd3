"""The rows of a copy's job, one by one: about which stores and files they are, and what is said of one that failed for good."""

import json
from pathlib import Path

import pytest

from core.apis.vector_io import VectorIndex, VectorIOProvider
from core.errors import NotFound, UpstreamFailed
from core.frame.callers import Call
from core.services.jobs.kind import Row
from core.services.vector_stores.copying.ends import Ends, request_of
from core.services.vector_stores.copying.files import copy_file
from core.services.vector_stores.copying.job import _fail, _keep_target
from core.services.vector_stores.records import FileRecord
from core.services.vector_stores.stores import StoreCollection
from tests.parts.copy_stack import copy_world
from tests.parts.ingest_stack import PRINCIPAL, make_store, stack_of


async def test_a_row_is_of_the_very_stores_of_its_job_and_of_files_that_are_there(tmp_path: Path) -> None:
    async with copy_world(tmp_path) as world:
        client, call = await world.client(), Call(PRINCIPAL)
        source, target = await make_store(client), await make_store(client, provider_id="there")
        stack = await stack_of(world)
        stores = StoreCollection(stack, call)
        request = request_of(await stores.open(source), await stores.open(target, "update"))
        ends = await Ends.open(stack, request, call)
        assert await copy_file(ends, "file-gone") == ("gone", FileRecord())
        for name in ("from_index", "index"):
            with pytest.raises(NotFound, match="is another vector store by now"):
                await Ends.open(stack, {**request, name: "vs_of_before"}, call)
        assert await _keep_target(StoreCollection(stack, None), request)


async def test_what_was_put_for_a_store_that_is_gone_goes_too(tmp_path: Path) -> None:
    async with copy_world(tmp_path) as world:
        stack = await stack_of(world)
        provider: VectorIOProvider = stack.providers("vector_io")["there"]
        await provider.create(VectorIndex("vs_gone", "vs_gone", 8))
        assert world.count_indexes() == 1
        request = {"store": "vs_gone", "index": "vs_gone", "provider_id": "there"}
        assert not await _keep_target(StoreCollection(stack, None), request)
        assert world.count_indexes() == 0


def test_a_row_that_failed_for_good_names_what_is_not_copied() -> None:
    failure = UpstreamFailed("It is down.")
    of_files, of_chunks = Row(0, {"files": ["file-1"]}), Row(1, {"chunks": ["own#a", "own#b"]})
    assert json.loads(_fail(of_files, failure)) == {"failures": [{"file_id": "file-1", "message": "It is down."}]}
    failures = json.loads(_fail(of_chunks, failure))["failures"]
    assert [row["message"] for row in failures] == ["It is down."] * 2
    assert all(row["chunk_id"] for row in failures)
