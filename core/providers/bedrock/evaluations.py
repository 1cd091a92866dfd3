"""Evaluations as Bedrock's model evaluation jobs: prompts in S3, a job over them and a model, scores in S3.

Below `s3_uri` an evaluation has a folder of its own, with `input.jsonl` and, below `out/`, what Bedrock writes.
Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateEvaluationJob.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-report-s3.html.
"""

from collections.abc import AsyncIterator, Mapping
import re
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from pydantic_core import to_json

from core.apis.evals import EvalProvider
from core.errors import Conflict, InvalidRequest, NotFound, UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.platform.aws_errors import code_of
from core.platform.aws_sdk import partition_of
from core.platform.bounded import AnswerTooLarge
from core.platform.byte_lines import read_lines
from core.platform.signed_json import SignedJson
from core.providers.aws.clients import AwsClients, call_options
from core.providers.bedrock.batch_bucket import BatchBucket
from core.providers.bedrock.errors import translate_errors
from core.providers.bedrock.evaluation_config import Config
from core.providers.bedrock.evaluation_lines import Results, to_line
from core.providers.bedrock.evaluation_request import MOST_PROMPTS, check_metadata, create_request, is_built_in
from core.providers.http.replies import health_of

SERVICE: Final = "bedrock"
JOBS: Final = "evaluation-jobs"
STOP: Final = "evaluation-job/{}/stop"
ATTEMPTS: Final = 3
INPUT: Final = "input.jsonl"
OUTPUT: Final = "out/"
JOB: Final = re.compile(r"([0-9]{12})-([a-z0-9]{12})")
PAGE: Final = 100  # rows
MOST_LINE: Final = 8 * 1024 * 1024  # bytes
MOST_FILES: Final = 200
STATUSES: Final = {
    "InProgress": "in_progress",
    "Completed": "completed",
    "Failed": "failed",
    "Stopping": "in_progress",
    "Stopped": "cancelled",
    "Deleting": "in_progress",
}
OVER: Final = frozenset({"ConflictException", "ValidationException"})
"""What stopping a job that has ended is answered with."""
ROWS: Final = (
    "Bedrock evaluates whole benchmarks alone: run this one as a job, or register one with a provider that evaluates rows, as "
    "inline::meta-reference."
)


