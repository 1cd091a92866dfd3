"""What of AWS a run config uses: its providers, the models, guardrails and knowledge bases that are declared on them, vector buckets, clusters of Aurora, Lambda functions and AgentCore's gateways."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import re
from typing import Any, Final

from core.config.document import ProviderEntry, RunConfig

VECTORS: Final = "remote::s3-vectors"
KNOWLEDGE_BASES: Final = "remote::bedrock-knowledge-base"
FILES: Final = "remote::s3"
PGVECTOR: Final = "remote::pgvector"
LAMBDA: Final = "remote::lambda"
MCP: Final = "remote::model-context-protocol"
GATEWAY: Final = re.compile(r"https://([a-z0-9-]+)\.gateway\.bedrock-agentcore\.([a-z0-9-]+)\.amazonaws\.com")
BEDROCK: Final = "remote::bedrock"
TYPES: Final = (BEDROCK, VECTORS, KNOWLEDGE_BASES, FILES, LAMBDA)
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
    """A model, a guardrail, a knowledge base or a function, by the id, the name or the ARN that its provider knows. A model that `reranks` is called as one for `embedding` is, and by more.

    `profile` is what the run config says of it if it is an inference profile: `{"models": [ARN, ...]}`, not checked.
    """

    name: str
    source: Source
    embedding: bool = False
    profile: object = None
    reranks: bool = False


@dataclass(frozen=True, slots=True)
class Bucket:
    """A vector bucket, by its name or its ARN, or one of files; `prefix` begins the names of what is the provider's in it."""

    name: str
    source: Source
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One of Aurora that is asked over the RDS Data API, and the secret with its user: ARNs."""

    name: str
    secret: str
    source: Source


@dataclass(frozen=True, slots=True)
class Usage:
    sources: tuple[Source, ...]
    models: tuple[Used, ...]
    guardrails: tuple[Used, ...]
    buckets: tuple[Bucket, ...] = ()
    file_buckets: tuple[Bucket, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    knowledge_bases: tuple[Used, ...] = ()
    functions: tuple[Used, ...] = ()
    gateways: tuple[Used, ...] = ()
    seal_keys: tuple[str, ...] = ()
    batch_buckets: tuple[Bucket, ...] = ()
    batch_roles: tuple[Used, ...] = ()
    evaluation_buckets: tuple[Bucket, ...] = ()
    evaluation_roles: tuple[Used, ...] = ()
    source_buckets: tuple[Bucket, ...] = ()
    event_buses: tuple[str, ...] = ()


def collect_usage(config: RunConfig) -> Usage:
    """Everything in the order of the run config."""
    gateways, buckets = list(_gateways(config)), list(_source_buckets(config))
    beside = [use.source for use in gateways] + [bucket.source for bucket in buckets]
    sources = tuple(dict.fromkeys([*_sources(config), *beside]))
    models = [model for body in config.resources.get("models", ()) for model in _models(config, body, sources)]
    shields = [(body, _owner(config, "safety", body)) for body in config.resources.get("shields", ())]
    guardrails = [
        Used(body.get("provider_shield_id") or body["shield_id"], source)
        for body, owner in shields
        for source in _sources_of(sources, "safety", owner)
    ]
    stores = [(body, _owner(config, "vector_io", body)) for body in config.resources.get("vector_stores", ())]
    kinds = {entry.provider_id: entry.provider_type for entry in config.providers.get("vector_io", ())}
    bases = [
        Used(body.get("provider_vector_store_id") or body["vector_store_id"], source)
        for body, owner in stores
        if kinds.get(owner) == KNOWLEDGE_BASES
        for source in _sources_of(sources, "vector_io", owner)
    ]
    return Usage(
        sources,
        tuple(models),
        tuple(guardrails),
        tuple(_buckets(config)),
        tuple(_file_buckets(config)),
        tuple(_clusters(config)),
        tuple(bases),
        tuple(_functions(config)),
        tuple(gateways),
        tuple(_seal_keys(config)),
        *_jobs_of_bedrock(config, "inference", "batch_s3_uri", "batch_role_arn"),
        *_jobs_of_bedrock(config, "eval", "s3_uri", "evaluation_role_arn"),
        tuple(buckets),
        tuple(filter(None, (config.jobs.event_bus,))),
    )


def _sources(config: RunConfig) -> Iterator[Source]:
    """The providers that are AWS's, or on it."""
    for api, entries in config.providers.items():
        yield from (_source(api, entry) for entry in entries if entry.provider_type in TYPES or _is_cluster(entry))


def _jobs_of_bedrock(config: RunConfig, api: str, uri: str, role: str) -> tuple[tuple[Bucket, ...], tuple[Used, ...]]:
    """The buckets of jobs that Bedrock runs for an API, and the roles that it runs them as; by the names of their fields."""
    entries = [
        entry for entry in config.providers.get(api, ()) if entry.provider_type == BEDROCK and entry.config.get(uri)
    ]
    buckets, roles = list[Bucket](), list[Used]()
    for entry in entries:
        name, _, prefix = str(entry.config[uri]).removeprefix("s3://").partition("/")
        source = _source(api, entry)
        if not source.keys:
            buckets.append(Bucket(name, source, prefix))
            roles.append(Used(str(entry.config.get(role) or ""), source))
    return tuple(buckets), tuple(roles)


