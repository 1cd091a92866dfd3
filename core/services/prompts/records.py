"""What is kept of prompts: the bodies of their documents, and how they are shown.

    prompt           id pmpt_HEX          parent OWNER    PromptRecord
    prompt_version   id pmpt_HEX.000001   parent PROMPT   Version: one that is neither the newest nor kept in the record alone

A prompt's record has its newest version and its default one whole, so that each change is one conditional write, a list is one page, and
what a response begins with is one read. A version goes into a document of its own before the record has a newer one in its place: it is
always in the one or the other. The tally `prompts` under (`prompt`, `owner:OWNER`) is how many are `counted`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
import re
from typing import Final, Self

from core.apis.answers.prompts import Prompt
from core.frame.types import JsonObject
from core.stores.documents.port import Document

PROMPT: Final = "prompt"
VERSION: Final = "prompt_version"
PROMPTS: Final = "prompts"
PREFIX: Final = "pmpt_"
ID: Final = re.compile(r"pmpt_[0-9a-f]{48}")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a prompt; what a later release adds to its body is passed over."""

    version: int
    prompt: str
    variables: Sequence[str]

    @classmethod
    def read(cls, body: JsonObject) -> Self:
        return cls(body["version"], body["prompt"], body["variables"])

    def body(self) -> JsonObject:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """`counted` is whether it is in the tally of its owner."""

    newest: Version
    default: Version
    counted: bool = False

    @classmethod
    def read(cls, body: JsonObject) -> Self:
        newest = Version.read(body["newest"])
        default = body.get("default")  # left out where it is the newest
        return cls(newest, newest if default is None else Version.read(default), body.get("counted", False))

    def body(self) -> JsonObject:
        is_same = self.default.version == self.newest.version
        own = {} if is_same else {"default": self.default.body()}
        return {"newest": self.newest.body(), **own, "counted": self.counted}


def version_id(prompt_id: str, version: int) -> str:
    """The id of a version's document: those of one prompt are in the order of their numbers."""
    return f"{prompt_id}.{version:06}"


def show(prompt_id: str, version: Version, record: PromptRecord) -> Prompt:
    """The shape on the wire."""
    return {
        "prompt_id": prompt_id,
        "prompt": version.prompt,
        "version": version.version,
        "variables": list(version.variables),
        "is_default": version.version == record.default.version,
    }


def show_default(document: Document) -> Prompt:
    record = PromptRecord.read(document.body)
    return show(document.id, record.default, record)