class BedrockEvaluations:
    """A benchmark's metadata says its `taskType` and `metricNames`; its dataset is the stack's, or `Builtin.NAME` of Bedrock's."""

    def __init__(self, provider_id: str, config: Config, rows: Any) -> None:  # noqa: ANN401 - a DatasetRows
        """Nothing is opened before the first call; calls are signed POSTs and GETs (docs/adr/0072); `rows` are the caller's datasets."""
        self._provider_id = provider_id
        self._config = config
        self._clients = AwsClients(config)
        options = call_options(config, config.region_name, tries=ATTEMPTS, dual_stack=False)
        self._signed = SignedJson(SERVICE, self._clients, options)
        self._bucket = BatchBucket(provider_id, config, config.s3_uri, config.s3_endpoint_url)
        self._rows = rows

    async def check_benchmark(self, benchmark: Resource) -> None:
        check_metadata(benchmark)
        dataset_id = benchmark.attributes["dataset_id"]
        if is_built_in(dataset_id):
            return
        try:
            await self._rows.purpose(dataset_id)
        except NotFound:
            raise InvalidRequest(f"dataset_id: there is no dataset `{dataset_id}`.", param="dataset_id") from None

    async def run_eval(self, benchmark: Resource, config: JsonObject) -> JsonObject:
        """Rows are read now: what is appended later is no part of it."""
        name = f"eval-{uuid4().hex}"
        key, dataset_id = f"{name}/{INPUT}", benchmark.attributes["dataset_id"]
        location = None if is_built_in(dataset_id) else self._bucket.uri(key)
        request = create_request(benchmark, config, name=name, location=location, judge=self._config.evaluator_model)
        if location is not None:
            lines = self._lines(dataset_id, config.get("num_examples"))
            await self._bucket.put(key, lines, media_type="application/jsonl")
        request |= {
            "roleArn": self._config.evaluation_role_arn,
            "outputDataConfig": {"s3Uri": self._bucket.uri(f"{name}/{OUTPUT}")},
        }
        with translate_errors(self._provider_id, request):
            job = await self._signed.post(JOBS, to_json(request))
        return {"job_id": _id_of(str(job["jobArn"])), "status": "in_progress"}

    async def evaluate_rows(
        self, benchmark: Resource, rows: list[JsonObject], functions: list[str], config: JsonObject
    ) -> JsonObject:
        del benchmark, rows, functions, config
        raise InvalidRequest(ROWS)

    async def job_status(self, benchmark: Resource, job_id: str) -> JsonObject:
        del benchmark
        return self._show(job_id, await self._get(job_id))

    async def job_cancel(self, benchmark: Resource, job_id: str) -> None:
        from botocore.exceptions import ClientError

        status = (await self.job_status(benchmark, job_id))["status"]
        if status in {"completed", "failed"}:
            raise Conflict(f"The evaluation is {status}: it cannot be cancelled.", param="job_id")
        if status == "cancelled":
            return
        arn = await self._arn(job_id)
        with translate_errors(self._provider_id):
            try:
                await self._signed.post(STOP.format(quote(arn, safe="")), b"{}")
            except ClientError as failure:
                if code_of(failure) not in OVER:
                    raise

    async def job_result(self, benchmark: Resource, job_id: str) -> JsonObject:
        """A generation and a score for each line of the input that Bedrock has results of."""
        del benchmark
        job = await self._get(job_id)
        status = self._show(job_id, job)["status"]
        if status != "completed":
            raise Conflict(f"The evaluation is {status}.", param="job_id")
        name, results = str(job["jobName"]), Results()
        try:
            async for line in self._input(name):
                results.expect(line)
            for key in await self._bucket.keys_below(f"{name}/{OUTPUT}", MOST_FILES):
                if key.endswith(".jsonl"):
                    results.begin_file()
                    async for line in read_lines(self._bucket.read_named(key), MOST_LINE):
                        results.add(line)
        except AnswerTooLarge as large:
            raise UpstreamFailed(f"Provider `{self._provider_id}` has a result that is too large.") from large
        return results.answer()

    async def health(self) -> Health:
        return await health_of(self._ask(f"{JOBS}?maxResults=1"))

    async def close(self) -> None:
        await self._bucket.close()
        await self._signed.close()
        await self._clients.close()

    async def _input(self, name: str) -> AsyncIterator[bytes]:
        """None of a dataset of Bedrock's own."""
        try:
            async for line in read_lines(self._bucket.read(f"{name}/{INPUT}"), MOST_LINE):
                yield line
        except NotFound:
            return

    async def _lines(self, dataset_id: str, most: int | None) -> AsyncIterator[bytes]:
        """Raises InvalidRequest for more rows than Bedrock takes."""
        count = await self._rows.count(dataset_id)
        total = min(count, most or count)
        if total > MOST_PROMPTS:
            raise InvalidRequest(
                f"Bedrock evaluates at most {MOST_PROMPTS} rows of a dataset, and this has {total}: set num_examples.",
                param="benchmark_config.num_examples",
            )
        for start in range(0, total, PAGE):
            rows: list[JsonObject] = await self._rows.read(dataset_id, start, min(PAGE, total - start))
            for at, row in enumerate(rows, start):
                yield to_line(row, at)

    async def _get(self, job_id: str) -> JsonObject:
        return await self._ask(f"{JOBS}/{quote(await self._arn(job_id), safe='')}")

    async def _ask(self, path: str) -> JsonObject:
        with translate_errors(self._provider_id):
            return await self._signed.get(path)

    async def _arn(self, job_id: str) -> str:
        """Raises NotFound for an id that no job can have."""
        parts = JOB.fullmatch(job_id)
        if parts is None:
            raise NotFound(f"There is no evaluation `{job_id}`.", param="job_id")
        with translate_errors(self._provider_id):
            region = await self._signed.region()
        return f"arn:{partition_of(region)}:bedrock:{region}:{parts[1]}:evaluation-job/{parts[2]}"

    def _show(self, job_id: str, job: JsonObject) -> JsonObject:
        status = STATUSES.get(str(job.get("status")))
        if status is None:
            raise UpstreamFailed(f"Provider `{self._provider_id}` answered with something that is no job.")
        messages = [str(message) for message in job.get("failureMessages") or ()]
        error = {"code": "provider_failed", "message": " ".join(messages)} if messages else None
        return {"job_id": job_id, "status": status, "error": error}


def _id_of(arn: str) -> str:
    """What the route can have of it: the account, and the name there."""
    return f"{arn.split(':')[4]}-{arn.rpartition('/')[2]}"


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> EvalProvider:
    """Over the datasets of the stack."""
    return BedrockEvaluations(provider_id, config, deps.get("dataset_rows"))
