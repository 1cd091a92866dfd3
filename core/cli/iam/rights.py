"""What a run config uses of AWS, as the rights of each principal: the function itself, and the roles that it assumes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeGuard, cast

from core.cli.iam.statements import NAME, PROFILES, Arn, Model, Place, Rights
from core.cli.iam.uses import Bucket, Source, Usage, Used
from core.config.problems import Problem

SELF: Final = ""  # the function's own role, among principals that are ARNs of roles
NO_REGION: Final = "its region is not known: give region_name in its provider's config, --region or AWS_REGION"
NO_PARTITION: Final = "its region is in no partition that the SDK knows: give --partition"
NO_ACCOUNT: Final = "its ARN needs the account: give --account or --lookup"
MALFORMED: Final = "it is neither an id nor an ARN of Bedrock"
NO_BUCKET: Final = "it is neither the name of a vector bucket nor its ARN"
NO_ROLE: Final = "it is not the ARN of one role"
NO_PROFILE: Final = 'metadata.inference_profile must be {"models": [ARN, ...]} with ARNs of foundation models'
NOT_A_PROFILE: Final = "it has metadata.inference_profile, but by its ARN it is no inference profile"
EITHER: Final = (
    "this may be a model or an inference profile: the policy allows both by this name, and no model behind a profile. To "
    "be exact use --lookup, give its ARN, or say what is behind it in metadata.inference_profile"
)
NOTHING_BEHIND: Final = (
    "the policy does not allow the models behind this inference profile, and so it cannot be called. Use --lookup, or name "
    "them in metadata.inference_profile"
)

type Known = Mapping[tuple[Source, str], Model]


MADE: Final = {"function": Place.function, "gateway": Place.gateway}
"""What makes an ARN of a name, by the kind of what is called."""


@dataclass
class Derived:
    """One principal's rights. `notes` are for people; what has a problem is missing in the rights."""

    rights: Rights = field(default_factory=Rights)
    notes: list[str] = field(default_factory=list[str])
    problems: list[Problem] = field(default_factory=list[Problem])


class Unclear(Exception):
    """No ARN can be made of what the run config names; says why."""


def roles_of(used: Usage) -> list[str]:
    """The roles that providers assume."""
    return sorted({source.role for source in used.sources} - {SELF})


def derive(used: Usage, principal: str, places: Mapping[Source, Place], known: Known) -> Derived:
    """The rights of the function, or of one of the roles; `known` is what was looked up."""
    derived = Derived()
    roles = roles_of(used) if principal == SELF else [principal]
    assumed = {source.role for source in used.sources if not source.web_identity}
    derived.problems += [Problem(f"role_arn `{role}`", NO_ROLE) for role in roles if not _is_role(role)]
    models = [use for use in used.models if use.source.role == principal]
    guardrails = [use for use in used.guardrails if use.source.role == principal]
    bases = [use for use in used.knowledge_bases if use.source.role == principal]
    buckets = _of(principal, used.buckets)
    clusters = [cluster for cluster in used.clusters if cluster.source.role == principal]
    derived.rights = Rights(
        apis=frozenset(source.api for source in used.sources if source.role == principal),
        models=tuple(_models(models, places, known, derived)),
        guardrails=tuple(_named(guardrails, "guardrail", places, derived)),
        knowledge_bases=tuple(_named(bases, "knowledge-base", places, derived)),
        vector_buckets=tuple(_vector_buckets(buckets, places, derived)),
        databases=tuple(cluster.name for cluster in clusters),
        secrets=tuple(cluster.secret for cluster in clusters),
        functions=_arns("function", used.functions, principal, places, derived),
        gateways=_arns("gateway", used.gateways, principal, places, derived),
        file_buckets=tuple(_file_buckets(used.file_buckets if principal == SELF else (), places, derived)),
        batch_buckets=tuple(_file_buckets(_of(principal, used.batch_buckets), places, derived)),
        batch_roles=tuple(use.name for use in used.batch_roles if use.source.role == principal),
        evaluation_buckets=tuple(_file_buckets(_of(principal, used.evaluation_buckets), places, derived)),
        evaluation_roles=tuple(use.name for use in used.evaluation_roles if use.source.role == principal),
        source_buckets=tuple(_file_buckets(used.source_buckets if principal == SELF else (), places, derived)),
        seal_keys=used.seal_keys if principal == SELF else (),
        event_buses=used.event_buses if principal == SELF else (),
        roles=tuple(role for role in roles if role in assumed) if principal == SELF else (),
    )
    return derived


def _models(used: list[Used], places: Mapping[Source, Place], known: Known, derived: Derived) -> list[Model]:
    models: list[Model] = []
    for use in used:
        try:
            model, note = _model(use, places[use.source], known.get((use.source, use.name)))
        except Unclear as unclear:
            derived.problems.append(Problem(f"model `{use.name}`", str(unclear)))
            continue
        models.append(model)
        if note:
            derived.notes.append(f"model `{use.name}`: {note}")
    return models


def _named(used: list[Used], kind: str, places: Mapping[Source, Place], derived: Derived) -> list[str]:
    """The ARNs of guardrails or knowledge bases; `kind` is what an ARN calls them."""
    arns: list[str] = []
    for use in used:
        try:
            arns.append(_named_arn(use, kind, places[use.source]))
        except Unclear as unclear:
            derived.problems.append(Problem(f"{kind.replace('-', ' ')} `{use.name}`", str(unclear)))
    return arns


