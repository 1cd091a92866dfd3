"""Every status of a job is told, in order and under one id each; EventBridge (moto's) has what is told."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
import time

import pytest

from core.apis.jobs import JobChange
from core.providers.aws.clients import AwsClients, AwsConfig
from core.providers.aws.event_bus import EventBus
from core.services.jobs.kind import JobFailed, PrepareRun, Slice
from infra.local.dynamodb import CREDENTIALS, REGION
from tests.parts.job_bench import Bench, close_all
from tests.parts.moto import aws_client
from tests.parts.toy_jobs import row_kind

ACCOUNT = "123456789012"
CONFIG = AwsConfig.model_validate(
    {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
)


class Told:
    """Answers `core.apis.jobs.JobTeller`."""

    def __init__(self) -> None:
        self.changes: list[JobChange] = []

    async def tell(self, change: JobChange) -> None:
        self.changes.append(change)


@pytest.fixture(autouse=True)
async def closing() -> AsyncGenerator[None]:
    yield
    await close_all()


async def refuse(_: PrepareRun) -> list[Slice]:
    raise JobFailed("bad: it is")


@pytest.mark.parametrize(
    ("end", "statuses"),
    [
        ("completed", ["queued", "running", "finishing", "completed"]),
        ("failed", ["queued", "failed"]),
        ("cancelled", ["queued", "running", "stopping", "finishing", "cancelled"]),
        ("cancelled at once", ["finishing", "cancelled"]),
    ],
)
async def test_every_status_is_told_once_each_in_its_order(tmp_path: Path, end: str, statuses: list[str]) -> None:
    told, kind = Told(), row_kind()
    bench = Bench(tmp_path, replace(kind, prepare=refuse) if end == "failed" else kind, teller=told)
    job = await bench.create(3)
    if end == "cancelled":
        await bench.deliver("prepare")
    if end.startswith("cancelled"):
        await bench.service.cancel(job)
        await bench.deliver("stop")
    await bench.until_idle()
    assert list(dict.fromkeys(change.status for change in told.changes)) == statuses
    events = {change.event for change in told.changes}
    assert len(events) == len(statuses)
    assert {(change.job, change.kind) for change in told.changes} == {(job.id, "toy")}
    assert told.changes[-1].counts == {"completed": 3 if end == "completed" else 0, "failed": 0}
    assert told.changes[-1].reason == ("bad" if end == "failed" else "")


async def test_an_event_bus_takes_what_it_is_told(moto_endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    """moto has no rules without a package of its own: tests/lambda_/test_event_bus.py sees the event arrive."""
    with aws_client("events", moto_endpoint) as events:
        arn: str = events.create_event_bus(Name="jobs")["EventBusArn"]
    for name, refused in ((arn, False), (arn + "2", True)):
        bus = EventBus(name, "mine", AwsClients(CONFIG), endpoint_url=moto_endpoint)
        await bus.tell(JobChange("evt_1", "batch_1", "batch", "ada", "completed", time.time(), "", {"completed": 3}))
        await bus.close()
        assert ("ResourceNotFoundException" in caplog.text) is refused


async def test_a_bus_that_cannot_be_told_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bus = EventBus(
        f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/jobs", "t", AwsClients(CONFIG), endpoint_url="http://127.0.0.1:9"
    )
    await bus.tell(JobChange("evt_1", "batch_1", "batch", "", "queued", 1.0))
    await bus.close()
    assert "job batch_1: its status queued is not on the event bus" in caplog.text
