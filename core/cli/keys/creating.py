"""`llambda keys create` in a store: what is said of the key beside it, and of a stack that may not take it."""

from typing import TYPE_CHECKING, Any, Final

from core.cli.keys import local
from core.cli.keys.shown import moment, to_json
from core.cli.keys.target import KeyStore, StoreOptions, target_of
from core.cli.options import print_json
from core.cli.terminal import say

if TYPE_CHECKING:
    from core.services.keys.changes import StoredKeys

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


def create_in_store(options: StoreOptions, given: dict[str, Any], *, force: bool, as_json: bool) -> None:
    """`given` are those of `name`, `roles`, `teams`, `models`, `limits` and `expires` that the key has."""
    from core.stores.registry.kept_key import KeptKey
    from core.stores.registry.key_format import issue

    target = target_of(options)
    roles: list[str] = given.get("roles", [])
    if not force:
        local.check_names(target, roles=roles, teams=given.get("teams"))
    limits = local.read_limits(target, given.get("limits", ()))

    async def make(keys: "StoredKeys") -> None:
        expires = given.get("expires")
        token, resource = issue(
            given["name"],
            roles,
            teams=given.get("teams"),
            models=given.get("models"),
            limits=limits,
            expires=expires,
            now=keys.now,
        )
        await keys.registry.create(resource)
        entry = KeptKey.read(resource)
        if as_json and entry is not None:
            view = to_json(await local.show(target, keys, entry))
            print_json({"key": token, "opens": target.opens, "store": target.place, **view})
            await _warn(keys, target)
            return
        print(token, flush=True)
        with_roles = f", roles {', '.join(roles)}" if roles else ""
        ends = f"expires {moment(expires)}" if expires is not None else "does not expire"
        say(f"Key {resource.identifier} ({given['name']}{with_roles}) {ends}.")
        say(f"Its hash is in {target.place}.")
        await _say_use(keys, target)

    local.within(target, make)


async def _say_use(keys: "StoredKeys", target: KeyStore) -> None:
    """How the key is used, and what is in the way."""
    from core.cli.keys.running import address_of

    closed = "" if target.opens else CLOSED.format(source=target.source)
    if target.document is None:
        say(f"{ELSEWHERE}{closed}".rstrip("\n"))
        return
    url, _ = address_of(target.document)
    say(f"{USE.format(url=url)}{closed}".rstrip("\n"))
    await _warn(keys, target)


async def _warn(keys: "StoredKeys", target: KeyStore) -> None:
    """Of a stack that runs on the run config's port and does not take the key."""
    from core.cli.keys.running import address_of, warning_of

    if target.opens and target.document is not None:
        url, call = address_of(target.document)
        if warning := await warning_of(keys.registry, call):
            say(f"warning: a stack runs at {url}, and {warning}")