def _named_arn(used: Used, kind: str, place: Place) -> str:
    arn = _arn(used.name)
    if arn is not None and arn.kind != kind:
        raise Unclear(MALFORMED)
    return str(arn or _own(place).arn(kind, used.name))


def _arns(
    kind: str, uses: Sequence[Used], principal: str, places: Mapping[Source, Place], derived: Derived
) -> tuple[str, ...]:
    """Of a function as it is called: with its alias or its version, where it has one."""
    arns: list[str] = []
    for use in (use for use in uses if use.source.role == principal):
        try:
            arns.append(use.name if use.name.startswith("arn:") else MADE[kind](_own(places[use.source]), use.name))
        except Unclear as unclear:
            derived.problems.append(Problem(f"{kind} `{use.name}`", str(unclear)))
    return tuple(arns)


def _vector_buckets(buckets: list[Bucket], places: Mapping[Source, Place], derived: Derived) -> list[str]:
    """The ARN of each, and that of its indexes: all of those whose names begin as the provider's do."""
    arns: list[str] = []
    for bucket in buckets:
        try:
            arn = _vector_bucket(bucket, places[bucket.source])
        except Unclear as unclear:
            derived.problems.append(Problem(f"vector_bucket `{bucket.name}`", str(unclear)))
            continue
        arns += [arn, f"{arn}/index/{bucket.prefix}*"]
    return arns


def _file_buckets(buckets: Iterable[Bucket], places: Mapping[Source, Place], derived: Derived) -> Iterator[str]:
    """The ARN of each, and that of what is the provider's in it."""
    for bucket in buckets:
        place = places[bucket.source]
        if not place.partition:
            derived.problems.append(Problem(f"bucket_name `{bucket.name}`", NO_REGION))
            continue
        yield (arn := place.bucket(bucket.name))
        yield f"{arn}/{bucket.prefix.strip('/')}{'/' if bucket.prefix else ''}*"


def _of(principal: str, buckets: Iterable[Bucket]) -> list[Bucket]:
    return [bucket for bucket in buckets if bucket.source.role == principal]


def _vector_bucket(bucket: Bucket, place: Place) -> str:
    arn = Arn.parse(bucket.name)
    if arn is None and NAME.fullmatch(bucket.name) and not bucket.name.startswith("arn:"):
        return _own(place).vector_bucket(bucket.name)
    if arn is None or (arn.service, arn.kind) != ("s3vectors", "bucket"):
        raise Unclear(NO_BUCKET)
    return bucket.name


def _model(used: Used, place: Place, looked_up: Model | None) -> tuple[Model, str]:
    """The model, and what a person should know of it.

    Raises:
        Unclear: its name, its region or its account.
    """
    arn, behind = _arn(used.name), _models_behind(used)
    if behind and arn is not None and arn.kind not in PROFILES:
        raise Unclear(NOT_A_PROFILE)
    if looked_up is not None and not behind:
        invoked = tuple(_at_account(arn_text, place) for arn_text in looked_up.called) if arn is None else (used.name,)
        return Model(invoked, looked_up.behind, used.embedding, used.reranks), ""
    if arn is not None:
        note = "" if behind or arn.kind not in PROFILES else NOTHING_BEHIND
        return Model((used.name,), behind, used.embedding, used.reranks), note
    profile = _own(place).arn("inference-profile", used.name)
    if behind:
        return Model((profile,), behind, used.embedding, used.reranks), ""
    return Model((place.model(used.name), profile), (), used.embedding, used.reranks), EITHER


def _arn(name: str) -> Arn | None:
    """None if it is an id."""
    arn = Arn.parse(name)
    if arn is None and NAME.fullmatch(name) and not name.startswith("arn:"):
        return None
    if arn is None or arn.service != "bedrock":
        raise Unclear(MALFORMED)
    return arn


def _models_behind(used: Used) -> tuple[str, ...]:
    """The ARNs of the models behind it, if the run config says that it is a profile."""
    if used.profile is None:
        return ()
    models = used.profile.get("models") if _is_mapping(used.profile) else None
    arns = [str(model) for model in cast("list[object]", models)] if isinstance(models, list) else []
    parsed = [Arn.parse(arn) for arn in arns]
    if not parsed or any(arn is None or (arn.service, arn.kind) != ("bedrock", "foundation-model") for arn in parsed):
        raise Unclear(NO_PROFILE)
    return tuple(arns)


def _at_account(text: str, place: Place) -> str:
    """A profile is looked up in the account of whoever asks, which need not be the one that will call it."""
    arn = Arn.parse(text)
    return str(replace(arn, account=place.account)) if arn is not None and arn.account and place.account else text


def _own(place: Place) -> Place:
    """The place, if all of it is known."""
    for fact, message in ((place.region, NO_REGION), (place.partition, NO_PARTITION), (place.account, NO_ACCOUNT)):
        if not fact:
            raise Unclear(message)
    return place


def _is_role(text: str) -> bool:
    arn = Arn.parse(text)
    return arn is not None and (arn.service, arn.kind) == ("iam", "role")


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)
