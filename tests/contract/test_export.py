"""All that a principal keeps is handed out, over both kinds of state: every collection, kind of resource and kind of job; no secrets."""

from collections.abc import AsyncIterator
from dataclasses import replace
import json
from pathlib import Path
import time
from typing import Any

import pytest

from core.apis.index import all_manifests, kinds
from core.config.load import interpret
from core.errors import ProviderUnavailable
from core.frame.callers import Call, Principal, UsageRow
from core.frame.resources import Resource
from core.quota.identity import identity
from core.resolution.erasure.engine import count, erase, quietly
from core.resolution.erasure.exporting import Report, export
from core.resolution.erasure.sources import Source, sources
from core.resolution.erasure.stack import open_stack
from core.resolution.erasure.staying import records
from core.routing.policy import owner_of
from core.services.erasure import Estate, Piece, Pieces
from core.services.extracts import Extract, name_of
from core.services.jobs.parts import folder
from core.stores.answers.port import owner_name
from core.stores.connect import ANSWERS, BLOBS, COUNTERS, DOCUMENTS, JOBS, REGISTRY
from core.stores.counters.port import AccountKey, Use
from core.stores.jobs.port import Job
from tests.contract.counters import taking
from tests.parts import keepsakes
from tests.parts.estates import Life, Scene, document_of, open_scene
from tests.parts.keepsakes import SEALED, UNTOLD, mark
from tests.parts.vector_places import AWS, SQLITE

PRINCIPAL = Principal("abcdefgh2345", {}, "api_key")
ESTATE = Estate(PRINCIPAL, lambda _: False)
NOW = int(time.time())


class MemorySink:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write(self, path: str, chunk: bytes) -> None:
        self.files[path] = self.files.get(path, b"") + chunk

    @property
    def text(self) -> str:
        return "\n".join(f"{path}: {content.decode()}" for path, content in self.files.items())

    def json(self, path: str) -> Any:
        return json.loads(self.files[path])


@pytest.fixture(params=[SQLITE, AWS])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(request, tmp_path) as scene:
        yield scene


async def handed_out(scene: Scene, estate: Estate) -> tuple[Report, MemorySink]:
    sink = MemorySink()
    walked = [*sources(scene.stack, keys=True), *records(scene.stack)]
    return await export(walked, estate, sink, quietly), sink


def job_kinds() -> list[str]:
    return sorted({row.name for api in all_manifests() for row in api.jobs})


