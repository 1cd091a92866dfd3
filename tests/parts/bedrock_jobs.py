"""Model invocation jobs of Bedrock on its wire: they read their records from S3 and write what came of them, in no order.

A job that is looked at is one step further: Submitted, Validating, InProgress, and an end. Records of what Bedrock refuses in
batches come back with an error of their own; too few of them make a job that Failed.
Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelInvocationJob.html, API_GetModelInvocationJob.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-data.html.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
import json
from typing import Any, Final

from aiohttp import web
from botocore.exceptions import ClientError

from tests.parts.bedrock import ACCOUNT, HELLO, REGION, FakeBedrock, refusal
from tests.parts.moto import aws_client
from tests.parts.upstream import Reply, status

ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/batches"
WHEN: Final = "2026-11-30T03:00:00Z"
STEPS: Final = ("Submitted", "Validating", "InProgress")
ENDED: Final = frozenset({"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"})
TOOLS: Final = {"error": {"errorCode": 400, "errorMessage": "toolConfig is not supported in batches"}}

type Record = dict[str, Any]


def hello(_: Record) -> Record:
    return {"modelOutput": HELLO}


@dataclass
class Job:
    """As it was asked for; `done` is how many records a stopped job has got through."""

    request: dict[str, Any]
    arn: str
    status: str = "Submitted"
    message: str = ""
    counts: dict[str, int] = field(default_factory=dict[str, int])


@dataclass
class BedrockJobs:
    """`outcome` says what a record comes to, {} for one that is missing in the output. `held` jobs stay InProgress.

    A job that is stopped, or `cut`, has its first `done` records in the output alone.
    """

    s3: str
    outcome: Callable[[Record], Record] = hello
    least: int = 3
    held: bool = False
    cut: int | None = None
    done: int = 0
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    created: int = 0  # requests to create one
    stalls: bool = False  # and whether the next of these is never answered

    def serve(self, fake: FakeBedrock) -> None:
        """Answer these operations of `fake`."""
        fake.replies |= {
            "create-job": self._create,
            "get-job": self._get,
            "stop-job": self._stop,
            "list-jobs": self._list,
        }

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self.created += 1
        asked: dict[str, Any] = await request.json()
        for job in self.jobs.values():
            if asked["jobName"] == job.request["jobName"]:
                reply = status(200, {"jobArn": job.arn}) if asked == job.request else _conflict()
                return await reply(request)
        if asked["roleArn"] != ROLE:
            return await refusal(400, "ValidationException", "the role cannot be assumed")(request)
        arn = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-invocation-job/{len(self.jobs):012}"
        self.jobs[arn] = Job(asked, arn)
        if self.stalls:
            self.stalls = False
            await asyncio.sleep(3600)
        return await status(200, {"jobArn": arn})(request)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        job = self.jobs.get(_named(request))
        if job is None:
            return await refusal(404, "ResourceNotFoundException")(request)
        await asyncio.to_thread(self._step, job)
        told = {
            name: job.request[name] for name in ("jobName", "modelId", "roleArn", "inputDataConfig", "outputDataConfig")
        }
        more = {"message": job.message} if job.message else {}
        return await status(
            200, {"jobArn": job.arn, "status": job.status, "submitTime": WHEN, **told, **more, **job.counts}
        )(request)

    async def _stop(self, request: web.Request) -> web.StreamResponse:
        job = self.jobs.get(_named(request))
        if job is None or job.status in ENDED:
            return await (refusal(404, "ResourceNotFoundException") if job is None else _conflict())(request)
        job.status = "Stopping"
        return await status(200, {})(request)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        found = [job for job in self.jobs.values() if request.query.get("nameContains", "") in job.request["jobName"]]
        names = ("jobName", "modelId", "roleArn", "inputDataConfig", "outputDataConfig")
        rows = [{"jobArn": job.arn, "submitTime": WHEN, **{name: job.request[name] for name in names}} for job in found]
        return await status(200, {"invocationJobSummaries": rows})(request)

    def _step(self, job: Job) -> None:
        if job.status in STEPS[:-1]:
            job.status = STEPS[STEPS.index(job.status) + 1]
            if job.status == "InProgress":
                self._validate(job)
        elif job.status == "Stopping":
            self._write(job, "Stopped", self.done)
        elif job.status == "InProgress" and not self.held:
            self._write(job, "PartiallyCompleted" if self.cut is not None else "Completed", self.cut)

    def _validate(self, job: Job) -> None:
        records = self._records(job)
        names = [record["recordId"] for record in records]
        if len(records) < self.least or len(set(names)) < len(names):
            job.status, job.message = (
                "Failed",
                f"records: {len(records)}, at least {self.least}, each with an id of its own",
            )
        job.counts = _counts(len(records), 0, 0)

    def _records(self, job: Job) -> list[Record]:
        bucket, key = _place(job.request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])
        with aws_client("s3", self.s3) as s3:
            try:
                content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except ClientError:
                return []
        return [json.loads(line) for line in content.splitlines()]

    def _write(self, job: Job, end: str, most: int | None) -> None:
        records = self._records(job)
        lines = [{**record, **self._result(record)} for record in records[:most]]
        lines = [line for line in lines if "modelOutput" in line or "error" in line]
        failed = sum("error" in line for line in lines)
        bucket, folder = _place(job.request["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"])
        _, key = _place(job.request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])
        job.counts = _counts(len(records), len(lines) - failed, failed)
        with aws_client("s3", self.s3) as s3:
            at = f"{folder.rstrip('/')}/{job.arn.rpartition('/')[2]}/"
            body = "".join(json.dumps(line) + "\n" for line in reversed(lines))
            s3.put_object(Bucket=bucket, Key=f"{at}{key.rpartition('/')[2]}.out", Body=body.encode())
            s3.put_object(Bucket=bucket, Key=f"{at}manifest.json.out", Body=json.dumps(job.counts).encode())
        job.status = end

    def _result(self, record: Record) -> Record:
        return TOOLS if "toolConfig" in record["modelInput"] else self.outcome(record)


def _conflict() -> Reply:
    return refusal(409, "ConflictException", "there is a job of this name, or it has ended")


def _named(request: web.Request) -> str:
    return request.path.removeprefix("/model-invocation-job/").removesuffix("/stop")


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _counts(total: int, good: int, bad: int) -> dict[str, int]:
    return {
        "totalRecordCount": total,
        "processedRecordCount": good + bad,
        "successRecordCount": good,
        "errorRecordCount": bad,
    }
