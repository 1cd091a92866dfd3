"""The reference's records: pydantic models made of their rows, which keep the fields that they do not know."""

from collections.abc import Callable
from enum import EnumType
from functools import cache, partial
import json
from typing import Annotated, Any, Final, cast, override

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from core.resolution.external.reference.rows import RECORDS, UNIONS

ROLES: Final = {RECORDS[name].split()[0].partition("=")[2]: name for name in UNIONS["OpenAIMessageParam"].split()}
RESOURCES: Final = ("Model", "Shield", "VectorDB", "VectorStore")
KINDS: Final = {
    RECORDS[name].split()[0].partition("=")[2]: name for name in UNIONS["OpenAIChatCompletionContentPartParam"].split()
}


class Record(BaseModel):
    """Of any version: what a caller sent is kept, and a default that says something counts as set."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, protected_namespaces=())

    @override
    def model_post_init(self, context: Any, /) -> None:
        self.__pydantic_fields_set__.update(
            name for name in type(self).model_fields if getattr(self, name, None) is not None
        )


class RegisteredRecord(Record):
    """Of a resource, which has its identifier under the name of its kind too."""

    @property
    def model_id(self) -> str:
        return str(vars(self)["identifier"])

    @property
    def shield_id(self) -> str:
        return str(vars(self)["identifier"])

    @property
    def vector_db_id(self) -> str:
        return str(vars(self)["identifier"])

    @property
    def vector_store_id(self) -> str:
        return str(vars(self)["identifier"])

    @property
    def provider_vector_db_id(self) -> str:
        return str(vars(self)["provider_resource_id"])

    @property
    def provider_vector_store_id(self) -> str:
        return str(vars(self)["provider_resource_id"])

    @property
    def provider_model_id(self) -> str:
        return str(vars(self)["provider_resource_id"])

    @property
    def provider_shield_id(self) -> str:
        return str(vars(self)["provider_resource_id"])


class ChunkRecord(Record):
    """Of a piece of text, which says in one of two places whose it is."""

    @property
    def document_id(self) -> Any:  # noqa: ANN401 - text, or None
        fields = vars(self)
        return fields["metadata"].get("document_id") or getattr(fields["chunk_metadata"], "document_id", None)


@cache
def record_class(name: str) -> type[Record]:
    fields: dict[str, Any] = {}
    for word in RECORDS[name].split():
        head, has_default, default = word.partition("=")
        field, _, other = head.partition(":")
        kind = Annotated[Any, BeforeValidator(partial(_convert, other))] if other else Any
        fields[field] = (kind, _default(default) if has_default else None)
    base = RegisteredRecord if name in RESOURCES else ChunkRecord if name == "Chunk" else Record
    return create_model(name, __base__=base, __module__=__name__, **fields)


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a package answers
    """As JSON has it: of a record, and of a model of OpenAI's SDK, what was set; of any other, all."""
    if isinstance(value, BaseModel):
        only_set = isinstance(value, Record) or type(value).__module__.startswith("openai.")
        return value.model_dump(mode="json", exclude_unset=only_set)
    if isinstance(value, list):
        return [plain(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[object, object]", value).items()}
    return value


def record(name: str, /, **fields: Any) -> Any:  # noqa: ANN401 - a Record, whose fields no type checker knows
    return record_class(name)(**fields)


def _default(text: str) -> Any:  # noqa: ANN401 - a field's default
    try:
        json.loads(text)
    except ValueError:
        return text
    load: Callable[[], Any] = partial(json.loads, text)
    return Field(default_factory=load)


def _convert(name: str, value: Any) -> Any:  # noqa: ANN401 - a field's value
    if isinstance(value, list):
        return [_convert(name, item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        row = _choose(name, fields)
        return fields if row is None else record(row, **fields)
    if isinstance(value, str) and name not in RECORDS and name not in UNIONS:
        from core.resolution.external.reference import names

        kind: EnumType = names.find(name)
        return kind(value)
    return value


def _choose(name: str, fields: dict[str, object]) -> str | None:
    """Of a union, the record that has this role, or this type; None where none has."""
    if name == "OpenAIMessageParam":
        return ROLES.get(str(fields.get("role")))
    if name == "OpenAIChatCompletionContentPartParam":
        return KINDS.get(str(fields.get("type")))
    return name if name in RECORDS else None
