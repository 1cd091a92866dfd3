"""`server.auth`, `server.quota` and `server.idempotency` as records.

Source: AuthenticationConfig, AccessRule and QuotaConfig of Llama Stack 0.2.12; several providers, API keys, Cognito,
in quotas tokens, roles, shards, shadow and periods other than the day, and idempotency are llambda's own.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from core.config.policy import AccessRule
from core.config.records import Database, Record, Text, Whole

RETENTION_DAYS: Final = 400
"""That usage is kept for, unless `server.usage` says otherwise."""

type Period = Literal["minute", "hour", "day", "month"]
type Count = Annotated[Whole, Field(ge=0, le=1_000_000_000_000)]


class AuthProviderEntry(Record):
    """One auth provider; its `config` belongs to its type, which is looked up in `core.auth.types`."""

    type: Text
    config: dict[str, Any] = {}


class AuthConfig(Record):
    """None as `access_policy` means the reference's; `providers` are chosen by the shape of the token."""

    providers: tuple[AuthProviderEntry, ...]
    access_policy: tuple[AccessRule, ...] | None = None


class RoleLimits(Record):
    """What a role has instead of `authenticated_...`; a caller with several such roles has the largest."""

    max_requests: Count | None = None
    max_tokens: Count | None = None
    max_streams: Count | None = None
    max_files: Count | None = None
    max_bytes: Count | None = None
    max_vector_stores: Count | None = None
    max_prompts: Count | None = None
    max_responses: Count | None = None
    max_conversations: Count | None = None
    max_agents: Count | None = None
    max_batches: Count | None = None
    max_datasets: Count | None = None
    max_dataset_bytes: Count | None = None


class QuotaConfig(Record):
    """How much each client may do in a period (UTC). None as a number of tokens is no limit.

    `default_max_tokens` is reserved for a call that sets no bound itself, or the client's whole limit where that is
    less. `max_streams` are those that a client has open at a time. `max_files`, `max_bytes`, `max_vector_stores`, `max_prompts`, `max_responses`, `max_conversations`, `max_agents`, `max_datasets` and `max_dataset_bytes` are what a
    client may keep, whatever the period, and `max_batches` those that it has under way. `limits` are for `core.config.limits` to validate. `shards` spreads each client's counter: DynamoDB takes 1,000 writes per second to one key.
    """

    kvstore: Database
    anonymous_max_requests: Count = 100
    authenticated_max_requests: Count = 1000
    max_tokens: Count | None = None
    anonymous_max_tokens: Count | None = None
    authenticated_max_tokens: Count | None = None
    max_streams: Count | None = None
    max_files: Count | None = None
    max_bytes: Count | None = None
    max_vector_stores: Count | None = None
    max_prompts: Count | None = None
    max_responses: Count | None = None
    max_conversations: Count | None = None
    max_agents: Count | None = None
    max_batches: Count | None = None
    max_datasets: Count | None = None
    max_dataset_bytes: Count | None = None
    limits: tuple[dict[str, Any], ...] = ()
    default_max_tokens: Annotated[Whole, Field(ge=1, le=10_000_000)] = 1024
    period: Period = "day"
    roles: dict[Text, RoleLimits] = {}
    shards: Annotated[Whole, Field(ge=1, le=100)] = 1
    shadow: bool = False
    on_store_failure: Literal["deny", "allow"] = "deny"


class IdempotencyConfig(Record):
    """Where answers are kept under their Idempotency-Key, and how long; one that is larger is not kept."""

    kvstore: Database
    ttl_seconds: Annotated[Whole, Field(ge=1, le=2_592_000)] = 86_400
    max_answer_bytes: Annotated[Whole, Field(ge=1024, le=16_777_216)] = 1_048_576
