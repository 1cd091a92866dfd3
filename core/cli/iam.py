"""`llambda iam`."""

import argparse
import json
import re
import sys
from typing import Any, Final

from core.cli.iam_lookup import Lookup, LookupFailed
from core.cli.iam_rights import SELF, Derived, Known, derive, roles_of
from core.cli.iam_uses import Source, Usage, usage
from core.cli.options import Commands, add_config, add_env, load_checked
from core.config import environment
from core.config.problems import ConfigInvalid, Problem
from core.providers.bedrock_iam import Arn, Place, Rights, parameters, statements

DESCRIPTION: Final = """\
Print the least-privilege IAM policy for what a run config uses of Bedrock: the
declared models, their targets, and the guardrails behind declared shields.
The policy is the function's own. What a provider does in a role that it
assumes (role_arn) is that role's policy: --role ARN prints it.
Notes go to the standard error.
"""
EXAMPLES: Final = """\
examples:
  llambda iam run.yaml --account 123456789012 > policy.json
  llambda iam run.yaml --lookup             ask Bedrock what each id stands for
  llambda iam run.yaml --role arn:aws:iam::123456789012:role/bedrock
  sam deploy --parameter-overrides $(llambda iam run.yaml --lookup --format parameters)

An ARN as provider_model_id says what it is. An id alone does not: --lookup asks
Bedrock, or the model's metadata says which models an inference profile calls:
  metadata: {inference_profile: {models: ["arn:aws:bedrock:us-east-1::foundation-model/..."]}}
"""
VERSION: Final = "2012-10-17"
KEYS: Final[dict[str, str]] = {"AWS_ACCESS_KEY_ID": "-", "AWS_SECRET_ACCESS_KEY": "-"}  # a policy is made without them
FORMATS: Final = ("json", "sam", "parameters")


def add_to(commands: Commands) -> None:
    """The `iam` command."""
    command = commands.add_parser(
        "iam", help="print the IAM policy for what a run config uses of Bedrock", description=DESCRIPTION
    )
    command.epilog = EXAMPLES
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    add_config(command)
    add_env(command)
    command.add_argument("--region", type=_region, help="where a provider names none (default: AWS_REGION)")
    command.add_argument("--account", type=_account, help="whose guardrails and profiles they are")
    command.add_argument("--partition", type=_partition, help="aws, aws-cn or aws-us-gov (default: the region's)")
    command.add_argument("--lookup", action="store_true", help="ask AWS for the account, and what each id is")
    command.add_argument("--role", metavar="ARN", default=SELF, help="print the policy of this role that is assumed")
    command.add_argument(
        "--format",
        choices=FORMATS,
        default="json",
        help="a policy document, a function's Policies, or parameters of template.yaml (default: %(default)s)",
    )
    command.set_defaults(run=_run)


def _region(text: str) -> str:
    return _matching(r"[a-z]{2,}(-[a-z]+)+-\d+", text, "no region; write it as us-east-1")


def _account(text: str) -> str:
    return _matching(r"\d{12}", text, "no account; give its 12 digits")


def _partition(text: str) -> str:
    return _matching(r"aws(-[a-z]+)*", text, "no partition; give aws, aws-cn or aws-us-gov")


def _matching(pattern: str, text: str, complaint: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise argparse.ArgumentTypeError(f"`{text}` is {complaint}")
    return text


def _run(options: argparse.Namespace) -> int:
    path, config = load_checked(options, KEYS)
    used = usage(config)
    _check_role(options, roles_of(used))
    try:
        derived = _derived(options, used)
    except LookupFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    if derived.problems:
        raise ConfigInvalid(str(path), derived.problems)
    mine = [source for source in used.sources if source.role == options.role]
    regions = sorted({region for source in mine if (region := _region_of(options, source))})
    print(_written(options.format, derived.rights, regions))
    for line in dict.fromkeys([*derived.notes, *_notes(options, used, mine)]):
        print(f"note: {line}", file=sys.stderr)
    return 0


def _check_role(options: argparse.Namespace, roles: list[str]) -> None:
    if options.role != SELF and options.role not in roles:
        known = ", ".join(roles) or "none"
        raise ConfigInvalid("--role", [Problem("", f"no provider assumes `{options.role}` (role_arn: {known})")])
    if options.role != SELF and options.format == "parameters":
        raise ConfigInvalid("--role", [Problem("", "template.yaml makes no such role, and has no parameters for it")])


def _derived(options: argparse.Namespace, used: Usage) -> Derived:
    lookup = Lookup()
    regions = {source: _region_of(options, source) for source in used.sources}
    mine = [each for each in used.models if each.source.role == options.role]
    known: Known = lookup.models(mine, regions) if options.lookup else {}
    account = options.account or ""
    own = [regions[source] for source in used.sources if regions[source] and not source.role]
    if options.lookup and options.role == SELF and own and not account:
        account = lookup.account(own[0])
    places = {source: _place(options, lookup, source, account) for source in used.sources}
    return derive(used, options.role, places, known)


def _region_of(options: argparse.Namespace, source: Source) -> str:
    variables = environment.environ()
    named = source.region or options.region or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION")
    return str(named or "")


def _place(options: argparse.Namespace, lookup: Lookup, source: Source, account: str) -> Place:
    """A role's calls are of the role's account."""
    region, role = _region_of(options, source), Arn.parse(source.role)
    if role is not None:
        return Place(role.partition, region, role.account)
    return Place(options.partition or lookup.partition(region), region, account)


def _written(form: str, rights: Rights, regions: list[str]) -> str:
    document: dict[str, Any] = {"Version": VERSION, "Statement": statements(rights)}
    if form == "sam":
        import yaml

        return str(yaml.safe_dump({"Policies": [document]}, sort_keys=False)).rstrip()
    if form == "parameters":
        values = ({"BedrockRegion": regions} if len(regions) == 1 else {}) | parameters(rights)
        return " ".join(f"{name}={','.join(texts)}" for name, texts in values.items())
    return json.dumps(document, indent=2)


def _notes(options: argparse.Namespace, used: Usage, mine: list[Source]) -> list[str]:
    if not used.sources:
        return ["this config uses nothing of Bedrock"]
    roles = roles_of(used) if options.role == SELF else []
    notes = [f"what is done in {role} needs a policy of that role: add --role {role}" for role in roles]
    owners = [source for source in mine if source.keys]
    notes += [f"provider `{each.provider_id}` has keys of its own: the policy is for whose they are" for each in owners]
    named = {model.source for model in used.models}
    silent = [source for source in mine if source.api == "inference" and source not in named]
    notes += [
        f"no model is declared on provider `{each.provider_id}`: the policy lets none be called" for each in silent
    ]
    return notes
