"""The jobs of a caller over HTTP: what it sees, what it may, and what it is told where there are none."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from core.apis.jobs import ListJobsQuery
from core.config.policy import AccessRule, Scope
from core.errors import Conflict, InvalidRequest, LimitReached, NotFound, PermissionDenied
from core.frame.api import JobRow
from core.frame.callers import Call, KeepLimits, Principal
from core.routing.guard import Enforcement
from core.routing.policy import DEFAULT_POLICY, Policy
from core.services.jobs.retrying import PAGE, last_run
from core.services.jobs.router import JobsRouter
from core.services.jobs.service import JobService
from tests.parts.job_bench import Bench, close_all
from tests.parts.toy_jobs import row_kind

ADA = Call(Principal("ada", {"namespaces": ("ada",)}, "api_key"))
BOB = Call(Principal("bob", {"namespaces": ("bob",)}, "api_key"))
OTHER_ADA = Call(Principal("ada", {"namespaces": ("other",)}, "cognito"))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    yield Bench(tmp_path, row_kind(per_shard=2))
    await close_all()


def service_of(bench: Bench, *rules: AccessRule) -> JobService:
    return JobService(bench.store, bench.queue, Enforcement(Policy(rules or DEFAULT_POLICY)), bench.timing, bench.clock)


def router(bench: Bench, call: Call | None, *rules: AccessRule) -> JobsRouter:
    return JobsRouter(service_of(bench, *rules), [JobRow("toy", ""), JobRow("other", "")], call)


def rule(**how: Any) -> AccessRule:
    return AccessRule.model_validate(how)


async def test_a_job_is_shown_as_far_as_it_is(bench: Bench) -> None:
    job = await bench.create(5, call=ADA)
    jobs = router(bench, ADA)
    view = await jobs.get(job.id)
    assert (view["status"], view["progress"]) == ("queued", {"total": 0, "completed": 0, "failed": 0})
    await bench.deliver("prepare")
    await bench.run(bench.queue.due("shard")[0].body)
    view = await jobs.get(job.id)
    assert (view["status"], view["progress"]) == ("running", {"total": 5, "completed": 2, "failed": 0})
    assert view["usage"] == {"total_tokens": 4, "models": {"m": 4}}
    assert (view["ended_at"], view["result"], view["error"]) == (None, None, None)
    await bench.until_idle()
    view = await jobs.get(job.id)
    assert (view["status"], view["progress"]["completed"], view["owner"]) == ("completed", 5, "ada")
    assert view["result"] == {"lines": 5, "file": "output.jsonl"}


async def test_anothers_job_is_none(bench: Bench) -> None:
    job = await bench.create(1, call=ADA)
    for call in (BOB, OTHER_ADA):
        jobs = router(bench, call)
        for ask in (jobs.get, jobs.cancel, jobs.retry):
            with pytest.raises(NotFound):
                await ask(job.id)
        assert (await jobs.index(query=ListJobsQuery()))["data"] == []
    assert (await router(bench, None).get(job.id))["id"] == job.id
    assert len((await router(bench, None).index(query=ListJobsQuery()))["data"]) == 1


async def test_a_list_is_the_callers_own_newest_first_and_pages(bench: Bench) -> None:
    made = []
    for number in range(5):
        bench.clock.now += 1
        made.append((await bench.create(1, call=ADA if number != 2 else BOB)).id)
    own = [made[number] for number in (4, 3, 1, 0)]
    jobs = router(bench, ADA)
    page = await jobs.index(query=ListJobsQuery(limit=3))
    assert [job["id"] for job in page["data"]] == own[:3]
    assert (page["has_more"], page["last_id"]) == (True, own[2])
    page = await jobs.index(query=ListJobsQuery(after=own[2], limit=3))
    assert ([job["id"] for job in page["data"]], page["has_more"]) == (own[3:], False)
    assert (await jobs.index(query=ListJobsQuery(kind="other")))["data"] == []
    with pytest.raises(InvalidRequest):
        await jobs.index(query=ListJobsQuery(kind="unknown"))
    with pytest.raises(NotFound):
        await jobs.index(query=ListJobsQuery(after=made[2]))


async def test_the_policy_says_who_may_make_see_and_stop_jobs(bench: Bench) -> None:
    job = await bench.create(1, call=ADA)
    may_read = rule(permit=Scope(actions="read", resource="job::toy/*"), when="user with bob in namespaces")
    jobs = router(bench, BOB, may_read)
    assert (await jobs.get(job.id))["id"] == job.id
    with pytest.raises(PermissionDenied):
        await jobs.cancel(job.id)
    service = service_of(bench, may_read)
    with pytest.raises(PermissionDenied):
        await service.create("toy", BOB, {"rows": 1})
    none_of_others = rule(permit=Scope(actions="read", resource="job::other/*"))
    with pytest.raises(NotFound):
        await router(bench, BOB, none_of_others).get(job.id)


async def test_a_job_is_cancelled_and_made_once_more(bench: Bench) -> None:
    job = await bench.create(4, call=ADA)
    jobs = router(bench, ADA)
    with pytest.raises(Conflict):
        await jobs.retry(job.id)
    assert (await jobs.cancel(job.id))["status"] == "finishing"
    await bench.until_idle()
    assert (await jobs.cancel(job.id))["status"] == "cancelled"
    again = await jobs.retry(job.id)
    assert (again["retried_from"], again["status"]) == (job.id, "queued")
    await bench.until_idle()
    assert (await jobs.get(again["id"]))["status"] == "completed"


async def test_a_retry_takes_one_of_the_places_that_its_owner_has_for_jobs_under_way(bench: Bench) -> None:
    def limits_of(principal: Principal) -> KeepLimits:
        return KeepLimits(batches=2 if principal.id == "ada" else 0)

    jobs = JobsRouter(service_of(bench), [JobRow("toy", "", limit="batches")], ADA, limits_of)
    under_way = await bench.create(1, call=ADA)
    await bench.create(1, call=BOB)
    bench.clock.now += 1
    ended = [await bench.create(1, call=ADA) for _ in range(PAGE + 1)]  # newer, and more than a page
    for job in ended:
        await bench.store.stop(job.id, "cancelled")
        await bench.run({"job": job.id, "do": "finish"})
    again = await jobs.retry(ended[0].id)
    with pytest.raises(LimitReached) as refusal:
        await jobs.retry(ended[0].id)
    assert (refusal.value.status, refusal.value.code) == (429, "max_batches_reached")
    assert refusal.value.message == "You may have 2 batches under way, and have as many. Wait for one, or cancel it."
    await jobs.cancel(under_way.id)
    await bench.until_idle()
    assert (await jobs.retry(again["id"]))["retried_from"] == again["id"]


async def test_a_retry_of_a_kind_with_runs_is_its_one_next_run(bench: Bench) -> None:
    service = service_of(bench)
    jobs = JobsRouter(service, [JobRow("toy", "", has_runs=True, about=("rows", "absent"))], ADA)
    first = await bench.create(3, call=ADA)
    await bench.until_idle()
    again = await asyncio.gather(jobs.retry(first.id), jobs.retry(first.id))
    assert again[0] == again[1]
    assert (again[0]["retried_from"], again[0].get("about")) == (first.id, {"rows": 3})
    with pytest.raises(Conflict):  # of the first, too: its next run is under way
        await jobs.retry(first.id)
    await bench.until_idle()
    third = await jobs.retry(first.id)
    assert third["retried_from"] == again[0]["id"] != third["id"]
    assert (await last_run(bench.store, await bench.job(first))).id == third["id"]


async def test_without_a_place_for_jobs_there_are_none() -> None:
    with pytest.raises(NotFound) as refusal:
        await JobsRouter(None, [], ADA).get("job_1")
    assert "storage.stores" in refusal.value.message
