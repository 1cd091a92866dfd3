"""What is kept of datasets: the body of their documents, and how they are shown.

    dataset    id DATASET    parent ""    DatasetRecord

Tallies under (`dataset_owner`, OWNER) are `datasets` and `bytes`, of those that are `counted`; its documents are notes of `drafts`. The
rows are in blobs below `datasets/FOLDER/`, JSON lines in segments of random names: one that no record names is never read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, Self

from pydantic_core import to_json

from core.apis.answers.datasets import Dataset, PurposeName
from core.frame.content import MOST_IN_ANSWER
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.stores.documents.bodies import Body, TolerantBody
from core.stores.documents.port import Document

DATASET: Final = "dataset"
"""The collection, and the kind of which access rules are."""
STEP: Final = 1000
"""Rows from one offset to the next."""
SHOWN_BYTES: Final = 10_000
"""Of a source as JSON, in a list; `get` has all that one answer holds."""
BRIEF: Final = 100
"""Characters of a longer uri."""

type Status = Literal["ready", "importing", "failed", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Segment(Body):
    """JSON lines of one blob. `offsets` are the bytes at which rows STEP, 2 * STEP and so on begin."""

    key: str
    rows: int
    bytes: int
    offsets: Sequence[int] = ()

    def range_of(self, first: int, last: int, most: int) -> tuple[int, int, int]:
        """The bytes from `start` to before `stop` that have the rows from `first` to before `last`, and which row is the first there.

        Where they are more than `most`, those that have about so many of them.
        """
        begin, places = first // STEP, (0, *self.offsets)
        start = places[begin]
        enough = (places[begin + 1] if begin + 1 < len(places) else self.bytes) + most
        end = -(-last // STEP)
        stop = places[end] if end < len(places) else self.bytes
        cut = next((place for place in places[begin + 1 : end] if place >= enough), stop)
        return start, min(stop, cut), begin * STEP

    def check(self) -> None:
        """Raise ValueError for offsets that none of its readers could go by."""
        places = (0, *self.offsets, self.bytes)
        if len(self.offsets) != max(0, -(-self.rows // STEP) - 1) or any(
            one >= other for one, other in pairwise(places)
        ):
            raise ValueError(f"offsets of {self.key}")


@dataclass(frozen=True, slots=True)
class DatasetRecord(TolerantBody):
    """A dataset. `digest` is of what was registered; of rows of its own, `source` has as many as are shown in a list.

    The first `own_rows` rows are those that it was registered with. While it is `importing`, the job `job` has it; `error` is why that
    has failed. What is `elsewhere` has its rows at the provider. What is `deleting` is hidden. `counted` is the id of the tally that it is
    in, "" for none.
    """

    provider_id: str
    purpose: PurposeName
    source: JsonObject
    metadata: JsonObject
    folder: str
    digest: str
    status: Status = "ready"
    own_rows: int | None = None
    job: str = ""
    error: str = ""
    segments: Sequence[JsonObject] = field(default_factory=list[JsonObject])
    deleting: bool = False
    counted: str = ""

    @classmethod
    def of(cls, document: Document) -> Self:
        return cls.read(document.body)

    def parts(self) -> list[Segment]:
        return [Segment.read(segment) for segment in self.segments]

    @property
    def rows(self) -> int:
        return sum(segment["rows"] for segment in self.segments)

    @property
    def bytes(self) -> int:
        return sum(segment["bytes"] for segment in self.segments)

    @property
    def prefix(self) -> str:
        """Below it are its blobs; it ends with a slash."""
        return folder_of(self.folder)


def folder_of(folder: str) -> str:
    return f"datasets/{folder}/"


def show_dataset(document: Document) -> Dataset:
    """The shape on the wire."""
    record = DatasetRecord.of(document)
    answer: Dataset = {
        "identifier": document.id,
        "provider_resource_id": document.id,
        "provider_id": record.provider_id,
        "type": "dataset",
        "purpose": record.purpose,
        "source": record.source,
        "metadata": {**record.metadata, **_facts(record)},
    }
    return answer if document.owner is None else {**answer, "owner": document.owner["principal"]}


def show_datasets(documents: Iterable[Document]) -> list[Dataset]:
    """As one answer has room for them: without rows and uris that are long, and from where it is full without what was registered beside."""
    shown, size = list[Dataset](), 0
    for document in documents:
        dataset = show_dataset(document)
        dataset["source"] = _brief(dataset["source"])
        size += len(to_json(dataset))
        if size > MOST_IN_ANSWER:
            dataset["metadata"] = _facts(DatasetRecord.of(document))
            dataset["source"] = {name: text for name, text in dataset["source"].items() if name == "type"}
        shown.append(dataset)
    return shown


def _brief(source: JsonObject) -> JsonObject:
    """Of a uri that has content in it, what comes before that."""
    if len(to_json(source)) <= SHOWN_BYTES:
        return source
    brief = {name: value for name, value in source.items() if name != "rows"}
    uri = brief.get("uri")
    return {**brief, "uri": f"{uri[:BRIEF]}…"} if isinstance(uri, str) and len(uri) > BRIEF else brief


def _facts(record: DatasetRecord) -> JsonObject:
    """What we say in `metadata`."""
    match record.status:
        case "ready":
            return {"num_rows": record.rows}
        case "importing":
            return {"import_status": "in_progress", "import_job": record.job}
        case "failed":
            return {"import_status": "failed", "import_job": record.job, "import_error": record.error}
        case "elsewhere":
            return {}


def resource_of(document: Document) -> Resource:
    """As a provider gets it."""
    record = DatasetRecord.of(document)
    facts = {"purpose": record.purpose, "source": record.source, "metadata": record.metadata}
    return Resource(
        DATASET,
        document.id,
        record.provider_id,
        document.id,
        facts,
        document.created,
        None if document.owner is None else dict(document.owner),
    )
