"""`llambda policy explain`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
import sys
from textwrap import indent
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, Unpack, cast

import click

from core.cli.options import Decorator, Pairs, config_option, env_option, json_option, load_config, print_json
from core.cli.terminal import shorten, width_of
from core.config.places import Value, join
from core.config.policy import ACTIONS, ATTRIBUTES, AccessRule, Action
from core.config.problems import ConfigInvalid, Problem
from core.frame.callers import ANONYMOUS, CATEGORIES, Principal

if TYPE_CHECKING:
    from core.routing.policy import Decision

POLICY: Final = "server.auth.access_policy"
EXAMPLES: Final = """\
\b
Examples:
  llambda policy explain --user ada --action read --resource model::small
  llambda policy explain --config run.yaml --user ada --roles admin,dev \\
      --action delete --resource model::small --owner bob --owner-teams red
  llambda policy explain --config run.yaml --user ada --action read \\
      --resource model::small --also vllm/llama-3    a model has two names
"""


class ExplainOptions(TypedDict):
    """There is also a tuple for each attribute: of the user (`roles`, ...), and of the owner (`owner_roles`, ...)."""

    config: str
    env: Pairs
    user: str
    issuer: str
    action: Action
    resource: tuple[str, str]
    also: tuple[str, ...]
    owner: str
    as_json: bool


class Explanation(NamedTuple):
    """What the policy decides, and of each rule that does not match (kind, reason), in their order."""

    decision: "Decision"
    rules: Sequence[AccessRule]
    mismatches: list[tuple[str, str]]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _resource(text: str) -> tuple[str, str]:
    kind, separator, identifier = text.partition("::")
    if not (kind and separator and identifier):
        raise click.BadParameter(f"`{text}` does not name a resource; write TYPE::ID, such as model::small")
    return kind, identifier


def _attributes(names: Iterable[str], prefix: str, whose: str) -> Decorator:
    """An option for each of these attributes."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(tuple(names)):
            text = f"The {whose}'s {name}."
            function = click.option(f"--{prefix}{name}", metavar="A,B", type=_names, default="", help=text)(function)
        return function

    return decorate


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Explain the access policy."""


@command.command(epilog=EXAMPLES)
@config_option()
@env_option
@click.option("--user", metavar="ID", required=True, help='The caller ("" for no authentication).')
@click.option("--issuer", metavar="NAME", default="", help="Who vouches for the user, as a rule's `issuer` says it.")
@_attributes(ATTRIBUTES, "", "user")
@click.option("--action", type=click.Choice(ACTIONS), required=True, help="The action.")
@click.option(
    "--resource", metavar="TYPE::ID", type=_resource, required=True, help="The resource, such as model::small."
)
@click.option("--also", metavar="ID", multiple=True, help="Another id of the resource (repeatable).")
@click.option("--owner", metavar="ID", default="", help="Who registered the resource (default: nobody).")
@_attributes(CATEGORIES, "owner-", "owner")
@json_option
def explain(**options: Unpack[ExplainOptions]) -> None:
    """Show which rule of the access policy decides, and why those before it do not match.

    Using and listing are `read`. Creating and deleting need `read` as well: ask for
    each. The exit code is 0 for allowed, 1 for denied, 2 for a mistake.
    """
    attributes = cast("Mapping[str, tuple[str, ...]]", options)
    user = _principal(options["user"], {name: attributes[name] for name in ATTRIBUTES}, options["issuer"])
    owner = _owner(options["owner"], {name: attributes[f"owner_{name}"] for name in CATEGORIES})
    path, rules = _read_policy(options["config"], options["env"])
    answer = _answer(options, user, owner, rules)
    source = f"{POLICY} of {path}" if rules is not None else f"the default ({path} has no {POLICY})"
    if options["as_json"]:
        print_json(_to_json(answer, source, user))
    else:
        _show(answer, source, user)
    if not answer.decision.allowed:
        raise click.exceptions.Exit(1)


def _answer(
    options: ExplainOptions, user: Principal, owner: Principal, configured: Sequence[AccessRule] | None
) -> Explanation:
    from core.frame.resources import Resource
    from core.routing.policy import DEFAULT_POLICY, Policy, owner_of

    kind, identifier = options["resource"]
    resource = Resource(kind, identifier, "", "", {}, owner=owner_of(owner))
    rules = DEFAULT_POLICY if configured is None else configured
    policy, also = Policy(rules), list(options["also"])
    reasons = policy.mismatches(user, options["action"], resource, also)
    kinds = ("forbid" if rule.permit is None else "permit" for rule in rules)
    decision = policy.decide(user, options["action"], resource, also)
    return Explanation(decision, rules, list(zip(kinds, reasons, strict=False)))


def _show(answer: Explanation, source: str, user: Principal) -> None:
    print(_verdict(answer.decision, len(answer.rules)))
    print(f"policy: {source}")
    print(f"user: {_describe(user)}")
    for number, (kind, reason) in enumerate(answer.mismatches, 1):
        print(shorten(f"rule {number} ({kind}): {reason}", width_of(sys.stdout)))
    decision = answer.decision
    if decision.rule is not None and decision.index is not None:
        print(f"rule {decision.index + 1}:\n{_to_yaml(decision.rule)}", end="")


def _to_json(answer: Explanation, source: str, user: Principal) -> dict[str, Any]:
    """Rules are numbered from 1; `rule` is null where none decided."""
    decision = answer.decision
    return {
        "allowed": decision.allowed,
        "rule": None if decision.index is None else decision.index + 1,
        "rules": len(answer.rules),
        "decided_by": None if decision.rule is None else _plain(decision.rule),
        "policy": source,
        "user": None if user.anonymous else {"id": user.id, "attributes": dict(user.attributes)},
        "mismatches": [
            {"rule": number, "kind": kind, "reason": reason}
            for number, (kind, reason) in enumerate(answer.mismatches, 1)
        ],
    }


def _principal(id_: str, attributes: Mapping[str, tuple[str, ...]], issuer: str = "") -> Principal:
    """As an auth provider makes one of a token."""
    from core.auth.verifier import make_principal

    return make_principal(id_, attributes, issuer) if id_ else ANONYMOUS


def _owner(id_: str, attributes: Mapping[str, tuple[str, ...]]) -> Principal:
    if any(attributes.values()) and not id_:
        raise ConfigInvalid("--owner", [Problem("", "is required with attributes of the owner")])
    return _principal(id_, attributes)


def _read_policy(config: str, env: Pairs) -> tuple[Path, Sequence[AccessRule] | None]:
    """The run config's file and its policy, None if it has none; other mistakes in the file do not matter.

    Raises:
        ConfigInvalid: the file cannot be read, or its policy has problems.
    """
    from core.config.security import AuthConfig

    path, loaded = load_config(config, env)
    problems = [problem for problem in loaded.problems if not problem.path or problem.path.startswith(POLICY)]
    rules, place = _find_policy(loaded.document)
    record = None
    if not problems and place:
        problems = [Problem(place, "must be a mapping")]
    elif not problems:
        record, problems = loaded.check(AuthConfig, {"providers": [], "access_policy": rules}, "server.auth")
    if record is None:
        raise ConfigInvalid(str(path), problems)
    return path, record.access_policy


def _find_policy(document: Value) -> tuple[Value, str]:
    """What the document has as policy; and the path of something that should be a mapping on the way there, or ""."""
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


def _describe(user: Principal) -> str:
    attributes = "; ".join(f"{name} {', '.join(values)}" for name, values in user.attributes.items())
    return "nobody (no authentication)" if user.anonymous else f"{user.id} ({attributes})"


def _to_yaml(rule: AccessRule) -> str:
    import yaml

    return indent(yaml.safe_dump(_plain(rule), sort_keys=False, allow_unicode=True), "  ")


def _plain(rule: AccessRule) -> dict[str, Any]:
    return rule.model_dump(mode="json", exclude_none=True)
