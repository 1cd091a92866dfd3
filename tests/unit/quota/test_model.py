"""Any sequence of calls, settlements and time: what a window admits and counts is what a plain model says."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, override

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from core.errors import QuotaExceeded
from core.frame.callers import Charge
from core.quota.ticket import Ticket
from tests.unit.quota.fakes import bench, user

MINUTE = 60
DEFAULT = 20


class Counting(RuleBasedStateMachine):
    """`held` is, by window, what each call reserved or was settled at."""

    tickets = Bundle("tickets")

    @initialize(
        requests=st.integers(0, 6),
        tokens=st.none() | st.integers(0, 90),
        shards=st.integers(1, 3),
        seed=st.integers(0, 9),
    )
    def begin(self, requests: int, tokens: int | None, shards: int, seed: int) -> None:
        self.requests, self.tokens = requests, tokens
        self.bench = bench(
            seed=seed,
            period="minute",
            authenticated_max_requests=requests,
            max_tokens=tokens,
            shards=shards,
            default_max_tokens=DEFAULT,
        )
        self.shards = min(shards, max(1, requests))
        self.held: dict[int, list[int]] = defaultdict(list)
        self.counted: dict[int, int] = defaultdict(int)
        self.largest = 0
        self.runner = asyncio.Runner()

    @override
    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.close()

    @rule(target=tickets, tokens=st.none() | st.integers(0, 50), parts=st.just(1) | st.integers(1, 6))
    def call(self, tokens: int | None, parts: int) -> tuple[Ticket, int, int] | None:
        reserved = self.reservation(tokens)
        held, counted = self.held[self.window()], self.counted[self.window()]
        ticket = self.run(self.admitted(tokens, parts))
        room = self.tokens is None or tokens is None or sum(held) + reserved <= self.tokens
        if self.shards == 1 or self.tokens is None:
            assert (ticket is not None) == (counted + parts <= self.requests and room)
        if ticket is None:
            return None
        held.append(reserved)
        self.counted[self.window()] += parts
        self.largest = max(self.largest, reserved)
        return ticket, self.window(), len(held) - 1

    @rule(entry=consumes(tickets), used=st.none() | st.integers(0, 50), again=st.booleans())
    def settle(self, entry: tuple[Ticket, int, int] | None, used: int | None, again: bool) -> None:  # noqa: FBT001 - drawn
        if entry is None:
            return
        ticket, window, index = entry
        self.run(ticket.settle(Charge(used)))
        if again:
            self.run(ticket.settle(Charge(0)))
        if used is not None and self.tokens is not None:
            self.held[window][index] = used
            self.largest = max(self.largest, used)

    @rule(seconds=st.sampled_from([0.5, 15, 59.999, 60, 61]))
    def wait(self, seconds: float) -> None:
        self.bench.clock.now += seconds

    @invariant()
    def no_window_admits_more_than_its_limit(self) -> None:
        for counted in self.counted.values() if hasattr(self, "held") else ():
            assert counted <= self.requests

    @invariant()
    def the_store_has_what_is_reserved_and_what_was_settled(self) -> None:
        if not hasattr(self, "held"):
            return
        for window, held in self.held.items():
            rows = [row for key, row in self.bench.counters.rows.items() if f":minute:{window}" in key]
            assert sum(row.requests for row in rows) == self.counted[window]
            assert sum(row.tokens for row in rows) == sum(held)

    def window(self) -> int:
        return int(self.bench.clock.now // MINUTE)

    def reservation(self, tokens: int | None) -> int:
        if tokens is None or self.tokens is None:
            return 0
        return tokens or max(1, min(DEFAULT, self.tokens))

    async def admitted(self, tokens: int | None, parts: int) -> Ticket | None:
        try:
            return await self.bench.quota.admit(user(), tokens, parts)
        except QuotaExceeded:
            return None

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=60, stateful_step_count=30)
