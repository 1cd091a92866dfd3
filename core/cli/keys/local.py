"""Keys in the store that a run config or a table names: what its operator does, whom no policy holds."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from core.cli.keys.target import KeyStore, StoreOptions, target_of
from core.config.problems import ConfigInvalid
from core.platform.commands import program

if TYPE_CHECKING:
    from core.apis.answers.keys import Key
    from core.frame.callers import Allowance
    from core.services.keys.changes import StoredKeys
    from core.services.keys.limits import KeySpending
    from core.stores.registry.kept_key import KeptKey

type Work[T] = Callable[["StoredKeys"], Awaitable[T]]


def within[T](target: KeyStore, work: Work[T]) -> T:
    """What comes of `work` with the keys of a store, which is closed after it."""
    from core.services.keys.changes import StoredKeys
    from core.stores.connect import REGISTRY

    async def run() -> T:
        registry = REGISTRY.connect(target.settings.metadata_store)
        try:
            return await work(StoredKeys(registry))
        finally:
            await registry.close()

    return asyncio.run(run())


def check_names(target: KeyStore, **given: list[str] | None) -> None:
    """Raises ConfigInvalid for roles and teams that the run config gives no meaning."""
    from core.cli.keys.roles import name_problems

    if target.document is None:
        return
    problems = [
        problem
        for attribute, names in given.items()
        for problem in name_problems(target.document, target.source, attribute, names or [])
    ]
    if problems:
        raise ConfigInvalid("llambda keys", problems)


def read_limits(target: KeyStore, rows: Iterable[dict[str, Any]]) -> "list[Allowance]":
    """Raises InvalidRequest for rows that are wrong, or that nothing would hold the key to."""
    if not (rows := list(rows)):
        return []
    from core.apis.keys import KeyLimit
    from core.services.keys.limits import KeySpending, allowances_of

    limits = allowances_of([KeyLimit.model_validate(row) for row in rows])
    KeySpending(None, target.shards).require_counting(limits)
    return limits


def list_keys(options: StoreOptions, *, revoked: bool) -> "list[Key | tuple[str, int]]":
    """All keys by their ids; of one that is not usable its id, and when it was made."""
    from core.services.keys.changes import PAGE
    from core.stores.registry.kept_key import KeptKey

    async def read(keys: "StoredKeys") -> "list[Key | tuple[str, int]]":
        rows: list[Key | tuple[str, int]] = []
        after = ""
        while page := await keys.page(after=after, limit=PAGE):
            after = page[-1].identifier
            for row in page:
                entry = KeptKey.read(row)
                if entry is None:
                    rows.append((row.identifier, row.created))
                elif revoked or entry.key.revoked is None:
                    rows.append(await show(target, keys, entry))
        return rows

    target = target_of(options)
    return within(target, read)


def get_key(options: StoreOptions, key_id: str) -> "Key":
    async def read(keys: "StoredKeys") -> "Key":
        entry = await keys.find(key_id)
        if entry is None:
            raise _missing(key_id, target)
        return await show(target, keys, entry)

    target = target_of(options)
    return within(target, read)


def update_key(options: StoreOptions, key_id: str, changes: dict[str, Any], *, force: bool) -> "Key":
    async def write(keys: "StoredKeys") -> "Key":
        entry = await keys.find(key_id)
        if entry is None:
            raise _missing(key_id, target)
        if "limits" in changes and not force:
            async with _spending(target) as spending:
                await spending.require_room(entry, changes["limits"])
        return await show(target, keys, await keys.change(key_id, lambda entry: entry.change(**changes)))

    target = target_of(options)
    if "limits" in changes:
        changes = {**changes, "limits": read_limits(target, changes["limits"])}
    if not force:
        check_names(target, roles=changes.get("roles"), teams=changes.get("teams"))
    return within(target, write)


def rotate_key(options: StoreOptions, key_id: str, *, overlap: int, force: bool) -> "tuple[str, Key]":
    """The whole key, and what is known of it."""

    async def write(keys: "StoredKeys") -> "tuple[str, Key]":
        await _require_there(keys, key_id, target)
        token, entry = await keys.rotate(key_id, lambda _: None, overlap=overlap, force=force)
        return token, await show(target, keys, entry)

    target = target_of(options)
    return within(target, write)


def revoke_key(options: StoreOptions, key_id: str) -> KeyStore:
    """The store in which it was revoked; one that is not usable is removed."""
    from core.stores.registry.key_format import KIND, USE

    async def write(keys: "StoredKeys") -> None:
        entry = await keys.find(key_id)
        if entry is not None and entry.key.revoked is None:
            await keys.revoke(key_id, lambda _: None, by=None)
        elif entry is not None or not await keys.registry.delete(KIND, key_id):
            raise _missing(key_id, target)
        else:
            await keys.registry.delete(USE, key_id)

    target = target_of(options)
    within(target, write)
    return target


async def show(target: KeyStore, keys: "StoredKeys", entry: "KeptKey") -> "Key":
    """What is known of it."""
    from core.services.keys.shown import show as shown

    last_used = await keys.last_used(entry)
    if not entry.key.limits:
        return shown(entry, last_used=last_used, limits=[], now=keys.now)
    async with _spending(target) as spending:
        return shown(entry, last_used=last_used, limits=await spending.show(entry), now=keys.now)


@asynccontextmanager
async def _spending(target: KeyStore) -> "AsyncGenerator[KeySpending]":
    from core.services.keys.limits import KeySpending
    from core.stores.connect import COUNTERS

    store = None if target.counters is None else COUNTERS.connect(target.counters)
    try:
        yield KeySpending(store, target.shards)
    finally:
        if store is not None:
            await store.close()


def now() -> int:
    """In Unix seconds."""
    return int(datetime.now(UTC).timestamp())


async def _require_there(keys: "StoredKeys", key_id: str, target: KeyStore) -> None:
    if await keys.find(key_id) is None:
        raise _missing(key_id, target)


def _missing(key_id: str, target: KeyStore) -> click.ClickException:
    listing = f"{program()} keys list {target.options}"
    return click.ClickException(f"There is no key {key_id} in {target.place}. `{listing}` lists those that exist.")
