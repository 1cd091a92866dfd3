"""`llambda keys create`, `list` and `revoke`."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
import sys
from typing import TYPE_CHECKING, Any, Final

from core.cli import key_options
from core.cli.key_options import Target
from core.cli.options import Commands, add_config_option, add_env

if TYPE_CHECKING:
    from core.apis.resources import Resource
    from core.stores.ports import RegistryStore

CREATE: Final = """\
Make an API key. It is printed once, alone on the standard output, and only a
salted hash of it is kept, in the registry of the run config.
"""
EXAMPLES: Final = """\
examples:
  KEY=$(llambda keys create --name demo --roles admin,dev --expires 30d)
  llambda keys create --config run.yaml --name ci --expires 2027-01-31
  llambda keys list --table my-stack-RegistryTable-1ABC --region eu-west-1
  llambda keys revoke abcdefgh2345
"""
USE: Final = """\
It is not shown again. Clients take it as their api_key; with curl:
  curl http://HOST/v1/models -H "Authorization: Bearer $KEY"
"""
CLOSED: Final = """\
It opens nothing unless {source} has this auth provider:
  server:
    auth:
      providers:
        - type: api_key
"""
COLUMNS: Final = (("ID", 12), ("NAME", 15), ("ROLES", 12), ("CREATED", 10), ("EXPIRES", 10), ("LAST USED", 10))
PAGE: Final = 100

type Work = Callable[["RegistryStore", Target, argparse.Namespace], Awaitable[int]]


def add_to(commands: Commands) -> None:
    """The `keys` command with its subcommands."""
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    actions = keys.add_subparsers(metavar="ACTION", required=True)
    create = _action(actions, "create", "make a key", CREATE, _create)
    create.add_argument("--name", required=True, type=key_options.name, help="whose it is, or what for")
    create.add_argument(
        "--roles", metavar="A,B", type=key_options.roles, default=[], help="for the access policy and quotas"
    )
    create.add_argument(
        "--expires",
        metavar="WHEN",
        type=key_options.expiry,
        help="after 30d or 12h, or on 2027-01-31 at 0:00 UTC (default: never)",
    )
    _action(actions, "list", "list the keys", "List the keys; none can be shown again.", _list)
    revoke = _action(actions, "revoke", "make a key useless", "Remove a key from the registry, for good.", _revoke)
    revoke.add_argument(
        "id", metavar="ID", type=key_options.key_id, help="as `llambda keys list` shows it: of llambda_ID_..., the ID"
    )


def _action(actions: Any, name: str, text: str, description: str, work: Work) -> argparse.ArgumentParser:  # noqa: ANN401 - argparse has no public type for it
    action: argparse.ArgumentParser = actions.add_parser(
        name,
        help=text,
        description=description,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_option(action)
    add_env(action)
    action.add_argument(
        "--table", type=key_options.table, help="the registry's DynamoDB table, instead of the run config's store"
    )
    action.add_argument("--region", help="where --table is (default: as the AWS environment says)")
    action.set_defaults(run=partial(_run, work))
    return action


def _run(work: Work, options: argparse.Namespace) -> int:
    from core.errors import ApiError
    from core.stores.connect import connect_registry

    target = key_options.target(options)

    async def working() -> int:
        store = connect_registry(target.stored.metadata_store)
        try:
            return await work(store, target, options)
        finally:
            await store.close()

    try:
        return asyncio.run(working())
    except ApiError as failure:
        print(failure.message, file=sys.stderr)
        return 1


async def _create(store: "RegistryStore", target: Target, options: argparse.Namespace) -> int:
    from core.auth.key_format import issue

    now = int(datetime.now(UTC).timestamp())
    token, resource = issue(options.name, options.roles, expires=options.expires, now=now)
    await store.create(resource)
    print(token, flush=True)
    roles = f", roles {', '.join(options.roles)}" if options.roles else ""
    expires = f"expires {_moment(options.expires)}" if options.expires is not None else "does not expire"
    print(f"Key {resource.identifier} ({options.name}{roles}) {expires}.", file=sys.stderr)
    closed = "" if target.opens else CLOSED.format(source=target.source)
    print(f"{USE}{closed}", end="", file=sys.stderr)
    return 0


async def _list(store: "RegistryStore", target: Target, options: argparse.Namespace) -> int:
    from core.auth.key_format import KIND

    del target, options
    rows = [[title for title, _ in COLUMNS]]
    now, after = datetime.now(UTC).timestamp(), ""
    while page := await store.page(KIND, after=after, limit=PAGE):
        rows += [_cells(resource, now) for resource in page]
        after = page[-1].identifier
    if len(rows) == 1:
        print("no keys")
        return 0
    for row in rows:
        cells = [f"{_cut(cell, width):{width}}" for cell, (_, width) in zip(row, COLUMNS, strict=True)]
        print("  ".join(cells).rstrip())
    return 0


async def _revoke(store: "RegistryStore", target: Target, options: argparse.Namespace) -> int:
    from core.auth.key_format import KIND

    if not await store.delete(KIND, options.id):
        print(f"There is no key {options.id}. `llambda keys list` shows those that there are.", file=sys.stderr)
        return 1
    unless = ", or as long as its run config says" if target.opens is None else ""
    seconds = f"{target.stored.registry.cache_seconds:g} seconds (registry.cache_seconds{unless})"
    print(f"Revoked {options.id}. Every function refuses it within {seconds}.")
    return 0


def _cells(resource: "Resource", now: float) -> list[str]:
    from core.auth.key_format import read

    key = read(resource)
    if key is None:
        return [resource.identifier, "(not usable)", "?", _day(resource.created), "?", "?"]
    expires = "never" if key.expires is None else "expired" if key.expired(now) else _day(key.expires)
    used = "never" if key.last_used is None else _day(key.last_used)
    return [resource.identifier, key.name, ",".join(key.roles) or "-", _day(resource.created), expires, used]


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 1]}…"
