"""Uris of data sets of the Hugging Face hub: `huggingface://datasets/ORG/NAME?split=train&name=CONFIG`, or without `datasets/`.

Behind the name may be a path: that file alone is read then, of the `revision`.
Source: HuggingfaceDatasetIOImpl of Llama Stack 0.2.12, which leaves out the organisation where there is no `datasets/`.
"""

from dataclasses import dataclass
import re
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from core.errors import InvalidRequest

PARAM: Final = "source.uri"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
VALUE: Final = re.compile(r"[^\x00-\x1f/?#\\\[\]]{1,200}")
PARAMETERS: Final = ("split", "name", "revision")
FORM: Final = "huggingface://datasets/ORG/NAME?split=SPLIT&name=CONFIG"


@dataclass(frozen=True, slots=True)
class HubDataset:
    """`name` is ORG/NAME; `split` and `config` are empty where the uri says none, `path` where it names no file."""

    name: str
    path: str = ""
    split: str = ""
    config: str = ""
    revision: str = "main"

    def file_path(self) -> str:
        """Where the hub has the file, from its address on."""
        return f"/datasets/{quote(self.name)}/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"


def read_uri(uri: str) -> HubDataset:
    """Raises InvalidRequest."""
    try:
        parts = urlsplit(uri)
        query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=10)
    except ValueError as invalid:
        raise _refusal(f"is no uri as {FORM}.") from invalid
    if parts.scheme != "huggingface":
        raise _refusal(f"must be as {FORM}: other uris are another provider's.")
    segments = [unquote(segment) for segment in (parts.netloc + parts.path).split("/") if segment]
    if segments[:1] == ["datasets"]:
        segments = segments[1:]
    name, path = segments[:2], segments[2:]
    if not name or not all(NAME.fullmatch(segment) for segment in name):
        raise _refusal(f"must name a data set of the hub, as {FORM}.")
    if any(segment in {".", ".."} for segment in path):
        raise _refusal("has a path that leads out of the data set.")
    values = _read_parameters(query)
    return HubDataset(
        "/".join(name), "/".join(path), values.get("split", ""), values.get("name", ""), values.get("revision", "main")
    )


def _read_parameters(query: list[tuple[str, str]]) -> dict[str, str]:
    for name, value in query:
        if name not in PARAMETERS:
            raise _refusal(f"has a parameter that is not known; there are {', '.join(PARAMETERS)}.")
        if not VALUE.fullmatch(value):
            raise _refusal(f"has no name as its `{name}`: part of a split cannot be asked for.")
    return dict(query)


def _refusal(problem: str) -> InvalidRequest:
    return InvalidRequest(f"{PARAM}: {problem}", param=PARAM)
