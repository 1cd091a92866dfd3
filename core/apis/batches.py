"""Batches: requests in the lines of a file, whose answers are the lines of another.

Sources: https://platform.openai.com/docs/api-reference/batch, and Batches of Llama Stack 0.7.3 and OGX 1.5.0.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol, override, runtime_checkable

from pydantic import Field

from core.apis.answers.batches import Batch, BatchList
from core.frame.forms import IdempotencyKey
from core.frame.types import Health, JsonObject, Query, Wire

MOST_LINES: Final = 50_000
MOST_BYTES: Final = 200 * 1024 * 1024
"""Of an input file."""
MOST_LINE: Final = 1024 * 1024
"""Bytes of one line."""
WINDOW: Final = "24h"
WINDOW_SECONDS: Final = 24 * 3600
TURN: Final = "/v1/agents/{agent_id}/turn"
"""The endpoint of turns: a line's `url` has the id of its agent."""
ENDPOINTS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/responses",
    TURN,
)
INPUT_PURPOSE: Final = "batch"
OUTPUT_PURPOSE: Final = "batch_output"
AT_ONCE: Final = 20
"""Lines that a worker has under way at most, unless the run config says otherwise."""


class OutputExpiry(Wire):
    """How long the output files stay, from when they are made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


type Name = Annotated[str, Field(min_length=1, max_length=512)]


class NewBatch(Wire):
    """`idempotency_key` is in the reference's body; the header Idempotency-Key does the same.

    The lines are those of a file, or, which is our own, rows of the dataset `input_dataset_id`: each fills the `template` of a line,
    whose `{{column}}` in strings are the row's. What comes of the rows is a dataset too, where `output_dataset_id` names it.
    """

    input_file_id: Name | None = None
    input_dataset_id: Name | None = None
    template: JsonObject | None = Field(default=None, repr=False)
    output_dataset_id: Name | None = None
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    idempotency_key: IdempotencyKey | None = None
    output_expires_after: OutputExpiry | None = None

    @override
    def check_body(self) -> None:
        from core.apis.batch_rules import check_batch

        check_batch(self)


class NewBatchQuery(Query):
    """Its own header, or the reference's field in the body: where both come, they are the same."""

    idempotency_key: IdempotencyKey | None = None


class ListBatchesQuery(Query):
    """At most `limit` batches, those after the batch `after`."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Batches(Protocol):
    """The caller's batches: those of others are NotFound, unless the access policy permits them (`job::ID`, `job::batch/ID`)."""

    async def create(self, request: NewBatch, *, query: NewBatchQuery) -> Batch:
        """A new batch, `validating`: what is wrong with its file ends it later. With a key of before, the batch of then.

        Raises:
            Conflict: the idempotency key came with another request before.
            LimitReached: the caller may have no more batches under way.
        """
        ...

    async def index(self, *, query: ListBatchesQuery) -> BatchList:
        """The caller's own, newest first."""
        ...

    async def get(self, batch_id: str) -> Batch:
        """Raises NotFound."""
        ...

    async def cancel(self, batch_id: str) -> Batch:
        """Stop it, and keep what was answered.

        Raises:
            Conflict: it has ended otherwise than `cancelled`.
        """
        ...


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """`at_once` is how many lines of a batch one worker has under way at most."""

    at_once: int = AT_ONCE


class BatchesProvider(Protocol):
    """A provider of the API `batches`; one that has no `create_batch` leaves them to the jobs of the stack."""

    async def health(self) -> Health:
        """Never raises for a provider that is down."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class HasBatchSettings(Protocol):
    """A provider that says how the jobs of the stack answer batches; without it they have the defaults."""

    settings: BatchSettings


class RunsBatches(Protocol):
    """A provider that runs batches itself, as those of other packages may; its answers are Batch objects, as JSON.

    Whose a batch is, and who may see it, the stack knows: it asks for no list. What a batch asks of other APIs after the call that made it has
    ended is the stack's own. Source: Batches of Llama Stack 0.3 and, for what there is, OGX 1.5.0.
    """

    async def create_batch(
        self,
        input_file_id: str,
        endpoint: str,
        completion_window: str,
        metadata: dict[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """A new batch; with a key of before, the batch of then. The key has its caller in it: another caller's is another key."""
        ...

    async def retrieve_batch(self, batch_id: str) -> JsonObject:
        """Raises NotFound."""
        ...

    async def cancel_batch(self, batch_id: str) -> JsonObject:
        """Raises Conflict for one that has ended."""
        ...
