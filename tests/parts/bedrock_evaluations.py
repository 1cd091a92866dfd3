"""Evaluation jobs of Bedrock on its wire: they read their prompts from S3 and write a file of scores for each metric, in no order.

A job that is looked at is one step further: InProgress, and Completed. Requests are held to the SDK's own description of the service.
Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateEvaluationJob.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-report-s3.html.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
import json
from typing import Any, Final, override
from urllib.parse import unquote
from uuid import uuid4

from aiohttp import web

from tests.parts.bedrock import ACCOUNT, REGION, refusal
from tests.parts.moto import aws_client
from tests.parts.upstream import FakeUpstream, status

ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/evaluations"
WHEN: Final = "2026-11-30T03:00:00Z"
OVER: Final = frozenset({"Completed", "Failed", "Stopped"})
BUILT_IN: Final = [{"prompt": f"Complete this: {n}", "referenceResponse": str(n)} for n in range(3)]


@dataclass
class Evaluation:
    """As it was asked for."""

    request: dict[str, Any]
    arn: str
    status: str = "InProgress"
    messages: list[str] = field(default_factory=list[str])


@dataclass
class BedrockEvaluationJobs(FakeUpstream):
    """`say` is what a model says to a prompt, `score` what a metric says of that. `held` jobs stay InProgress."""

    s3: str = ""
    say: Callable[[str], str] = str.upper
    score: Callable[[str, str], float] = lambda _, __: 1.0
    held: bool = False
    jobs: dict[str, Evaluation] = field(default_factory=dict[str, Evaluation])

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.path)
        if path == "/evaluation-jobs":
            return await (self._create(request) if request.method == "POST" else self._list(request))
        arn = path.removeprefix("/evaluation-jobs/").removeprefix("/evaluation-job/").removesuffix("/stop")
        job = self.jobs.get(arn)
        if job is None:
            return await refusal(404, "ResourceNotFoundException")(request)
        if request.method == "POST":
            if job.status in OVER:
                return await refusal(409, "ConflictException")(request)
            job.status = "Stopped"
            return await status(200, {})(request)
        await asyncio.to_thread(self._step, job)
        return await self._show(request, job)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        asked: dict[str, Any] = await request.json()
        if asked["roleArn"] != ROLE:
            return await refusal(400, "ValidationException", "the role cannot be assumed")(request)
        arn = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:evaluation-job/{len(self.jobs):012}"
        self.jobs[arn] = Evaluation(asked, arn)
        return await status(202, {"jobArn": arn})(request)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return await status(200, {"jobSummaries": []})(request)

    async def _show(self, request: web.Request, job: Evaluation) -> web.StreamResponse:
        names = ("jobName", "roleArn", "applicationType", "evaluationConfig", "inferenceConfig", "outputDataConfig")
        told = {name: job.request[name] for name in names}
        body = {"jobArn": job.arn, "status": job.status, "jobType": "Automated", "creationTime": WHEN, **told}
        return await status(200, {**body, "failureMessages": job.messages} if job.messages else body)(request)

    def _step(self, job: Evaluation) -> None:
        if job.status == "InProgress" and not self.held:
            self._write(job)
            job.status = "Completed"

    def _write(self, job: Evaluation) -> None:
        [part] = job.request["evaluationConfig"]["automated"]["datasetMetricConfigs"]
        [model] = job.request["inferenceConfig"]["models"]
        name = model["bedrockModel"]["modelIdentifier"]
        bucket, folder = _place(job.request["outputDataConfig"]["s3Uri"])
        job_id = job.arn.rpartition("/")[2]
        at = f"{folder.rstrip('/')}/{job.request['jobName']}/{job_id}/models/{name}/taskTypes/{part['taskType']}"
        at = f"{at}/datasets/{part['dataset']['name']}"
        with aws_client("s3", self.s3) as s3:
            prompts = self._prompts(s3, part["dataset"])
            for metric in part["metricNames"]:
                lines = [self._line(name, metric, prompt) for prompt in reversed(prompts)]
                body = "".join(json.dumps(line) + "\n" for line in lines).encode()
                s3.put_object(Bucket=bucket, Key=f"{at}/{uuid4()}_output.jsonl", Body=body)
            s3.put_object(
                Bucket=bucket, Key=f"{folder.rstrip('/')}/amazon-bedrock-evaluations-permission-check", Body=b""
            )

    def _prompts(self, s3: Any, dataset: dict[str, Any]) -> list[dict[str, str]]:
        if "datasetLocation" not in dataset:
            return BUILT_IN
        bucket, key = _place(dataset["datasetLocation"]["s3Uri"])
        return [json.loads(line) for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()]

    def _line(self, model: str, metric: str, prompt: dict[str, str]) -> dict[str, Any]:
        answer = self.say(prompt["prompt"])
        scores = [{"metricName": metric, "result": self.score(prompt.get("referenceResponse", ""), answer)}]
        responses = [{"modelIdentifier": model, "response": answer}]
        return {"automatedEvaluationResult": {"scores": scores}, "inputRecord": prompt, "modelResponses": responses}


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
