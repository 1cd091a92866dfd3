"""`llambda policy explain`."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, Final, cast

from core.apis.callers import ANONYMOUS, CATEGORIES, Principal
from core.cli.options import Commands, add_config_option, add_env
from core.config import distributions, environment
from core.config.places import Value, join
from core.config.policy import ACTIONS, ATTRIBUTES, AccessRule
from core.config.problems import ConfigInvalid, Problem

if TYPE_CHECKING:
    from core.routing.access import Decision

POLICY: Final = "server.auth.access_policy"
WIDTH: Final = 80
DESCRIPTION: Final = """\
Say which rule of the access policy lets somebody do something, or keeps them
from it, and why the rules before it do not match. Using and listing are
`read`. Creating and deleting need `read` as well: ask for each.
The exit code is 0 for allowed, 1 for denied, 2 for a mistake.
"""
EXAMPLES: Final = """\
examples:
  llambda policy explain --user ada --action read --resource model::small
  llambda policy explain --config run.yaml --user ada --roles admin,dev \\
      --action delete --resource model::small --owner bob --owner-teams red
  llambda policy explain --config run.yaml --user ada --action read \\
      --resource model::small --also vllm/llama-3     a model has two names
"""


def add_to(commands: Commands) -> None:
    """The `policy` command with its subcommand."""
    policy = commands.add_parser("policy", help="explain the access policy")
    actions = policy.add_subparsers(metavar="ACTION", required=True)
    explain = actions.add_parser(
        "explain",
        help="say which rule decides",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_option(explain)
    add_env(explain)
    explain.add_argument("--user", metavar="ID", required=True, help='whose call it is ("" for no authentication)')
    for name in ATTRIBUTES:
        explain.add_argument(f"--{name}", metavar="A,B", type=_names, default=(), help=f"the user's {name}")
    explain.add_argument("--action", choices=ACTIONS, required=True)
    explain.add_argument("--resource", metavar="TYPE::ID", type=_resource, required=True, help="as `model::small`")
    explain.add_argument("--also", metavar="ID", action="append", default=[], help="another id of it (repeatable)")
    explain.add_argument("--owner", metavar="ID", default="", help="who registered the resource (default: nobody)")
    for name in CATEGORIES:
        explain.add_argument(f"--owner-{name}", metavar="A,B", type=_names, default=(), help=f"the owner's {name}")
    explain.set_defaults(run=_explain)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _resource(text: str) -> tuple[str, str]:
    kind, separator, identifier = text.partition("::")
    if not (kind and separator and identifier):
        raise argparse.ArgumentTypeError(f"`{text}` names no resource; write TYPE::ID, as model::small")
    return kind, identifier


def _explain(options: argparse.Namespace) -> int:
    from core.apis.resources import Resource
    from core.routing.access import DEFAULT_POLICY, Policy, owner_of

    given = vars(options)
    user = _principal(options.user, {name: given[name] for name in ATTRIBUTES})
    kind, identifier = options.resource
    resource = Resource(kind, identifier, "", "", {}, owner=owner_of(_owner(given)))
    path, written = _read_policy(options)
    rules = DEFAULT_POLICY if written is None else written
    policy = Policy(rules)
    decision = policy.decide(user, options.action, resource, options.also)
    print(_verdict(decision, len(rules)))
    print(f"policy: {POLICY} of {path}" if written is not None else f"policy: the default ({path} has no {POLICY})")
    print(f"user: {_described(user)}")
    for number, reason in enumerate(policy.mismatches(user, options.action, resource, options.also), 1):
        print(_cut(f"rule {number} ({'forbid' if rules[number - 1].permit is None else 'permit'}): {reason}"))
    if decision.rule is not None and decision.index is not None:
        print(f"rule {decision.index + 1}:\n{_as_yaml(decision.rule)}", end="")
    return 0 if decision.allowed else 1


def _principal(id_: str, attributes: Mapping[str, tuple[str, ...]]) -> Principal:
    """As if a token had said so."""
    from core.auth.verifier import isolated

    return isolated(id_, attributes, "") if id_ else ANONYMOUS


def _owner(given: Mapping[str, Any]) -> Principal:
    attributes: dict[str, tuple[str, ...]] = {name: given[f"owner_{name}"] for name in CATEGORIES}
    if any(attributes.values()) and not given["owner"]:
        raise ConfigInvalid("--owner", [Problem("", "is required where the owner's attributes are given")])
    return _principal(given["owner"], attributes)


def _read_policy(options: argparse.Namespace) -> tuple[Path, Sequence[AccessRule] | None]:
    """The run config's file and its policy, None if it has none; other mistakes in the file do not matter.

    Raises:
        ConfigInvalid: the file cannot be read, or its policy has problems.
    """
    from core.config.load import load
    from core.config.security import AuthConfig

    environment.set_variables(dict(options.env))
    path = distributions.find(options.config)
    loaded = load(path, environment.environ())
    problems = [problem for problem in loaded.problems if not problem.path or problem.path.startswith(POLICY)]
    rules, place = _written(loaded.document)
    record = None
    if not problems and place:
        problems = [Problem(place, "must be a mapping")]
    elif not problems:
        record, problems = loaded.check(AuthConfig, {"providers": [], "access_policy": rules}, "server.auth")
    if record is None:
        raise ConfigInvalid(str(path), problems)
    return path, record.access_policy


def _written(document: Value) -> tuple[Value, str]:
    """What the document has as policy, and "" or the path of what keeps it from having one."""
    here, path = document, ""
    for key in POLICY.split("."):
        if not isinstance(here, Mapping):
            return None, path
        here, path = cast("Mapping[str, Value]", here).get(key), join(path, key)
        if here is None:
            break
    return here, ""


def _verdict(decision: "Decision", count: int) -> str:
    if decision.rule is None or decision.index is None:
        none = {0: "the policy has no rules", 1: "its one rule does not match"}
        return f"denied: {none.get(count, f'none of the {count} rules matches')}"
    verdict, does = ("allowed", "permits") if decision.allowed else ("denied", "forbids")
    why = f" ({decision.rule.description})" if decision.rule.description else ""
    return f"{verdict}: rule {decision.index + 1} of {count} {does} it{why}"


def _described(user: Principal) -> str:
    attributes = "; ".join(f"{name} {', '.join(values)}" for name, values in user.attributes.items())
    return "nobody (no authentication)" if user.anonymous else f"{user.id} ({attributes})"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _as_yaml(rule: AccessRule) -> str:
    import yaml

    text = yaml.safe_dump(rule.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    return indent(text, "  ")
