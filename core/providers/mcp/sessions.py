"""MCP of 2025: a session that begins with `initialize`, and a POST for each request.

A session is kept for whoever began it, since what a server keeps in one (a page that is open, who has logged in) is nobody else's. One that the server
no longer knows, with 404, is begun anew, once: what was asked in it was not done. docs/adr/0075-mcp-client.md has what keeping is worth.
Source: https://modelcontextprotocol.io/specification/2025-11-25/basic/transports.
"""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from itertools import count
import re
import time
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from core.errors import ApiError
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.providers.http.guarded import RedirectRefused
from core.providers.mcp.event_stream import EventReader
from core.providers.mcp.hearing import hear
from core.providers.mcp.transport import Answer, Key, Server, Transport
from core.providers.mcp.wire import (
    CLIENT,
    INVALID_REQUEST,
    NO_SESSION,
    OFFERED,
    WITH_SESSIONS,
    Denied,
    Question,
    Refusal,
    RpcError,
    Unusable,
    print_notification,
    print_reply,
    print_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_SESSIONS: Final = 256
IDLE_SECONDS: Final = 300.0
PARTING_SECONDS: Final = 1.0  # for the notes after which nothing is waited for
RETRY_SECONDS: Final = 1.0  # before a broken stream is gone on with, where the server says nothing of it
MOST_RESUMPTIONS: Final = 10
SESSION_ID: Final = re.compile(r"[\x21-\x7e]{1,1024}")
INITIALIZE: Final = Question("initialize", {"protocolVersion": OFFERED, "capabilities": {}, "clientInfo": CLIENT})
UNHEARD: Final = (Denied, Refusal, RpcError, Unusable, RedirectRefused, ApiError, OSError, ValueError)


@dataclass(slots=True)
class Session:
    """`id` is "" where the server has none; `server` has the credentials that it was last used with; `last_use` is in time.monotonic."""

    id: str
    version: str
    server: Server = field(repr=False)
    info: JsonObject = field(default_factory=dict[str, Any], repr=False)
    last_use: float = 0.0
    ids: "Iterator[int]" = field(default_factory=lambda: count(1), repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"mcp-protocol-version": self.version} | ({"mcp-session-id": self.id} if self.id else {})


class Sessions:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._sessions: dict[Key, Session] = {}
        self._opening: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._partings: set[asyncio.Task[None]] = set()

    async def ask(self, server: Server, question: Question) -> JsonObject:
        session, is_new = await self._get(server)
        try:
            return await self._ask(session, server, question)
        except (Refusal, RpcError) as refused:
            if is_new or not session.id or not _is_forgotten(refused):
                raise
        self._sessions.pop(_key(server), None)
        session, _ = await self._get(server)
        return await self._ask(session, server, question)

    async def begin(self, server: Server) -> None:
        """Have a session; raises what a refusal of `initialize` is."""
        await self._get(server)

    async def describe(self, server: Server) -> JsonObject:
        """What it said of itself when the session began."""
        return (await self._get(server))[0].info

    def is_refused(self, refused: Exception) -> bool:
        """Whether the server says that it speaks something else, now that it was asked in a new session."""
        return isinstance(refused, Refusal) and refused.status in {404, 405}

    async def close(self) -> None:
        """End all sessions, with a DELETE each."""
        for key in list(self._sessions):
            self._part(self._sessions.pop(key))
        mine = [task for task in self._partings if task.get_loop() is asyncio.get_running_loop()]
        await asyncio.gather(*mine, return_exceptions=True)

    async def _get(self, server: Server) -> tuple[Session, bool]:
        """The session, and whether it is new."""
        key = _key(server)
        async with self._opening.setdefault(key, asyncio.Lock()):
            session = self._sessions.pop(key, None)
            if session is not None and time.monotonic() - session.last_use > IDLE_SECONDS:
                self._part(session)
                session = None
            is_new = session is None
            session = session or await self._initialize(server)
            session.last_use, session.server = time.monotonic(), server
            self._sessions[key] = session  # the last of them: the first is the one that was not used for longest
            while len(self._sessions) > MOST_SESSIONS:
                self._part(self._sessions.pop(next(iter(self._sessions))))
        return session, is_new

    async def _initialize(self, server: Server) -> Session:
        async with self._transport.post(server, print_request(0, INITIALIZE)) as answer:
            session_id = answer.headers.get("mcp-session-id", "")
            if session_id and not SESSION_ID.fullmatch(session_id):
                raise Unusable("has a session whose id no header can have")
            async with aclosing(answer.messages()) as messages:
                result = await hear(messages, 0, INITIALIZE)
        version = read_version(result)
        session = Session(session_id, version, server, to_object(to_object(result).get("serverInfo")))
        note = print_notification("notifications/initialized")
        async with self._transport.post(server, note, session.headers):
            return session

    async def _ask(self, session: Session, server: Server, question: Question) -> JsonObject:
        request_id = question.number(session.ids)
        message = print_request(request_id, question)
        try:
            headers = {**session.headers, **question.key_headers}
            async with self._transport.post(server, message, headers) as answer:
                result = await self._hear(answer, session, request_id, question)
            if result is None and answer.events.last_id:
                result = await self._resume(answer.events, session, request_id, question)
        except asyncio.CancelledError:
            note = {"requestId": request_id, "reason": "The caller no longer waits."}
            await self._tell(session, server, print_notification("notifications/cancelled", note))
            raise
        if result is None:
            raise Unusable("ended its answer without a result")
        return result

    async def _resume(
        self, events: EventReader, session: Session, request_id: int, question: Question
    ) -> JsonObject | None:
        """The rest of an answer that broke off; the request is not made again, whatever is said of this one."""
        for _ in range(MOST_RESUMPTIONS):
            await asyncio.sleep(RETRY_SECONDS if events.retry is None else events.retry)
            headers = {**session.headers, "last-event-id": events.last_id}
            try:
                async with self._transport.listen(session.server, headers) as answer:
                    result = await self._hear(answer, session, request_id, question)
            except (Denied, Refusal) as refused:
                raise Unusable("broke off its answer and does not go on with it") from refused
            if result is not None or not answer.events.last_id:
                return result
            events = answer.events
        return None

    async def _hear(self, answer: Answer, session: Session, request_id: int, question: Question) -> JsonObject | None:
        async def reply(request: JsonObject) -> None:
            async with self._transport.post(session.server, print_reply(request), session.headers):
                pass

        async with aclosing(answer.messages()) as messages:
            return await hear(messages, request_id, question, reply)

    def _part(self, session: Session) -> None:
        """Have the session ended, at a time of its own."""
        if session.id:
            task = asyncio.create_task(self._end(session))
            self._partings.add(task)
            task.add_done_callback(self._partings.discard)

    async def _end(self, session: Session) -> None:
        with suppress(*unheard()):
            async with asyncio.timeout(PARTING_SECONDS):
                await self._transport.delete(session.server, session.headers)

    async def _tell(self, session: Session, server: Server, note: JsonObject) -> None:
        with suppress(*unheard()):
            async with asyncio.timeout(PARTING_SECONDS), self._transport.post(server, note, session.headers):
                pass


def read_version(result: JsonObject | None) -> str:
    """The revision that a server answers `initialize` with; raises Unusable where nobody here speaks it."""
    version = to_object(result).get("protocolVersion")
    if not isinstance(version, str) or version not in WITH_SESSIONS:
        raise Unusable("offers a revision of the protocol that is not spoken here")
    return version


def _key(server: Server) -> Key:
    return replace(server.key, owner=server.owner)


def _is_forgotten(refused: Exception) -> bool:
    """Whether it was refused because of its session: by 404, or as servers of the TypeScript SDK say it."""
    match refused:
        case Refusal(status=404) | RpcError(status=404):
            return True
        case RpcError(status=400, code=code):
            return code in {NO_SESSION, INVALID_REQUEST}
        case _:
            return False


def unheard() -> tuple[type[Exception], ...]:
    """What may go wrong with a note after which nothing is waited for."""
    from aiohttp import ClientError

    return (*UNHEARD, ClientError)