async def make_everything(scene: Scene) -> None:
    """What the principal can keep: a document of each collection, a resource of each kind, a job of each kind, and the rest."""
    stores, owner = scene.stack.stores, owner_of(PRINCIPAL)
    [provider] = scene.place.world.document()["providers"]["vector_io"]
    for document in keepsakes.keepsakes(PRINCIPAL, provider["provider_id"]):
        await stores.get(DOCUMENTS).create(document)
    for key, collection in keepsakes.BLOBS.items():
        await stores.get(BLOBS).put(key, f"{mark(collection)}\n".encode())
    for kind in kinds():
        attributes = {"metadata": {"m": mark(kind.name)}, "api_key": SEALED}
        resource = Resource(kind.name, f"of/{kind.name}", "p", "m", attributes, owner=owner)
        await stores.get(REGISTRY).create(resource, by=PRINCIPAL)
    for name in job_kinds():
        job = Job(f"id_{name}", name, PRINCIPAL, {"m": mark(f"job {name}")}, NOW, NOW + 99, NOW + 999)
        await stores.get(JOBS).create(job, key=name)
        await stores.get(BLOBS).put(f"{folder(job.id)}parts/0", mark(f"part {name}").encode())
        await stores.get(BLOBS).put(f"{folder(job.id)}provider_data", SEALED.encode())
    kept: dict[str, Any] = {"name": mark("key"), "salt": SEALED, "hash": SEALED, "previous": {"salt": SEALED}}
    await stores.get(REGISTRY).create(Resource("api_key", PRINCIPAL.id, "llambda", PRINCIPAL.id, kept))
    client = identity(Call(PRINCIPAL))
    row = UsageRow(mark("usage"), "p", "inference", "openai_chat_completion", requests=1, answers=1, prompt_tokens=7)
    use = Use(NOW // 86_400, (row,), expires=NOW + 999_999)
    await stores.get(COUNTERS).take(AccountKey(client), replace(taking(1, holds=True), use=use))
    await stores.get(ANSWERS).begin("k", "f", now=NOW, until=NOW + 900, owner=owner_name(client))


async def test_everything_that_a_principal_can_keep_is_handed_out_without_secrets_and_is_gone_after_a_deletion(
    scene: Scene,
) -> None:
    collections = {name for api in all_manifests() for name in api.collections}
    told = {document.collection for document in keepsakes.keepsakes(PRINCIPAL, "v")} - set(UNTOLD)
    assert told | set(UNTOLD) == collections
    await make_everything(scene)
    report, sink = await handed_out(scene, ESTATE)
    assert report.failures == []
    marks = [*map(mark, told), *(mark(kind.name) for kind in kinds()), mark("key"), mark("usage")]
    marks += [mark(f"{part} {name}") for part in ("job", "part") for name in job_kinds()]
    assert [text for text in marks if text not in sink.text] == []
    assert SEALED not in sink.text
    assert "of bob" not in sink.text
    assert sink.json("server/usage.jsonl")["prompt_tokens"] == 7
    assert sink.json("server/unsettled.jsonl")["amount"]["requests"] == 1
    entries = [json.loads(line) for line in sink.files["audit/entries.jsonl"].splitlines()]
    assert {entry["entity"] for entry in entries} == {f"{k.name}::of/{k.name}" for k in kinds()} | {
        f"key::{PRINCIPAL.id}"
    }
    assert {name for _, name in report.omissions} == {"quota counters", "remembered answers"}
    assert (await erase(list(sources(scene.stack, keys=True)), ESTATE, quietly, wait=0)).is_whole
    assert await count(sources(scene.stack, keys=True), ESTATE, quietly) == {}
    left, after = await handed_out(scene, ESTATE)
    assert set(after.files) == {"audit/entries.jsonl"}
    assert left.omissions == {}


async def test_what_was_made_by_calls_is_handed_out_with_its_bytes_and_vectors(scene: Scene) -> None:
    life = Life(scene)
    who, bob = life.name("ada"), life.name("bob")
    for name, act in (
        (bob, "store"),
        (bob, "file"),
        (who, "add elsewhere"),
        (who, "store"),
        (who, "insert"),
        (who, "add"),
    ):
        await life.act(name, act)
    report, sink = await handed_out(scene, scene.estate(who))
    assert report.failures == []
    [store], [theirs] = life.own(who), life.own(bob)
    for file_id in life.files[who]:
        assert sink.files[f"files/files/{file_id}/content"] == b"the sun is a star"
        assert sink.json(f"files/files/{file_id}/file.json")["bytes"] == len("the sun is a star")
    lines = [json.loads(line) for line in sink.files[f"vector_io/stores/{store}/chunks.jsonl"].splitlines()]
    assert [(line["text"], len(line["vector"])) for line in lines] == [("the sun is a star", 64)] * 2
    [elsewhere] = [
        path for path in sink.files if path.startswith(f"vector_io/stores_of_others/{theirs}/") and "chunks" in path
    ]
    assert json.loads(sink.files[elsewhere])["text"] == "the sun is a star"
    assert not [path for path in sink.files if life.files[bob][0] in path]
    assert {name: amount.count for (_, name), amount in report.data.items()} == {
        "files": 2, "vector stores": 1, "files in vector stores of others": 1, "quota counters": 1
    }  # fmt: skip
    shown = report.show(scene.estate(who))
    assert (shown["files"], shown["bytes"]) == (len(sink.files), sum(map(len, sink.files.values())))


async def test_the_version_of_another_shows_what_the_principal_has_set_alone(scene: Scene) -> None:
    life = Life(scene)
    who = life.name("ada")
    await life.act(who, "version")
    _, sink = await handed_out(scene, scene.estate(who))
    [path] = [path for path in sink.files if path.startswith("configurations/")]
    assert [o["provider_type"] for o in sink.json(path)["overlay"]["inference"].values()] == ["x"]


async def test_what_cannot_be_read_is_said_and_the_rest_goes_on(scene: Scene) -> None:
    life = Life(scene)
    who = life.name("ada")
    for act in ("file", "model"):
        await life.act(who, act)
    document = document_of(scene.place, scene.folder)
    document["providers"]["files"] = [{**document["providers"]["files"][0], "provider_id": "new"}]
    stack = await open_stack(interpret(document, {}))
    scene.place.world.opened.push_async_callback(stack.close)

    async def fail(_: Estate) -> Pieces:
        raise ProviderUnavailable("away")
        yield []

    sink = MemorySink()
    report = await export([Source("x", fail), *sources(stack)], scene.estate(who), sink, quietly)
    assert [(failure.api, failure.name) for failure in report.failures] == [("x", ""), ("files", "files")]
    assert report.failures[0].reason == "away"
    assert "which this stack does not configure" in report.failures[1].reason
    assert [path for path in sink.files if path.startswith("inference/models/")]


async def test_no_id_leads_out_of_the_folder() -> None:
    async def read() -> Extract:
        for name in ("..", ".", "a/../../b", "x" * 900, "é\n", ""):
            yield name_of(name), b"1"

    async def pieces(_: Estate) -> Pieces:
        yield [Piece("things", read=read, remove=_never)]

    sink = MemorySink()
    await export([Source("..", pieces)], ESTATE, sink, quietly)
    assert len(sink.files) == 6
    for path in sink.files:
        assert path.count("/") == 1
        assert path.isascii()
        assert path.isprintable()
        assert not {".", "..", ""} & set(path.split("/"))
        assert max(map(len, path.split("/"))) <= 255


async def _never() -> bool:
    return False
