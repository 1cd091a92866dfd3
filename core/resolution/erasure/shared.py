"""What is kept of a principal for all APIs alike: resources that it registered, its API key, answers and counters."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
import time
from typing import Final

from core.config.redact import redact
from core.frame.callers import Call
from core.frame.resources import Kind, Resource, present
from core.quota.identity import identity
from core.resolution.protection import API_KEY
from core.services.erasure import Estate, Piece, Pieces
from core.services.extracts import Extract, Read, encode, extract_json, path_of
from core.stores.answers.port import AnswerStore, owner_name
from core.stores.audit.entry import HASHES
from core.stores.counters.port import CounterStore
from core.stores.registry import key_format
from core.stores.registry.port import RegistryStore
from core.stores.semaphores.port import SemaphoreStore
from core.stores.usage.port import DIMENSIONS, UsageQuery, UsageStore

PAGE: Final = 100
REPEATED: Final = "copies of answers that the caller got, kept for hours in case it asks again"
NUMBERS: Final = "numbers of calls and tokens in windows of time; usage has them by day"
LEASES: Final = "numbers of streams that are open now"

DAY: Final = 86_400  # seconds

type FindUsage = Callable[[], UsageStore | None]
type EraseAll = Callable[..., Awaitable[int]]
"""Takes `dry`; how many it has removed, or would."""


class _OfAnother(Exception):
    """What has this name by now is another's."""


async def resources(registry: RegistryStore, kind: Kind, estate: Estate) -> Pieces:
    """Those of a kind; no list is by owner."""
    async for page in _pages(registry, kind.name):
        yield [
            Piece(
                kind.section.replace("_", " "),
                partial(_unregister, registry, estate, resource),
                read=_reading(kind.section, resource),
            )
            for resource in page
            if estate.has(resource.owner)
        ]


def _reading(folder: str, resource: Resource) -> Read:
    facts = {**present(resource), "created_at": resource.created}
    return partial(extract_json, path_of(folder, f"{resource.identifier}.json"), redact(facts))


async def _pages(registry: RegistryStore, kind: str) -> AsyncGenerator[Sequence[Resource]]:
    after = ""
    while page := await registry.page(kind, after=after, limit=PAGE):
        yield page
        after = page[-1].identifier


async def _unregister(registry: RegistryStore, estate: Estate, resource: Resource) -> bool:
    def check(current: Resource) -> None:
        if not estate.has(current.owner):
            raise _OfAnother

    try:
        await registry.delete(resource.kind, resource.identifier, check)
    except _OfAnother:
        return True
    return True


async def api_keys(registry: RegistryStore, estate: Estate) -> Pieces:
    """The one that the principal is, if it is one, with when it was used."""
    if estate.principal.vouched_by == API_KEY and await registry.get(key_format.KIND, estate.principal.id) is not None:
        key_id = estate.principal.id
        yield [Piece("API keys", partial(_revoke, registry, key_id), read=partial(_read_key, registry, key_id))]


async def _read_key(registry: RegistryStore, key_id: str) -> Extract:
    """What is said of it, and when it was used; nothing that its secret could be guessed against."""
    rows = {kind: await registry.get(kind, key_id) for kind in (key_format.KIND, key_format.USE)}
    facts = {
        kind: {name: value for name, value in row.attributes.items() if name not in HASHES}
        for kind, row in rows.items()
        if row is not None
    }
    async for file in extract_json(path_of("keys", f"{key_id}.json"), facts):
        yield file


async def _revoke(registry: RegistryStore, key_id: str) -> bool:
    for kind in (key_format.KIND, key_format.USE):
        await registry.delete(kind, key_id)
    return True


async def answers(store: AnswerStore, estate: Estate) -> Pieces:
    """Those that are remembered by idempotency key."""
    async for pieces in _counted("remembered answers", partial(store.erase, owner_name(_client(estate))), REPEATED):
        yield pieces


async def counters(store: CounterStore, usage: FindUsage, days: int, estate: Estate) -> Pieces:
    """Its accounts, with every window that is still there, and the usage of so many days, which is handed out."""
    erase, read = partial(store.erase, _client(estate)), partial(_read_usage, usage, days, _client(estate))
    async for pieces in _counted("quota counters", erase, NUMBERS, read):
        yield pieces


async def _read_usage(usage: FindUsage, days: int, client: str) -> Extract:
    store, today = usage(), int(time.time()) // DAY
    if store is None:
        return
    query = UsageQuery(today - days, today + 1, DIMENSIONS, {"client": frozenset({client})})
    for group in await store.sum(query):
        numbers = {name: value for name, value in asdict(group.row).items() if name not in DIMENSIONS}
        labels: dict[str, str] = dict(zip(DIMENSIONS, group.key, strict=True))
        yield "usage.jsonl", encode(labels | numbers)
    for unsettled in await store.unsettled(client):
        yield "unsettled.jsonl", encode(asdict(unsettled.held))


async def streams(store: SemaphoreStore, estate: Estate) -> Pieces:
    """The leases of its open streams."""
    async for pieces in _counted("leases of streams", partial(store.erase, _client(estate)), LEASES):
        yield pieces


def _client(estate: Estate) -> str:
    """As quotas and idempotency keys know it."""
    return identity(Call(estate.principal))


async def _counted(name: str, erase: EraseAll, omission: str, read: Read | None = None) -> Pieces:
    """One piece for all of them, if there are any."""
    if count := await erase(dry=True):
        yield [Piece(name, partial(_erase_all, erase), count, read=read, omission=omission)]


async def _erase_all(erase: EraseAll) -> bool:
    await erase()
    return True
