"""All that a principal keeps is shown and goes, over both kinds of state; what others keep, and its namesake, stays as it is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
import time
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.apis.configurations import Configuration
from core.config.load import interpret
from core.frame.callers import Call, Principal
from core.frame.resources import Resource
from core.quota.identity import identity
from core.resolution.erasure.engine import BUSY, MADE_MEANWHILE, erase, quietly
from core.resolution.erasure.sources import Source, sources
from core.resolution.erasure.stack import open_stack
from core.routing.policy import owner_of
from core.services.erasure import Estate, Pieces
from core.services.jobs.parts import folder
from core.services.vector_stores.records import BATCHES, FILES, FileRecord, file_document_id
from core.stores.configurations.port import Head
from core.stores.connect import BLOBS, CONFIGURATIONS, COUNTERS, JOBS, REGISTRY, SEMAPHORES
from core.stores.counters.port import AccountKey
from core.stores.jobs.port import Counts as JobCounts
from core.stores.jobs.port import Job, Shard
from tests.contract.counters import taking
from tests.parts.audit import CHANGE
from tests.parts.estates import ACTS, Life, Scene, document_of, open_scene, traces
from tests.parts.vector_places import AWS, SQLITE
from tests.parts.vector_stack import STORES, by

NAMES = st.sampled_from(["ada", "bob", "ada@another"])


@pytest.fixture(params=[SQLITE, AWS])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(request, tmp_path) as scene:
        yield scene


LIVES = st.lists(st.tuples(NAMES, st.sampled_from(ACTS)), min_size=4, max_size=14)
IN_A_SCENE = [HealthCheck.function_scoped_fixture]


@settings(max_examples=3, deadline=None, suppress_health_check=IN_A_SCENE)
@given(acts=LIVES, gone=NAMES)
async def test_all_of_one_goes_and_nothing_of_others(scene: Scene, acts: list[tuple[str, str]], gone: str) -> None:
    await live_and_go(scene, acts, gone)


@pytest.mark.exact
@settings(max_examples=40, deadline=None, suppress_health_check=IN_A_SCENE)
@given(acts=LIVES, gone=NAMES)
async def test_all_of_one_goes_and_nothing_of_others_whatever_they_did(
    scene: Scene, acts: list[tuple[str, str]], gone: str
) -> None:
    await live_and_go(scene, acts, gone)


def without_files(shown: dict[str, Any], files: list[str]) -> dict[str, Any]:
    """What the stack shows, without these files in what is found."""
    found = [[result for result in results if result["file_id"] not in files] for results in shown["found"]]
    return {**shown, "found": found}


async def live_and_go(scene: Scene, acts: list[tuple[str, str]], gone: str) -> None:
    life = Life(scene)
    for who, act in acts:
        await life.act(life.name(who), act)
    gone = life.name(gone)
    others = [name for who in ("ada", "bob", "ada@another") if (name := life.name(who)) != gone]
    for name in (gone, *others):
        assert await life.counted(name) == life.expects(name), name
    lost = life.files.get(gone, [])  # out of the stores of others too
    before = {name: without_files(await scene.shows(name), lost) for name in others}
    assert bool(traces(scene, scene.principal(gone))) == bool(life.expects(gone))
    outcome = await scene.erase(gone)
    assert outcome.is_whole, outcome
    assert {
        name: amount.count for (_, name), amount in outcome.removed.items() if name != "quota counters"
    } == life.expects(gone)
    life.leave(gone)
    assert await scene.counts(gone) == {}
    assert traces(scene, scene.principal(gone)) == []
    for name in others:
        assert await life.counted(name) == life.expects(name), name
        assert await scene.shows(name) == before[name]
    assert (await scene.erase(gone)).removed == {}


async def test_bytes_parts_and_counts_go_with_what_they_are_of(scene: Scene) -> None:
    life = Life(scene)
    who, bob = life.name("ada"), life.name("bob")
    for name, act in ((bob, "store"), (bob, "file"), (who, "file"), (who, "parts"), (who, "batch elsewhere")):
        await life.act(name, act)
    [batch] = (await scene.documents.page(BATCHES, life.own(bob)[0], limit=9)).documents
    jobs, now = scene.stack.stores.get(JOBS), int(time.time())
    await jobs.create(Job("x", "vector_ingest", scene.principal(who), {}, now, now, now + 999))
    leased = await jobs.lease("x", "w", now=now, until=now + 60)
    assert leased is not None
    assert await jobs.end(leased, "completed", reason="", counts=JobCounts(), result={}, now=now)
    await scene.stack.stores.get(BLOBS).put(f"{folder('x')}result", b"result")
    assert len(scene.blobs()) == 1 + 2 + 2 + 1
    assert (await scene.erase(who)).is_whole
    assert len(scene.blobs()) == 1
    assert await scene.documents.tallies(BATCHES, batch.id) == {}
    assert traces(scene, scene.principal(who)) == []


async def test_what_is_made_meanwhile_is_left_and_counted_and_goes_the_next_time(scene: Scene) -> None:
    life = Life(scene)
    who = life.name("ada")
    for act in ("parts", "file"):
        await life.act(who, act)
    assert await scene.tallies(who) == {"files": 2, "bytes": len("the sun is a star") + 3}
    for piece in await scene.pieces(who, "uploads"):
        assert await piece.remove()
    assert await scene.tallies(who) == {"files": 1, "bytes": len("the sun is a star")}
    late = list[str]()
    all_sources = list(sources(scene.stack))

    async def write(estate: Estate) -> Pieces:
        if not late:
            late.append(await life.new_file(estate.principal.id))
        yield []

    outcome = await erase([*all_sources, Source("test", write)], scene.estate(who), quietly, wait=0)
    assert {name: amount.count for (_, name), amount in outcome.left.items()} == {"files": 1, "quota counters": 1}
    assert set(outcome.reasons.values()) == {MADE_MEANWHILE}
    assert await scene.tallies(who) == {"files": 1, "bytes": len("the sun is a star")}
    assert (await scene.erase(who)).is_whole


async def test_a_run_that_is_cut_off_leaves_nothing_that_the_next_does_not_find(scene: Scene) -> None:
    for most in (0, 2, 4):
        life = Life(scene)
        who = life.name("ada")
        for act in ("job", "store", "insert", "add", "file", "parts", "model", "answer"):
            await life.act(who, act)
        assert await cut_off(scene, who, most)
        assert (await scene.erase(who)).is_whole
        assert await scene.counts(who) == {}
        assert traces(scene, scene.principal(who)) == []


async def cut_off(scene: Scene, who: str, most: int) -> bool:
    """Whether it ended before it was done, soon after so many pieces were removed."""
    removed = 0

    def note(_: str, count: int) -> None:
        nonlocal removed
        removed += count
        if removed > most:
            erasing.cancel()

    erasing = asyncio.ensure_future(erase(list(sources(scene.stack)), scene.estate(who), note, wait=0))
    await asyncio.wait((erasing,))
    return erasing.cancelled()


async def test_what_has_become_anothers_since_it_was_looked_at_stays(scene: Scene) -> None:
    life = Life(scene)
    who, bob = life.name("ada"), life.name("bob")
    await life.act(bob, "store")
    await life.act(who, "add elsewhere")
    await life.act(who, "model")
    [file_id], [store] = life.files[who], life.own(bob)
    pieces = await scene.pieces(who, "models", "files in vector stores of others")
    path = f"{STORES}/{store}/files"
    assert (await scene.client(bob).delete(f"{path}/{file_id}", headers=by(bob))).status_code == 200
    answer = await scene.client(bob).post(path, json={"file_id": file_id}, headers=by(bob))
    assert answer.json()["status"] == "completed"
    registry = scene.stack.stores.get(REGISTRY)
    [model] = [r for r in await registry.page("model", after="", limit=9) if r.owner == owner_of(scene.principal(who))]
    await registry.delete("model", model.identifier)
    taken = await registry.create(replace(model, owner=owner_of(scene.principal(bob))))
    assert [await piece.remove() for piece in pieces] == [True, True]
    assert await registry.get("model", model.identifier) == taken
    assert (await scene.client(bob).get(f"{path}/{file_id}", headers=by(bob))).status_code == 200


async def test_a_store_that_the_run_config_declares_by_now_is_the_operators(scene: Scene) -> None:
    life = Life(scene)
    who = life.name("ada")
    await life.act(who, "store")
    [store] = life.own(who)
    document = document_of(scene.place, scene.folder)
    declared = {"vector_store_id": store, "provider_id": "v", "embedding_model": "words", "embedding_dimension": 64}
    document["vector_stores"] = [declared]
    stack = await open_stack(interpret(document, {}))
    scene.place.world.opened.push_async_callback(stack.close)
    assert (await erase(list(sources(stack)), scene.estate(who), quietly, wait=0)).is_whole
    assert await scene.counts(who) == {"vector stores": 1}


async def test_what_is_in_use_is_left_with_a_reason_and_goes_the_next_time(scene: Scene) -> None:
    life = Life(scene)
    who, bob = life.name("ada"), life.name("bob")
    for name, act in ((bob, "store"), (who, "add elsewhere"), (who, "store"), (who, "add"), (who, "job")):
        await life.act(name, act)
    held = await held_by_workers(life, who, bob)
    outcome = await scene.erase(who)
    assert not outcome.is_whole
    names = {"jobs", "vector stores", "files in vector stores of others"}
    assert {name: reason for (_, name), reason in outcome.reasons.items()} == dict.fromkeys(names, BUSY)
    assert {name: amount.count for (_, name), amount in outcome.left.items()} == dict.fromkeys(names, 1)
    job = await scene.stack.stores.get(JOBS).get(held)
    assert job is not None
    assert job.status == "stopping"
    await let_go(life, who, bob, held)
    assert (await scene.erase(who)).is_whole
    assert await scene.counts(who) == {}
    assert not await scene.stack.stores.get(BLOBS).delete_below(folder(held))
    assert scene.place.world.count_indexes() == 1  # Bob's


async def held_by_workers(life: Life, who: str, bob: str) -> str:
    """A job and two files of which somebody has the leases; the job's id."""
    scene = life.scene
    jobs = scene.stack.stores.get(JOBS)
    [job] = (await jobs.page("vector_ingest", owner=scene.principal(who).identity, after=None, limit=1)).jobs
    leased = await jobs.lease(job.id, "w", now=time.time(), until=time.time() + 60)
    assert leased is not None
    assert await jobs.start(leased, [Shard(job.id, "p", 0, {}, 1)], now=time.time())
    await jobs.lease_shard(replace(leased, plan="p"), 0, "w", now=time.time(), until=time.time() + 60)
    for store in (life.own(who)[0], life.own(bob)[0]):
        await change_lease(life, store, who, holder="w", until=time.time() + 60)
    return job.id


