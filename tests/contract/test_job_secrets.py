"""What callers bring for providers, in jobs: sealed by a key of KMS (moto's), given to rows alone, and gone with the job's end."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, InvalidRequest
from core.frame.callers import ANONYMOUS, Call, Principal
from core.providers.aws.clients import AwsClients, AwsConfig
from core.providers.aws.kms_keys import KeyUse, KmsKeys
from core.services.jobs.kind import JobFailed, PrepareRun, Result, Row, Slice
from core.services.jobs.parts import folder
from core.services.jobs.router import show_job
from core.services.jobs.secrets import NAME, JobSecrets
from core.stores.jobs.port import Job
from infra.local.dynamodb import CREDENTIALS
from tests.parts.job_bench import Bench, close_all
from tests.parts.moto import aws_client
from tests.parts.secrets import plant
from tests.parts.toy_jobs import echo, row_kind

SECRET = plant("key-of-a-caller-for-jobs")
DATA = {"vllm_api_token": SECRET}
ADA = Call(Principal("ada", {}, "api_key"), provider_data=DATA)
CONFIG = AwsConfig.model_validate(
    {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
)


class Asked:
    """What rows were given."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    async def __call__(self, row: Row, call: Call) -> Result:
        self.data.append(dict(call.provider_data))
        call.add_tokens(1)
        return echo(row)


@pytest.fixture
async def keys(moto_endpoint: str) -> AsyncGenerator[KmsKeys]:
    with aws_client("kms", moto_endpoint) as client:
        arn: str = client.create_key()["KeyMetadata"]["Arn"]
    keys = KmsKeys(arn, AwsClients(CONFIG), endpoint_url=moto_endpoint, use=KeyUse("jobs", "the provider data of jobs"))
    yield keys
    await keys.close()
    await close_all()


def bench_of(folder: Path, keys: KmsKeys, asked: Asked, **kind: Any) -> Bench:
    bench = Bench(folder, replace(row_kind(asked, per_shard=2), **kind))
    secrets = JobSecrets(bench.blobs, keys)
    bench.engine = replace(bench.engine, secrets=secrets)
    bench.service = replace(bench.service, secrets=secrets)
    return bench


def sealed_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(NAME)]


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_without_a_key_a_call_that_brings_some_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, row_kind())
    with pytest.raises(InvalidRequest, match=r"jobs\.provider_data_key"):
        await bench.create(1, call=ADA)
    await close_all()


async def test_rows_are_given_what_their_owner_brought_and_nothing_else_has_it(
    tmp_path: Path, keys: KmsKeys, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked()
    bench = bench_of(tmp_path, keys, asked)
    job = await bench.create(3, call=ADA)
    plain = await bench.create(1, call=Call(ANONYMOUS))
    assert len(sealed_below(tmp_path)) == 1
    assert SECRET.encode() not in everything_in(tmp_path)
    await bench.until_idle()
    assert sorted(map(len, asked.data)) == [0, 1, 1, 1]
    assert {json.dumps(data) for data in asked.data} == {"{}", json.dumps(DATA)}
    assert [(await bench.job(each)).status for each in (job, plain)] == ["completed", "completed"]
    assert sealed_below(tmp_path) == []
    ended = await bench.job(job)
    assert ended.counts is not None
    told = [
        everything_in(tmp_path).decode(errors="replace"),
        caplog.text,
        repr(ended),
        str(show_job(ended, ended.counts)),
    ]
    assert not any(SECRET in text for text in told)


async def refuse(_: PrepareRun) -> Sequence[Slice]:
    raise JobFailed("bad: it is")


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_it_is_gone_however_the_job_ends(tmp_path: Path, keys: KmsKeys, end: str) -> None:
    bench = bench_of(tmp_path, keys, Asked(), **({"prepare": refuse} if end == "failed" else {}))
    job = await bench.create(3, call=ADA)
    assert len(sealed_below(tmp_path)) == 1
    if end == "cancelled":
        await bench.service.cancel(job)
    await bench.until_idle()
    assert ((await bench.job(job)).status, sealed_below(tmp_path)) == (end, [])


async def test_the_same_key_again_keeps_nothing_more(tmp_path: Path, keys: KmsKeys) -> None:
    bench = bench_of(tmp_path, keys, Asked())
    jobs = [await bench.create(1, call=ADA, key="k") for _ in range(2)]
    assert jobs[0].id == jobs[1].id
    assert len(sealed_below(tmp_path)) == 1


async def test_a_job_whose_key_has_another_request_keeps_nothing(tmp_path: Path, keys: KmsKeys) -> None:
    bench = bench_of(tmp_path, keys, Asked())
    await bench.create(1, call=ADA, key="k")
    with pytest.raises(Conflict):
        await bench.create(2, call=ADA, key="k")
    assert len(sealed_below(tmp_path)) == 1


async def test_what_was_sealed_for_another_job_fails_this_one(tmp_path: Path, keys: KmsKeys) -> None:
    asked = Asked()
    bench = bench_of(tmp_path, keys, asked)
    jobs: list[Job] = [await bench.create(1, call=ADA) for _ in range(2)]
    theirs, ours = (f"{folder(job.id)}{NAME}" for job in jobs)
    await bench.blobs.put(ours, b"".join([chunk async for chunk in bench.blobs.read(theirs)]))
    await bench.until_idle()
    failed = await bench.job(jobs[1])
    assert (failed.status, failed.reason.partition(":")[0]) == ("failed", "provider_data_lost")
    assert asked.data == [DATA]
