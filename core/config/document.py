"""The run config as immutable records, after substitution and with one spelling for everything.

Source: StackRunConfig of Llama Stack 0.2.12 and StackConfig of OGX 1.5.0; `registry`, `routing`, `configurations`, `server.max_body_bytes`, `server.max_upload_bytes`,
`server.idempotency`, `server.usage`, `server.hosts`, `jobs`, `server.shutdown_seconds`, `safety.default_shields`, `safety.rules`, `metadata_store.type: dynamodb` and
`logging.level` are llambda's own.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from core.config.browsers import ANY, Cors, Hosts
from core.config.jobs import JobsConfig
from core.config.records import Database, Record, Seconds, Text, UserPath, Whole
from core.config.safety import SafetyConfig
from core.config.security import AuthConfig, IdempotencyConfig, QuotaConfig
from core.config.vector_stores import DECLARED_STORES, VectorStoresConfig
from core.frame.forms import of_form


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _version(value: object) -> object:
    return 2 if value == "2" else value


def _no_null(value: object) -> object:
    return {} if value is None else value


NO_NAME: Final = "must be letters, digits, dots, hyphens and underscores, a letter or a digit first"
type Level = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]


class ProviderEntry(Record):
    """One provider instance; its `config` belongs to the provider type, which is not looked up here.

    `module` is `package` or `package==version`: an installed package that has the type (docs/providers.md).
    """

    provider_id: Text
    provider_type: Text
    config: Annotated[dict[str, Any], BeforeValidator(_no_null)] = {}
    module: str | None = None


class ServerConfig(Record):
    """Where `serve` listens, who may call and how much; `max_body_bytes` is 6 MiB, what Lambda takes, unless it is set.

    `max_upload_bytes`, 512 MiB, bounds the files of an upload, which are not held in memory. `hosts` are the names that
    `serve` answers to beside its own, `shutdown_seconds` what answers under way have to end when it stops. `usage` is for
    `core.config.usage` to validate.
    """

    port: Annotated[Whole, Field(ge=1, le=65535)] = 8321
    host: Text | None = None
    tls_certfile: UserPath | None = None
    tls_keyfile: UserPath | None = None
    tls_cafile: UserPath | None = None
    auth: AuthConfig | None = None
    quota: QuotaConfig | None = None
    idempotency: IdempotencyConfig | None = None
    usage: Annotated[dict[str, Any], BeforeValidator(_no_null)] = {}
    max_body_bytes: Annotated[Whole, Field(ge=1024, le=104_857_600)] = 6_291_456
    max_upload_bytes: Annotated[Whole, Field(ge=1024, le=1_099_511_627_776)] = 536_870_912
    hosts: Hosts = ()
    cors: Cors = None
    shutdown_seconds: Annotated[Seconds, Field(le=3600)] = 5.0

    @model_validator(mode="after")
    def _whole_tls(self) -> Self:
        if (self.tls_certfile is None) != (self.tls_keyfile is None):
            raise ValueError("tls_certfile and tls_keyfile must be given together")
        if self.tls_cafile is not None and self.tls_certfile is None:
            raise ValueError("tls_cafile needs tls_certfile and tls_keyfile")
        return self

    @model_validator(mode="after")
    def _no_page_of_every_site(self) -> Self:
        if self.auth is None and self.cors is not None and ANY in self.cors.allow_origins:
            raise ValueError('cors.allow_origins: "*" needs server.auth: without it every web page may do everything')
        return self


class RegistryConfig(Record):
    """How old a registry read may be, and how old what a provider said that it serves; both in seconds."""

    cache_seconds: Seconds = 30.0
    provider_models_seconds: Seconds = 60.0


class CircuitConfig(Record):
    """After how many failures in a row a target is left alone, and for how many seconds."""

    failures: Annotated[Whole, Field(ge=1, le=1000)] = 5
    open_seconds: Annotated[Seconds, Field(gt=0, le=86400)] = 30.0


class RoutingConfig(Record):
    """Without `circuit` every target is tried, however often it failed."""

    circuit: CircuitConfig | None = None


class ConfigurationsConfig(Record):
    """Its presence turns the Configuration API on; every environment has a change within `refresh_seconds`.

    `allow_private_urls` lets the URLs that callers name, of providers and within requests, lead to private addresses and to
    this machine.
    """

    refresh_seconds: Annotated[Seconds, Field(le=3600)] = 10.0
    allow_private_urls: bool = False


class LoggingConfig(Record):
    level: Level = "info"
    category_levels: dict[str, Level] = {}


class RunConfig(Record):
    """A validated run config. `resources` is keyed by section (`models`, `shields`, ...).

    `state` is what `storage.stores` says, with its defaults, for `core.config.state` to validate. `unused` has the keys of the
    reference that are understood and have no effect here (`core.config.sections.UNUSED`).
    """

    version: Annotated[Literal[2], BeforeValidator(_version)] = 2
    name: Annotated[str, of_form(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", NO_NAME), StringConstraints(max_length=128)]
    apis: tuple[Text, ...] = ()
    providers: dict[str, tuple[ProviderEntry, ...]] = {}
    resources: dict[str, tuple[dict[str, Any], ...]] = {}
    server: ServerConfig = Field(default_factory=ServerConfig)
    metadata_store: Database
    state: dict[str, Any] = {}
    registry: RegistryConfig = Field(default_factory=RegistryConfig)
    routing: RoutingConfig = Field(default_factory=RoutingConfig)
    safety: SafetyConfig = SafetyConfig.model_construct()
    vector_stores: VectorStoresConfig = VectorStoresConfig.model_construct()
    jobs: JobsConfig = JobsConfig.model_construct()
    configurations: ConfigurationsConfig | None = None
    external_providers_dir: UserPath | None = None
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    container_image: str | None = None
    unused: dict[str, Any] = {}

    def declarations(self, section: str) -> list[dict[str, Any]]:
        """What the run config declares in a section: an entry without a provider has that of the section's defaults, if they name one."""
        defaults = {DECLARED_STORES: self.vector_stores.default_provider_id}
        default = defaults.get(section)
        entries = self.resources.get(section, ())
        return [
            entry if default is None or entry.get("provider_id") else {**entry, "provider_id": default}
            for entry in entries
        ]
