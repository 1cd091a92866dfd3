"""Datasets and their rows, as a client gets them."""

from typing import Any, Literal, NotRequired, TypedDict

type PurposeName = Literal["post-training/messages", "eval/question-answer", "eval/messages-answer"]


class Dataset(TypedDict):
    """`source` is as it was registered; a list leaves out `rows` of more than 10 kB, and `metadata.num_rows` says how many there are.

    `metadata` has what the caller gave, and of ours `num_rows` once they are counted; while an import runs, or where it has
    failed, `import_status` and `import_job`, and of one that failed `import_error`.
    """

    identifier: str
    provider_resource_id: str
    provider_id: str
    type: Literal["dataset"]
    purpose: PurposeName
    source: dict[str, Any]
    metadata: dict[str, Any]
    owner: NotRequired[str]


class DatasetList(TypedDict):
    data: list[Dataset]


class RowPage(TypedDict):
    """Rows in their order; `url` is where the next page is, null at the end."""

    data: list[dict[str, Any]]
    has_more: bool
    url: str | None


type Nothing = None
"""`null`, as 0.2 answers what has been done."""
