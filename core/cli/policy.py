"""`llambda policy explain`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, Unpack, cast

import click

from core.cli.options import Decorator, Pairs, config_option, env_option, json_option, print_json
from core.config import distributions
from core.config.places import Value, join
from core.config.policy import ACTIONS, ATTRIBUTES, AccessRule, Action
from core.config.problems import ConfigInvalid, Problem
from core.frame.callers import ANONYMOUS, CATEGORIES, Principal
from core.platform import environment

if TYPE_CHECKING:
    from core.routing.policy import Decision

POLICY: Final = "server.auth.access_policy"
WIDTH: Final = 80
EXAMPLES: Final = """\
\b
Examples:
  llambda policy explain --user ada --action read --resource model::small
  llambda policy explain --config run.yaml --user ada --roles admin,dev \\
      --action delete --resource model::small --owner bob --owner-teams red
  llambda policy explain --config run.yaml --user ada --action read \\
      --resource model::small --also vllm/llama-3    a model has two names
"""


class Asked(TypedDict):
    """What the options say, beside what the user and the owner have: a tuple for each of `roles`, `owner_roles`, ..."""

    config: str
    env: Pairs
    user: str
    action: Action
    resource: tuple[str, str]
    also: tuple[str, ...]
    owner: str
    as_json: bool


class Answer(NamedTuple):
    """What the policy decides, and of each rule that does not match (kind, reason), in their order."""

    decision: "Decision"
    rules: Sequence[AccessRule]
    mismatches: list[tuple[str, str]]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _resource(text: str) -> tuple[str, str]:
    kind, separator, identifier = text.partition("::")
    if not (kind and separator and identifier):
        raise click.BadParameter(f"`{text}` names no resource; write TYPE::ID, as model::small")
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
@click.option("--user", metavar="ID", required=True, help='Whose call it is ("" for no authentication).')
@_attributes(ATTRIBUTES, "", "user")
@click.option("--action", type=click.Choice(ACTIONS), required=True, help="What is done.")
@click.option("--resource", metavar="TYPE::ID", type=_resource, required=True, help="To what, as model::small.")
@click.option("--also", metavar="ID", multiple=True, help="Another id of it (repeatable).")
@click.option("--owner", metavar="ID", default="", help="Who registered the resource (default: nobody).")
@_attributes(CATEGORIES, "owner-", "owner")
@json_option
def explain(**asked: Unpack[Asked]) -> None:
    """Say which rule of the access policy decides, and why those before it do not match.

    Using and listing are `read`. Creating and deleting need `read` as well: ask for
    each. The exit code is 0 for allowed, 1 for denied, 2 for a mistake.
    """
    given = cast("Mapping[str, tuple[str, ...]]", asked)
    user = _principal(asked["user"], {name: given[name] for name in ATTRIBUTES})
    owner = _owner(asked["owner"], {name: given[f"owner_{name}"] for name in CATEGORIES})
    path, written = _read_policy(asked["config"], asked["env"])
    answer = _answer(asked, user, owner, written)
    source = f"{POLICY} of {path}" if written is not None else f"the default ({path} has no {POLICY})"
    if asked["as_json"]:
        print_json(_as_json(answer, source, user))
    else:
        _show(answer, source, user)
    if not answer.decision.allowed:
        raise click.exceptions.Exit(1)


def _answer(asked: Asked, user: Principal, owner: Principal, written: Sequence[AccessRule] | None) -> Answer:
    from core.frame.resources import Resource
    from core.routing.policy import DEFAULT_POLICY, Policy, owner_of

    kind, identifier = asked["resource"]
    resource = Resource(kind, identifier, "", "", {}, owner=owner_of(owner))
    rules = DEFAULT_POLICY if written is None else written
    policy, also = Policy(rules), list(asked["also"])
    reasons = policy.mismatches(user, asked["action"], resource, also)
    kinds = ("forbid" if rule.permit is None else "permit" for rule in rules)
    decision = policy.decide(user, asked["action"], resource, also)
    return Answer(decision, rules, list(zip(kinds, reasons, strict=False)))


def _show(answer: Answer, source: str, user: Principal) -> None:
    print(_verdict(answer.decision, len(answer.rules)))
    print(f"policy: {source}")
    print(f"user: {_described(user)}")
    for number, (kind, reason) in enumerate(answer.mismatches, 1):
        print(_cut(f"rule {number} ({kind}): {reason}"))
    decision = answer.decision
    if decision.rule is not None and decision.index is not None:
        print(f"rule {decision.index + 1}:\n{_as_yaml(decision.rule)}", end="")


def _as_json(answer: Answer, source: str, user: Principal) -> dict[str, Any]:
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


def _principal(id_: str, attributes: Mapping[str, tuple[str, ...]]) -> Principal:
    """As if a token had said so."""
    from core.auth.verifier import make_principal

    return make_principal(id_, attributes, "") if id_ else ANONYMOUS


def _owner(id_: str, attributes: Mapping[str, tuple[str, ...]]) -> Principal:
    if any(attributes.values()) and not id_:
        raise ConfigInvalid("--owner", [Problem("", "is required where the owner's attributes are given")])
    return _principal(id_, attributes)


def _read_policy(config: str, env: Pairs) -> tuple[Path, Sequence[AccessRule] | None]:
    """The run config's file and its policy, None if it has none; other mistakes in the file do not matter.

    Raises:
        ConfigInvalid: the file cannot be read, or its policy has problems.
    """
    from core.config.load import load
    from core.config.security import AuthConfig

    environment.set_variables(dict(env))
    path = distributions.find(config)
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

    return indent(yaml.safe_dump(_plain(rule), sort_keys=False, allow_unicode=True), "  ")


def _plain(rule: AccessRule) -> dict[str, Any]:
    return rule.model_dump(mode="json", exclude_none=True)
