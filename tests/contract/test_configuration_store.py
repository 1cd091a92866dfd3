"""What ConfigurationStore promises, over both adapters, in one process and in several."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
import multiprocessing
from pathlib import Path
from typing import Any
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.apis.configurations import Configuration
from core.errors import InvalidRequest, NotFound
from core.stores.configurations.codec import MOST_VERSION
from core.stores.configurations.port import ConfigurationStore, Head
from core.stores.registry.codec import MOST_BODY
from tests.contract.configurations import (
    KINDS,
    Configuring,
    added,
    append_for_ever,
    configuration,
    consistent,
    crowd,
    everything,
)
from tests.contract.crew import Crew
from tests.parts.audit import CHANGE

EACH = 20
STRANGE = [0, -1, -(2**70), MOST_VERSION, MOST_VERSION + 1, 2**70]
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "append", "remove"]), st.integers(0, 6), st.booleans()), max_size=25
)
type Step = tuple[str, int, bool]


@pytest.fixture(params=KINDS)
def configuring(request: pytest.FixtureRequest, tmp_path: Path) -> Configuring:
    return Configuring.fresh(request, request.param, tmp_path, "registry_table")


@pytest.fixture
async def store(configuring: Configuring) -> AsyncGenerator[ConfigurationStore]:
    async with configuring.opened() as store:
        yield store


async def filled(store: ConfigurationStore, count: int) -> list[Configuration]:
    """So many versions, newest first."""
    rows = [configuration(number + 1, f"note {number + 1}", number=number) for number in range(count)]
    for row in rows:
        assert await store.append(row, change=CHANGE, after=Head(row.version - 1, row.version - 1))
    return rows[::-1]


async def test_a_version_is_written_anew_in_its_place(store: ConfigurationStore) -> None:
    newest, oldest = await filled(store, 2)
    assert await store.rewrite(replace(newest, owner=None, note="anew"))
    assert await store.page(before=None, limit=9) == [replace(newest, owner=None, note="anew"), oldest]
    assert await store.head() == Head(2, 2)
    assert not await store.rewrite(replace(newest, version=3))
    assert await store.get(3) is None


async def test_in_an_empty_store_nothing_is_in_force(store: ConfigurationStore) -> None:
    assert await store.head() == Head(0, 0)
    assert await store.get(1) is None
    assert await store.page(before=None, limit=10) == []


async def test_each_that_is_appended_is_in_force_and_comes_back_whole(store: ConfigurationStore) -> None:
    rows = await filled(store, 3)
    assert await store.head() == Head(3, 3)
    assert [await store.get(version) for version in (3, 2, 1)] == rows
    assert await everything(store) == rows


@pytest.mark.parametrize(
    "overlay",
    [
        {},
        {
            "inference": {
                "a/ö 🦙": {"provider_type": "remote::vllm", "config": {"url": None, "n": [1.5, 2**70, {"x": ""}]}}
            }
        },
        {"safety": {"x": {"config": {"long": "x" * 200_000}}}},
    ],
)
async def test_overlays_come_back_as_they_were(store: ConfigurationStore, overlay: dict[str, Any]) -> None:
    row = Configuration(1, overlay)
    assert await store.append(row, change=CHANGE, after=Head())
    assert await store.get(1) == row


@pytest.mark.parametrize("after", [Head(0, 0), Head(1, 1), Head(2, 1), Head(2, 0), Head(3, 3)])
async def test_after_another_head_nothing_is_appended_or_removed(store: ConfigurationStore, after: Head) -> None:
    rows = await filled(store, 2)
    assert await store.append(configuration(after.latest + 1, "late"), change=CHANGE, after=after) is False
    assert await store.remove(1, change=CHANGE, after=after) is False
    assert await store.remove(9, change=CHANGE, after=after) is False
    assert await store.head() == Head(2, 2)
    assert await everything(store) == rows


@pytest.mark.parametrize("version", [0, 1, 2, 4, -1])
async def test_only_the_next_version_is_appended(store: ConfigurationStore, version: int) -> None:
    rows = await filled(store, 2)
    assert await store.append(configuration(version), change=CHANGE, after=Head(2, 2)) is False
    assert await everything(store) == rows
    assert await store.head() == Head(2, 2)


async def test_removing_the_one_in_force_leaves_none_in_force_and_its_number_is_not_used_again(
    store: ConfigurationStore,
) -> None:
    rows = await filled(store, 3)
    assert await store.remove(3, change=CHANGE, after=Head(3, 3)) is True
    assert await store.head() == Head(3, 0)
    assert await store.get(3) is None
    assert await everything(store) == rows[1:]
    assert await store.append(configuration(3), change=CHANGE, after=Head(3, 0)) is False
    assert await store.append(configuration(4), change=CHANGE, after=Head(3, 0)) is True
    assert await store.head() == Head(4, 4)
    assert [row.version for row in await everything(store)] == [4, 2, 1]


async def test_removing_an_older_one_leaves_the_head_alone(store: ConfigurationStore) -> None:
    await filled(store, 3)
    assert await store.remove(2, change=CHANGE, after=Head(3, 3)) is True
    assert await store.head() == Head(3, 3)
    assert [row.version for row in await everything(store)] == [3, 1]


async def test_what_is_not_there_is_not_found_and_nothing_changes(store: ConfigurationStore) -> None:
    with pytest.raises(NotFound, match="no configuration `1`"):
        await store.remove(1, change=CHANGE, after=Head())
    assert await store.head() == Head()
    rows = await filled(store, 2)
    for version in [3, *STRANGE]:
        with pytest.raises(NotFound, match=f"no configuration `{version}`"):
            await store.remove(version, change=CHANGE, after=Head(2, 2))
    assert await store.remove(1, change=CHANGE, after=Head(2, 2))
    with pytest.raises(NotFound, match="GET /v1/configurations"):
        await store.remove(1, change=CHANGE, after=Head(2, 2))
    assert await store.head() == Head(2, 2)
    assert await everything(store) == rows[:1]


async def test_numbers_that_no_version_has_are_not_there(store: ConfigurationStore) -> None:
    rows = await filled(store, 2)
    for version in STRANGE:
        assert await store.get(version) is None
        assert await store.page(before=version, limit=9) == (rows if version > 2 else [])


async def test_pages_go_from_new_to_old_and_number_by_number(store: ConfigurationStore) -> None:
    rows = await filled(store, 12)  # 9, 10, 11: not as text
    for limit in (1, 5, 12, 100):
        assert await everything(store, limit) == rows
    assert await store.page(before=10, limit=2) == rows[3:5]
    assert await store.page(before=1, limit=2) == []


async def test_a_page_larger_than_one_answer_of_the_database_is_whole(store: ConfigurationStore) -> None:
    for version in range(1, 8):  # 1.75 MB; DynamoDB answers with at most 1 MB
        await store.append(
            configuration(version, filler="x" * 250_000), change=CHANGE, after=Head(version - 1, version - 1)
        )
    assert [row.version for row in await store.page(before=None, limit=6)] == [7, 6, 5, 4, 3, 2]


@pytest.mark.parametrize("value", ["y" * MOST_BODY, float("nan")], ids=["large", "nan"])
async def test_what_cannot_be_stored_is_refused_and_nothing_changes(store: ConfigurationStore, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="Configuration `1`"):
        await store.append(configuration(1, x=value), change=CHANGE, after=Head())
    assert await store.head() == Head()
    assert await everything(store) == []


async def test_namespaces_are_apart_and_stores_of_one_place_are_not(configuring: Configuring) -> None:
    async with configuring.opened() as one, configuring.opened() as two, configuring.opened("b#/ä") as other:
        await filled(one, 2)
        assert await two.head() == Head(2, 2)
        assert await other.head() == Head()
        theirs = configuration(1, "theirs")
        assert await other.append(theirs, change=CHANGE, after=Head())
        assert await other.remove(2, change=CHANGE, after=Head()) is False
        assert await everything(other) == [theirs]
        assert await everything(two) == await everything(one) != []


async def test_a_closed_store_opens_again(store: ConfigurationStore) -> None:
    await store.close()
    rows = await filled(store, 1)
    await store.close()
    await store.close()
    assert await everything(store) == rows


async def test_of_many_at_once_after_one_head_one_is_appended(store: ConfigurationStore) -> None:
    await filled(store, 1)
    rows = [configuration(2, f"contender {number}") for number in range(20)]
    outcomes = await asyncio.gather(*(store.append(row, change=CHANGE, after=Head(1, 1)) for row in rows))
    assert sorted(outcomes) == [False] * 19 + [True]
    assert await store.get(2) == rows[outcomes.index(True)]
    assert await consistent(store) == Head(2, 2)


async def test_appending_and_removing_at_once_never_leaves_a_removed_one_in_force(store: ConfigurationStore) -> None:
    for round_ in range(10):
        head = await store.head()
        version = await added(store, "to be removed")
        now = Head(version, version)
        assert head.latest == version - 1
        done = await asyncio.gather(
            store.remove(version, change=CHANGE, after=now),
            store.append(configuration(version + 1), change=CHANGE, after=now),
        )
        assert sorted(done) == [False, True], round_
        removed = done[0]
        assert await store.head() == (Head(version, 0) if removed else Head(version + 1, version + 1))
        assert (await store.get(version) is None) == removed


async def test_appends_by_many_processes_at_once_keep_one_total_order(configuring: Configuring, crew: Crew) -> None:
    most = crew.size * EACH
    shares = [[f"{process}-{number}" for number in range(EACH)] for process in range(crew.size)]
    runs = await crew.work(crowd, *((configuring, notes) for notes in shares))
    got = {note: version for run in runs for note, version in run.items()}
    assert sorted(got.values()) == list(range(1, most + 1))
    async with configuring.opened() as store:
        assert await consistent(store) == Head(most, most)
        assert {row.note: row.version for row in await everything(store)} == got


async def grown(store: ConfigurationStore, latest: int) -> None:
    while True:
        if (await store.head()).latest >= latest:
            return
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.exact)])
async def test_processes_that_are_killed_leave_a_head_that_fits_what_is_there(
    configuring: Configuring, kills: int
) -> None:
    spawning = multiprocessing.get_context("spawn")
    async with configuring.opened() as store:
        latest = 0
        for _ in range(kills):
            writers = [spawning.Process(target=append_for_ever, args=(configuring,)) for _ in range(2)]
            for writer in writers:
                writer.start()
            await grown(store, latest + 10)
            for writer in writers:
                writer.kill()
                await asyncio.to_thread(writer.join)
            latest = (await consistent(store, fewest=latest + 10)).latest
        assert await added(store, "after all that") == latest + 1


class Model:
    """The contract in a few lines of memory."""

    def __init__(self) -> None:
        self.now = Head()
        self.rows: dict[int, Configuration] = {}

    def append(self, row: Configuration, after: Head) -> bool:
        if after != self.now or row.version != after.latest + 1:
            return False
        self.rows[row.version], self.now = row, Head(row.version, row.version)
        return True

    def remove(self, version: int, after: Head) -> bool | None:
        """None: not found."""
        if after != self.now:
            return False
        if self.rows.pop(version, None) is None:
            return None
        self.now = replace(after, active=0) if after.active == version else after
        return True


async def removed(store: ConfigurationStore, version: int, after: Head) -> bool | None:
    try:
        return await store.remove(version, change=CHANGE, after=after)
    except NotFound:
        return None


async def step(store: ConfigurationStore, model: Model, step: Step) -> None:
    what, number, late = step
    after = replace(model.now, latest=max(0, model.now.latest - 1)) if late else model.now
    if what == "append":
        row = configuration(after.latest + 1 + (number == 6), str(number))
        assert await store.append(row, change=CHANGE, after=after) == model.append(row, after)
    else:
        assert await removed(store, number, after) == model.remove(number, after)
    assert await store.head() == model.now


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_store_does_what_the_model_does(configuring: Configuring, steps: list[Step]) -> None:
    async def compare() -> None:
        model = Model()
        async with configuring.opened(uuid.uuid4().hex) as store:
            for one in steps:
                await step(store, model, one)
            assert await everything(store) == [model.rows[version] for version in sorted(model.rows, reverse=True)]

    asyncio.run(compare())
