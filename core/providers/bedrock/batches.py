"""Batches as Bedrock's model invocation jobs: records in S3, a job over them, results in S3; half the price of what is asked live.

Below `batch_s3_uri` a batch has a folder of its own, with `input.jsonl`, `notes.json` and, below `out/`, what Bedrock writes.
Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelInvocationJob.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference.html.
"""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager, suppress
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from core.apis.batch_engine import BatchLimits, BatchProgress, NativeBatch, NativeResult, NativeRow
from core.errors import Conflict, InvalidRequest, NotFound, UpstreamFailed
from core.frame.types import JsonObject
from core.platform.aws_errors import code_of
from core.platform.bounded import AnswerTooLarge
from core.platform.byte_lines import read_lines
from core.providers.aws.clients import AwsClients
from core.providers.bedrock.batch_bucket import BatchBucket
from core.providers.bedrock.batch_lines import Note, note_of, read_record, refusal_of, request_of, to_record
from core.providers.bedrock.errors import translate_errors
from core.providers.http.fetch import GuardedFetcher
from core.providers.http.inlined_images import with_inlined_images

if TYPE_CHECKING:
    from core.providers.bedrock.inference import Config

CONTROL: Final = "bedrock"
INPUT: Final = "input.jsonl"
NOTES: Final = "notes.json"
OUTPUT: Final = "out"
HOURS: Final = 24  # the shortest that a job may be given
MOST_LINE: Final = 64 * 1024 * 1024  # bytes; a record comes back with its request, which may have images
ENDED: Final = frozenset({"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"})
CONFLICT: Final = "ConflictException"
OVER: Final = frozenset({CONFLICT, "ValidationException", "ResourceNotFoundException"})
"""What stopping a job that has ended, or is gone, is answered with."""

log = logging.getLogger(__name__)


class BedrockBatches:
    """The engine of one provider, whose clients and fetcher it shares."""

    def __init__(self, provider_id: str, config: "Config", clients: AwsClients, fetcher: GuardedFetcher) -> None:
        """`config` has `batch_s3_uri` and `batch_role_arn`."""
        self._provider_id = provider_id
        self._config = config
        self._clients = clients
        self._fetcher = fetcher
        self._bucket = BatchBucket(provider_id, config, str(config.batch_s3_uri), config.batch_s3_endpoint_url)
        self._seconds = config.read_timeout or 60.0

    @property
    def limits(self) -> BatchLimits:
        return BatchLimits(least_rows=self._config.batch_least_rows)

    def refusal(self, endpoint: str, model: str, body: JsonObject) -> str | None:
        if endpoint not in self.limits.endpoints:
            return "Bedrock's batches are of chat completions."
        return refusal_of(model, body)

    async def submit(self, batch: NativeBatch, rows: AsyncIterator[NativeRow]) -> JsonObject:
        notes: dict[str, Note] = {}
        key = f"{batch.token}/{INPUT}"
        await self._bucket.put(key, self._records(batch.model, rows, notes), media_type="application/jsonl")
        if notes:
            await self._bucket.put(f"{batch.token}/{NOTES}", json.dumps(notes).encode(), media_type="application/json")
        request = {
            "jobName": batch.token,
            "clientRequestToken": batch.token,
            "roleArn": self._config.batch_role_arn,
            "modelId": batch.model,
            "modelInvocationType": "Converse",
            "timeoutDurationInHours": HOURS,
            "inputDataConfig": {"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": self._bucket.uri(key)}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": self._bucket.uri(f"{batch.token}/{OUTPUT}/")}},
        }
        return {"token": batch.token, "job": await self._create(request), "model": batch.model}

    async def poll(self, handle: JsonObject) -> BatchProgress:
        with self._errors():
            async with asyncio.timeout(self._seconds):
                job = await (await self._control()).get_model_invocation_job(jobIdentifier=handle["job"])
        return BatchProgress(
            job.get("status") in ENDED,
            job.get("totalRecordCount") or 0,
            job.get("successRecordCount") or 0,
            job.get("errorRecordCount") or 0,
            str(job.get("message") or ""),
        )

    async def results(self, handle: JsonObject) -> AsyncIterator[NativeResult]:
        folder = f"{handle['token']}/{OUTPUT}/{str(handle['job']).rpartition('/')[2]}"
        notes = await self._notes(handle)
        try:
            async for line in read_lines(self._bucket.read(f"{folder}/{INPUT}.out"), MOST_LINE):
                yield read_record(self._provider_id, str(handle["model"]), line, notes)
        except AnswerTooLarge as large:
            raise UpstreamFailed(f"Provider `{self._provider_id}` has a result that is too large.") from large
        except NotFound:
            log.warning("provider %s: batch %s has no results", self._provider_id, handle["job"])

    async def stop(self, handle: JsonObject) -> None:
        from botocore.exceptions import ClientError

        with self._errors():
            async with asyncio.timeout(self._seconds):
                try:
                    await (await self._control()).stop_model_invocation_job(jobIdentifier=handle["job"])
                except ClientError as failure:
                    if code_of(failure) not in OVER:
                        raise

    async def discard(self, handle: JsonObject) -> None:
        await self._bucket.delete_below(f"{handle['token']}/")

    async def close(self) -> None:
        """The provider's clients and fetcher are the provider's."""
        await self._bucket.close()

    async def _records(
        self, model: str, rows: AsyncIterator[NativeRow], notes: dict[str, Note]
    ) -> AsyncIterator[bytes]:
        """The lines of those that can be records; the others have no result, and are asked live, which says why."""
        async for row in rows:
            with suppress(InvalidRequest):
                request = await with_inlined_images(request_of(model, row.body), self._fetcher)
                record = to_record(row.row, request)
                if (note := note_of(request)) is not None:
                    notes[str(row.row)] = note
                yield record

    async def _create(self, request: dict[str, Any]) -> str:
        """The ARN of the job; of one that was made before, by whoever died then, that one's."""
        from botocore.exceptions import ClientError

        with self._errors():
            async with asyncio.timeout(self._seconds):
                control = await self._control()
                try:
                    return str((await control.create_model_invocation_job(**request))["jobArn"])
                except ClientError as failure:
                    if code_of(failure) != CONFLICT:
                        raise
                name = request["jobName"]
                jobs = (await control.list_model_invocation_jobs(nameContains=name))["invocationJobSummaries"]
        arn = next((str(job["jobArn"]) for job in jobs if job.get("jobName") == name), None)
        if arn is None:
            raise Conflict(f"Provider `{self._provider_id}` did not make the batch `{name}`, and has none of its name.")
        return arn

    async def _notes(self, handle: JsonObject) -> JsonObject:
        try:
            content = b"".join([chunk async for chunk in self._bucket.read(f"{handle['token']}/{NOTES}")])
        except NotFound:
            return {}
        notes: JsonObject = json.loads(content)
        return notes

    async def _control(self) -> Any:  # noqa: ANN401 - the SDK makes its clients' methods at run time
        return await self._clients.client(CONTROL)

    @contextmanager
    def _errors(self) -> Generator[None]:
        with translate_errors(self._provider_id):
            yield