def _is_cluster(entry: ProviderEntry) -> bool:
    """Over a connection, nothing of AWS is used."""
    return entry.provider_type == PGVECTOR and bool(entry.config.get("resource_arn"))


def _clusters(config: RunConfig) -> Iterator[Cluster]:
    """Those that are reached with the function's own credentials, or with a role's."""
    for entry in config.providers.get("vector_io", ()):
        source = _source("vector_io", entry)
        if _is_cluster(entry) and not source.keys:
            yield Cluster(str(entry.config["resource_arn"]), str(entry.config.get("secret_arn") or ""), source)


def _functions(config: RunConfig) -> Iterator[Used]:
    for entry in config.providers.get("tool_runtime", ()):
        if entry.provider_type == LAMBDA:
            for name in _function_names(entry):
                yield Used(name, _source("tool_runtime", entry))


def _function_names(entry: ProviderEntry) -> list[str]:
    functions: Sequence[Mapping[str, Any]] = entry.config.get("functions") or ()
    return [str(function["function"]) for function in functions]


def _gateways(config: RunConfig) -> Iterator[Used]:
    """Of AgentCore, among the MCP servers whose requests are signed; each says the region in its name."""
    for entry in config.providers.get("tool_runtime", ()):
        servers: Sequence[Mapping[str, Any]] = entry.config.get("servers") or () if entry.provider_type == MCP else ()
        for server in servers:
            signed: Mapping[str, Any] | None = server.get("sigv4")
            if signed is not None and (gateway := GATEWAY.match(str(server.get("url")))) is not None:
                region, keys = signed.get("region_name") or gateway[2], bool(signed.get("aws_access_key_id"))
                yield Used(
                    gateway[1], Source("tool_runtime", entry.provider_id, region, signed.get("role_arn") or "", keys)
                )


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


def _source_buckets(config: RunConfig) -> Iterator[Bucket]:
    """From which datasets are read with the function's own credentials: of each provider its own, where it is one, and those beside it."""
    for entry in config.providers.get("datasetio", ()):
        beside: Sequence[Mapping[str, Any]] = entry.config.get("buckets") or ()
        for bucket in (entry.config, *beside) if entry.provider_type == FILES else beside:
            region, keys = str(bucket.get("region") or ""), bool(bucket.get("aws_access_key_id"))
            if not keys:
                source = Source("datasetio", entry.provider_id, region)
                yield Bucket(str(bucket["bucket_name"]), source, str(bucket.get("key_prefix") or ""))


def _seal_keys(config: RunConfig) -> Iterator[str]:
    """ARNs of the keys that compacted contexts, secrets of webhooks and what jobs keep are sealed with, which no role is assumed for; each once."""
    of_responses: list[dict[str, Any]] = [
        entry.config.get("compaction_config") or {} for entry in config.providers.get("responses", ())
    ]
    of_webhooks = [entry.config for entry in config.providers.get("webhooks", ())]
    keys = [str(part.get("kms_key_id") or "") for part in (*of_responses, *of_webhooks)]
    yield from dict.fromkeys(filter(None, [*keys, config.jobs.provider_data_key or ""]))


def _source(api: str, entry: ProviderEntry) -> Source:
    config = entry.config
    keys = any(config.get(name) for name in KEYS)
    role = (
        "" if any(config.get(name) for name in TOKENS) else config.get("role_arn") or config.get("aws_role_arn") or ""
    )
    functions: list[str] = _function_names(entry) if entry.provider_type == LAMBDA else []
    arns = [str(config.get(name) or "") for name in ("vector_bucket", "resource_arn")]
    web = bool(role and config.get("aws_web_identity_token_file"))
    by_arn = next((region for arn in [*arns, *functions] if (region := _region_in(arn))), "")
    region = config.get("region_name") or config.get("region") or by_arn
    return Source(api, entry.provider_id, region, role, keys, web_identity=web)


def _region_in(arn: str) -> str:
    """That of a vector bucket's, a cluster's or a function's ARN; empty of a name."""
    return arn.split(":")[3] if arn.startswith("arn:") and arn.count(":") > 3 else ""  # noqa: PLR2004 - arn:partition:service:region:


def _models(config: RunConfig, body: Mapping[str, Any], sources: Sequence[Source]) -> Iterator[Used]:
    metadata: Mapping[str, Any] = body.get("metadata") or {}
    reranks = body.get("model_type") == "rerank"
    embedding = reranks or body.get("model_type") == "embedding"
    own = body.get("provider_model_id") or body["model_id"]
    places = [(_owner(config, "inference", body), own)]
    places += [(target["provider_id"], target["provider_model_id"]) for target in metadata.get("targets") or ()]
    for provider_id, name in places:
        for source in _sources_of(sources, "inference", provider_id):
            profile = metadata.get("inference_profile") if name == own else None
            yield Used(name, source, embedding, profile, reranks)


def _owner(config: RunConfig, api: str, body: Mapping[str, Any]) -> str:
    """The run config was checked: without a name there is exactly one provider."""
    return body.get("provider_id") or config.providers[api][0].provider_id


def _sources_of(sources: Sequence[Source], api: str, provider_id: str) -> list[Source]:
    return [source for source in sources if (source.api, source.provider_id) == (api, provider_id)]
