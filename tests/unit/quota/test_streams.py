"""A stream is a lease: whose it is, how long it lasts, what a store that is away or a shadow changes."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from core.errors import QuotaUnavailable, TooManyStreams
from core.quota.identity import identity
from core.quota.streams import LONGEST_LEASE, StreamLimit, most_streams
from tests.fakes import Clock
from tests.unit.quota.fakes import NOON, anonymous, quota_config, user


@dataclass
class MemorySemaphores:
    """A SemaphoreStore of one process; `down` makes every call fail."""

    leases: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    released: list[str] = field(default_factory=list[str])
    down: bool = False

    async def acquire(self, key: str, holder: str, *, most: int, now: int, until: int) -> bool:
        self._reach()
        others = [end for (at, other), end in self.leases.items() if at == key and other != holder and end > now]
        if len(others) >= most:
            return False
        self.leases[key, holder] = until
        return True

    async def release(self, key: str, holder: str) -> None:
        self.released.append(holder)
        self._reach()
        self.leases.pop((key, holder), None)

    async def erase(self, key: str, *, dry: bool = False) -> int:
        self._reach()
        places = [place for place in self.leases if place[0] == key]
        for place in () if dry else places:
            del self.leases[place]
        return len(places)

    def warm(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def _reach(self) -> None:
        if self.down:
            raise QuotaUnavailable("The semaphores are away.")


def limit(store: MemorySemaphores, **settings: Any) -> StreamLimit:
    clock = Clock()
    clock.now = NOON
    return StreamLimit(quota_config(**settings), store, clock=clock)


@pytest.mark.parametrize(
    ("roles", "most"),
    [
        ((), 2),
        (("guest",), 1),
        (("guest", "staff"), 9),
        (("unknown",), 2),
        (("unlimited",), 2),
        (("unlimited", "guest"), 1),
    ],
)
def test_the_most_generous_role_that_has_the_limit_counts_else_the_common_one(
    roles: tuple[str, ...], most: int
) -> None:
    given = {"guest": {"max_streams": 1}, "staff": {"max_streams": 9}, "unlimited": {"max_requests": 5}}
    config = quota_config(max_streams=2, roles=given)
    assert most_streams(config, user("ada", *roles).principal) == most
    assert most_streams(quota_config(), user("ada").principal) is None


async def test_each_caller_has_a_number_of_its_own_and_an_end_makes_room() -> None:
    store = MemorySemaphores()
    streams = limit(store, max_streams=1)
    permit = await streams.acquire(user("ada"))
    with pytest.raises(TooManyStreams) as refused:
        await streams.acquire(user("ada"))
    assert refused.value.message.startswith("You may have 1 streams open")
    await streams.acquire(user("ada", vouched_by="another"))
    await streams.acquire(anonymous())
    await permit.release()
    await streams.acquire(user("ada"))
    assert len(store.leases) == 3
    assert (identity(user("ada")), "") not in store.leases


@pytest.mark.parametrize(("seconds", "lasts"), [(10.2, 11), (1e9, LONGEST_LEASE), (-3.0, -3)])
async def test_a_lease_lasts_as_long_as_the_function_may_and_never_longer_than_the_longest(
    seconds: float, lasts: float
) -> None:
    store = MemorySemaphores()
    await limit(store, max_streams=1).acquire(user(), seconds)
    assert [end - NOON for end in store.leases.values()] == [lasts]


async def test_only_the_first_release_counts_and_none_ever_raises() -> None:
    store = MemorySemaphores()
    permit = await limit(store, max_streams=1).acquire(user())
    store.down = True
    await permit.release()
    store.down = False
    await permit.release()
    assert (len(store.released), len(store.leases)) == (1, 1)


async def test_without_a_limit_the_store_is_not_asked() -> None:
    store = MemorySemaphores(down=True)
    await (await limit(store).acquire(user())).release()
    assert not store.released


@pytest.mark.parametrize("on_store_failure", ["allow", "deny"])
async def test_a_store_that_is_away_allows_or_denies_as_the_run_config_says(on_store_failure: str) -> None:
    store = MemorySemaphores(down=True)
    streams = limit(store, max_streams=1, on_store_failure=on_store_failure)
    if on_store_failure == "deny":
        with pytest.raises(QuotaUnavailable):
            await streams.acquire(user())
    else:
        await (await streams.acquire(user())).release()
    assert not store.released


async def test_a_shadow_logs_what_it_would_refuse_and_the_others_permit_stays(caplog: pytest.LogCaptureFixture) -> None:
    store = MemorySemaphores()
    streams = limit(store, max_streams=1, shadow=True)
    await streams.acquire(user())
    await (await streams.acquire(user())).release()
    assert caplog.text.count("would be refused") == 1
    assert (len(store.leases), store.released) == (1, [])
