"""MCP of 2024-11-05: a stream of events that a GET opens, which says where requests are posted, and has their answers.

One is opened for each call and closed after it: an open stream is of no use to a Lambda function that was frozen meanwhile.
Source: https://modelcontextprotocol.io/specification/2024-11-05/basic/transports.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.providers.mcp.hearing import hear
from core.providers.mcp.sessions import INITIALIZE, PARTING_SECONDS, read_version, unheard
from core.providers.mcp.transport import NO_HEADERS, Answer, Server, Transport
from core.providers.mcp.wire import (
    Question,
    Refusal,
    Unusable,
    print_notification,
    print_reply,
    print_request,
    read_messages,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yarl import URL


@dataclass(slots=True)
class _Stream:
    server: Server = field(repr=False)
    transport: Transport
    events: AsyncGenerator[tuple[str, bytes]]
    place: "URL | None" = None
    ids: "Iterator[int]" = field(default_factory=count)

    async def find_place(self) -> None:
        """The first event says where to post. It must be within the origin: what is posted bears credentials."""
        from yarl import URL

        async for name, data in self.events:
            if name != "endpoint":
                continue
            try:
                place = self.server.url.join(URL(data.decode().strip()))
                stays = place.origin() == self.server.url.origin() and not place.user and not place.password
            except (ValueError, IndexError) as invalid:  # IndexError: yarl's, of http://[a]@
                raise Unusable("names no URL to post to") from invalid
            if not stays:
                raise Unusable("wants messages to be posted to another host than its own")
            self.place = place
            return
        raise Unusable("ended its stream before it said where to post")

    async def ask(self, question: Question) -> JsonObject:
        request_id = question.number(self.ids)
        try:
            await self.post(print_request(request_id, question), question.key_headers)
            result = await hear(self._messages(), request_id, question, self._reply)
        except asyncio.CancelledError:
            note = {"requestId": request_id, "reason": "The caller no longer waits."}
            with suppress(*unheard()):
                async with asyncio.timeout(PARTING_SECONDS):
                    await self.post(print_notification("notifications/cancelled", note))
            raise
        if result is None:
            raise Unusable("ended its stream without a result")
        return result

    async def post(self, message: JsonObject, headers: Mapping[str, str] = NO_HEADERS) -> None:
        async with self.transport.post(self.server, message, headers, url=self.place):
            pass

    async def _reply(self, request: JsonObject) -> None:
        await self.post(print_reply(request))

    async def _messages(self) -> AsyncGenerator[JsonObject]:
        """They go on with the next request: the events are not closed with it."""
        async for name, data in self.events:
            for message in read_messages(data) if name == "message" else ():
                yield message


class EventSessions:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def check(self, server: Server) -> None:
        """Raise what a refusal is, where this is not spoken."""
        async with self._open(server):
            pass

    async def ask(self, server: Server, question: Question) -> JsonObject:
        async with self._open(server) as stream:
            read_version(await stream.ask(INITIALIZE))
            await stream.post(print_notification("notifications/initialized"))
            return await stream.ask(question)

    async def describe(self, server: Server) -> JsonObject:
        async with self._open(server) as stream:
            return to_object((await stream.ask(INITIALIZE)).get("serverInfo"))

    def is_refused(self, refused: Exception) -> bool:
        """Whether the server says that it speaks something else."""
        return isinstance(refused, Refusal) and 400 <= refused.status < 500  # noqa: PLR2004 - RFC 9110: of the client

    @asynccontextmanager
    async def _open(self, server: Server) -> AsyncGenerator[_Stream]:
        answer: Answer
        async with self._transport.listen(server) as answer, aclosing(answer.named_events()) as events:
            stream = _Stream(server, self._transport, events)
            await stream.find_place()
            yield stream
