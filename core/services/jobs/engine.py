"""What a worker does with a message about a job. Each change is one conditional write, so that messages may come twice or late.

Nothing is lost where a worker dies: a message goes only when it has been seen to, and whoever comes later finds in the
store how far the work was. `.shards` works on a shard, `.ends` prepares and finishes, `.ticks` keeps jobs moving.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
import logging
import time
from typing import Final
from uuid import uuid4

from core.apis.jobs import JobTeller
from core.errors import ApiError, StateUnavailable
from core.frame.callers import Call, Principal
from core.frame.observed import Observed
from core.frame.types import JsonObject
from core.services.jobs import messages
from core.services.jobs.admission import Admission, Unlimited
from core.services.jobs.kind import JobFiles, JobKind, Owners
from core.services.jobs.messages import DONE, Again, GiveBack, Outcome, Task
from core.services.jobs.secrets import JobSecrets, SecretLost
from core.services.jobs.shard_run import RunParts
from core.services.jobs.timing import Timing, Turn
from core.stores.blobs.port import BlobStore
from core.stores.jobs.port import Job, JobStore
from core.stores.jobs.port import Outcome as JobOutcome
from core.stores.queue.port import MOST_DELAY, MOST_RECEIVES, Delivery, WorkQueue

log = logging.getLogger(__name__)

AT_A_TIME: Final = 10  # messages of one request
DATA_LOST: Final = (
    "provider_data_lost: the key that the provider data of this job was sealed with is no more. Send the request again."
)
OWNER_REVOKED: Final = "owner_revoked: whoever made this job may no longer call."
FIRST_PAUSE: Final = 5  # seconds, while a store cannot be reached
LONG_PAUSE: Final = 120
SOURCE: Final = "job"  # of the calls of an anonymous owner: all of them share one quota


class SameOwner:
    """The owners of a stack that cannot tell callers apart, or takes their word from elsewhere: as they were."""

    async def current(self, principal: Principal) -> Principal | None:
        return principal


@dataclass(frozen=True, slots=True)
class Engine:
    """What all steps work with; `kinds` by name, `clock` gives Unix seconds. Without `secrets` no job has provider data.

    `apis` are whose the kinds are, by name: what a job uses is used by its API.
    """

    jobs: JobStore
    queue: WorkQueue
    blobs: BlobStore
    kinds: Mapping[str, JobKind]
    owners: Owners = field(default_factory=SameOwner)
    admission: Admission = field(default_factory=Unlimited)
    timing: Timing = field(default_factory=Timing)
    clock: Callable[[], float] = time.time
    teller: JobTeller | None = None
    secrets: JobSecrets | None = None
    apis: Mapping[str, str] = field(default_factory=dict[str, str])

    async def run_message(self, delivery: Delivery, turn: Turn | None = None) -> Outcome:
        """Do what a message says, as far as the turn goes.

        A store that cannot be reached gives the message back; any other failure that is raised is a bug.
        """
        try:
            task = Task.from_body(delivery.body)
        except ValueError:
            log.error("a message is none of a job, and goes: its keys are %s", sorted(map(str, delivery.body)))  # noqa: TRY400
            return DONE
        try:
            return await self._run(task, delivery, turn or Turn())
        except StateUnavailable as failure:
            log.warning("job %s, %s: %s", task.job, task.do, failure)
            return _postpone(task, delivery.receives)

    async def _run(self, task: Task, delivery: Delivery, turn: Turn) -> Outcome:
        from core.services.jobs import ends, shards, ticks

        match task.do:
            case "tick":
                return await ticks.tick(self, task)
            case "stop":
                return await ticks.close_shards(self, task)
            case "shard":
                return await shards.work_on_shard(self, task, turn, redelivered=delivery.receives > 1)
            case "prepare":
                return await ends.prepare(self, task, turn, redelivered=delivery.receives > 1)
            case "finish":
                return await ends.finish(self, task, turn, redelivered=delivery.receives > 1)

    def parts(self) -> RunParts:
        return RunParts(self.jobs, self.blobs, self.admission, self.timing, self.clock)

    def kind_of(self, job: Job) -> JobKind | None:
        """None, logged, where this worker is of an older deployment than the job, or of another one."""
        kind = self.kinds.get(job.kind)
        if kind is None:
            log.error("job %s is of a kind that this worker does not know: %s", job.id, job.kind)
        return kind

    def files(self, job: Job) -> JobFiles:
        return JobFiles(self.blobs, job.id)

    async def send(self, job: Job, tasks: Sequence[Task], *, delay: int = 0) -> None:
        """Messages in the owner's turn; raises StateUnavailable."""
        all_messages = [task.to_message(job.owner) for task in tasks]
        for start in range(0, len(all_messages), AT_A_TIME):
            await self.queue.send(all_messages[start : start + AT_A_TIME], delay=delay)

    async def send_on(self, job: Job) -> None:
        """The message that a job waits for by its status, where that is one for the whole job."""
        match job.status:
            case "queued":
                await self.send(job, [messages.prepare(job)])
            case "stopping":
                await self.send(job, [messages.stop(job)])
            case "finishing":
                await self.send(job, [messages.finish(job)])
            case _:
                return

    async def call_of(self, job: Job) -> Call | None:
        """The owner as known now, with what it brought; None, and the job is stopped for that reason, where it may no longer call."""
        principal = await self.owners.current(job.principal)
        if principal is None:
            await self.stop(job, "failed", OWNER_REVOKED)
            return None
        try:
            return self.call_as(principal, job, await self.data_of(job))
        except SecretLost:
            await self.stop(job, "failed", DATA_LOST)
            return None

    def call_as(self, principal: Principal, job: Job, data: JsonObject) -> Call:
        """Of a principal for a job, with the `data` for providers."""
        return Call(principal, SOURCE, provider_data=data, observed=Observed(self.apis.get(job.kind, ""), job.kind))

    async def data_of(self, job: Job) -> JsonObject:
        """What its owner brought for providers; raises SecretLost, and ApiError where it cannot be had now."""
        return {} if self.secrets is None else await self.secrets.open(job)

    async def stop(self, job: Job, outcome: JobOutcome, reason: str = "") -> Job | None:
        """Stop a job that has not ended, and send on what follows; the job as it is then."""
        stopped = await self.jobs.stop(job.id, outcome, reason)
        if stopped is not None:
            await self.send_on(stopped)
        return stopped

    def busy(self, task: Task, job: Job, until: float, *, redelivered: bool) -> Outcome:
        """For a message about what another worker has until then.

        A message that came twice goes: the other has its own. One that was delivered again may be the only one, whose
        first worker died a moment ago; it looks again when the lease is over.
        """
        if not redelivered:
            return DONE
        return Again(task, job.owner, min(MOST_DELAY, max(1, int(until - self.clock()) + 1)))

    def retry(self, task: Task, job: Job) -> Again | None:
        """The message once more, later each time; None after too many tries."""
        if task.tries + 1 >= self.timing.tries:
            return None
        seconds = min(MOST_DELAY, self.timing.retry * 2**task.tries)
        return Again(task.again(), job.owner, round(seconds))


def _postpone(task: Task, receives: int) -> Outcome:
    """Later each time; before its deliveries are used up, which are for crashes, by another message."""
    if receives >= MOST_RECEIVES - 1:
        return Again(task, "", LONG_PAUSE)
    return GiveBack(FIRST_PAUSE * 3 ** (receives - 1))


def new_holder() -> str:
    """Of one lease."""
    return uuid4().hex


def reason_of(code: str, failure: object) -> str:
    """`code: message` where the failure may be shown to its caller, the code and a hint otherwise."""
    if isinstance(failure, ApiError):
        return f"{code}: {failure.message}"
    return f"{code}: the operator's log has more."
