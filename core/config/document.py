"""The run config as immutable records, after substitution and with one spelling for everything.

Source: StackRunConfig of Llama Stack 0.2.12 and StackConfig of OGX 1.5.0; `registry`, `server.max_body_bytes`,
`metadata_store.type: dynamodb` and `logging.level` are llambda's own.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.config.environment import environ, expand_home


def _in_home(value: str, info: ValidationInfo) -> str:
    """Under HOME of the variables that the config is read with."""
    variables = cast("Mapping[str, str] | None", info.context)
    return expand_home(value, environ() if variables is None else variables)


def _no_bool(value: object) -> object:
    """Pydantic takes `true` for 1; a config that says so is wrong."""
    if isinstance(value, bool):
        raise PydanticCustomError("float_type", "must be a number")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _version(value: object) -> object:
    return 2 if value == "2" else value


def _no_null(value: object) -> object:
    return {} if value is None else value


type Text = Annotated[str, StringConstraints(min_length=1)]
type UserPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(_in_home)]
type Whole = Annotated[int, BeforeValidator(_no_bool)]
type Seconds = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]
type Level = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]


class Record(BaseModel):
    # Built once, as part of RunConfig: building each by itself as well would double the cost of the import.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), defer_build=True)


class ProviderEntry(Record):
    """One provider instance; its `config` belongs to the provider type, which is not looked up here."""

    provider_id: Text
    provider_type: Text
    config: Annotated[dict[str, Any], BeforeValidator(_no_null)] = {}
    module: str | None = None


class ServerConfig(Record):
    """`auth` and `quota` are kept as they are. `max_body_bytes` is 6 MiB, what Lambda takes, unless it is set."""

    port: Annotated[Whole, Field(ge=1, le=65535)] = 8321
    host: Text | None = None
    tls_certfile: UserPath | None = None
    tls_keyfile: UserPath | None = None
    tls_cafile: UserPath | None = None
    auth: dict[str, Any] | None = None
    quota: dict[str, Any] | None = None
    max_body_bytes: Annotated[Whole, Field(ge=1024, le=104_857_600)] = 6_291_456

    @model_validator(mode="after")
    def _whole_tls(self) -> Self:
        if (self.tls_certfile is None) != (self.tls_keyfile is None):
            raise ValueError("tls_certfile and tls_keyfile must be given together")
        if self.tls_cafile is not None and self.tls_certfile is None:
            raise ValueError("tls_cafile needs tls_certfile and tls_keyfile")
        return self


class SqliteStore(Record):
    """`db_path` has its `~` expanded; `namespace` separates stacks that share the file."""

    type: Literal["sqlite"] = "sqlite"
    db_path: UserPath
    namespace: Text | None = None


class DynamoStore(Record):
    """`table` is a name or an ARN; region and endpoint are the SDK's own unless given."""

    type: Literal["dynamodb"] = "dynamodb"
    table: Annotated[str, StringConstraints(min_length=3, max_length=1024)]
    region: Text | None = None
    endpoint_url: Text | None = None
    namespace: Text | None = None


class RegistryConfig(Record):
    """How old a registry read may be, and how old what a provider said that it serves; both in seconds."""

    cache_seconds: Seconds = 30.0
    provider_models_seconds: Seconds = 60.0


class LoggingConfig(Record):
    level: Level = "info"
    category_levels: dict[str, Level] = {}


class RunConfig(Record):
    """A validated run config. `resources` is keyed by section (`models`, `shields`, ...).

    `unused` has the keys of the reference that are understood and have no effect here (`core.config.sections.UNUSED`).
    """

    version: Annotated[Literal[2], BeforeValidator(_version)] = 2
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]
    apis: tuple[Text, ...] = ()
    providers: dict[str, tuple[ProviderEntry, ...]] = {}
    resources: dict[str, tuple[dict[str, Any], ...]] = {}
    server: ServerConfig = Field(default_factory=ServerConfig)
    metadata_store: Annotated[SqliteStore | DynamoStore, Field(discriminator="type")]
    registry: RegistryConfig = Field(default_factory=RegistryConfig)
    external_providers_dir: UserPath | None = None
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    container_image: str | None = None
    unused: dict[str, Any] = {}
