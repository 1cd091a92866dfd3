"""Where state is kept that users make, as records.

They are apart from the run config's, and validated where they are used: most cold starts use none of them.
"""

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, StringConstraints

from core.config.records import Database, Record, SqliteStore, Text, UserPath
from core.config.storage import state_values
from core.frame.forms import of_form

if TYPE_CHECKING:
    from core.config.document import RunConfig

NO_PREFIX: Final = "must be folders of letters, digits and any of _.=-, with slashes between them and none at the start"


class LocalBlobs(Record):
    """One directory. `path` has its `~` expanded; `namespace` separates stacks that share the directory."""

    type: Literal["local"] = "local"
    path: UserPath
    namespace: Text | None = None


class S3Blobs(Record):
    """One bucket, under `prefix` if there is one. Region and endpoint are the SDK's own unless given.

    With `kms_key_id`, a key's id or ARN, what is written is encrypted with it; else as the bucket says.
    """

    type: Literal["s3"] = "s3"
    bucket: Annotated[str, StringConstraints(min_length=3, max_length=1024)]
    prefix: (
        Annotated[
            str, of_form(r"^[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*/?$", NO_PREFIX), StringConstraints(max_length=60)
        ]
        | None
    ) = None
    region: Text | None = None
    endpoint_url: Text | None = None
    kms_key_id: Text | None = None
    namespace: Text | None = None


class SqsQueue(Record):
    """A standard queue, by its URL; region and endpoint are the SDK's own unless given."""

    type: Literal["sqs"] = "sqs"
    url: Text
    region: Text | None = None
    endpoint_url: Text | None = None
    namespace: Text | None = None


class StateConfig(Record):
    """Where state is kept that users make. None as `blobs` and `queue`: there is no such store.

    `collections` has the documents that are kept elsewhere, by the name of the store that they have in the reference.
    """

    documents: Database
    blobs: Annotated[LocalBlobs | S3Blobs | None, Field(discriminator="type")] = None
    jobs: Database
    queue: Annotated[SqliteStore | SqsQueue | None, Field(discriminator="type")] = None
    collections: dict[str, Database] = {}


def state_of(config: "RunConfig") -> StateConfig:
    """What the run config says, or what follows from its `metadata_store`."""
    return StateConfig.model_validate(state_values(config))
