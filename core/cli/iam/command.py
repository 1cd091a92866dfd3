"""`llambda iam`."""

import json
import re
import sys
from typing import Any, Final, TypedDict, Unpack

import click

from core.cli.iam.lookup import Lookup, LookupFailed
from core.cli.iam.rights import SELF, Derived, Known, derive, roles_of
from core.cli.iam.statements import Arn, Place, Rights, parameters, statements
from core.cli.iam.uses import Source, Usage, usage
from core.cli.options import Pairs, config_argument, env_option, load_valid_config
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
VERSION: Final = "2012-10-17"
KEYS: Final[dict[str, str]] = {"AWS_ACCESS_KEY_ID": "-", "AWS_SECRET_ACCESS_KEY": "-"}  # a policy is made without them
FORMATS: Final = ("json", "sam", "parameters")


class Asked(TypedDict):
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
def command(config: str, env: Pairs, **asked: Unpack[Asked]) -> None:
    """Print the least-privilege IAM policy for what a run config uses of Bedrock.

    That is: the declared models, their targets, and the guardrails behind declared shields. The policy is the function's own. What a provider does in a role that it
    assumes (role_arn) is that role's policy: --role ARN prints it.
    Notes go to the standard error.
    """
    path, checked = load_valid_config(config, env, KEYS)
    used = usage(checked)
    _check_role(asked, roles_of(used))
    try:
        derived = _derived(asked, used)
    except LookupFailed as failed:
        raise click.ClickException(str(failed)) from failed
    if derived.problems:
        raise ConfigInvalid(str(path), derived.problems)
    mine = [source for source in used.sources if source.role == asked["role"]]
    regions = sorted({region for source in mine if (region := _region_of(asked, source))})
    print(_written(asked["form"], derived.rights, regions))
    for line in dict.fromkeys([*derived.notes, *_notes(asked, used, mine)]):
        print(f"note: {line}", file=sys.stderr)


def _check_role(asked: Asked, roles: list[str]) -> None:
    if asked["role"] != SELF and asked["role"] not in roles:
        known = ", ".join(roles) or "none"
        raise ConfigInvalid("--role", [Problem("", f"no provider assumes `{asked['role']}` (role_arn: {known})")])
    if asked["role"] != SELF and asked["form"] == "parameters":
        raise ConfigInvalid("--role", [Problem("", "template.yaml makes no such role, and has no parameters for it")])


def _derived(asked: Asked, used: Usage) -> Derived:
    lookup = Lookup()
    regions = {source: _region_of(asked, source) for source in used.sources}
    mine = [each for each in used.models if each.source.role == asked["role"]]
    known: Known = lookup.models(mine, regions) if asked["lookup"] else {}
    account = asked["account"] or ""
    own = [regions[source] for source in used.sources if regions[source] and not source.role]
    if asked["lookup"] and asked["role"] == SELF and own and not account:
        account = lookup.account(own[0])
    places = {source: _place(asked, lookup, source, account) for source in used.sources}
    return derive(used, asked["role"], places, known)


def _region_of(asked: Asked, source: Source) -> str:
    variables = environment.environ()
    named = source.region or asked["region"] or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION")
    return str(named or "")


def _place(asked: Asked, lookup: Lookup, source: Source, account: str) -> Place:
    """A role's calls are of the role's account."""
    region, role = _region_of(asked, source), Arn.parse(source.role)
    if role is not None:
        return Place(role.partition, region, role.account)
    return Place(asked["partition"] or lookup.partition(region), region, account)


def _written(form: str, rights: Rights, regions: list[str]) -> str:
    document: dict[str, Any] = {"Version": VERSION, "Statement": statements(rights)}
    if form == "sam":
        import yaml

        return str(yaml.safe_dump({"Policies": [document]}, sort_keys=False)).rstrip()
    if form == "parameters":
        values = ({"BedrockRegion": regions} if len(regions) == 1 else {}) | parameters(rights)
        return " ".join(f"{name}={','.join(texts)}" for name, texts in values.items())
    return json.dumps(document, indent=2)


def _notes(asked: Asked, used: Usage, mine: list[Source]) -> list[str]:
    if not used.sources:
        return ["this config uses nothing of Bedrock"]
    roles = roles_of(used) if asked["role"] == SELF else []
    notes = [f"what is done in {role} needs a policy of that role: add --role {role}" for role in roles]
    owners = [source for source in mine if source.keys]
    notes += [f"provider `{each.provider_id}` has keys of its own: the policy is for whose they are" for each in owners]
    named = {model.source for model in used.models}
    silent = [source for source in mine if source.api == "inference" and source not in named]
    notes += [
        f"no model is declared on provider `{each.provider_id}`: the policy lets none be called" for each in silent
    ]
    return notes
