"""What somebody who calls Bedrock, S3 Vectors, the RDS Data API or functions must be allowed to do, as IAM statements. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
import re
from typing import Any, Final, Self, override

from core.cli.iam import table
from core.cli.iam.right import Right
from core.cli.iam.table import LISTS

PROFILES: Final = ("inference-profile", "application-inference-profile")
ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):(?P<account>\d{12}|)"
    r":(?P<kind>[a-z-]+)/(?P<name>[\w.:/+=@-]+)",
    re.ASCII,
)
NAME: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._:-]*", re.ASCII
)  # of a model, a profile or a guardrail, without an ARN

# Who only embeds or reranks needs no streams. Whether a model does is a fact of the run config: the template does not know it.
EMBED: Final = replace(table.CALL_MODELS, sid="Embed", actions=table.INVOKE[:1])
EMBED_BEHIND_PROFILES: Final = replace(table.CALL_BEHIND_PROFILES, sid="EmbedBehindProfiles", actions=EMBED.actions)

PASSED_TO_BEDROCK: Final = {"StringEquals": {table.PASSED_TO: table.PASS_BATCH_ROLE.to}}

type Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arn:
    """`arn:partition:service:region:account:kind/name`; a global model has no region, AWS's own models no account."""

    partition: str
    service: str
    region: str
    account: str
    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None if it is not one, or has a wildcard in it."""
        match = ARN.fullmatch(text)
        return cls(**match.groupdict()) if match else None

    @override
    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a provider calls AWS, and in whose account; "" for what is not known."""

    partition: str
    region: str
    account: str

    def arn(self, kind: str, name: str) -> str:
        """That of something of the account; of AWS's own models `model` has it."""
        return str(Arn(self.partition, "bedrock", self.region, self.account, kind, name))

    def vector_bucket(self, name: str) -> str:
        return str(Arn(self.partition, "s3vectors", self.region, self.account, "bucket", name))

    def bucket(self, name: str) -> str:
        """Of S3, whose names are one's alone."""
        return f"arn:{self.partition}:s3:::{name}"

    def function(self, name: str) -> str:
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:function:{name}"

    def gateway(self, name: str) -> str:
        return f"arn:{self.partition}:bedrock-agentcore:{self.region}:{self.account}:gateway/{name}"

    def model(self, name: str) -> str:
        return str(Arn(self.partition, "bedrock", self.region, "", "foundation-model", name))


@dataclass(frozen=True, slots=True)
class Model:
    """A model, or an inference profile, in ARNs: what is called, and the models behind it if it is a profile; `embedding` and `reranks` are as in `Used`."""

    called: tuple[str, ...]
    behind: tuple[str, ...] = ()
    embedding: bool = False
    reranks: bool = False


@dataclass(frozen=True, slots=True)
class Rights:
    """What one principal needs: of the providers of `apis`, and of ARNs; of a vector bucket its own and its indexes', of a bucket of files, batches, evaluations or sources of datasets its own and its objects'; `parameters` are those of Systems Manager."""

    apis: frozenset[str] = frozenset()
    models: tuple[Model, ...] = ()
    guardrails: tuple[str, ...] = ()
    knowledge_bases: tuple[str, ...] = ()
    vector_buckets: tuple[str, ...] = ()
    file_buckets: tuple[str, ...] = ()
    batch_buckets: tuple[str, ...] = ()
    batch_roles: tuple[str, ...] = ()
    evaluation_buckets: tuple[str, ...] = ()
    evaluation_roles: tuple[str, ...] = ()
    source_buckets: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    seal_keys: tuple[str, ...] = ()
    event_buses: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


