"""`Idempotency-Key`: what is asked again with the same key is answered as it was, and the model is asked once.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header, sections 2.1 to 2.7. Only answers are kept,
no failures: after one the key is free. A key is each caller's own, on each path.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
import logging
from math import ceil
import re
import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from core.config.security import IdempotencyConfig
from core.errors import AnswerUnderWay, ApiError, IdempotencyUnavailable, InvalidRequest, KeyReused
from core.frame.callers import PROVIDER_DATA_HEADERS
from core.quota.identity import identity
from core.stores.answers.port import Answer, AnswerStore, Earlier, Lease, owner_name
from core.web.exchange import Exchange, Handler
from core.web.failures import MARGIN_SECONDS, attempt, error_response
from core.web.observed import observed_of
from core.web.sse import HEADERS, EventStream, frames_of
from core.web.streamed import StreamedResponse

HEADER: Final = "idempotency-key"
REPLAYED: Final = {"idempotent-replayed": "true"}
EVENTS: Final = {name.decode(): value.decode() for name, value in HEADERS}
KEY: Final = re.compile(r"[!-~]{1,255}")
LONGEST_LEASE: Final = (
    900  # seconds; a Lambda function runs no longer, and what runs elsewhere has no deadline to go by
)
SPARE_SECONDS: Final = 5  # of a lease, for clocks that differ
HASTE_SECONDS: Final = 0.1  # before a function's deadline, from which on no answer waits for the store
RETRY_SECONDS: Final = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IdempotencyMiddleware:
    """`clock` gives Unix seconds."""

    store: AnswerStore
    config: IdempotencyConfig
    clock: Callable[[], float] = time.time

    async def __call__(self, exchange: Exchange, handle: Handler) -> Response:
        """Hand on once for each key, and answer as then when it comes again."""
        claim = await attempt(self._claim(exchange), exchange.until)
        if claim is None:
            return await handle(exchange)
        if isinstance(claim, ApiError):
            return error_response(claim)
        if isinstance(claim, Response):
            return claim
        holder = LeaseHolder(self, claim, exchange.until)
        async with AsyncExitStack() as cleanup:
            cleanup.push_async_callback(holder.end, None)
            response = await handle(exchange)
            cleanup.pop_all()
        if isinstance(response, EventStream):
            response.recorder = holder
        else:
            await holder.end(_whole(response, exchange))
        return response

    async def _claim(self, exchange: Exchange) -> Lease | Response | None:
        """The key's lease, the answer that there is already, or None where the request has no key."""
        key = _key(exchange.request)
        if not key:
            return None
        await exchange.body()  # a body that is wrong takes no key
        fingerprint = _fingerprint(exchange.request, await exchange.content())
        now = self.clock()
        owner = identity(exchange.call)
        name = _digest(owner, exchange.request.scope["path"], key)
        until = ceil(now + _lease_seconds(exchange.until))
        claim = await self.store.begin(name, fingerprint, now=int(now), until=until, owner=owner_name(owner))
        return _replay(claim, exchange, fingerprint) if isinstance(claim, Earlier) else claim


