"""One request through an ASGI app (https://asgi.readthedocs.io/en/latest/specs/www.html), and what becomes of it.

The answer leaves as the app sends it. An app that fails before its answer began is answered for, in the product's error
body; afterwards the answer ends with an error that Lambda sees. The deadline here is the last resort: core/web ends what
it serves earlier, and better.
"""

import asyncio
from collections.abc import Awaitable
from enum import Enum, auto
import json
import logging
from typing import Any, Final

from starlette.types import ASGIApp, Message

from core.errors import ApiError, UpstreamTimeout
from core.runtime.connection import NO_BODY, HungUp
from core.runtime.http_events import HttpRequest
from core.runtime.invocations import Failure, ResponseStream, RuntimeApi

log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 1.0  # for an app to end after its client has left, or once it is cancelled
GO_ON: Final = "llambda.go_on"  # of a scope, as core/web/streamed.py has it, which comes with the app
OUT_OF_TIME: Final = "There was no answer before the function's time was up."
INCOMPLETE: Final = Failure("IncompleteAnswer", "The answer is incomplete. The function's log says why.")


class Stage(Enum):
    """How far the app's answer is."""

    NOT_BEGUN = auto()
    BEGUN = auto()
    OVER = auto()


class Cycle:
    """The ASGI side of an invocation; `client_gone` is done when nobody reads the answer any more. An app that `goes_on` then has its time."""

    _response: ResponseStream  # from BEGUN on

    def __init__(self, request: HttpRequest, body: bytes, api: RuntimeApi, request_id: str) -> None:
        """Begin nothing yet: the answer begins with the app's first message."""
        self.stage = Stage.NOT_BEGUN
        self.events = False
        self.goes_on = False
        request.scope[GO_ON] = self.go_on
        self.client_gone = asyncio.get_running_loop().create_future()
        self._request = request
        self._api = api
        self._request_id = request_id
        self._messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._no_body = False
        self._over = asyncio.Event()

    def go_on(self) -> None:
        """The app goes on to its end whoever has left."""
        self.goes_on = True

    async def receive(self) -> Message:
        """The request at once, then nothing until the answer is over or the client has left."""
        if self._messages:
            return self._messages.pop()
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass the app's message on, and wait while it is read slowly; what nobody reads any more is dropped."""
        if not self.client_gone.done():
            await self.while_client_reads(self._pass_on(message))

    async def while_client_reads(self, work: Awaitable[None]) -> None:
        """Do `work`; where it finds that nobody reads the answer any more, that is no failure."""
        try:
            await work
        except HungUp:
            self.mark_client_gone()

    async def _pass_on(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and self.stage is Stage.NOT_BEGUN:
            await self._begin(message["status"], list(message.get("headers", [])))
        elif kind == "http.response.body" and self.stage is Stage.BEGUN:
            if message.get("body") and not self._no_body:
                await self.write(message["body"])
            if not message.get("more_body", False):
                await self.end()
        else:
            raise RuntimeError(f"The app sent {kind} when its answer was {self.stage.name}.")

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        prelude = self._request.prelude(status, headers)
        self.events = any(name.lower() == b"content-type" and b"text/event-stream" in value for name, value in headers)
        self._no_body = self._request.scope["method"] == "HEAD" or status in NO_BODY
        response = await self._api.open_response(self._request_id)
        self.stage, self._response = Stage.BEGUN, response  # only now, when it will leave at once
        response.over.add_done_callback(self._on_reply)
        await response.write(prelude)

    async def write(self, data: bytes) -> None:
        """A chunk of the body; raises HungUp."""
        await self._response.write(data)

    async def end(self, failure: Failure | None = None) -> None:
        """The body's end; raises HungUp."""
        self.stage = Stage.OVER
        await self._response.end(failure)
        self._over.set()

    async def close(self) -> None:
        """Wait for the Runtime API's reply, or give the answer up; raises RuntimeApiFailed."""
        if self.stage is Stage.OVER and not self.client_gone.done():
            await self.while_client_reads(self._response.await_reply())
        if self.stage is not Stage.NOT_BEGUN and self.client_gone.done():
            log.warning("the client left before the end of the answer")
            await self._response.abandon()

    def _on_reply(self, _: object) -> None:
        if self.stage is not Stage.OVER:
            self.mark_client_gone()

    def mark_client_gone(self) -> None:
        self._over.set()
        if not self.client_gone.done():
            self.client_gone.set_result(None)


async def respond(app: ASGIApp, cycle: Cycle, request: HttpRequest, until: float) -> None:
    """Run `app` until it is done, its client has left, or `until`, in the loop's time; then it is cancelled.

    Raises:
        RuntimeApiFailed: this environment cannot go on.
    """
    loop = asyncio.get_running_loop()
    running = loop.create_task(_run(app, cycle, request))  # a task has a context of its own
    await asyncio.wait(
        (running, cycle.client_gone), timeout=max(0, until - loop.time()), return_when=asyncio.FIRST_COMPLETED
    )
    late = not running.done() and not cycle.client_gone.done()
    if cycle.client_gone.done():
        await asyncio.wait((running,), timeout=max(0, until - loop.time()) if cycle.goes_on else GRACE_SECONDS)
    await cancel(running)
    await cycle.while_client_reads(_finish(cycle, _failure(running), late=late))
    await cycle.close()


async def _run(app: ASGIApp, cycle: Cycle, request: HttpRequest) -> None:
    await app(request.scope, cycle.receive, cycle.send)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel these and wait for their end, for at most GRACE_SECONDS."""
    for task in tasks:
        task.cancel()
    _, stubborn = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for task in stubborn:
        log.error("%s does not end when it is cancelled", task.get_name())


def _failure(running: asyncio.Task[None]) -> BaseException | None:
    return running.exception() if running.done() and not running.cancelled() else None


async def _finish(cycle: Cycle, failure: BaseException | None, *, late: bool) -> None:
    """Make an answer whole that the app left unfinished; its own errors stay in the log."""
    if failure is not None:
        log.error("the app failed", exc_info=failure)
    if cycle.stage is Stage.OVER or cycle.client_gone.done():
        return
    if late:
        log.error("the function's time is up")
    if cycle.stage is Stage.NOT_BEGUN:
        await _send_error(cycle, UpstreamTimeout(OUT_OF_TIME) if late else _bug())
    elif late and cycle.events:
        await cycle.write(b"data: %b\n\n" % _body(UpstreamTimeout(OUT_OF_TIME)))
        await cycle.end()
    else:
        await cycle.end(INCOMPLETE if failure is None else Failure.from_exception(failure, INCOMPLETE.message))


async def _send_error(cycle: Cycle, failure: ApiError) -> None:
    body = _body(failure)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await cycle.send({"type": "http.response.start", "status": failure.status, "headers": headers})
    await cycle.send({"type": "http.response.body", "body": body})


def _body(failure: ApiError) -> bytes:
    from core.web.failures import error_body  # with the app, which is there by now

    return json.dumps(error_body(failure)).encode()


def _bug() -> ApiError:
    from core.web.failures import Bug

    return Bug()
