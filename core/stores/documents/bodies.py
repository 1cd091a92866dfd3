"""Dataclasses that are the bodies of documents."""

from dataclasses import asdict, dataclass, fields
from typing import Self, override

from core.frame.types import JsonObject


@dataclass(frozen=True, slots=True)
class Body:
    """Its fields are those of the JSON."""

    @classmethod
    def read(cls, body: JsonObject) -> Self:
        return cls(**body)

    def body(self) -> JsonObject:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TolerantBody(Body):
    """One that a later version may have written: what this one does not know of it is left out when it is read."""

    @classmethod
    @override
    def read(cls, body: JsonObject) -> Self:
        return cls(**{field.name: body[field.name] for field in fields(cls) if field.name in body})
