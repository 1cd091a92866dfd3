"""Batches at a remote that has OpenAI's `/batches` and `/files`: a file of rows up, a batch over it, two files down.

Source: https://platform.openai.com/docs/api-reference/batch. A batch is known again by its metadata, where the remote keeps them, and
by an Idempotency-Key, where it knows that.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
import json
import logging
from tempfile import SpooledTemporaryFile
from typing import Any, Final
from urllib.parse import quote

from core.apis.batch_engine import BatchLimits, BatchProgress, NativeBatch, NativeResult, NativeRow
from core.errors import ApiError, InvalidRequest, UpstreamFailed
from core.frame.types import JsonObject
from core.platform import secrets
from core.platform.bounded import AnswerTooLarge
from core.platform.byte_lines import read_lines
from core.platform.json_values import is_list, to_object
from core.providers.http.operators_key import call_with_key
from core.providers.http.remote import Credentials
from core.providers.http.transfers import Form, TransferClient
from core.providers.openai.batch_lines import FILES, read_line, read_progress, to_line
from core.providers.openai.rows import Batches, Row

PATH: Final = "/batches"
RECENT: Final = f"{PATH}?limit=100"
WINDOW: Final = "24h"
TOKEN: Final = "llambda"  # noqa: S105 - a name in the metadata of a batch
IN_MEMORY: Final = 8 * 1024 * 1024  # bytes of the rows; more of them are on disk
PIECE: Final = 256 * 1024
MOST_LINE: Final = 64 * 1024 * 1024  # bytes

log = logging.getLogger(__name__)

type ToBody = Callable[[str, str, JsonObject], bytes]
"""A request of an endpoint, for the provider's model, as the provider sends it; raises InvalidRequest."""


