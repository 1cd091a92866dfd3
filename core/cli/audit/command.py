"""`llambda audit`: what administrators have changed, read from the store of a run config, or asked of a running stack."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, Unpack

import click

from core.cli.keys import options as key_options
from core.cli.options import config_option, env_option, json_option, print_json
from core.cli.remote import api_key_option, open_client
from core.cli.terminal import Columns, clip_table, say

if TYPE_CHECKING:
    from core.apis.answers.audit import AuditEntry, AuditPage
    from core.apis.audit import AuditQuery
    from core.cli.options import Pairs

EXAMPLES: Final = """\
\b
Examples:
  llambda audit --since 7d
  llambda audit --config run.yaml --entity "key::*" --json
  llambda audit --table my-stack-RegistryTable-1ABC --actor operator
  llambda audit --url https://llambda.example.com --action delete
"""
LIST: Final[Columns] = (("WHAT", 34), ("ACTION", 6), ("WHO", 18), ("WHEN (UTC)", 16))
PAGE: Final = 1000
MOST_TEXT: Final = 1024  # characters


class Place(TypedDict):
    """What is read, the trail or usage: of the store that a run config or a table's name leads to, or, with `url`, of a running stack."""

    config: str
    env: "Pairs"
    table: str | None
    region: str | None
    url: str | None
    api_key: str | None


class Asked(Place):
    """And which entries."""

    since: int
    until: int | None
    actor: str | None
    action: Literal["create", "update", "delete"] | None
    entity: str | None


def moment(text: str) -> int:
    """Unix seconds of a time that is over: 7d, 12h or 2027-01-31."""
    period = key_options.PERIOD.fullmatch(text)
    if period is not None:
        ago = timedelta(**{"days" if period[2] == "d" else "hours": int(period[1])})
        return int((datetime.now(UTC) - ago).timestamp())
    try:
        return int(datetime.combine(date.fromisoformat(text), time(tzinfo=UTC)).timestamp())
    except ValueError:
        raise click.BadParameter(f"`{text}` is not a time; write 7d, 12h or 2027-01-31") from None


def text_of_filter(text: str) -> str:
    """As GET /v1/audit takes it."""
    if not 0 < len(text) <= MOST_TEXT:
        raise click.BadParameter(f"must be 1 to {MOST_TEXT} characters; it has {len(text)}")
    return text


@click.command(epilog=EXAMPLES)
@click.option("--since", metavar="WHEN", type=moment, default="30d", show_default=True, help="From 7d or 12h ago on.")
@click.option("--until", metavar="WHEN", type=moment, help="Before 2d ago, or 2027-01-31 at 0:00 UTC (default: now).")
@click.option("--actor", metavar="ID", type=text_of_filter, help="What this principal did, or `operator`.")
@click.option("--action", type=click.Choice(["create", "update", "delete"]), help="Only these changes.")
@click.option("--entity", metavar="KIND::ID", type=text_of_filter, help='Of what, with * for any text: "model::*".')
@click.option("--limit", metavar="N", type=click.IntRange(1), default=100, show_default=True, help="At most N, newest.")
@config_option()
@env_option
@click.option("--table", metavar="TABLE", type=key_options.table, help="The registry's DynamoDB table.")
@click.option("--region", metavar="REGION", help="The region of --table.")
@click.option("--url", metavar="URL", envvar="LLAMBDA_URL", show_envvar=True, help="Ask this running stack instead.")
@api_key_option
@json_option
def command(limit: int, *, as_json: bool, **asked: "Unpack[Asked]") -> None:
    """List what was changed of resources, keys, configurations and providers, by whom, and when.

    --json has what each was before and is after, without secrets. A running stack shows what its access policy lets the caller read.
    """
    rows, more = _read(asked, limit)
    if as_json:
        print_json(rows)
    elif rows:
        print("\n".join(clip_table(LIST, map(_row, rows))))
    else:
        print("nothing was changed")
    if more:
        say(f"note: these are the newest {len(rows)}; --limit and --until show others")


def _read(asked: Asked, limit: int) -> "tuple[list[AuditEntry], bool]":
    """The entries, and whether there are more."""
    from core.apis.audit import AuditQuery

    wanted: dict[str, Any] = {name: value for name, value in asked.items() if name in AuditQuery.model_fields}
    rows: list[AuditEntry] = []
    page: str | None = None
    with _asking(asked) as ask:
        while True:
            answer = ask(AuditQuery(**wanted, page=page, limit=min(limit - len(rows), PAGE)))
            rows += answer["data"]
            page = answer["next_page"]
            if page is None or len(rows) >= limit:
                return rows, page is not None


@contextmanager
def _asking(place: Place) -> "Generator[Callable[[AuditQuery], AuditPage]]":
    if place["url"] is not None:
        if place["table"] is not None:
            raise click.UsageError("--table is for the store; with --url a running stack is asked")
        with open_client(place["url"], place["api_key"]) as client:
            yield client.audit.list
        return
    from core.cli.keys.target import target_of
    from core.services.usage.audit import AuditRouter
    from core.stores.connect import AUDIT

    target = target_of(
        {"config": place["config"], "env": place["env"], "table": place["table"], "region": place["region"]}
    )
    store = AUDIT.connect(target.settings.metadata_store)
    router = AuditRouter(store, None)
    with asyncio.Runner() as runner:
        try:
            yield lambda query: runner.run(router.index(query=query))
        finally:
            runner.run(store.close())


def _row(entry: "AuditEntry") -> list[str]:
    actor = entry["actor"]
    who = actor if isinstance(actor, str) else actor["label"] or actor["principal"]
    when = datetime.fromtimestamp(entry["at"], UTC).strftime("%Y-%m-%d %H:%M")
    return [entry["entity"], entry["action"], who, when]
