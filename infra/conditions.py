"""Which modules are loaded only where the run config has such keys."""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from core.config.redact import names_secret
from core.platform.secrets import mentions_reference

UNKNOWN: Final = "anything"
"""What every variable of a run config is, so that nothing is switched off."""

type Document = Mapping[str, Any]

EXTERNAL: Final = ("core.resolution.external",)
LIVE: Final = ("core.resolution.live.reloader", "core.resolution.live.poller", "core.web.live")
PGVECTOR: Final = "remote::pgvector"
STREAM_LIMIT: Final = ("core.quota.streams", "core.web.stream_limit", "core.stores.semaphores")


def part_of(document: object, *keys: str) -> Any:  # noqa: ANN401 - of any shape
    part: object = document
    for key in keys:
        part = part.get(key) if isinstance(part, Mapping) else None
    return part


def _names_a_module(document: Document) -> bool:
    providers = document.get("providers")
    lists = providers.values() if isinstance(providers, Mapping) else ()
    return any(part_of(entry, "module") for entries in lists if isinstance(entries, list) for entry in entries)


def limits_streams(document: Document) -> bool:
    quota = part_of(document, "server", "quota")
    roles = part_of(quota, "roles")
    sections = [quota, *(roles.values() if isinstance(roles, Mapping) else ())]
    return any(isinstance(section, Mapping) and "max_streams" in section for section in sections)


def _may_refer_to_secrets(part: object, *, secret: bool = False) -> bool:
    """Whether a text in it is a secret's reference, or is a secret that a variable gives, which may be one."""
    if isinstance(part, str):
        return mentions_reference(part) or (secret and UNKNOWN in part)
    if isinstance(part, Mapping):
        items = cast("Mapping[str, object]", part).items()
        return any(_may_refer_to_secrets(value, secret=secret or names_secret(key)) for key, value in items)
    return isinstance(part, list) and any(
        _may_refer_to_secrets(value, secret=secret) for value in cast("list[object]", part)
    )


def _names_a_kms_key(document: Document) -> bool:
    """For jobs, or for what a provider seals."""
    keys = part_of(document, "jobs", "provider_data_key")
    return bool(keys) or "'kms_key_id'" in str(document.get("providers"))


def _reads_a_bucket(document: Document) -> bool:
    """Whether rows may come from a bucket, at once or by what a variable names."""
    entries = part_of(document, "providers", "datasetio")
    return any(
        part_of(entry, "config", "buckets") or part_of(entry, "config", "bucket_name")
        for entry in (entries if isinstance(entries, list) else ())
    )


def _asks_a_database(*, by_connection: bool) -> Callable[[Document], bool]:
    """Whether a provider of PostgreSQL is asked over a connection, or else over the RDS Data API; or a variable may make one."""

    def check(document: Document) -> bool:
        entries = part_of(document, "providers", "vector_io")
        configs = [
            part_of(entry, "config")
            for entry in (entries if isinstance(entries, list) else ())
            if part_of(entry, "provider_type") == PGVECTOR or UNKNOWN in str(part_of(entry, "provider_type"))
        ]
        return any(bool(part_of(config, "resource_arn")) is not by_connection for config in configs)

    return check


# Imported inside functions: they are loaded only where the run config has such keys.
CONDITIONS: Final[dict[str, Callable[[Document], object]]] = {
    "core.auth": lambda document: part_of(document, "server", "auth"),
    "core.quota": lambda document: any(part_of(document, "server", name) for name in ("quota", "idempotency", "usage")),
    "core.web.idempotency": lambda document: part_of(document, "server", "idempotency"),
    **dict.fromkeys(STREAM_LIMIT, limits_streams),
    **dict.fromkeys(EXTERNAL, lambda document: document.get("external_providers_dir") or _names_a_module(document)),
    "core.platform.aws_secrets": _may_refer_to_secrets,
    **dict.fromkeys(LIVE, lambda document: "configurations" in document),
    "core.providers.pgvector.direct": _asks_a_database(by_connection=True),
    "core.providers.pgvector.data_api": _asks_a_database(by_connection=False),
    "core.providers.aws.event_bus": lambda document: part_of(document, "jobs", "event_bus"),
    "core.providers.aws.kms_keys": _names_a_kms_key,
    "core.providers.datasets.buckets": _reads_a_bucket,
    "core.providers.mcp.signing": lambda document: "'sigv4'" in str(part_of(document, "providers", "tool_runtime")),
    "core.providers.mcp.assertions": lambda document: (
        "'private_key'" in str(part_of(document, "providers", "tool_runtime"))
    ),
}
