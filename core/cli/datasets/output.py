"""How `llambda datasets` says what a stack answers, in 80 columns."""

from collections.abc import Iterator, Mapping
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from core.cli.terminal import Columns, clean, shorten, width_of, wrap

if TYPE_CHECKING:
    from core.apis.answers.datasets import Dataset

LIST: Final[Columns] = (("DATASET", 32), ("PROVIDER", 14), ("PURPOSE", 22), ("ROWS", 6))
WIDTH: Final = 80
CELL: Final = 240  # characters of a value; --json has all
OURS: Final = frozenset({"num_rows", "import_status", "import_job", "import_error", "provider_id"})


def rows_of(dataset: "Dataset") -> str:
    """How many there are, or why that is not known."""
    about = dataset["metadata"]
    return str(about.get("num_rows", about.get("import_status", "")))


def list_row(dataset: "Dataset") -> list[str]:
    """The cells of LIST."""
    return [dataset["identifier"], dataset["provider_id"], dataset["purpose"], rows_of(dataset)]


def dataset_line(dataset: "Dataset") -> str:
    rows = rows_of(dataset)
    return clean(
        f"{dataset['identifier']}  {dataset['purpose']}  {rows + ' rows' if rows.isdecimal() else rows}".rstrip()
    )


def dataset_lines(dataset: "Dataset") -> Iterator[str]:
    """A line per fact that there is."""
    about, source = dataset["metadata"], dataset["source"]
    more = {name: value for name, value in about.items() if name not in OURS}
    facts = {
        "dataset": dataset["identifier"],
        "purpose": dataset["purpose"],
        "rows": about.get("num_rows"),
        "import": about.get("import_status"),
        "job": about.get("import_job"),
        "error": about.get("import_error"),
        "source": _source(source),
        "provider": dataset["provider_id"],
        "owner": dataset.get("owner"),
        "metadata": json.dumps(more, ensure_ascii=False) if more else None,
    }
    for name, fact in facts.items():
        if fact is not None:
            yield wrap(f"{name + ':':9} {shorten(clean(str(fact)), 4 * WIDTH)}", width_of(sys.stdout), " " * 10)


def _source(source: Mapping[str, Any]) -> str:
    """Without what a `data:` has in it."""
    uri = str(source.get("uri", ""))
    if not uri:
        return "rows of the request"
    return f"{uri.partition(',')[0]},..." if uri.startswith("data:") else shorten(uri, 2 * WIDTH)


def row_lines(number: int, row: Mapping[str, Any]) -> Iterator[str]:
    """Its number, then a line for each column."""
    yield f"row {number}"
    for name, value in row.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield wrap(shorten(clean(f"  {name}: {' '.join(text.split())}"), CELL), width_of(sys.stdout), "    ")
