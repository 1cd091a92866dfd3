"""What of AWS a run config uses: its providers, the models and guardrails that are declared on them, and vector buckets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.config.document import ProviderEntry, RunConfig

VECTORS: Final = "remote::s3-vectors"
FILES: Final = "remote::s3"
TYPES: Final = ("remote::bedrock", VECTORS, FILES)
TOKENS: Final = ("aws_bedrock_bearer_token", "api_key", "auth_credential")
KEYS: Final = ("aws_access_key_id", *TOKENS)


@dataclass(frozen=True, slots=True)
class Source:
    """A provider: `region` and `role`, the ARN that it assumes, are "" where its config names none; `keys`: it has its own.

    `web_identity`: the role is assumed with a token of others, for which IAM asks the role alone.
    """

    api: str
    provider_id: str
    region: str = ""
    role: str = ""
    keys: bool = False
    web_identity: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """A model or a guardrail, by the id or ARN that its provider knows.

    `profile` is what the run config says of it if it is an inference profile: `{"models": [ARN, ...]}`, not checked.
    """

    name: str
    source: Source
    embedding: bool = False
    profile: object = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A vector bucket, by its name or its ARN, or one of files; `prefix` begins the names of what is the provider's in it."""

    name: str
    source: Source
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    sources: tuple[Source, ...]
    models: tuple[Used, ...]
    guardrails: tuple[Used, ...]
    buckets: tuple[Bucket, ...] = ()
    file_buckets: tuple[Bucket, ...] = ()


def collect_usage(config: RunConfig) -> Usage:
    """Everything in the order of the run config."""
    sources = tuple(
        _source(api, entry)
        for api, entries in config.providers.items()
        for entry in entries
        if entry.provider_type in TYPES
    )
    models = [model for body in config.resources.get("models", ()) for model in _models(config, body, sources)]
    shields = [(body, _owner(config, "safety", body)) for body in config.resources.get("shields", ())]
    guardrails = [
        Used(body.get("provider_shield_id") or body["shield_id"], source)
        for body, owner in shields
        for source in _sources_of(sources, "safety", owner)
    ]
    return Usage(sources, tuple(models), tuple(guardrails), tuple(_buckets(config)), tuple(_file_buckets(config)))


def _buckets(config: RunConfig) -> Iterator[Bucket]:
    for api, entries in config.providers.items():
        for entry in entries:
            if entry.provider_type == VECTORS:
                prefix = entry.config.get("index_prefix") or ""
                yield Bucket(str(entry.config.get("vector_bucket") or ""), _source(api, entry), prefix)


def _file_buckets(config: RunConfig) -> Iterator[Bucket]:
    """Those that are reached with the function's own credentials."""
    for entry in config.providers.get("files", ()):
        source = _source("files", entry)
        if entry.provider_type == FILES and not source.keys:
            yield Bucket(str(entry.config["bucket_name"]), source, entry.config.get("key_prefix") or "")


def _source(api: str, entry: ProviderEntry) -> Source:
    config = entry.config
    keys = any(config.get(name) for name in KEYS)
    role = (
        "" if any(config.get(name) for name in TOKENS) else config.get("role_arn") or config.get("aws_role_arn") or ""
    )
    web = bool(role and config.get("aws_web_identity_token_file"))
    region = config.get("region_name") or config.get("region") or _region_in(config.get("vector_bucket") or "")
    return Source(api, entry.provider_id, region, role, keys, web_identity=web)


def _region_in(arn: str) -> str:
    """That of a vector bucket's ARN; empty of its name."""
    return arn.split(":")[3] if arn.startswith("arn:") and arn.count(":") > 3 else ""  # noqa: PLR2004 - arn:partition:service:region:


def _models(config: RunConfig, body: Mapping[str, Any], sources: Sequence[Source]) -> Iterator[Used]:
    metadata: Mapping[str, Any] = body.get("metadata") or {}
    embedding = body.get("model_type") == "embedding"
    own = body.get("provider_model_id") or body["model_id"]
    places = [(_owner(config, "inference", body), own)]
    places += [(target["provider_id"], target["provider_model_id"]) for target in metadata.get("targets") or ()]
    for provider_id, name in places:
        for source in _sources_of(sources, "inference", provider_id):
            yield Used(name, source, embedding, metadata.get("inference_profile") if name == own else None)


def _owner(config: RunConfig, api: str, body: Mapping[str, Any]) -> str:
    """The run config was checked: without a name there is exactly one provider."""
    return body.get("provider_id") or config.providers[api][0].provider_id


def _sources_of(sources: Sequence[Source], api: str, provider_id: str) -> list[Source]:
    return [source for source in sources if (source.api, source.provider_id) == (api, provider_id)]
