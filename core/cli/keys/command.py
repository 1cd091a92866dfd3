"""`llambda keys create`, `list` and `revoke`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
import sys
from typing import TYPE_CHECKING, Any, Final, Unpack

import click

from core.cli.keys import options as key_options
from core.cli.options import config_option, env_option, json_option, print_json

if TYPE_CHECKING:
    from core.cli.keys.target import Target, Where
    from core.frame.resources import Resource
    from core.stores.registry.port import RegistryStore

EXAMPLES: Final = """\
\b
Examples:
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

type Work = Callable[["RegistryStore", "Target"], Awaitable[None]]


def _where(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of key_target.Where, and --json."""
    decorators = (
        config_option(),
        env_option,
        click.option(
            "--table",
            metavar="TABLE",
            type=key_options.table,
            help="The registry's DynamoDB table, instead of the run config's store.",
        ),
        click.option("--region", metavar="REGION", help="Where --table is (default: as the AWS environment says)."),
        json_option,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Make, list and revoke API keys."""


@command.command(epilog=EXAMPLES)
@click.option("--name", metavar="NAME", required=True, type=key_options.name, help="Whose it is, or what for.")
@click.option("--roles", metavar="A,B", type=key_options.roles, help="For the access policy and quotas.")
@click.option(
    "--expires",
    metavar="WHEN",
    type=key_options.expiry,
    help="After 30d or 12h, or on 2027-01-31 at 0:00 UTC (default: never).",
)
@_where
def create(name: str, roles: list[str] | None, expires: int | None, *, as_json: bool, **where: "Unpack[Where]") -> None:
    """Make an API key.

    It is printed once, alone on the standard output, and only a salted hash of it is kept, in the registry of the run
    config.
    """

    async def work(store: "RegistryStore", target: "Target") -> None:
        from core.auth.key_format import issue

        now = int(datetime.now(UTC).timestamp())
        token, resource = issue(name, roles or [], expires=expires, now=now)
        await store.create(resource)
        if as_json:
            print_json({"key": token, "opens": target.opens, **_as_json(resource)})
            return
        print(token, flush=True)
        has = f", roles {', '.join(roles)}" if roles else ""
        ends = f"expires {_moment(expires)}" if expires is not None else "does not expire"
        print(f"Key {resource.identifier} ({name}{has}) {ends}.", file=sys.stderr)
        closed = "" if target.opens else CLOSED.format(source=target.source)
        print(f"{USE}{closed}", end="", file=sys.stderr)

    _with_store(where, work)


@command.command("list", epilog=EXAMPLES)
@_where
def list_keys(*, as_json: bool, **where: "Unpack[Where]") -> None:
    """List the keys; none can be shown again."""

    async def work(store: "RegistryStore", _: "Target") -> None:
        from core.auth.key_format import KIND

        found: list[Resource] = []
        while page := await store.page(KIND, after=found[-1].identifier if found else "", limit=PAGE):
            found += page
        if as_json:
            print_json([_as_json(resource) for resource in found])
        else:
            _show(found)

    _with_store(where, work)


@command.command(epilog=EXAMPLES)
@click.argument(
    "id_", metavar="ID", type=key_options.key_id, help="As `llambda keys list` shows it: of llambda_ID_..., the ID."
)
@_where
def revoke(id_: str, *, as_json: bool, **where: "Unpack[Where]") -> None:
    """Remove a key from the registry, for good."""

    async def work(store: "RegistryStore", target: "Target") -> None:
        from core.auth.key_format import KIND

        if not await store.delete(KIND, id_):
            raise click.ClickException(f"There is no key {id_}. `llambda keys list` shows those that there are.")
        seconds = target.stored.registry.cache_seconds
        if as_json:
            print_json({"revoked": id_, "refused_within_seconds": seconds})
            return
        unless = ", or as long as its run config says" if target.opens is None else ""
        within = f"{seconds:g} seconds (registry.cache_seconds{unless})"
        print(f"Revoked {id_}. Every function refuses it within {within}.")

    _with_store(where, work)


def _with_store(where: "Where", work: Work) -> None:
    from core.cli.keys.target import target_of
    from core.stores.connect import REGISTRY

    target = target_of(where)

    async def working() -> None:
        store = REGISTRY.connect(target.stored.metadata_store)
        try:
            await work(store, target)
        finally:
            await store.close()

    asyncio.run(working())


def _show(found: "list[Resource]") -> None:
    if not found:
        print("no keys")
        return
    now = datetime.now(UTC).timestamp()
    for row in [[title for title, _ in COLUMNS], *(_cells(resource, now) for resource in found)]:
        cells = [f"{_cut(cell, width):{width}}" for cell, (_, width) in zip(row, COLUMNS, strict=True)]
        print("  ".join(cells).rstrip())


def _as_json(resource: "Resource") -> dict[str, Any]:
    """Times in Unix seconds; of a key that is not usable its id alone."""
    from core.auth.key_format import read

    key = read(resource)
    if key is None:
        return {"id": resource.identifier, "usable": False}
    return {
        "id": resource.identifier,
        "usable": True,
        "name": key.name,
        "roles": list(key.roles),
        "created": resource.created,
        "expires": key.expires,
        "last_used": key.last_used,
    }


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