class OpenAIBatches:
    """The engine of one provider; `to_body` is how its requests are sent."""

    def __init__(
        self, client: TransferClient, provider_id: str, row: Row, credentials: Credentials, to_body: ToBody
    ) -> None:
        """`row` has `batches`."""
        self._http = client
        self._provider_id = provider_id
        self._row = row
        self._batches = row.batches or Batches()
        self._credentials = credentials
        self._to_body = to_body

    @property
    def limits(self) -> BatchLimits:
        return BatchLimits(least_rows=self._batches.least_rows, endpoints=self._batches.endpoints)

    def refusal(self, endpoint: str, model: str, body: JsonObject) -> str | None:
        if endpoint not in self._batches.endpoints:
            return f"Provider `{self._provider_id}` has no batches of {endpoint}."
        try:
            self._to_body(endpoint, model, body)
        except InvalidRequest as refused:
            return refused.message
        return None

    async def submit(self, batch: NativeBatch, rows: AsyncIterator[NativeRow]) -> JsonObject:
        vendors_batch = await self._made_before(batch.token)
        if vendors_batch is None:
            vendors_batch = await self._create(batch, await self._upload(batch, rows))
        name = vendors_batch.get("id")
        if not isinstance(name, str) or not name:
            raise UpstreamFailed(f"Provider `{self._provider_id}` made a batch without an id.")
        return {"batch": name, "file": vendors_batch.get("input_file_id"), "endpoint": batch.endpoint}

    async def poll(self, handle: JsonObject) -> BatchProgress:
        return read_progress(await self._get(handle))

    async def results(self, handle: JsonObject) -> AsyncIterator[NativeResult]:
        batch = await self._get(handle)
        key = await secrets.reveal(self._credentials.key)
        for file in filter(None, map(batch.get, FILES)):
            try:
                async for line in read_lines(self._content(str(file)), MOST_LINE):
                    result = read_line(self._provider_id, str(handle["endpoint"]), line, (key,) if key else ())
                    if result is not None:
                        yield result
            except AnswerTooLarge as large:
                raise UpstreamFailed(f"Provider `{self._provider_id}` has a result that is too large.") from large

    async def stop(self, handle: JsonObject) -> None:
        if (await self.poll(handle)).ended:
            return
        path = f"{_path(handle)}/cancel"
        try:
            await self._with_key(lambda key: self._http.post(path, b"{}", key, self._row.headers))
        except ApiError:
            if not (await self.poll(handle)).ended:
                raise

    async def discard(self, handle: JsonObject) -> None:
        """What cannot be removed is left to the remote, which keeps files for a time."""
        try:
            batch = await self._get(handle)
        except ApiError:
            batch = {}
        for file in filter(None, (handle.get("file"), *map(batch.get, FILES))):
            try:
                await self._remove(f"/files/{quote(str(file), safe='')}")
            except ApiError as failure:
                log.warning("provider %s keeps a file of a batch: %s", self._provider_id, failure.reason)

    async def close(self) -> None:
        await self._http.close()

    async def _made_before(self, token: str) -> JsonObject | None:
        """The batch that whoever died then had made; of those that the remote made last."""
        answer = await self._with_key(lambda key: self._http.get(RECENT, key, self._row.headers))
        batches: Any = answer if is_list(answer) else to_object(answer).get("data")
        for batch in map(to_object, batches if is_list(batches) else ()):
            if to_object(batch.get("metadata")).get(TOKEN) == token:
                return batch
        return None

    async def _upload(self, batch: NativeBatch, rows: AsyncIterator[NativeRow]) -> str:
        with SpooledTemporaryFile(IN_MEMORY) as file:
            async for row in rows:
                try:
                    body = self._to_body(batch.endpoint, batch.model, row.body)
                except InvalidRequest:  # it has no result, and is asked live, which says why
                    continue
                file.write(to_line(row.row, batch.endpoint, body))
            size = file.tell()

            async def chunks() -> AsyncIterator[bytes]:
                file.seek(0)
                while piece := file.read(PIECE):
                    yield piece

            form = Form(self._batches.fields, f"{batch.token}.jsonl", size, chunks)
            answer = await self._with_key(
                lambda key: self._http.upload(self._batches.upload, form, key, self._row.headers)
            )
        name = answer.get("id")
        if not isinstance(name, str) or not name:
            raise UpstreamFailed(f"Provider `{self._provider_id}` took a file, and did not say its id.")
        return name

    async def _create(self, batch: NativeBatch, file: str) -> JsonObject:
        request = {
            "input_file_id": file,
            "endpoint": batch.endpoint,
            "completion_window": WINDOW,
            "metadata": {TOKEN: batch.token},
        }
        headers = {**self._row.headers, "idempotency-key": batch.token}
        content = json.dumps(request).encode()
        answer = await self._with_key(lambda key: self._http.post(PATH, content, key, headers))
        vendors_batch = to_object(answer.get(self._batches.wraps)) if self._batches.wraps else answer
        return {"input_file_id": file, **vendors_batch}

    async def _get(self, handle: JsonObject) -> JsonObject:
        return to_object(await self._with_key(lambda key: self._http.get(_path(handle), key, self._row.headers)))

    async def _remove(self, path: str) -> None:
        await self._with_key(lambda key: self._http.delete(path, key, self._row.headers))

    async def _content(self, file: str) -> AsyncIterator[bytes]:
        path = f"/files/{quote(file, safe='')}/content"

        async def open_file(key: Credentials) -> tuple[bytes, AsyncIterator[bytes]]:
            chunks = self._http.download(path, key, self._row.headers)
            return await anext(chunks, b""), chunks

        first, rest = await self._with_key(open_file)
        yield first
        async for chunk in rest:
            yield chunk

    async def _with_key[Answer](self, call: Callable[[Credentials], Awaitable[Answer]]) -> Answer:
        return await call_with_key(self._credentials, call)


def _path(handle: JsonObject) -> str:
    return f"{PATH}/{quote(str(handle['batch']), safe='')}"
