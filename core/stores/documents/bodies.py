"""Dataclasses that are the bodies of documents."""

from dataclasses import asdict, dataclass
from typing import Self

from core.frame.types import JsonObject


@dataclass(frozen=True, slots=True)
class Body:
    """Its fields are those of the JSON."""

    @classmethod
    def read(cls, body: JsonObject) -> Self:
        return cls(**body)

    def body(self) -> JsonObject:
        return asdict(self)
