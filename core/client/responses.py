"""Responses, conversations and prompts of a running stack."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from core.client.http import Transport
from core.client.shapes import check_shape, path_of

if TYPE_CHECKING:
    from core.apis.answers.conversations import Conversation, ConversationItemList
    from core.apis.answers.prompts import Prompt, PromptList
    from core.apis.answers.responses import ItemList, Response, ResponseList
    from core.frame.types import JsonObject

SECONDS: Final = 900.0
"""Without a byte: as long as a function may think."""


class Responses:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, body: "Mapping[str, Any]") -> "Response":
        """Its `body` is that of `POST /v1/responses`."""
        from core.apis.answers.responses import Response

        answer = self._transport.send("POST", "/v1/responses", dict(body), timeout=SECONDS)
        return check_shape(answer, Response)

    def stream(self, body: "Mapping[str, Any]") -> "Iterator[JsonObject]":
        """Its events, each with a `type`; a response that failed has one that says so. Raises as `Transport.stream` does."""
        return self._transport.stream("/v1/responses", {**body, "stream": True}, timeout=SECONDS)

    def follow(self, response_id: str, *, starting_after: int | None = None) -> "Iterator[JsonObject]":
        """The events of a stored response, as `stream` has them, behind the one with this `sequence_number`; those to come too, until it has ended."""
        query = {"stream": "true", "starting_after": starting_after}
        return self._transport.stream(path_of("responses", response_id), query=query, timeout=SECONDS)

    def list(self, *, after: str | None = None, limit: int | None = None, model: str | None = None) -> "ResponseList":
        """At most `limit` of the caller's (100 at the most), the newest first."""
        from core.apis.answers.responses import ResponseList

        query = {"after": after, "limit": limit, "model": model}
        return check_shape(self._transport.send("GET", "/v1/responses", query=query), ResponseList)

    def get(self, response_id: str) -> "Response":
        from core.apis.answers.responses import Response

        return check_shape(self._transport.send("GET", path_of("responses", response_id)), Response)

    def input_items(self, response_id: str, *, after: str | None = None, limit: int = 100) -> "ItemList":
        """A page of what it was asked, the oldest first."""
        from core.apis.answers.responses import ItemList

        query = {"after": after, "limit": limit, "order": "asc"}
        path = f"{path_of('responses', response_id)}/input_items"
        return check_shape(self._transport.send("GET", path, query=query), ItemList)

    def cancel(self, response_id: str) -> "Response":
        """Stop one that has not ended; what was whole by then is kept."""
        from core.apis.answers.responses import Response

        return check_shape(self._transport.send("POST", f"{path_of('responses', response_id)}/cancel"), Response)

    def delete(self, response_id: str) -> None:
        self._transport.send("DELETE", path_of("responses", response_id))


class Conversations:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, metadata: Mapping[str, str] | None = None) -> "Conversation":
        return self._one("POST", "/v1/conversations", {"metadata": dict(metadata or {})})

    def get(self, conversation_id: str) -> "Conversation":
        return self._one("GET", path_of("conversations", conversation_id))

    def items(self, conversation_id: str, *, after: str | None = None, limit: int = 100) -> "ConversationItemList":
        """A page, the oldest first."""
        from core.apis.answers.conversations import ConversationItemList

        query = {"after": after, "limit": limit, "order": "asc"}
        path = f"{path_of('conversations', conversation_id)}/items"
        return check_shape(self._transport.send("GET", path, query=query), ConversationItemList)

    def delete(self, conversation_id: str) -> None:
        self._transport.send("DELETE", path_of("conversations", conversation_id))

    def _one(self, method: str, path: str, body: object = None) -> "Conversation":
        from core.apis.answers.conversations import Conversation

        return check_shape(self._transport.send(method, path, body), Conversation)


class Prompts:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, prompt: str) -> "Prompt":
        return self._one("POST", "/v1/prompts", {"prompt": prompt})

    def update(self, prompt_id: str, prompt: str, version: int, *, set_as_default: bool = True) -> "Prompt":
        """The next version, of one whose newest is `version`."""
        body = {"prompt": prompt, "version": version, "set_as_default": set_as_default}
        return self._one("PUT", path_of("prompts", prompt_id), body)

    def list(self) -> "PromptList":
        return self._list("/v1/prompts")

    def get(self, prompt_id: str, version: int | None = None) -> "Prompt":
        from core.apis.answers.prompts import Prompt

        answer = self._transport.send("GET", path_of("prompts", prompt_id), query={"version": version})
        return check_shape(answer, Prompt)

    def versions(self, prompt_id: str) -> "PromptList":
        return self._list(f"{path_of('prompts', prompt_id)}/versions")

    def delete(self, prompt_id: str) -> None:
        self._transport.send("DELETE", path_of("prompts", prompt_id))

    def _list(self, path: str) -> "PromptList":
        from core.apis.answers.prompts import PromptList

        return check_shape(self._transport.send("GET", path), PromptList)

    def _one(self, method: str, path: str, body: object) -> "Prompt":
        from core.apis.answers.prompts import Prompt

        return check_shape(self._transport.send(method, path, body), Prompt)
