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
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from core.config.security import IdempotencyConfig
from core.errors import AnswerUnderWay, IdempotencyUnavailable, InvalidRequest, KeyReused
from core.frame.callers import Call
from core.quota.identity import identity
from core.stores.answers.port import Answer, AnswerStore, Earlier, Lease
from core.web.access import Perform, Steps
from core.web.body import read
from core.web.failures import MARGIN_SECONDS, deadline
from core.web.observed import observed_of
from core.web.sse import DONE, HEADERS, EventStream, wants_done

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
class KeyedRequest:
    """What `prepare` made of a body, and under which key it came; "" is none."""

    body: Any
    key: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class IdempotencyMiddleware:
    """`clock` gives Unix seconds."""

    store: AnswerStore
    config: IdempotencyConfig
    clock: Callable[[], float] = time.time

    def wrap(self, steps: Steps, limit: int) -> Steps:
        """`steps`, which have `prepare`, performed once for each key; a body has at most `limit` bytes."""
        prepare, tokens = steps.prepare, steps.tokens
        if prepare is None:
            raise LookupError(HEADER)

        async def ask(request: Request) -> KeyedRequest:
            key = _key(request)
            if not key:
                return KeyedRequest(await prepare(request))
            body = await read(request, limit)
            return KeyedRequest(await prepare(_again(request, body)), key, _fingerprint(request, body))

        async def answer(request: Request, call: Call, keyed: KeyedRequest) -> Response:
            if not keyed.key:
                return await steps.perform(request, call, keyed.body)
            return await self._once(steps.perform, request, call, keyed)

        return Steps(answer, ask, None if tokens is None else lambda keyed: tokens(keyed.body))

    async def _once(self, perform: Perform, request: Request, call: Call, keyed: KeyedRequest) -> Response:
        now, until = self.clock(), deadline(request.scope)
        name = _digest(identity(call), request.scope["path"], keyed.key)
        claim = await self.store.begin(name, keyed.fingerprint, now=int(now), until=ceil(now + _lease_seconds(until)))
        if isinstance(claim, Earlier):
            return _replay(claim, request, call, keyed)
        holder = LeaseHolder(self, claim, until)
        async with AsyncExitStack() as cleanup:
            cleanup.push_async_callback(holder.end, None)
            response = await perform(request, call, keyed.body)
            cleanup.pop_all()
        if isinstance(response, EventStream):
            response.recorder = holder
        else:
            await holder.end(_whole(response))
        return response


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

        The first call decides. It is carried out whoever leaves meanwhile, and waited for while there is time. It never raises
        for the store: the answer stands.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(answer))
        remaining = None if self._until is None else self._until - HASTE_SECONDS - asyncio.get_running_loop().time()
        await asyncio.wait((self._ending,), timeout=None if remaining is None else max(remaining, 0))

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


def _again(request: Request, body: bytes) -> Request:
    """The request with its body yet to be read."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)


def _fingerprint(request: Request, body: bytes) -> str:
    return _digest(request.method, request.scope["path"], sha256(body).hexdigest())


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()


def _lease_seconds(until: float | None) -> float:
    """As long as the function may run; in this time nobody else asks the model."""
    if until is None:
        return LONGEST_LEASE
    remaining = until - asyncio.get_running_loop().time() + MARGIN_SECONDS
    return min(max(remaining, 0) + SPARE_SECONDS, LONGEST_LEASE)


def _whole(response: Response) -> Answer | None:
    if not 200 <= response.status_code < 300:  # noqa: PLR2004 - RFC 9110, 15.3
        return None
    return Answer(response.status_code, response.headers["content-type"], bytes(response.body))


def _replay(earlier: Earlier, request: Request, call: Call, keyed: KeyedRequest) -> Response:
    """The answer again, which used no tokens.

    Raises:
        KeyReused: it was another request's.
        AnswerUnderWay: there is none yet.
    """
    if earlier.fingerprint != keyed.fingerprint:
        raise KeyReused
    if earlier.answer is None:
        raise AnswerUnderWay(retry_after=RETRY_SECONDS)
    call.add_tokens(0)
    observed_of(request.scope).replayed = True
    answer = earlier.answer
    if answer.content_type != EVENTS["content-type"]:
        return Response(answer.body, answer.status, {"content-type": answer.content_type, **REPLAYED})
    return Response(answer.body + (DONE if wants_done(request) else b""), answer.status, {**EVENTS, **REPLAYED})
