"""What is kept of a principal for all APIs alike: resources that it registered, its API key, answers and counters."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from core.frame.callers import Call
from core.frame.resources import Kind, Resource
from core.quota.identity import identity
from core.resolution.protection import API_KEY
from core.services.erasure import Estate, Piece, Pieces
from core.stores.answers.port import AnswerStore, owner_name
from core.stores.counters.port import CounterStore
from core.stores.registry import key_format
from core.stores.registry.port import RegistryStore
from core.stores.semaphores.port import SemaphoreStore

PAGE: Final = 100

type EraseAll = Callable[..., Awaitable[int]]
"""Takes `dry`; how many it has removed, or would."""


class _OfAnother(Exception):
    """What has this name by now is another's."""


async def resources(registry: RegistryStore, kind: Kind, estate: Estate) -> Pieces:
    """Those of a kind; no list is by owner."""
    async for page in _pages(registry, kind.name):
        yield [
            Piece(kind.section.replace("_", " "), partial(_unregister, registry, estate, resource))
            for resource in page
            if estate.has(resource.owner)
        ]


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
        yield [Piece("API keys", partial(_revoke, registry, estate.principal.id))]


async def _revoke(registry: RegistryStore, key_id: str) -> bool:
    for kind in (key_format.KIND, key_format.USE):
        await registry.delete(kind, key_id)
    return True


async def answers(store: AnswerStore, estate: Estate) -> Pieces:
    """Those that are remembered by idempotency key."""
    async for pieces in _counted("remembered answers", partial(store.erase, owner_name(_client(estate)))):
        yield pieces


async def counters(store: CounterStore, estate: Estate) -> Pieces:
    """Its accounts, with every window that is still there."""
    async for pieces in _counted("quota counters", partial(store.erase, _client(estate))):
        yield pieces


async def streams(store: SemaphoreStore, estate: Estate) -> Pieces:
    """The leases of its open streams."""
    async for pieces in _counted("leases of streams", partial(store.erase, _client(estate))):
        yield pieces


def _client(estate: Estate) -> str:
    """As quotas and idempotency keys know it."""
    return identity(Call(estate.principal))


async def _counted(name: str, erase: EraseAll) -> Pieces:
    """One piece for all of them, if there are any."""
    if count := await erase(dry=True):
        yield [Piece(name, partial(_erase_all, erase), count)]


async def _erase_all(erase: EraseAll) -> bool:
    await erase()
    return True