async def let_go(life: Life, who: str, bob: str, job_id: str) -> None:
    jobs = life.scene.stack.stores.get(JOBS)
    job = await jobs.get(job_id)
    assert job is not None
    [shard] = await jobs.shards(job)
    assert await jobs.release_shard(shard)
    for store in (life.own(who)[0], life.own(bob)[0]):
        await change_lease(life, store, who, holder="", until=0.0)


async def change_lease(life: Life, store: str, who: str, *, holder: str, until: float) -> None:
    documents = life.scene.stack.stores.collection("vector_stores")
    for file_id in life.files[who]:
        document = await documents.get(FILES, file_document_id(store, file_id))
        if document is not None:
            await documents.put(document, replace(FileRecord.read(document.body), holder=holder, until=until).body())


async def test_a_place_that_is_away_leaves_what_is_there_with_a_reason_and_the_rest_goes(scene: Scene) -> None:
    life = Life(scene)
    who = life.name("ada")
    for act in ("store", "file", "job", "model"):
        await life.act(who, act)
    document = document_of(scene.place, scene.folder)
    document["providers"]["files"] = [{**document["providers"]["files"][0], "provider_id": "new"}]
    stack = await open_stack(interpret(document, {}))
    scene.place.world.opened.push_async_callback(stack.close)
    outcome = await erase(list(sources(stack)), scene.estate(who), quietly, wait=0)
    [(key, reason)] = outcome.reasons.items()
    assert key == ("files", "files")
    assert "provider `blobs`, which this stack does not configure" in reason
    assert await scene.counts(who) == {"files": 1}
    assert (await scene.erase(who)).is_whole


