"""Datasets: rows that users register, by themselves or by where they are, and read page by page.

Sources: Datasets and DatasetIO of Llama Stack 0.2.12 and 0.7.3.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
import json
from typing import Annotated, Any, Final, Literal, Protocol, runtime_checkable

from pydantic import BeforeValidator, Field, model_validator

from core.apis.answers.datasets import Dataset, DatasetList, PurposeName, RowPage
from core.errors import Conflict
from core.frame.forms import of_form
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject, Query, Wire

PURPOSES: Final[tuple[PurposeName, ...]] = ("post-training/messages", "eval/question-answer", "eval/messages-answer")
COLUMNS: Final[dict[PurposeName, tuple[str, ...]]] = {
    "post-training/messages": ("messages",),
    "eval/question-answer": ("question", "answer"),
    "eval/messages-answer": ("messages", "answer"),
}
"""What each row of a dataset has, by what it is for; `core.services.datasets.purposes` has what may stand for them."""
MOST_INDEX: Final = 2**53 - 1
"""Which JSON readers of every kind have exactly."""
MOST_ROWS: Final = 10_000
"""Of one request; a file has as many as it likes."""

type DatasetId = Annotated[str, of_form(r"^[!-~]{1,256}$", "must be 1 to 256 printable characters of ASCII, no blanks")]


class UriSource(Wire):
    """Where the rows are: `https:`, `s3:`, `data:`, `huggingface:`, `lsfs:`, or the id of a file."""

    type: Literal["uri"] = "uri"
    uri: Annotated[str, Field(min_length=1)] = Field(repr=False)


class RowsSource(Wire):
    type: Literal["rows"] = "rows"
    rows: list[dict[str, Any]] = Field(repr=False)


def _read_json(value: object) -> object:
    """An object as text, as 0.2's command line may send it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


class DatasetBody(Wire):
    """What a registration says, whoever makes it. A source without `type` is what its field says."""

    purpose: PurposeName
    source: Annotated[UriSource | RowsSource, Field(discriminator="type")]
    metadata: Annotated[dict[str, Any] | None, BeforeValidator(_read_json)] = None
    provider_id: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_source(cls, values: Any) -> Any:  # noqa: ANN401 - not validated yet
        match values:
            case {"source": {"type": _}}:
                return values
            case {"source": {"uri": _, **source}}:
                return {**values, "source": {**source, "type": "uri", "uri": values["source"]["uri"]}}
            case {"source": {"rows": _, **source}}:
                return {**values, "source": {**source, "type": "rows", "rows": values["source"]["rows"]}}
            case _:
                return values


class RegisterDataset(DatasetBody):
    """The provider is `provider_id`, that of the metadata, or by the source's uri."""

    dataset_id: DatasetId | None = None


class DeclaredDataset(DatasetBody):
    """An entry of `datasets` in a run config. Its provider is by its source, where the entry names none."""

    dataset_id: DatasetId
    provider_dataset_id: str | None = None


class IterrowsQuery(Query):
    """Rows from `start_index`, 0 where it is not there; a `limit` of -1, or none, is all that one answer holds."""

    start_index: Annotated[int, Field(ge=0, le=MOST_INDEX)] | None = None
    limit: Annotated[int, Field(ge=-1, le=MOST_INDEX)] | None = None


class AppendRows(Wire):
    rows: Annotated[list[dict[str, Any]], Field(max_length=MOST_ROWS, repr=False)]


class ImportUnderWay(Conflict):
    code = "import_under_way"

    def __init__(self, dataset_id: str, job_id: str, *, retry_after: int) -> None:
        message = (
            f"The rows of dataset `{dataset_id}` are being imported by job `{job_id}`. Ask again when it has ended."
        )
        super().__init__(message, param="dataset_id", headers={"retry-after": str(retry_after)})


@dataclass(frozen=True, slots=True)
class SourceContent:
    """What is at a uri. `size` is in bytes, None where nobody says it; `name` ends as the file does, and may be empty, as may `media_type`."""

    chunks: AsyncIterator[bytes]
    size: int | None = None
    name: str = ""
    media_type: str = ""


