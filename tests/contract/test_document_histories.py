"""Random histories of documents: every store does what the model does, step by step."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.errors import Conflict, NotFound
from core.stores.documents.port import GRACE, UNCHANGED, Document, DocumentPage, DocumentStore, Order
from tests.contract.documents import KINDS, NOW, Clock, Documenting, MemoryDocuments

ORDERS: Final[tuple[Order, ...]] = ("asc", "desc")


@pytest.fixture(params=KINDS)
def documenting(request: pytest.FixtureRequest, tmp_path: Path) -> Documenting:
    return Documenting.fresh(request, request.param, tmp_path, "state_table", blobs=str(tmp_path / "blobs"))


def note(identifier: str, **more: Any) -> Document:
    return Document("notes", identifier, {"id": identifier}, **more)


type Step = tuple[str, str, str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "create", "put", "expire", "delete", "expect", "page", "wait"]),
        st.sampled_from("abcd"),
        st.sampled_from(["", "p"]),
        st.integers(0, 5),
    ),
    max_size=30,
)


class History:
    """The same steps on two stores, which read and refuse alike; a step may use what was read long ago."""

    def __init__(self, clock: Clock, *stores: DocumentStore) -> None:
        self.clock = clock
        self.stores = stores
        self.read: list[tuple[Document, ...]] = []

    async def step(self, step: Step) -> None:
        name, identifier, parent, number = step
        if name == "wait":
            self.clock.now += (number % 3) * (1 if number % 2 else GRACE / 2)
        elif name == "create":
            document = note(identifier, parent=parent, created=NOW + number % 2, expires=self._time(number))
            self._remember(await self._each(lambda store, _: store.create(document)))
        elif name == "page":
            after = [None, identifier, (NOW + 1, identifier)][number % 3]
            order, limit, most = ORDERS[number % 4 // 2], 1 + number // 2, 25 if number > 3 else None  # bytes of 2 or 3
            await self._each(
                lambda store, _: store.page("notes", parent, order=order, after=after, limit=limit, most_bytes=most)
            )
        elif self.read:
            await self._change(name, number, self.read[(number * 7 + ord(identifier)) % len(self.read)])
        for one in "abcd":
            await self._each(partial(self._get, one))
        for one in ("", "p"):
            await self._each(partial(self._list, one))

    @staticmethod
    async def _get(identifier: str, store: DocumentStore, _: int) -> Document | None:
        return await store.get("notes", identifier)

    @staticmethod
    async def _list(parent: str, store: DocumentStore, _: int) -> DocumentPage:
        return await store.page("notes", parent, limit=10)

    async def _change(self, name: str, number: int, pair: tuple[Document, ...]) -> None:
        if name in ("put", "expire"):
            expires = UNCHANGED if name == "put" else self._time(number)
            self._remember(await self._each(lambda store, at: store.put(pair[at], {"n": number}, expires=expires)))
        else:
            expect = number if name == "expect" else None
            await self._each(lambda store, at: store.delete(pair[at], expect=expect))

    async def _each(self, work: Callable[[DocumentStore, int], Coroutine[Any, Any, Any]]) -> list[Any]:
        outcomes: list[Any] = [await self._outcome(work(store, at)) for at, store in enumerate(self.stores)]
        one, two = outcomes
        newest: list[Any] = [getattr(outcome, "document", None) for outcome in outcomes]
        if isinstance(one, Exception):
            assert type(one) is type(two)
            assert newest[0] == newest[1]
        else:
            assert one == two
        return outcomes

    @staticmethod
    async def _outcome(work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await work
        except (Conflict, NotFound) as failure:
            return failure

    def _remember(self, outcomes: list[Any]) -> None:
        if all(isinstance(outcome, Document) for outcome in outcomes):
            self.read.append(tuple(outcomes))

    def _time(self, number: int) -> int | None:
        return int(self.clock.now) + number if number % 2 else None


def compare_histories(documenting: Documenting, steps: list[Step]) -> None:
    async def compare() -> None:
        clock = Clock()
        async with documenting.opened(uuid.uuid4().hex, clock=clock) as store:
            history = History(clock, store, MemoryDocuments(clock))
            for step in steps:
                await history.step(step)

    asyncio.run(compare())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_store_does_what_the_model_does(documenting: Documenting, steps: list[Step]) -> None:
    compare_histories(documenting, steps)


@pytest.mark.exact
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_store_does_what_the_model_does_in_many_histories(documenting: Documenting, steps: list[Step]) -> None:
    compare_histories(documenting, steps)
