"""`llambda keys create`, `list` and `revoke`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Unpack

import click

from core.cli.keys import options as key_options
from core.cli.options import config_option, env_option, json_option, print_json
from core.cli.terminal import clip_table, say, show
from core.config.problems import ConfigInvalid
from core.platform.commands import program

if TYPE_CHECKING:
    from core.cli.keys.target import KeyStore, StoreOptions
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
It is not shown again. Clients take it as their api_key; with curl, the key in the variable KEY:
  curl {url}/v1/models -H "Authorization: Bearer $KEY"
"""
ELSEWHERE: Final = "It is not shown again. Clients take it as their api_key, or send `Authorization: Bearer KEY`.\n"
CLOSED: Final = """\
It is of no use until {source} has this auth provider:
  server:
    auth:
      providers:
        - type: api_key
"""
COLUMNS: Final = (("ID", 12), ("NAME", 15), ("ROLES", 12), ("CREATED", 10), ("EXPIRES", 10), ("LAST USED", 10))
PAGE: Final = 100

type Work = Callable[["RegistryStore", "KeyStore"], Awaitable[None]]


def _store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of StoreOptions, and --json."""
    decorators = (
        config_option(),
        env_option,
        click.option(
            "--table",
            metavar="TABLE",
            type=key_options.table,
            help="The registry's DynamoDB table, instead of the run config's store.",
        ),
        click.option(
            "--region", metavar="REGION", help="The region of --table (default: that of the AWS environment)."
        ),
        json_option,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Create, list and revoke API keys."""


@command.command(epilog=EXAMPLES)
@click.option(
    "--name", metavar="NAME", required=True, type=key_options.name, help="Whose key it is, or what it is for."
)
@click.option(
    "--roles", metavar="A,B", type=key_options.roles, help="Roles of its bearer, for the access policy and quotas."
)
@click.option(
    "--expires",
    metavar="WHEN",
    type=key_options.expiry,
    help="After 30d or 12h, or on 2027-01-31 at 0:00 UTC (default: never).",
)
@click.option("--force", is_flag=True, help="Also with roles that no rule of the run config names.")
@_store_options
def create(
    name: str,
    roles: list[str] | None,
    expires: int | None,
    *,
    force: bool,
    as_json: bool,
    **options: "Unpack[StoreOptions]",
) -> None:
    """Create an API key.

    It is printed once, alone on the standard output. Only a salted hash of it is stored, in the run config's registry.
    A stack that runs on the run config's port is asked whether it uses that store.
    """

    async def work(store: "RegistryStore", target: "KeyStore") -> None:
        from core.auth.key_format import issue
        from core.cli.keys.roles import role_problems

        unknown = [] if force or target.document is None else role_problems(target.document, target.source, roles or [])
        if unknown:
            raise ConfigInvalid("llambda keys create", unknown)

        now = int(datetime.now(UTC).timestamp())
        token, resource = issue(name, roles or [], expires=expires, now=now)
        await store.create(resource)
        if as_json:
            print_json({"key": token, "opens": target.opens, "store": target.place, **_to_json(resource)})
            await _warn(store, target)
            return
        print(token, flush=True)
        with_roles = f", roles {', '.join(roles)}" if roles else ""
        ends = f"expires {_moment(expires)}" if expires is not None else "does not expire"
        say(f"Key {resource.identifier} ({name}{with_roles}) {ends}.")
        say(f"Its hash is in {target.place}.")
        await _say_use(store, target)

    _run_with_store(options, work)


async def _say_use(store: "RegistryStore", target: "KeyStore") -> None:
    """How the key is used, and what is in the way."""
    from core.cli.keys.running import address_of

    closed = "" if target.opens else CLOSED.format(source=target.source)
    if target.document is None:
        say(f"{ELSEWHERE}{closed}".rstrip("\n"))
        return
    url, _ = address_of(target.document)
    say(f"{USE.format(url=url)}{closed}".rstrip("\n"))
    await _warn(store, target)


async def _warn(store: "RegistryStore", target: "KeyStore") -> None:
    """Of a stack that runs on the run config's port and does not take the key."""
    from core.cli.keys.running import address_of, warning_of

    if target.opens and target.document is not None:
        url, call = address_of(target.document)
        if warning := await warning_of(store, call):
            say(f"warning: a stack runs at {url}, and {warning}")


@command.command("list", epilog=EXAMPLES)
@_store_options
def list_keys(*, as_json: bool, **options: "Unpack[StoreOptions]") -> None:
    """List the keys: what is known of each, not the key itself."""

    async def work(store: "RegistryStore", _: "KeyStore") -> None:
        from core.auth.key_format import KIND, USE

        keys = await _read_all(store, KIND)
        uses = {use.identifier: use for use in await _read_all(store, USE)}
        if as_json:
            print_json([_to_json(resource, uses.get(resource.identifier)) for resource in keys])
            return
        now = datetime.now(UTC).timestamp()
        rows = (_row(resource, uses.get(resource.identifier), now) for resource in keys)
        print("\n".join(clip_table(COLUMNS, rows)) if keys else "no keys")

    _run_with_store(options, work)


@command.command(epilog=EXAMPLES)
@click.argument(
    "id_", metavar="ID", type=key_options.key_id, help="As `llambda keys list` shows it: of llambda_ID_..., the ID."
)
@_store_options
def revoke(id_: str, *, as_json: bool, **options: "Unpack[StoreOptions]") -> None:
    """Remove a key from the registry, for good."""

    async def work(store: "RegistryStore", target: "KeyStore") -> None:
        from core.auth.key_format import KIND, USE

        if not await store.delete(KIND, id_):
            list_them = f"{program()} keys list {target.options}"
            raise click.ClickException(
                f"There is no key {id_} in {target.place}. `{list_them}` lists those that exist."
            )
        await store.delete(USE, id_)
        seconds = target.settings.registry.cache_seconds
        if as_json:
            print_json({"revoked": id_, "refused_within_seconds": seconds})
            return
        unless = ", or as long as its run config says" if target.opens is None else ""
        within = f"{seconds:g} seconds (registry.cache_seconds{unless})"
        show(f"Revoked {id_}. Every function refuses it within {within}.")

    _run_with_store(options, work)


def _run_with_store(options: "StoreOptions", work: Work) -> None:
    from core.cli.keys.target import target_of
    from core.stores.connect import REGISTRY

    target = target_of(options)

    async def run() -> None:
        store = REGISTRY.connect(target.settings.metadata_store)
        try:
            await work(store, target)
        finally:
            await store.close()

    asyncio.run(run())


async def _read_all(store: "RegistryStore", kind: str) -> "list[Resource]":
    rows: list[Resource] = []
    while page := await store.page(kind, after=rows[-1].identifier if rows else "", limit=PAGE):
        rows += page
    return rows


def _to_json(resource: "Resource", use: "Resource | None" = None) -> dict[str, Any]:
    """Times in Unix seconds; of a key that is not usable its id alone."""
    from core.auth.key_format import last_use, read

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
        "last_used": max(last_use(use), key.last_used or 0) or None,
    }


def _row(resource: "Resource", use: "Resource | None", now: float) -> list[str]:
    from core.auth.key_format import last_use, read

    key = read(resource)
    if key is None:
        return [resource.identifier, "(not usable)", "?", _day(resource.created), "?", "?"]
    expires = "never" if key.expires is None else "expired" if key.is_past(now) else _day(key.expires)
    seconds = max(last_use(use), key.last_used or 0)
    used = _day(seconds) if seconds else "never"
    return [resource.identifier, key.name, ",".join(key.roles) or "-", _day(resource.created), expires, used]


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
