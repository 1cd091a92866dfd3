"""`llambda iam`."""

from dataclasses import replace
import json
import re
from typing import Any, Final, TypedDict, Unpack

import click

from core.cli.iam.lookup import Lookup, LookupFailed
from core.cli.iam.rights import SELF, Derived, Known, derive, roles_of
from core.cli.iam.secrets import NamedSecrets, named_secrets
from core.cli.iam.statements import Arn, Place, Rights, parameters, statements
from core.cli.iam.uses import Source, Usage, collect_usage
from core.cli.options import Pairs, config_argument, env_option, load_valid_config
from core.cli.terminal import say
from core.config.problems import ConfigInvalid, Problem
from core.platform import environment

EXAMPLES: Final = """\
\b
Examples:
  llambda iam run.yaml --account 123456789012 > policy.json
  llambda iam run.yaml --lookup      ask Bedrock what each id stands for
  llambda iam run.yaml --role arn:aws:iam::123456789012:role/bedrock
  sam deploy --parameter-overrides \\
      $(llambda iam run.yaml --lookup --format parameters)

An ARN as provider_model_id says what it is. An id alone does not: --lookup asks
Bedrock, or the model's metadata says which models an inference profile calls:

\b
  metadata:
    inference_profile:
      models: ["arn:aws:bedrock:us-east-1::foundation-model/..."]
"""
OF_S3: Final = ("vector_io", "files", "tool_runtime", "datasetio")  # whose region is no parameter
VERSION: Final = "2012-10-17"
KEYS: Final[dict[str, str]] = {"AWS_ACCESS_KEY_ID": "-", "AWS_SECRET_ACCESS_KEY": "-"}  # a policy is made without them
NO_ARN: Final = "the policy does not allow the secret `{}`: name it by its ARN in the run config"
OWN_KEY: Final = "a secret that is encrypted with a KMS key of your own needs kms:Decrypt too; template.yaml gives it"
FORMATS: Final = ("json", "sam", "parameters")


class IamOptions(TypedDict):
    """What the options say, beside the run config."""

    region: str | None
    account: str | None
    partition: str | None
    lookup: bool
    role: str
    form: str


def _region(text: str) -> str:
    return _matching(r"[a-z]{2,}(-[a-z]+)+-\d+", text, "no region; write it as us-east-1")


def _account(text: str) -> str:
    return _matching(r"\d{12}", text, "no account; give its 12 digits")


def _partition(text: str) -> str:
    return _matching(r"aws(-[a-z]+)*", text, "no partition; give aws, aws-cn or aws-us-gov")


