"""A request at the targets of its model, one after another: at the next where one fails before its first byte."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
import logging
import math
import sys
from typing import Final

from core.apis.inference import InferenceProvider, TakesProviderData
from core.errors import ApiError, NotFound, ProviderUnavailable, UpstreamFailed, UpstreamThrottled, UpstreamTimeout
from core.frame.callers import ANONYMOUS, ActingFor, Call
from core.frame.types import JsonObject, JsonStream
from core.routing.circuit_breaker import CircuitBreaker, Permit
from core.routing.targets import Target, order_targets

log = logging.getLogger(__name__)

BROKEN: Final = (UpstreamFailed, UpstreamTimeout, ProviderUnavailable)
PASSED_ON: Final = (*BROKEN, UpstreamThrottled, NotFound)
"""What another target may do better at; the last two say nothing of its target's state."""

type Ask[R] = Callable[[InferenceProvider, Target], Awaitable[R]]
"""A call of the provider of a target, by its own name of the model."""


class Failover:
    """How the requests of one call reach providers. One target alone, without timeout and circuits, is just called."""

    def __init__(
        self, providers: Mapping[str, InferenceProvider], circuits: CircuitBreaker | None, call: Call | None
    ) -> None:
        """Ask `providers`, by provider id, with what the caller brings, and note who was asked."""
        self._providers = providers
        self._caller = call
        self._call = call or Call(ANONYMOUS)
        self._circuits = circuits

    async def answer(self, targets: Sequence[Target], ask: Ask[JsonObject]) -> JsonObject:
        """The first answer.

        Raises:
            ApiError: the last target's failure, or the first that another target would not change.
            ProviderUnavailable: the circuit of every target is open.
        """
        if self._is_plain(targets):
            return await self._ask(targets[0], self._provider(targets[0]), ask)
        circuits = self._circuits or _never_open()
        return (await self._first(targets, ask, circuits, circuits.record_success))[0]

    async def stream(self, targets: Sequence[Target], ask: Ask[JsonStream]) -> JsonStream:
        """The first stream that begins; raises as `answer` does. What fails in it later is not tried again."""
        if self._is_plain(targets):
            return await self._ask(targets[0], self._provider(targets[0]), ask)
        circuits = self._circuits or _never_open()
        chunks, permit = await self._first(targets, ask, circuits, circuits.record_first_byte)
        return chunks if self._circuits is None else _watch(chunks, permit, circuits)

    def _is_plain(self, targets: Sequence[Target]) -> bool:
        return self._circuits is None and len(targets) == 1 and targets[0].timeout is None

    async def _first[R](
        self, targets: Sequence[Target], ask: Ask[R], circuits: CircuitBreaker, tell: Callable[[Permit], None]
    ) -> tuple[R, Permit]:
        from random import random  # its hashes are not for every cold start

        failure: ApiError | None = None
        failed, caller = "", self._call.principal.identity
        for target in order_targets(targets, random):
            provider = self._provider(target)
            # What comes of a caller's own key is the vendor's word on that key, and not on the target.
            has_own_key = provider is not self._providers.get(target.provider_id)
            permit = circuits.admit(target.place, caller, alone=has_own_key)
            if permit is None:
                continue
            if failure is not None:
                log.warning("%s before the first byte; on to provider %s", failed, target.provider_id)
            patience = asyncio.timeout(target.timeout)
            try:
                answer = await self._ask_in_time(target, provider, ask, patience)
                tell(permit)
            except PASSED_ON as passed_on:
                failure, failed = passed_on, f"provider {target.provider_id}: {type(passed_on).__name__}"
                if isinstance(passed_on, BROKEN):
                    # Too little patience of the model's registration says more of that than of the target.
                    circuits.record_failure(permit, alone=patience.expired())
            else:
                return answer, permit
            finally:
                circuits.release_permit(permit)
        raise failure or self._all_open(targets, circuits)

    def _all_open(self, targets: Sequence[Target], circuits: CircuitBreaker) -> ProviderUnavailable:
        names = ", ".join(dict.fromkeys(f"`{target.provider_id}`" for target in targets))
        seconds = math.ceil(min(circuits.retry_in(target.place, self._call.principal.identity) for target in targets))
        return ProviderUnavailable(
            f"The model has failed repeatedly at {names} and is not asked for a while. Try again later.",
            headers={"retry-after": str(max(1, seconds))},
        )

    async def _ask_in_time[R](
        self, target: Target, provider: InferenceProvider | None, ask: Ask[R], patience: asyncio.Timeout
    ) -> R:
        try:
            async with patience:
                return await self._ask(target, provider, ask)
        except TimeoutError as slow:
            raise UpstreamTimeout(f"Provider `{target.provider_id}` did not answer in time.") from slow

    def _provider(self, target: Target) -> InferenceProvider | None:
        """The target's, with what the caller brings for it."""
        provider, data = self._providers.get(target.provider_id), self._call.provider_data
        if data and isinstance(provider, TakesProviderData):
            with ActingFor(self._caller):
                return provider.with_provider_data(data)
        return provider

    async def _ask[R](self, target: Target, provider: InferenceProvider | None, ask: Ask[R]) -> R:
        if provider is None:
            raise ProviderUnavailable(
                f"The model belongs to provider `{target.provider_id}`, which this stack does not configure."
            )
        observed = self._call.observed
        observed.provider, observed.provider_model = target.provider_id, target.model
        with observed.upstream, ActingFor(self._caller):
            return await ask(provider, target)


def _never_open() -> CircuitBreaker:
    return CircuitBreaker(sys.maxsize, 0.0)


async def _watch(chunks: JsonStream, permit: Permit, circuits: CircuitBreaker) -> JsonStream:
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    except BROKEN:
        circuits.record_failure(permit)
        raise
    circuits.record_success(permit)