def statements(rights: Rights) -> list[Statement]:
    """The statements of a policy document; only lists and reranking have `*` for their resource."""
    lists = [action for api, actions in LISTS.items() if api in rights.apis for action in actions]
    chat = [model for model in rights.models if not model.embedding]
    embedding = [model for model in rights.models if model.embedding]
    reranks = any(model.reranks for model in rights.models)
    candidates = (
        _allow(table.ASSUME_ROLES, rights.roles),
        _allow(replace(table.LIST, actions=tuple(lists)), ["*"] if lists else []),
        _allow(table.CALL_MODELS, _invoked_arns(chat)),
        _allow(table.CALL_BEHIND_PROFILES, _arns_behind(chat), _profile_condition(chat)),
        _allow(EMBED, _invoked_arns(embedding)),
        _allow(EMBED_BEHIND_PROFILES, _arns_behind(embedding), _profile_condition(embedding)),
        _allow(table.RERANK, ["*"] if reranks else []),
        _allow(table.APPLY_GUARDRAILS, rights.guardrails),
        _allow(table.RUN_BATCH_JOBS, _job_arns(table.RUN_BATCH_JOBS, rights.batch_roles)),
        _allow(table.LIST_BATCH_JOBS, ["*"] if rights.batch_roles else []),
        _allow(table.PASS_BATCH_ROLE, rights.batch_roles, PASSED_TO_BEDROCK),
        _allow(table.BATCH_BUCKETS, rights.batch_buckets),
        _allow(table.RUN_EVALUATION_JOBS, _job_arns(table.RUN_EVALUATION_JOBS, rights.evaluation_roles)),
        _allow(table.FOLLOW_EVALUATION_JOBS, _job_arns(table.FOLLOW_EVALUATION_JOBS, rights.evaluation_roles)),
        _allow(table.LIST_EVALUATION_JOBS, ["*"] if rights.evaluation_roles else []),
        _allow(table.PASS_EVALUATION_ROLE, rights.evaluation_roles, PASSED_TO_BEDROCK),
        _allow(table.EVALUATION_BUCKETS, rights.evaluation_buckets),
        _allow(table.VECTORS, rights.vector_buckets),
        _allow(table.SEARCH_KNOWLEDGE_BASES, rights.knowledge_bases),
        _allow(table.FILE_BUCKETS, rights.file_buckets),
        _allow(table.READ_SOURCES, rights.source_buckets),
        _allow(table.DATABASES, rights.databases),
        _allow(table.INVOKE_TOOL_FUNCTIONS, rights.functions),
        _allow(table.INVOKE_MCP_GATEWAYS, rights.gateways),
        _allow(table.SEAL, rights.seal_keys),
        _allow(table.TELL_EVENT_BUS, rights.event_buses),
        _allow(table.READ_SECRETS, rights.secrets),
        _allow(table.READ_PARAMETERS, rights.parameters),
    )
    return [statement for statement in candidates if statement["Resource"]]


def parameters(rights: Rights) -> dict[str, list[str]]:
    """The same rights as parameters of template.yaml, without those that would be empty."""
    arns = {
        table.CALL_MODELS: _invoked_arns(rights.models),
        table.CALL_BEHIND_PROFILES: _arns_behind(rights.models),
        table.APPLY_GUARDRAILS: sorted(set(rights.guardrails)),
        table.PASS_BATCH_ROLE: sorted(set(rights.batch_roles)),
        table.BATCH_BUCKETS: sorted(set(rights.batch_buckets)),
        table.PASS_EVALUATION_ROLE: sorted(set(rights.evaluation_roles)),
        table.EVALUATION_BUCKETS: sorted(set(rights.evaluation_buckets)),
        table.VECTORS: sorted(set(rights.vector_buckets)),
        table.SEARCH_KNOWLEDGE_BASES: sorted(set(rights.knowledge_bases)),
        table.FILE_BUCKETS: sorted(set(rights.file_buckets)),
        table.READ_SOURCES: sorted(set(rights.source_buckets)),
        table.DATABASES: sorted(set(rights.databases)),
        table.INVOKE_TOOL_FUNCTIONS: sorted(set(rights.functions)),
        table.INVOKE_MCP_GATEWAYS: sorted(set(rights.gateways)),
        table.ASSUME_ROLES: sorted(set(rights.roles)),
        table.TELL_EVENT_BUS: sorted(set(rights.event_buses)),
        table.READ_SECRETS: sorted(set(rights.secrets)),
        table.READ_PARAMETERS: sorted(set(rights.parameters)),
    }
    return {right.parameter: values for right, values in arns.items() if values}


def _job_arns(right: Right, roles: Iterable[str]) -> list[str]:
    """Jobs and models in the accounts of these roles, whose own jobs they are."""
    places = {(partition, account) for _, partition, _, _, account, *_ in (role.split(":") for role in roles)}
    return [arn.format(partition=p, account=a) for p, a in sorted(places) for arn in right.arns]


def _allow(right: Right, arns: Iterable[str], condition: Statement | None = None) -> Statement:
    statement: Statement = {
        "Sid": right.sid,
        "Effect": "Allow",
        "Action": [*right.actions],
        "Resource": sorted(set(arns)),
    }
    return statement if condition is None else statement | {"Condition": condition}


def _invoked_arns(models: Iterable[Model]) -> list[str]:
    return sorted({arn for model in models for arn in model.called})


def _arns_behind(models: Iterable[Model]) -> list[str]:
    return sorted({arn for model in models for arn in model.behind})


def _profile_condition(models: Iterable[Model]) -> Statement:
    """Only where a profile calls them: of each such call IAM is told the profile."""
    return {"StringEquals": {table.PROFILE: _invoked_arns(model for model in models if model.behind)}}
