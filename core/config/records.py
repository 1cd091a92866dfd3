"""What the run config's records are made of: field types with their messages, and where state is kept."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from core.platform.environment import environ, expand_home


def _in_home(value: str, info: ValidationInfo) -> str:
    """Under HOME of the variables that the config is read with."""
    variables = cast("Mapping[str, str] | None", info.context)
    return expand_home(value, environ() if variables is None else variables)


def _no_bool(value: object) -> object:
    """Pydantic takes `true` for 1; a config that says so is wrong."""
    if isinstance(value, bool):
        raise PydanticCustomError("float_type", "must be a number")
    return value


def split_names(value: object) -> object:
    """None is what a variable that is not set leaves."""
    return (value or "").replace(",", " ").split() if isinstance(value, str | None) else value


type Text = Annotated[str, StringConstraints(min_length=1)]
type Names = Annotated[tuple[Text, ...], BeforeValidator(split_names)]
"""A list of names, or text with commas or blanks between them."""
type UserPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(_in_home)]
type Whole = Annotated[int, BeforeValidator(_no_bool)]
type Seconds = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]


class Record(BaseModel):
    # Built once, as part of RunConfig: building each by itself as well would double the cost of the import.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), defer_build=True)


class LocalConfig(BaseModel):
    """The config of a provider that keeps files of its own, beside the stack's state where it does not say where.

    `folder` is no field: what makes a provider of the config knows it. None: the state is in no file.
    """

    model_config = ConfigDict(defer_build=True)  # a base is never validated itself

    _folder: str | None = PrivateAttr(None)

    @property
    def folder(self) -> str | None:
        return self._folder

    def beside(self, folder: str) -> Self:
        """A copy for this folder."""
        copy = self.model_copy()
        copy._folder = folder  # noqa: SLF001 - its own
        return copy


def record_of_nothing[M: BaseModel](model: type[M]) -> M | None:
    """What an empty mapping is validated to, for which no validator is built; None where only that can tell."""
    if any(field.is_required() or field.validate_default for field in model.model_fields.values()):
        return None
    return None if model.__pydantic_decorators__.model_validators else model.model_construct()


class SqliteStore(Record):
    """One file. `db_path` has its `~` expanded; `namespace` separates stacks that share the file."""

    type: Literal["sqlite"] = "sqlite"
    db_path: UserPath
    namespace: Text | None = None


class DynamoStore(Record):
    """One table. `table` is a name or an ARN; region and endpoint are the SDK's own unless given."""

    type: Literal["dynamodb"] = "dynamodb"
    table: Annotated[str, StringConstraints(min_length=3, max_length=1024)]
    region: Text | None = None
    endpoint_url: Text | None = None
    namespace: Text | None = None


type Database = Annotated[SqliteStore | DynamoStore, Field(discriminator="type")]
