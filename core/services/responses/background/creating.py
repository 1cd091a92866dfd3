"""A response in the background: what a worker needs is kept, and a job does it.

First the record and the log, of which all know what is there; then the lease of the conversation is lent to whichever worker comes; the job last.
Whoever dies between leaves a run that nobody does, which whoever looks at it ends.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.errors import ApiError, InvalidRequest
from core.frame.callers import ANONYMOUS, Call
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.services.jobs.service import JobService, job_service
from core.services.parts import Parts
from core.services.responses.background.ending import end_run, error_by
from core.services.responses.background.job import KIND, SECONDS
from core.services.responses.background.requests import seal_request
from core.services.responses.contract import Item, Run
from core.services.responses.history import Session
from core.services.responses.items import read_input
from core.services.responses.printing.objects import begin_response
from core.services.responses.recording.codec import Beginning, encode
from core.services.responses.recording.log import RunLog
from core.services.responses.recording.opening import begin_run
from core.services.responses.recording.records import RunRecord
from core.services.responses.requests import Context, build_run
from core.services.responses.router import asks_compactor
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE
from core.services.responses.state.sessions import ChainSession
from core.services.responses.tools.approvals import approved_calls
from core.services.responses.tools.no_tools import NoTools
from core.stores.connect import BLOBS, JOBS, QUEUE
from core.stores.documents.port import Document
from core.stores.jobs.port import Job

if TYPE_CHECKING:
    from core.apis.responses import ResponseRequest
    from core.services.responses.router import Pieces
    from core.services.responses.wiring import Wiring

LATE: Final = 3600  # seconds that a lease is lent for longer than its job may last
NO_JOBS: Final = (
    "background: this stack has no jobs. Give `jobs`, `queue` and `blobs` a backend in `storage.stores` of the run config, or leave `background` out; "
    "with `stream` you see the response as it is made."
)


def has_jobs(parts: Parts) -> bool:
    """Whether the run config has a place for them."""
    return all(parts.stores.find(kind) is not None for kind in (JOBS, QUEUE, BLOBS))


class Background:
    """Begins responses in the background, for the caller of `wiring`."""

    def __init__(self, wiring: "Wiring", pieces: "Pieces") -> None:
        self._wiring = wiring
        self._pieces = pieces
        self._state = StatePlace.of(wiring.parts, wiring.call)

    async def create(self, request: "ResponseRequest") -> JsonObject:
        """The response, which is queued. Raises what `_open` of the router does, but what the model's provider says."""
        jobs = self._jobs()
        draft = jobs.draft(KIND, self._wiring.call or Call(ANONYMOUS), {}, seconds=SECONDS)
        await self._wiring.check_tools(request)
        prompt: Sequence[Item] = () if request.prompt is None else await self._pieces.prompt(request.prompt)
        await self._wiring.check_model(request.model)
        await self._wiring.check_shields(request)
        await self._pieces.engine(request)
        session = await self._pieces.history().open(request)
        async with undoing(session.close):
            new_items = read_input(request.input, session.context)
            run = await self._read(request, prompt, session.context, new_items)
            await self._wiring.check_run(request, run)
            response: JsonObject = begin_response(request, session.conversation_id)
            response |= {"status": "queued", "background": True}
            job = replace(draft, request={"response": response["id"]})
            document = await self._keep(request, response, new_items, session, job)
            try:
                await session.lend(response["id"], int(job.deadline) + LATE)
                await jobs.submit(job, data=None if self._wiring.call is None else self._wiring.call.provider_data)
            except ApiError:
                error = error_by("Its job could not be made. Send the request again.")
                await end_run(self._state, document, "failed", error)
                raise
        if self._wiring.call is not None:
            self._wiring.call.add_tokens(0)  # a worker's are taken as it asks the model
        return response

    def _jobs(self) -> JobService:
        if not has_jobs(self._wiring.parts):
            raise InvalidRequest(NO_JOBS, param="background")
        return job_service(self._wiring.parts)

    async def _read(
        self, request: "ResponseRequest", prompt: Sequence[Item], context: Sequence[Item], new_items: Sequence[Item]
    ) -> Run:
        """The run as far as it is known before a model or a server is asked. Raises what is wrong with what it names: read now as it is by the worker later."""
        whole = Context([*context, *new_items], len(context))
        approved_calls(request.input, whole.items)
        if asks_compactor(request, whole):
            from core.services.responses.compaction.opening import check_for_run  # late: few requests have one

            whole = await check_for_run(self._pieces.compactor(), request, whole)
        kept_items = [*prompt, *whole.items[: whole.kept_count]]  # with what they name, which may be gone
        read_items = await self._pieces.attachments().read(whole.items[whole.kept_count :], 0)
        whole = Context([*kept_items, *read_items], len(kept_items))
        return build_run(request, whole, NoTools(), self._pieces.max_rounds)

    async def _keep(
        self, request: "ResponseRequest", response: JsonObject, new_items: list[Item], session: Session, job: Job
    ) -> Document:
        """The record and the beginning of the log. From here on it counts as a response that its owner keeps."""
        state = self._state
        record = RunRecord(
            response,
            state.owner,
            new_items,
            session.path if isinstance(session, ChainSession) else (),
            streams=request.stream is True,
            background=True,
            durable=True,
            job=job.id,
            request=await seal_request(request, self._wiring.sealer()),
            counted=state.keeper.tallies_of(RESPONSE, state.log_end()),
        )
        beginning = Beginning(response, request.include or (), streams=record.streams, durable=True)
        log = RunLog(state.store, response["id"], state.log_end(), clock=state.clock)
        return await begin_run(state, record, log.make(encode([beginning])))
