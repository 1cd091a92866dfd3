"""The messages of jobs: what a worker is to do next, as `{"job", "do", ...}`. They carry ids, never rows."""

from dataclasses import dataclass, replace
import hashlib
from typing import Any, Final, Literal, Self, cast, get_args

from core.frame.types import JsonObject
from core.stores.jobs.port import Job
from core.stores.queue.port import Message

type Do = Literal["prepare", "shard", "stop", "finish", "tick"]

VERBS: Final = frozenset(get_args(Do.__value__))


@dataclass(frozen=True, slots=True)
class Task:
    """`number` is the shard's or the tick's, and of a `stop` that looks again 1; `tries` counts what failed without killing its worker."""

    job: str
    do: Do
    number: int = 0
    tries: int = 0

    @classmethod
    def from_body(cls, body: JsonObject) -> Self:
        """Raises ValueError for what is no message of a job."""
        job, do = body.get("job"), body.get("do")
        if not isinstance(job, str) or do not in VERBS:
            raise ValueError("a message has a job and what to do")
        return cls(job, cast("Do", do), _whole(body.get("number", 0)), _whole(body.get("tries", 0)))

    def to_message(self, owner: str) -> Message:
        """`owner` is the job's: messages of one owner share their turn (SQS's MessageGroupId, of a short alphabet)."""
        body: JsonObject = {"job": self.job, "do": self.do, "number": self.number, "tries": self.tries}
        return Message(body, hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32])

    def again(self) -> "Task":
        return replace(self, tries=self.tries + 1)


def prepare(job: Job) -> Task:
    return Task(job.id, "prepare")


def work(job: Job, shard: int) -> Task:
    return Task(job.id, "shard", shard)


def stop(job: Job) -> Task:
    return Task(job.id, "stop")


def finish(job: Job) -> Task:
    return Task(job.id, "finish")


def tick(job: Job, number: int) -> Task:
    return Task(job.id, "tick", number)


@dataclass(frozen=True, slots=True)
class Done:
    """The message has been seen to; it may go."""


@dataclass(frozen=True, slots=True)
class Again:
    """The message is replaced by `task`, in `seconds`: it failed nothing, so that its deliveries are not to be counted."""

    task: Task
    owner: str
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class GiveBack:
    """A store could not be reached: the message is delivered again, in `seconds`, and counted."""

    seconds: int = 5


type Outcome = Done | Again | GiveBack
DONE: Final = Done()


def _whole(value: Any) -> int:  # noqa: ANN401 - of a message
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a number of a message is a whole one")
    return value
