"""`llambda usage`: what calls used and cost, read from the store of a run config, or asked of a running stack."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
import time
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import click

from core.cli.audit.command import Place, moment
from core.cli.keys import options as key_options
from core.cli.options import config_option, env_option, json_option, print_json
from core.cli.remote import api_key_option, open_client
from core.cli.terminal import say

if TYPE_CHECKING:
    from core.apis.answers.spending import UnsettledUsage, UsageEntry, UsagePage
    from core.apis.spending import SpendingQuery
    from core.cli.options import Decorator

EXAMPLES: Final = """\
\b
Examples:
  llambda usage --since 7d
  llambda usage --by day --key ci
  llambda usage --by team,model --since 2027-01-01 --until 2027-02-01 --csv
  llambda usage --table my-stack-QuotaTable-1ABC --by user
  llambda usage --url https://llambda.example.com --by model --json
"""
DAY: Final = 86_400  # seconds
PAGE: Final = 10_000


class Filters(TypedDict):
    """Whose, and of what; of each any of these, all without."""

    key: tuple[str, ...]
    user: tuple[str, ...]
    team: tuple[str, ...]
    model: tuple[str, ...]
    provider: tuple[str, ...]
    api: tuple[str, ...]
    operation: tuple[str, ...]


class Wanted(Place, Filters):
    """And which of it."""

    by: str
    since: str
    until: str | None
    unsettled: bool


def day_of(text: str) -> str:
    """Unix seconds at which a day begins, as a query has them: 7d are seven days with today, 2027-01-31 is that day."""
    period = key_options.PERIOD.fullmatch(text)
    if period is not None and period[2] == "d":
        return str((int(time.time()) // DAY + 1 - int(period[1])) * DAY)
    return str(moment(text))


def filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each of Filters, which may be repeated."""
    helps = {"key": "Only these keys, by name or id (repeatable).", "team": "Only callers in these teams."}
    for name in reversed([*Filters.__annotations__]):
        option: Decorator = click.option(
            f"--{name}", metavar="NAME", multiple=True, help=helps.get(name, f"Only these {name}s.")
        )
        function = option(function)
    return function


@click.command(epilog=EXAMPLES)
@click.option("--by", metavar="GROUPS", default="key,model", show_default=True, help="day, key, user, team, model, ...")
@click.option("--since", metavar="WHEN", type=day_of, default="30d", show_default=True, help="From 7d ago or a day on.")
@click.option("--until", metavar="WHEN", type=day_of, help="Before 2d ago, or 2027-01-31 at 0:00 UTC (default: now).")
@filters
@click.option("--unsettled", is_flag=True, help="Say too what calls have reserved and not settled.")
@config_option()
@env_option
@click.option("--table", metavar="TABLE", type=key_options.table, help="The quota's DynamoDB table.")
@click.option("--region", metavar="REGION", help="The region of --table.")
@click.option("--url", metavar="URL", envvar="LLAMBDA_URL", show_envvar=True, help="Ask this running stack instead.")
@api_key_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with exact costs.")
@json_option
def command(*, as_csv: bool, as_json: bool, **wanted: "Unpack[Wanted]") -> None:
    """Sum up what calls used and cost, by key and model or other groups: user, team, provider, api, operation, day.

    Days are those of UTC. A running stack shows the caller's own usage, and that of others as its access policy lets it.
    """
    if as_csv and as_json:
        raise click.UsageError("choose one of --csv and --json")
    page = _read(wanted)
    if as_json:
        print_json({name: value for name, value in page.items() if name not in {"object", "has_more", "next_page"}})
    elif as_csv:
        from core.services.usage.shown import write_csv

        print(write_csv(page["group_by"], page["data"]), end="")
    elif page["data"]:
        _show(page)
    else:
        print("nothing was used")
    if not as_json and page["unsettled"] is not None:
        say(_unsettled_text(page["unsettled"]))


def _read(wanted: Wanted) -> "UsagePage":
    """All pages in one; the groups by day, and of each day, or of all, those that cost most first."""
    from core.apis.spending import SpendingQuery

    values: dict[str, Any] = {name: value for name, value in wanted.items() if name in SpendingQuery.model_fields}
    values |= {name: [*values[name]] for name in Filters.__annotations__}
    values["by"] = [wanted["by"]] if wanted["by"] else []
    query = SpendingQuery(**values, limit=PAGE)
    with _asking(wanted) as ask:
        page = answer = ask(query)
        while answer["next_page"] is not None:
            answer = ask(query.model_copy(update={"page": answer["next_page"], "unsettled": query.unsettled}))
            page["data"] += answer["data"]
    page["data"].sort(key=_order)
    return page


def _order(entry: "UsageEntry") -> tuple[str, int, int]:
    tokens = entry["prompt_tokens"] + entry["completion_tokens"]
    return entry.get("day", ""), -(entry["cost_nanos"] or 0), -tokens


@contextmanager
def _asking(place: Place) -> "Generator[Callable[[SpendingQuery], UsagePage]]":
    if place["url"] is not None:
        if place["table"] is not None:
            raise click.UsageError("--table is for the store; with --url a running stack is asked")
        with open_client(place["url"], place["api_key"]) as client:
            yield client.usage.show
        return
    from core.cli.usage.target import place_of
    from core.services.inference.price_list import DATED
    from core.services.usage.access import Access
    from core.services.usage.key_names import KeyNames
    from core.services.usage.reading import UsageReader
    from core.services.usage.spending import SpendingRouter
    from core.stores.connect import REGISTRY, USAGE

    source = place_of(place["config"], place["env"], place["table"], place["region"])
    store = USAGE.connect(source.settings.kvstore)
    keys = None if source.settings.metadata_store is None else REGISTRY.connect(source.settings.metadata_store)
    router = SpendingRouter(
        UsageReader(store, Access(), KeyNames(keys)), {}, retention_days=source.retention_days, dated=DATED
    )

    def ask(query: "SpendingQuery") -> "UsagePage":
        page = runner.run(router.show(query=query))
        assert not isinstance(page, str)  # noqa: S101 - which only a query for CSV is answered with
        return page

    with asyncio.Runner() as runner:
        try:
            yield ask
        finally:
            runner.run(store.close())
            if keys is not None:
                runner.run(keys.close())


def _show(page: "UsagePage") -> None:
    from core.cli.usage.table import lay_out

    print("\n".join(lay_out(page["group_by"], page["data"], page["total"])))
    if unpriced := page["total"]["unpriced_answers"]:
        say(
            f"note: nobody knows the price of {unpriced:,} of {page['total']['answers']:,} answers, which are in no cost; "
            "`server.usage.prices` and a model's metadata say prices"
        )
    if estimate := page["total"]["estimated_tokens"]:
        say(f"note: {estimate:,} of the tokens are estimated: their providers did not say what they used")
    if page["scope"] == "own":
        say("note: this is your own usage; a rule about `usage::*` shows others'")


def _unsettled_text(unsettled: "UnsettledUsage") -> str:
    calls = unsettled["calls"]
    if not calls:
        return "unsettled: nothing"
    since = datetime.fromtimestamp(calls[0]["since"], UTC).strftime("%Y-%m-%d %H:%M")
    return (
        f"unsettled: {unsettled['requests']:,} requests, {unsettled['tokens']:,} tokens and {unsettled['cost']:.4f} USD are "
        f"reserved by calls under way, or that died; the oldest began {since} UTC"
    )