class LeaseHolder:
    """Holds a lease until its answer is kept, or the key is free again; keeps its events, if it is a stream."""

    def __init__(self, idempotency: IdempotencyMiddleware, lease: Lease, until: float | None) -> None:
        """`until` is the function's deadline, in the loop's time: soon after it the lease ends by itself."""
        self._idempotency = idempotency
        self._lease = lease
        self._until = until
        self._events: list[bytes] = []
        self._size = 0
        self._ending: asyncio.Task[None] | None = None

    def add(self, event: bytes) -> None:
        """Keep it, unless there is too much already."""
        self._size += len(event)
        if self._size <= self._idempotency.config.max_answer_bytes:
            self._events.append(event)
        else:
            self._events.clear()

    async def close(self, *, whole: bool) -> None:
        """Keep the events, or let the key go."""
        storable = whole and self._size <= self._idempotency.config.max_answer_bytes
        await self.end(Answer(200, EVENTS["content-type"], b"".join(self._events)) if storable else None)

    async def end(self, answer: Answer | None) -> None:
        """Keep the answer; without one, or with one that is too large, let the key go.

        The first call decides. It is carried out whoever leaves meanwhile, and waited for while there is time, by who is
        cancelled too: the store closes after the last answer. It never raises for the store: the answer stands.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(answer))
        try:
            await self._wait(self._ending)
        except asyncio.CancelledError:
            await self._wait(self._ending)
            raise

    async def _wait(self, ending: asyncio.Task[None]) -> None:
        remaining = None if self._until is None else self._until - HASTE_SECONDS - asyncio.get_running_loop().time()
        await asyncio.wait((ending,), timeout=None if remaining is None else max(remaining, 0))

    async def _end(self, answer: Answer | None) -> None:
        store, config = self._idempotency.store, self._idempotency.config
        expires = ceil(self._idempotency.clock()) + config.ttl_seconds
        try:
            async with asyncio.timeout_at(None if self._until is None else self._until + MARGIN_SECONDS / 2):
                if answer is None or len(answer.body) > config.max_answer_bytes:
                    await store.release(self._lease)
                elif not await store.finish(self._lease, answer, expires=expires):
                    log.warning("idempotency: an answer came after its lease had ended, and is not kept")
        except IdempotencyUnavailable as failure:
            log.warning("idempotency: a key stays taken until its lease ends: %s", failure)
        except TimeoutError:
            log.warning("idempotency: a key stays taken until its lease ends: the function's time is up")


def _key(request: Request) -> str:
    keys = request.headers.getlist(HEADER)
    if not keys:
        return ""
    if len(keys) > 1 or not KEY.fullmatch(keys[0]):
        raise InvalidRequest("Header Idempotency-Key must be given once, with 1 to 255 visible ASCII characters.")
    return keys[0]


def _fingerprint(request: Request, body: bytes) -> str:
    """What a caller brings for providers counts: with another's key a tool may answer another."""
    brought = [value for name in PROVIDER_DATA_HEADERS for value in request.headers.getlist(name)]
    return _digest(request.method, request.scope["path"], sha256(body).hexdigest(), *brought)


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()


def _lease_seconds(until: float | None) -> float:
    """As long as the function may run; in this time nobody else asks the model."""
    if until is None:
        return LONGEST_LEASE
    remaining = until - asyncio.get_running_loop().time() + MARGIN_SECONDS
    return min(max(remaining, 0) + SPARE_SECONDS, LONGEST_LEASE)


def _whole(response: Response, exchange: Exchange) -> Answer | None:
    operation = exchange.operation
    if operation is not None and operation.reply == "answer" and exchange.call.observed.error_code:
        # a protocol of its own may tell a failure with 200
        return None
    if isinstance(response, StreamedResponse) or not 200 <= response.status_code < 300:  # noqa: PLR2004 - RFC 9110, 15.3
        return None
    return Answer(response.status_code, response.headers.get("content-type", ""), bytes(response.body))


def _replay(earlier: Earlier, exchange: Exchange, fingerprint: str) -> Response:
    """The answer again, which used no tokens.

    Raises:
        KeyReused: it was another request's.
        AnswerUnderWay: there is none yet.
    """
    if earlier.fingerprint != fingerprint:
        raise KeyReused
    if earlier.answer is None:
        raise AnswerUnderWay(retry_after=RETRY_SECONDS)
    exchange.call.add_tokens(0)
    observed_of(exchange.request.scope).replayed = True
    answer = earlier.answer
    if answer.content_type != EVENTS["content-type"]:
        kind = {"content-type": answer.content_type} if answer.content_type else {}
        return Response(answer.body, answer.status, kind | REPLAYED)
    return Response(answer.body + frames_of(exchange).end, answer.status, {**EVENTS, **REPLAYED})