async def test_versions_of_others_lose_the_name_and_keep_what_they_configure(scene: Scene) -> None:
    life = Life(scene)
    who, bob = life.name("ada"), life.name("bob")
    store = scene.stack.stores.get(CONFIGURATIONS)
    override = {"provider_type": "x", "config": {"a": 1}, "registered": True}
    mine, his = owner_of(scene.principal(who)), owner_of(scene.principal(bob))
    versions = [
        Configuration(1, {"inference": {"a": override | {"owner": mine}}}, owner=mine),
        Configuration(2, {"inference": {"a": override | {"owner": mine}, "b": override | {"owner": his}}}, owner=his),
        Configuration(3, {"inference": {"a": override | {"owner": mine}}}, owner=mine),
    ]
    for version in versions:
        assert await store.append(version, change=CHANGE, after=Head(version.version - 1, version.version - 1))
    assert (await scene.counts(who))["configurations"] == 3
    assert (await scene.erase(who)).is_whole
    assert await store.head() == Head(3, 3)
    assert await store.page(before=None, limit=9) == [
        Configuration(3, {"inference": {"a": override}}),
        Configuration(2, {"inference": {"a": override, "b": override | {"owner": his}}}, owner=his),
    ]


async def test_an_api_key_goes_only_where_it_is_asked_for_and_takes_its_counters_and_streams(scene: Scene) -> None:
    registry, stores = scene.stack.stores.get(REGISTRY), scene.stack.stores
    principal = Principal("abcdefgh2345", {}, "api_key")
    estate = Estate(principal, lambda _: True)
    for kind in ("api_key", "api_key_use"):
        await registry.create(Resource(kind, principal.id, "llambda", principal.id, {}))
        await registry.create(Resource(kind, "abcdefgh2346", "llambda", "abcdefgh2346", {}))
    await registry.create(
        Resource("model", "old", "local", "m", {"metadata": {}}, owner={"principal": principal.id, "attributes": {}})
    )
    client = identity(Call(principal))
    await stores.get(COUNTERS).take(AccountKey(client), taking(1, holds=True))
    await stores.get(SEMAPHORES).acquire(client, "h", most=9, now=1, until=4_000_000_000)
    for keys, left in ((False, ["api_key", "api_key_use"]), (True, [])):
        outcome = await erase(list(sources(scene.stack, keys=keys)), estate, quietly, wait=0)
        assert outcome.is_whole
        assert sorted(name for _, name in outcome.removed) == (
            ["API keys"] if keys else ["leases of streams", "models", "quota counters"]
        )
        assert [kind for kind in ("api_key", "api_key_use") if await registry.get(kind, principal.id)] == left
    assert await registry.get("api_key", "abcdefgh2346")