def _matching(pattern: str, text: str, complaint: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise click.BadParameter(f"`{text}` is {complaint}")
    return text


@click.command(epilog=EXAMPLES)
@config_argument
@env_option
@click.option("--region", metavar="REGION", type=_region, help="Where a provider names none (default: AWS_REGION).")
@click.option("--account", metavar="DIGITS", type=_account, help="Whose guardrails and profiles they are.")
@click.option("--partition", metavar="NAME", type=_partition, help="As aws-cn (default: the region's).")
@click.option("--lookup", is_flag=True, help="Ask AWS for the account, and what each id is.")
@click.option("--role", metavar="ARN", default=SELF, help="Print the policy of this role that is assumed.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="json",
    show_default=True,
    help="A policy document, a function's Policies, or parameters of template.yaml.",
)
def command(config: str, env: Pairs, **options: Unpack[IamOptions]) -> None:
    """Print the least-privilege IAM policy for what a run config uses of AWS, and for the secrets that it names.

    That is: the declared models, their targets, the guardrails behind declared shields, buckets of files, vectors and datasets, jobs of Bedrock, Lambda functions that are tools, and secrets by their ARNs. The policy
    is the function's own. What a provider does in a role that it assumes (role_arn) is that role's policy: --role ARN prints
    it.
    Notes go to the standard error.
    """
    path, checked = load_valid_config(config, env, KEYS)
    usage = collect_usage(checked)
    _check_role(options, roles_of(usage))
    try:
        derived = _derive(options, usage)
    except LookupFailed as failed:
        raise click.ClickException(str(failed)) from failed
    if derived.problems:
        raise ConfigInvalid(str(path), derived.problems)
    if options["role"] == SELF:
        _add_secrets(derived, named_secrets(checked))
    mine = [source for source in usage.sources if source.role == options["role"]]
    bedrock = [source for source in mine if source.api not in OF_S3]
    regions = sorted({region for source in bedrock if (region := _region_of(options, source))})
    print(_format(options["form"], derived.rights, regions))
    for line in dict.fromkeys([*derived.notes, *_notes(options, usage, mine)]):
        say(f"note: {line}")


def _check_role(options: IamOptions, roles: list[str]) -> None:
    if options["role"] != SELF and options["role"] not in roles:
        choices = ", ".join(roles) or "none"
        raise ConfigInvalid("--role", [Problem("", f"no provider assumes `{options['role']}` (role_arn: {choices})")])
    if options["role"] != SELF and options["form"] == "parameters":
        raise ConfigInvalid("--role", [Problem("", "template.yaml makes no such role, and has no parameters for it")])


def _derive(options: IamOptions, used: Usage) -> Derived:
    lookup = Lookup()
    regions = {source: _region_of(options, source) for source in used.sources}
    mine = [model for model in used.models if model.source.role == options["role"]]
    catalog: Known = lookup.models(mine, regions) if options["lookup"] else {}
    account = options["account"] or ""
    own = [regions[source] for source in used.sources if regions[source] and not source.role]
    if options["lookup"] and options["role"] == SELF and own and not account:
        account = lookup.account(own[0])
    places = {source: _place(options, lookup, source, account) for source in used.sources}
    return derive(used, options["role"], places, catalog)


def _add_secrets(derived: Derived, named: NamedSecrets) -> None:
    derived.rights = replace(
        derived.rights, secrets=(*derived.rights.secrets, *named.secrets), parameters=named.parameters
    )
    derived.notes += [NO_ARN.format(name) for name in named.nameless]
    derived.notes += [OWN_KEY] if derived.rights.secrets or named.parameters else []


def _region_of(options: IamOptions, source: Source) -> str:
    variables = environment.environ()
    region = source.region or options["region"] or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION")
    return str(region or "")


def _place(options: IamOptions, lookup: Lookup, source: Source, account: str) -> Place:
    """A role's calls are of the role's account."""
    region, role = _region_of(options, source), Arn.parse(source.role)
    if role is not None:
        return Place(role.partition, region, role.account)
    return Place(options["partition"] or lookup.partition(region), region, account)


def _format(form: str, rights: Rights, regions: list[str]) -> str:
    document: dict[str, Any] = {"Version": VERSION, "Statement": statements(rights)}
    if form == "sam":
        import yaml

        return str(yaml.safe_dump({"Policies": [document]}, sort_keys=False)).rstrip()
    if form == "parameters":
        values = ({"BedrockRegion": regions} if len(regions) == 1 else {}) | parameters(rights)
        return " ".join(f"{name}={','.join(texts)}" for name, texts in values.items())
    return json.dumps(document, indent=2)


def _notes(options: IamOptions, used: Usage, mine: list[Source]) -> list[str]:
    if not used.sources and not used.seal_keys and not used.event_buses:
        return ["this config uses nothing of Bedrock, S3, S3 Vectors, the RDS Data API or Lambda functions"]
    roles = roles_of(used) if options["role"] == SELF else []
    notes = [f"what is done in {role} needs a policy of that role: add --role {role}" for role in roles]
    owners = [source for source in mine if source.keys]
    notes += [
        f"provider `{source.provider_id}` has keys of its own: the policy is for whose they are" for source in owners
    ]
    callable_sources = {model.source for model in used.models}
    silent = [source for source in mine if source.api == "inference" and source not in callable_sources]
    notes += [
        f"no model is declared on provider `{source.provider_id}`: the policy lets none be called" for source in silent
    ]
    return notes