class Datasets(Protocol):
    """The datasets that a caller may use; of others nothing is said."""

    async def register(self, request: RegisterDataset) -> Dataset:
        """Answer at once; what is not read by then is imported by a job.

        Raises:
            Conflict: the id is taken, by another dataset.
            InvalidRequest: no provider takes this source, or a row has not the columns of the purpose.
            LimitReached: the caller may keep no more.
        """
        ...

    async def index(self) -> DatasetList: ...

    async def get(self, dataset_id: str) -> Dataset: ...

    async def unregister(self, dataset_id: str) -> None:
        """Remove it with our copy of its rows; the source stays."""
        ...


class DatasetIO(Protocol):
    """The rows of a dataset."""

    async def iterrows(self, dataset_id: str, *, query: IterrowsQuery) -> RowPage:
        """A page of at most 5 MB.

        Raises:
            NotFound: there is no such dataset, or the caller may not read it.
            ImportUnderWay: its rows are not all there yet.
            InvalidRequest: its import has failed; the message says why.
        """
        ...

    async def append_rows(self, request: AppendRows, dataset_id: str) -> None:
        """Keep rows behind those that are there.

        Raises:
            PermissionDenied: the caller may not change it.
            InvalidRequest: the provider serves its own rows and takes none, or a row has not the columns of the purpose.
        """
        ...

    async def append(self, request: AppendRows, dataset_id: str) -> None:
        """As `append_rows`; 0.7 is answered 204."""
        ...


class DatasetRows(Protocol):
    """The rows of a caller's datasets for jobs and for other APIs. Each raises as `DatasetIO.iterrows`. It has no routes."""

    async def count(self, dataset_id: str) -> int:
        """How many rows are there now; rows only ever come behind them."""
        ...

    async def read(self, dataset_id: str, start: int, count: int) -> list[JsonObject]:
        """At most `count` rows from `start`, fewer only at the end; a row never changes its number."""
        ...

    async def purpose(self, dataset_id: str) -> PurposeName: ...

    async def create(
        self, dataset_id: str, purpose: PurposeName, lines: AsyncIterator[bytes], metadata: JsonObject
    ) -> None:
        """Make a dataset of the caller's of a job's lines, each a row as JSON, with or without a line break.

        Where `metadata.job` is that of the dataset that is there, nothing is read: it was made before. The policy is asked as for any
        new dataset; columns are not checked, and limits are not held against what was paid for.

        Raises:
            Conflict: the id is another dataset's.
        """
        ...


class DatasetIOProvider(Protocol):
    """What every provider of datasets has; what it does beside that, it says by having some of the methods below."""

    async def health(self) -> Health:
        """Ask the provider; never raises for one that is down."""
        ...


@runtime_checkable
class OpensSources(Protocol):
    """A provider that reads files of rows, which the stack then keeps itself."""

    def check_source(self, uri: str) -> None:
        """Raise InvalidRequest for what it would never open; asks nobody."""
        ...

    async def open(self, uri: str) -> SourceContent:
        """The bytes at the uri, streamed.

        Raises:
            InvalidRequest: there is nothing there, it is too large, or it may not be asked.
            UpstreamFailed, ProviderUnavailable, UpstreamTimeout: it could not be read now.
        """
        ...


@runtime_checkable
class ListsRows(Protocol):
    """A provider whose sources are rows already. It is asked first: None leaves the source to `open`."""

    async def read_rows(self, uri: str) -> AsyncIterator[list[JsonObject]] | None:
        """All rows at the uri, some at a time; raises as `OpensSources.open`."""
        ...


@runtime_checkable
class ServesRows(Protocol):
    """A provider that keeps the rows itself: nothing is imported. `dataset.attributes` has `purpose`, `source` and `metadata`."""

    async def iterrows(self, dataset: Resource, start: int, limit: int | None) -> tuple[Sequence[JsonObject], bool]:
        """At most `limit` rows from `start`, None is as many as it likes, and whether there are more."""
        ...

    async def append_rows(self, dataset: Resource, rows: Sequence[JsonObject]) -> None:
        """Raise InvalidRequest where it takes none."""
        ...


@runtime_checkable
class RegistersDatasets(Protocol):
    """A provider that is told of datasets as they come and go."""

    async def register_dataset(self, dataset: Resource) -> None:
        """Raise InvalidRequest for one that it cannot have; one that it has already is no failure."""
        ...

    async def unregister_dataset(self, dataset: Resource) -> None:
        """One that it has not is no failure."""
        ...
