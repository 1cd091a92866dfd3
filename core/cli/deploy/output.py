"""What `llambda deploy` shows: what would change, with which parameters, and how the deployment is called."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
import shutil
from typing import Any, Final

from core.cli.deploy.checks import Plan
from core.cli.deploy.stack import Event, ResourceChange
from core.cli.terminal import narrow
from core.config.redact import MASK, redact_text
from core.platform.commands import program, python

TITLES: Final = ("ACTION", "RESOURCE", "TYPE", "REPLACED")
REPLACED: Final = {"True": "yes", "Conditional": "perhaps"}
ACTIONS: Final = ("Remove", "Modify", "Add")
PERMISSION: Final = "AWS::Lambda::Permission"  # to call a function; of an older deployment, one for each route
FIRST: Final = 'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])'  # where there is no jq
BODY: Final = '{"model": "\'"$MODEL"\'", "messages": [{"role": "user", "content": "Say hello."}]}'


def changes(changes: Sequence[ResourceChange], width: int) -> str:
    """What is lost comes first; no line is wider than `width`, from 50 on. One line for all that let the API call."""
    items = [item for item in changes if item.type != PERMISSION]
    actions = [item.action for item in changes if item.type == PERMISSION]
    items += [ResourceChange(item, f"({actions.count(item)} of them)", PERMISSION, "") for item in sorted(set(actions))]
    rows = [
        (item.action, item.resource, item.type.removeprefix("AWS::"), REPLACED.get(item.replacement, ""))
        for item in sorted(items, key=_weight)
    ]
    return _table([TITLES, *rows], width)


def _weight(change: ResourceChange) -> tuple[bool, int, bool, str]:
    rank = ACTIONS.index(change.action) if change.action in ACTIONS else len(ACTIONS)
    return change.replacement != "True", rank, change.type == PERMISSION, change.resource


def summarize_changes(changes: Sequence[ResourceChange]) -> str:
    """`2 to add, 1 to modify`."""
    actions = [change.action for change in changes]
    return ", ".join(f"{actions.count(action)} to {action.lower()}" for action in sorted(set(actions)))


def parameters(plan: Plan, width: int) -> str:
    """Those that are not as template.yaml has them, or change."""
    defaults, now = plan.template.defaults(), plan.before.parameters if plan.before else {}
    rows: list[tuple[str, str, str]] = []
    for name, value in plan.values.items():
        if value != defaults.get(name) or value != now.get(name, value):
            was = "" if now.get(name, value) == value else _mask(plan, name, now[name])
            rows.append((name, _mask(plan, name, value), was))
    rest = len(plan.template.parameters) - len(rows)
    others = f"{rest} parameters are as template.yaml has them"
    return f"{_table([('PARAMETER', 'VALUE', 'BEFORE'), *rows], width)}\n{others}" if rows else others


def _mask(plan: Plan, name: str, value: str) -> str:
    return MASK if plan.template.secret(name) and value else redact_text(value)


def is_progress(event: Event) -> bool:
    """Whether it is worth a line of progress."""
    return event.has_failed or (event.has_ended and event.type != PERMISSION)


def line(event: Event) -> str:
    reason = f": {redact_text(event.reason)}" if event.has_failed and event.reason else ""
    return f"  {event.status:<16} {event.resource}{reason}"


def failure(stack: str, events: Sequence[Event]) -> str:
    """The resource that failed first; those after it are mostly its consequence."""
    first = next((event for event in events if event.has_failed), events[-1])
    reason = redact_text(first.reason) or "AWS gave no reason"
    return f"{stack} is not deployed ({events[-1].status}). {first.resource} ({first.type}) failed:\n  {reason}"


def as_json(plan: Plan, changes: Sequence[ResourceChange], outputs: Mapping[str, str] | None) -> dict[str, Any]:
    """`outputs` are those of the deployed stack; None if it was not deployed."""
    return {
        "stack": plan.stack.name,
        "region": plan.stack.region,
        "config": str(plan.path),
        "changes": [
            {
                "action": change.action,
                "resource": change.resource,
                "type": change.type,
                "replacement": change.replacement,
            }
            for change in changes
        ],
        "parameters": {name: _mask(plan, name, value) for name, value in plan.values.items()},
        "deployed": outputs is not None,
        "outputs": dict(outputs or {}),
    }


def calls(plan: Plan, outputs: Mapping[str, str]) -> Iterator[str]:
    """The URL, and lines for a shell: is it well, a key, a model, a chat."""
    url = outputs["BaseUrl"]
    auth = plan.config.server.auth
    keys = auth is not None and any(provider.type == "api_key" for provider in auth.providers)
    header = "" if auth is None else ' \\\n  -H "authorization: Bearer $KEY"'
    yield f"{plan.stack.name} is deployed. Clients take this as their base URL: {url}/v1\n"
    url = quote(url)
    yield f"curl {url}/v1/health"
    if keys:
        table = f"--table {quote(outputs['RegistryTableName'])} --region {quote(plan.stack.region)}"
        yield f"KEY=$({program()} keys create --name demo --roles admin \\\n  {table})"
    elif auth is not None:
        yield "\nWith a token of the run config's auth providers (docs/deploy.md) in the variable KEY:\n"
    first = "jq -r '.data[0].id'" if shutil.which("jq") else f"{python()} -c {quote(FIRST)}"
    yield f"MODEL=$(curl -s {url}/v1/models{header} \\\n  | {first})"
    yield f"curl {url}/v1/chat/completions{header} \\\n  -H 'content-type: application/json' -d '{BODY}'"


def _table(rows: Sequence[Sequence[str]], width: int) -> str:
    widths = narrow([max(map(len, column)) for column in zip(*rows, strict=True)], width)
    lines = ("  ".join(map(_cell, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def _cell(text: str, width: int) -> str:
    """Cut in the middle: names differ at their ends."""
    if len(text) <= width:
        return text.ljust(width)
    start = (width - 1) // 2
    return f"{text[:start]}…{text[len(text) - (width - 1 - start) :]}"
