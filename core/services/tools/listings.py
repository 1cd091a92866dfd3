"""What tools the groups have: asked of their providers, and remembered for a bounded time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import time
from typing import Final, NamedTuple, cast

from pydantic_core import to_json

from core.apis.tools import Tool, ToolAccess, ToolGroup, ToolListing, ToolProvider
from core.errors import ApiError, UpstreamFailed, UpstreamTimeout
from core.frame.hops import HOPS
from core.platform.ttl_cache import TtlCache, copy_failure

DEFAULT_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 5.0  # in which a group that did not answer is left out where all are asked
PATIENCE_SECONDS: Final = 5.0  # with each of them
MOST_SECONDS: Final = 3600.0  # whatever a server says: no longer is anything in the cache
MOST_LISTINGS: Final = 500  # that are remembered
MOST_KEPT: Final = (
    64 * 1024 * 1024
)  # bytes of them together, as JSON: whoever registers a group says how long its tools are
MOST_TOOLS: Final = 1000  # of a group
MOST_NAME: Final = 512  # characters of a tool's name

type Key = tuple[str, str, str, str, bool, bytes, str, int]


class Source(NamedTuple):
    """Whose tools, from where, and with what: `provider` has the keys that the caller brings."""

    provider_id: str
    provider: ToolProvider
    group: ToolGroup
    access: ToolAccess


@dataclass(frozen=True, slots=True)
class Remembered:
    """`until` is in the clock's time."""

    tools: tuple[Tool, ...]
    until: float


class Listings:
    """Of callers that need the same at a time, one asks; what was listed with a caller's credentials is for those alone."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._remembered: TtlCache[Key, Remembered] = TtlCache(MOST_SECONDS, clock=clock, most=MOST_LISTINGS)
        self._sizes = dict[Key, int]()
        self._failures: TtlCache[Key, ApiError] = TtlCache(RETRY_SECONDS, clock=clock, most=MOST_LISTINGS)

    async def get(self, source: Source, *, fresh: bool = False) -> tuple[Tool, ...]:
        """The tools of the group; `fresh` asks whatever is remembered. Raises what the provider raises, which is not remembered."""
        key = _key(source)
        memory = None if fresh else self._remembered.peek(key)
        if memory is not None and self._clock() < memory.until:
            return memory.tools

        async def ask() -> Remembered:
            asked_at = self._clock()
            listing = await source.provider.list_tools(source.group, source.access)
            tools, seconds = check_listing(source.provider_id, listing), _seconds(listing)
            if seconds > 0:
                self._make_room(key, _size_of(tools))
            return Remembered(tools, asked_at + seconds)

        try:
            return (await self._remembered.refresh(key, ask)).tools
        except ApiError as failure:
            self._failures.put(key, copy_failure(failure))
            raise

    async def get_lately(self, source: Source) -> tuple[Tool, ...]:
        """As `get`, for who asks many: what failed a moment ago fails at once, and nobody is waited for longer than PATIENCE_SECONDS."""
        failure = self._failures.peek(_key(source))
        if failure is not None:
            raise copy_failure(failure) from failure.__cause__
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self.get(source)
        except TimeoutError:
            late = UpstreamTimeout(f"Tool group `{source.group.identifier}` did not list its tools in time.")
            self._failures.put(_key(source), copy_failure(late))
            raise late from None

    def _make_room(self, key: Key, size: int) -> None:
        """Forget those that were read first, for one of so many bytes more."""
        self._sizes.pop(key, None)
        self._sizes[key] = size
        while len(self._sizes) > 1 and (len(self._sizes) > MOST_LISTINGS or sum(self._sizes.values()) > MOST_KEPT):
            oldest = next(iter(self._sizes))
            del self._sizes[oldest]
            self._remembered.forget(oldest)

    def forget(self, source: Source) -> None:
        """What is remembered of it has turned out to be old."""
        key = _key(source)
        self._remembered.forget(key)
        self._sizes.pop(key, None)

    async def close(self) -> None:
        """End what is being asked."""
        await self._remembered.close()


def _key(source: Source) -> Key:
    """By what a group says, not by its id alone: one that is registered anew is another. By its id too: a failure names it, and who waits for the same is told of it."""
    group = source.group
    args = to_json(group.args, inf_nan_mode="constants")
    digest = source.provider.credentials_of(group, source.access)
    hops = HOPS.get()  # else a stack that asks itself would wait for what waits for it
    return source.provider_id, group.identifier, group.name, group.endpoint, group.trusted, args, digest, hops


def _size_of(tools: Sequence[Tool]) -> int:
    rows = [(tool.name, tool.description, tool.input_schema, tool.output_schema, tool.metadata) for tool in tools]
    return len(to_json(rows, inf_nan_mode="constants", serialize_unknown=True))


def _seconds(listing: ToolListing) -> float:
    return DEFAULT_SECONDS if listing.seconds is None else listing.seconds


def check_listing(provider_id: str, listing: object) -> tuple[Tool, ...]:
    """Its tools, each name once; raises UpstreamFailed for what is none, as a package of somebody else may give."""
    entries = cast("Sequence[object]", listing.tools) if isinstance(listing, ToolListing) else [None]
    tools = [entry for entry in entries if isinstance(entry, Tool) and 0 < len(entry.name) <= MOST_NAME]
    if len(tools) < len(entries):
        raise UpstreamFailed(f"Provider `{provider_id}` did not list its tools as tools. Its author must mend it.")
    if len(tools) > MOST_TOOLS:
        message = f"Provider `{provider_id}` listed {len(tools):,} tools of a group, and may list {MOST_TOOLS:,}."
        raise UpstreamFailed(message)
    by_name = {tool.name: tool for tool in reversed(tools)}
    return tuple(reversed(by_name.values()))
