"""How a provider of PostgreSQL with pgvector is configured: as the reference's, or by the ARNs of an Aurora cluster."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from core.config.records import UserPath, Whole
from core.config.user_fields import USER
from core.frame.forms import of_form
from core.frame.types import JsonObject
from core.platform.hosts import is_loopback
from core.providers.aws.clients import OR_NONE, AwsConfig
from core.providers.http.remote import Patience

NO_CLUSTER: Final = "must be the ARN of an Aurora cluster, as arn:aws:rds:us-east-1:123456789012:cluster:NAME"
NOT_AN_ARN: Final = "must be the ARN of a secret, as arn:aws:secretsmanager:us-east-1:123456789012:secret:NAME, since the Data API takes no name"
NO_NAME: Final = "must be 1 to 63 of a-z, 0-9 and `_`, a letter or `_` first"
FILTERED: Final = 4  # times as many candidates of an index where a filter lets some of them go
MOST_CANDIDATES: Final = 1000  # that pgvector keeps while it looks at an index
OF_CONNECTIONS: Final = ("host", "port", "user", "password", "ssl", "ssl_ca_file", "pool_min_size", "pool_max_size")

type ClusterArn = Annotated[
    Annotated[str, of_form(r"^arn:aws[-a-z]*:rds:[a-z0-9-]+:\d{12}:cluster:[A-Za-z0-9-]+$", NO_CLUSTER)] | None, OR_NONE
]
type SecretArn = Annotated[
    Annotated[str, of_form(r"^arn:aws[-a-z]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[!-~]+$", NOT_AN_ARN)] | None,
    OR_NONE,
]
type Name = Annotated[str, of_form(r"^[a-z_][a-z0-9_]{0,62}$", NO_NAME)]
type Ssl = Literal["disable", "prefer", "require", "verify-full"]


def _only(value: str, why: str) -> Any:  # noqa: ANN401 - pydantic's validator
    """A field of the reference's of which one value alone is served."""

    def check(given: object) -> object:
        if given is not None and str(given).upper() != value.upper():
            raise ValueError(f"must be {value} here: {why}")
        return value

    return BeforeValidator(check)


class VectorIndexConfig(BaseModel):
    """The index of each store, as pgvector has it: links of a node, candidates while it is built, and while it is searched."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), defer_build=True)

    type: Annotated[Literal["HNSW"], _only("HNSW", "IVFFlat has to be built of vectors that are there already")] = (
        "HNSW"
    )
    m: Annotated[Whole, Field(ge=2, le=100)] = 16
    ef_construction: Annotated[Whole, Field(ge=4, le=1000)] = 64
    ef_search: Annotated[Whole, Field(ge=1, le=1000)] = 100

    @model_validator(mode="after")
    def _enough_candidates(self) -> Self:
        if self.ef_construction < 2 * self.m:
            raise ValueError("`ef_construction` must be at least twice `m`")
        return self


class Config(AwsConfig):
    """A connection to `host`, or calls of the RDS Data API where `resource_arn` and `secret_arn` say which cluster, and as whom.

    `db_schema` has the tables, `language` is the text search configuration of stores that are made from then on. Timeouts
    are in seconds: `command_timeout` of a statement, `acquire_timeout` of the wait for a connection of the pool, `resume_timeout`
    of the wait for a cluster that was paused. `ssl` is as libpq has it: `require` where the host is another machine.
    `persistence`, `kvstore` and `metadata_store` are the reference's, and have no use here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), defer_build=True)

    host: str = Field("localhost", min_length=1)
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    db: str = Field("postgres", min_length=1, validation_alias=AliasChoices("db", "database"))
    user: str = Field("postgres", min_length=1)
    password: Annotated[SecretStr | None, OR_NONE] = None
    ssl: Annotated[Ssl | None, OR_NONE] = None
    ssl_ca_file: Annotated[UserPath | None, OR_NONE] = None
    pool_min_size: Annotated[Whole, Field(ge=0, le=1000)] = 0
    pool_max_size: Annotated[Whole, Field(ge=1, le=1000)] = 10
    statement_cache_size: Annotated[Whole, Field(ge=0)] = 100
    command_timeout: Annotated[Patience, USER] = 30.0
    acquire_timeout: Annotated[Patience, USER] = 10.0
    resource_arn: ClusterArn = None
    secret_arn: SecretArn = None
    resume_timeout: Annotated[Patience, USER] = 20.0
    db_schema: Name = "llambda"
    language: Name = "english"
    vector_index: VectorIndexConfig = Field(default_factory=VectorIndexConfig)
    distance_metric: Annotated[Literal["COSINE"], _only("COSINE", "scores are of the cosine, from 0 to 1")] = "COSINE"
    persistence: JsonObject | None = None
    kvstore: JsonObject | None = None
    metadata_store: JsonObject | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.resource_arn is None) != (self.secret_arn is None):
            raise ValueError("give `resource_arn` and `secret_arn` together, for the RDS Data API, or neither")
        both = [name for name in OF_CONNECTIONS if self.resource_arn and name in self.model_fields_set]
        if both:
            raise ValueError(
                f"`{both[0]}` is of a connection, and `resource_arn` of the RDS Data API: give one of them"
            )
        if self.pool_min_size > self.pool_max_size:
            raise ValueError("`pool_min_size` must be at most `pool_max_size`")
        return self

    @property
    def ssl_mode(self) -> Ssl:
        """Over a socket file or the loopback there may be none."""
        return self.ssl or ("prefer" if is_loopback(self.host) or self.host.startswith("/") else "require")
