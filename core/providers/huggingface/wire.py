"""The datasets server of Hugging Face: which splits a data set has, how large they are, its rows, and its Parquet files. Pure.

Sources: https://huggingface.co/docs/dataset-viewer/splits, /size, /parquet, /rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import json
from typing import Any, Final
from urllib.parse import urlencode

from core.errors import ApiError, InvalidRequest, UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_values import is_object, to_object
from core.providers.huggingface.uris import PARAM, HubDataset

MOST_PAGE: Final = 100  # rows, as the server has it
MOST_NAMED: Final = 20  # of splits that are named in a refusal
OF_DATASET: Final = frozenset({401, 403, 404, 422, 501})
"""Statuses with which the server speaks of the data set that was asked for."""
OF_TOKEN: Final = ("invalid", "credential", "expired")


@dataclass(frozen=True, slots=True)
class Split:
    dataset: str
    config: str
    split: str

    def path(self, endpoint: str, **more: int) -> str:
        names = {"dataset": self.dataset, "config": self.config, "split": self.split}
        return f"/{endpoint}?{urlencode({**names, **more})}"


@dataclass(frozen=True, slots=True)
class SplitSize:
    """`is_partial`: the server has made Parquet of the first rows alone, as of data sets of more than 5 GB."""

    rows: int
    parquet_bytes: int
    is_partial: bool


@dataclass(frozen=True, slots=True)
class RowsPage:
    """`is_cut`: the server has shortened cells, which it says."""

    rows: list[JsonObject]
    is_cut: bool


def splits_path(source: HubDataset) -> str:
    return f"/splits?{urlencode({'dataset': source.name})}"


def choose_split(source: HubDataset, answer: object) -> Split:
    """The split that is asked for; where none is, `train` of `default`, or what there is alone.

    Raises:
        InvalidRequest: there is none such, or it cannot be told which; it names those that there are.
    """
    splits = [Split(source.name, entry["config"], entry["split"]) for entry in to_object(answer)["splits"]]
    configs = list(dict.fromkeys(split.config for split in splits))
    config = _choose("name", source.config, configs, "default")
    names = [split.split for split in splits if split.config == config]
    return Split(source.name, config, _choose("split", source.split, names, "train"))


def _choose(parameter: str, wish: str, names: Sequence[str], usual: str) -> str:
    choice = wish or (names[0] if len(names) == 1 else usual)
    if choice in names:
        return choice
    shown = ", ".join(f"`{name}`" for name in names[:MOST_NAMED]) or "none"
    problem = f"has no {parameter} `{wish}`" if wish else f"must say which `{parameter}` of the data set is meant"
    raise InvalidRequest(f"{PARAM}: {problem}. There is {shown}.", param=PARAM)


def read_size(split: Split, answer: object) -> SplitSize:
    """Raises KeyError and the like for an answer of another shape."""
    body = to_object(answer)
    entry = next(entry for entry in body["size"]["splits"] if _is_of(split, entry))
    return SplitSize(int(entry["num_rows"]), int(entry["num_bytes_parquet_files"]), bool(body.get("partial")))


def read_parquet_urls(split: Split, answer: object) -> list[str]:
    """In the order of the rows; raises KeyError and the like for an answer of another shape."""
    return [str(entry["url"]) for entry in to_object(answer)["parquet_files"] if _is_of(split, entry)]


def read_page(answer: object) -> RowsPage:
    """Raises KeyError and the like for an answer of another shape."""
    entries = to_object(answer)["rows"]
    rows = [entry["row"] for entry in entries]
    if not all(map(is_object, rows)):
        raise ValueError("a row is no object")
    return RowsPage(rows, any(entry.get("truncated_cells") for entry in entries))


def _is_of(split: Split, entry: Any) -> bool:  # noqa: ANN401 - JSON
    return (entry["config"], entry["split"]) == (split.config, split.split)


def judge(provider_id: str, status: int, content: bytes) -> ApiError | None:
    """What the server says of a data set is said to who named it; None of what is about the server, or our token."""
    del provider_id
    try:
        message = to_object(json.loads(content)).get("error")
    except ValueError:
        return None
    if status not in OF_DATASET or not isinstance(message, str):
        return None
    if status in {401, 403} and any(word in message.lower() for word in OF_TOKEN):
        return None
    return InvalidRequest(f"{PARAM}: Hugging Face says: {message}", param=PARAM)


def unreadable(provider_id: str) -> UpstreamFailed:
    return UpstreamFailed(f"Provider `{provider_id}` did not answer as the datasets server of Hugging Face does.")
