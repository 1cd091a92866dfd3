"""Responses and conversations as callers of one store have them, without a model: what is kept is what the test says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from core.apis.conversations import IncludeQuery, NewConversation, NewItems
from core.apis.response_queries import InputItemsQuery, ResponsesQuery
from core.apis.response_settings import ResponseSettings
from core.apis.responses import ResponseRequest
from core.config.policy import AccessRule
from core.frame.callers import Call, KeepLimits, Principal
from core.frame.types import JsonObject
from core.routing.guard import Enforcement
from core.routing.policy import DEFAULT_POLICY, Policy
from core.services.conversations.router import ConversationsRouter
from core.services.parts import Parts
from core.services.responses.contract import Item
from core.services.responses.history import Session
from core.services.responses.items import read_input
from core.services.responses.output import make_id
from core.services.responses.printing.objects import begin_response
from core.services.responses.printing.shown import show_item
from core.services.responses.state.place import StatePlace
from core.services.responses.state.responses import KeptResponses
from core.services.responses.state.sessions import ThreadHistory
from core.stores.documents.port import Document, DocumentPage, DocumentStore, Order, Tally
from core.stores.documents.port import Place as ListPlace
from tests.contract.documents import Clock

NEWEST = InputItemsQuery.model_construct(after=None, before=None, include=None, limit=20, order="desc")
MINE = ResponsesQuery.model_construct(after=None, limit=50, model=None, order="desc")


@dataclass
class CountedStore:
    """A DocumentStore that counts what it is asked for."""

    store: DocumentStore
    asked: dict[str, int] = field(default_factory=dict[str, int])

    def _note(self, name: str) -> None:
        self.asked[name] = self.asked.get(name, 0) + 1

    async def create(self, document: Document, *, tally: Sequence[Tally] = ()) -> Document:
        self._note("create")
        return await self.store.create(document, tally=tally)

    async def create_all(
        self, documents: Sequence[Document], *, replacing: Sequence[Document] = (), tally: Sequence[Tally] = ()
    ) -> list[Document]:
        self._note("create_all")
        return await self.store.create_all(documents, replacing=replacing, tally=tally)

    async def create_soon(self, documents: Sequence[Document]) -> list[Document]:
        self._note("create_soon")
        return await self.store.create_soon(documents)

    async def get(self, collection: str, id: str) -> Document | None:  # noqa: A002 - as the port has it
        self._note("get")
        return await self.store.get(collection, id)

    async def put(self, document: Document, body: JsonObject, **more: Any) -> Document:
        self._note("put")
        return await self.store.put(document, body, **more)

    async def delete(self, document: Document, *, expect: int | None = None, tally: Sequence[Tally] = ()) -> bool:
        self._note("delete")
        return await self.store.delete(document, expect=expect, tally=tally)

    async def page(
        self,
        collection: str,
        parent: str = "",
        *,
        order: Order = "asc",
        after: str | ListPlace | None = None,
        limit: int,
        most_bytes: int | None = None,
    ) -> DocumentPage:
        self._note("page")
        return await self.store.page(collection, parent, order=order, after=after, limit=limit, most_bytes=most_bytes)

    async def tallies(self, collection: str, id: str) -> dict[str, int]:  # noqa: A002
        return await self.store.tallies(collection, id)

    async def drop_tallies(self, collection: str, id: str) -> None:  # noqa: A002
        await self.store.drop_tallies(collection, id)

    def warm(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Kept:
    """What `Parts` has of a stack that a state needs; `store` is the one for every collection."""

    store: DocumentStore
    limits: KeepLimits = KeepLimits()  # noqa: RUF009 - frozen
    enforcement: Enforcement = Enforcement(Policy(DEFAULT_POLICY))  # noqa: RUF009 - frozen

    @property
    def stores(self) -> "Kept":
        return self

    def collection(self, name: str) -> DocumentStore:
        del name
        return self.store

    def find_collection(self, name: str) -> DocumentStore:
        return self.collection(name)

    def keep_limits(self, principal: Principal | None) -> KeepLimits:
        return KeepLimits() if principal is None else self.limits

    def providers(self, api: str) -> Mapping[str, Any]:
        del api
        return {}


def call_of(name: str) -> Call:
    return Call(Principal(name, {"roles": (name,)}, "test"))


def user(text: str) -> Item:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def texts(items: Sequence[Item]) -> list[str]:
    return [item["content"][0]["text"] for item in items]


async def _no_compactions(items: Sequence[Item]) -> None:
    raise AssertionError(items)


@dataclass
class Caller:
    """One caller of `kept`; `clock` is everybody's."""

    kept: Kept
    name: str = "ada"
    clock: Callable[[], float] = field(default_factory=Clock)
    settings: ResponseSettings = ResponseSettings()  # noqa: RUF009 - frozen

    @property
    def state(self) -> StatePlace:
        return StatePlace(cast("Parts", self.kept), call_of(self.name), self.settings, self.clock)

    @property
    def responses(self) -> KeptResponses:
        return KeptResponses(self.state, show_item)

    @property
    def conversations(self) -> ConversationsRouter:
        return ConversationsRouter(self.state, show_item, _no_compactions)

    async def open(self, **request: Any) -> Session:
        return await ThreadHistory(self.state).open(ResponseRequest.model_validate({"model": "m", **request}))

    async def respond(self, text: str, *, status: str = "completed", **request: Any) -> JsonObject:
        """A response whose model repeats the input in capitals."""
        session = await self.open(**request)
        try:
            return await self.end(session, text, status=status, **request)
        finally:
            await session.close()

    async def end(self, session: Session, text: str, *, status: str = "completed", **request: Any) -> JsonObject:
        wanted = ResponseRequest.model_validate({"model": "m", **request})
        response = begin_response(wanted, session.conversation_id)
        response |= {"status": status, "created_at": int(self.clock())}
        answer = {**user(text.upper()), "role": "assistant", "id": make_id("msg_", session.tail)}
        kept = {name: value for name, value in response.items() if name != "output"}
        await session.finish(kept, read_input([user(text)], session.context), [answer])
        return response

    async def context(self, **request: Any) -> str:
        """What a model would be told, in one line."""
        session = await self.open(store=False, **request)
        return " ".join(texts(session.context))

    async def converse(self, *items: str) -> str:
        """A new conversation with these messages; its id."""
        made = await self.conversations.create(NewConversation(items=[user(text) for text in items] or None))
        identifier: str = made["id"]
        return identifier

    async def add(self, conversation: str, *items: str) -> JsonObject:
        request = NewItems(items=[user(text) for text in items])
        return await self.conversations.add_items(request, conversation, query=IncludeQuery())

    async def items(self, conversation: str, **query: Any) -> JsonObject:
        return await self.conversations.list_items(conversation, query=NEWEST.model_copy(update=query))


def policy_of(*rules: dict[str, Any]) -> Enforcement:
    return Enforcement(Policy([AccessRule.model_validate(rule) for rule in rules]))
