"""Datasets of packages that keep the rows themselves, in both forms of the reference's methods, and in ours."""

import importlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.cli.providers.new import NewPackage, files, write
from core.config.load import load
from core.resolution.resolve import resolve
from tests.contract.external import CONFIG, entry, loaded, put
from tests.parts.dataset_stack import APPEND, DATASETS, ROWS, dataset, jsonl, questions
from tests.parts.live_stack import client_over

COMMON = f"""{CONFIG}
class Store:
    def __init__(self): self.sets = {{}}

    async def register_dataset(self, dataset):
        if dataset.purpose == "post-training/messages": raise ValueError("no training here")
        source = dataset.source
        rows = list(source.rows) if source.type == "rows" else [{{"uri": source.uri}}]
        self.sets.setdefault(dataset.identifier, rows)

    async def unregister_dataset(self, dataset_id): del self.sets[dataset_id]

    def page(self, name, start, limit):
        rows = self.sets[name][start or 0:]
        rows, more = (rows, False) if limit is None else (rows[:limit], len(rows) > limit)
        return {{"data": rows, "has_more": more, "url": "/x"}}

async def get_adapter_impl(config, deps): return Adapter()
"""
OLD = f"""{COMMON}
class Adapter(Store):
    async def iterrows(self, dataset_id, start_index=None, limit=None): return self.page(dataset_id, start_index, limit)

    async def append_rows(self, dataset_id, rows): self.sets[dataset_id] += rows
"""
NEW = f"""{COMMON}
class Adapter(Store):
    async def iterrows(self, request): return self.page(request.dataset_id, request.start_index, request.limit)

    async def append_rows(self, request): self.sets[request.dataset_id] += request.rows
"""
NO_APPEND = f"""{COMMON}
class Adapter(Store):
    async def iterrows(self, dataset_id, start_index=None, limit=None): raise ConnectionError("down")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


async def register(client: httpx.AsyncClient, source: dict[str, Any], name: str, **more: Any) -> httpx.Response:
    return await client.post(DATASETS, json=dataset(source, name, **more))


@pytest.mark.parametrize("code", [OLD, NEW], ids=["keywords", "records"])
async def test_a_package_that_keeps_rows_is_told_of_datasets_and_asked_for_pages(folder: Path, code: str) -> None:
    put(folder, code, "datasetio")
    async with client_over(loaded(folder, datasetio=[entry()])) as client:
        made = await register(client, {"rows": questions(5)}, "quiz")
        assert (made.status_code, made.json()["metadata"]) == (200, {}), made.text
        assert made.json()["source"] == {"type": "rows", "rows": questions(5)}
        page = (await client.get(f"{ROWS}/quiz", params={"start_index": 1, "limit": 2})).json()
        assert page == {"data": questions(2, 1), "has_more": True, "url": f"{ROWS}/quiz?start_index=3&limit=2"}
        answer = await client.post(f"{APPEND}/quiz", json={"rows": questions(1, 5)})
        assert (answer.status_code, answer.text) == (200, "null")
        assert (await client.get(f"{ROWS}/quiz")).json()["data"] == questions(6)
        await register(client, {"uri": "any://thing"}, "thing")
        assert (await client.get(f"{ROWS}/thing")).json()["data"] == [{"uri": "any://thing"}]
        refused = await client.post(DATASETS, json={**dataset({"rows": []}, "no"), "purpose": "post-training/messages"})
        assert (refused.status_code, "no training here" in refused.json()["error"]["message"]) == (400, True)
        assert (await client.get(f"{DATASETS}/no")).status_code == 404
        assert (await client.delete(f"{DATASETS}/quiz")).status_code == 200
        assert (await client.get(f"{ROWS}/quiz")).status_code == 404
        assert (await register(client, {"rows": questions(1)}, "quiz")).status_code == 200
        assert (await client.get(f"{ROWS}/quiz")).json()["data"] == questions(1)


async def test_a_package_of_another_process_is_told_again(folder: Path) -> None:
    put(folder, OLD, "datasetio")
    async with client_over(loaded(folder, datasetio=[entry()])) as client:
        await register(client, {"rows": questions(3)}, "quiz")
    async with client_over(loaded(folder, datasetio=[entry()])) as client:
        assert (await client.get(f"{ROWS}/quiz")).json()["data"] == questions(3)
        assert (await client.delete(f"{DATASETS}/quiz")).status_code == 200


async def test_jobs_read_what_a_package_keeps_page_by_page_and_without_the_package_it_is_said(folder: Path) -> None:
    put(
        folder,
        OLD.replace("self.page(dataset_id, start_index, limit)", "self.page(dataset_id, start_index, 2)"),
        "datasetio",
    )
    theirs = loaded(folder, datasetio=[entry()])
    async with client_over(theirs) as client:
        await register(client, {"rows": questions(5)}, "quiz")
    stack = await resolve(theirs, ["datasetio"], version="1")
    rows = stack.surfaces["dataset_rows"](None)
    assert (await rows.count("quiz"), await rows.read("quiz", 1, 3)) == (5, questions(3, 1))
    await stack.close()
    own: dict[str, Any] = {"provider_id": "localfs", "provider_type": "inline::localfs", "config": {}}
    async with client_over(loaded(folder, datasetio=[own])) as client:
        gone = await client.get(f"{ROWS}/quiz")
        assert (gone.status_code, "`x`, which this stack does not configure" in gone.text) == (503, True), gone.text


async def test_what_a_package_cannot_do_is_said(folder: Path) -> None:
    put(folder, NO_APPEND, "datasetio")
    async with client_over(loaded(folder, datasetio=[entry()])) as client:
        await register(client, {"rows": questions(1)}, "quiz")
        down = await client.get(f"{ROWS}/quiz")
        assert (down.status_code, "could not be reached" in down.json()["error"]["message"]) == (503, True)
        refused = await client.post(f"{APPEND}/quiz", json={"rows": questions(1)})
        assert (refused.status_code, "takes no rows" in refused.json()["error"]["message"]) == (400, True)


async def test_a_new_package_opens_sources_that_the_stack_keeps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "shelf", files(NewPackage("shelf", "datasetio", "inline")))
    monkeypatch.syspath_prepend(str(folder / "shelf"))
    monkeypatch.chdir(folder / "shelf")
    importlib.invalidate_caches()
    (folder / "shelf" / "rows").mkdir()
    (folder / "shelf" / "rows" / "q.jsonl").write_bytes(jsonl(questions(3)))
    async with client_over(load(folder / "shelf" / "run.yaml", {})) as client:
        made = await register(client, {"uri": "shelf://q.jsonl"}, "q")
        assert made.json()["metadata"]["import_status"] == "in_progress", made.text
        refused = await register(client, {"uri": "other://q.jsonl"}, "r")
        assert (refused.status_code, "shelf://NAME" in refused.json()["error"]["message"]) == (400, True)
