"""A provider of agents written for Llama Stack 0.2, as one of this stack's.

Source: the Agents protocol of Llama Stack 0.2.12.
"""

from collections.abc import AsyncIterator, Mapping
from inspect import isawaitable
from types import SimpleNamespace
from typing import Any, Final

from core.errors import InvalidRequest, NotFound, UpstreamFailed
from core.frame.types import Health, JsonObject, JsonStream
from core.platform.json_values import to_object
from core.resolution.external.reference.calls import Translated, own_method, parameters
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.records import plain, record

METHODS: Final = ("create_agent", "create_agent_session", "create_agent_turn", "resume_agent_turn")
DELETES: Final = {"agent": "delete_agent", "session": "delete_agents_session"}
MESSAGES: Final = {"user": "OpenAIUserMessageParam", "tool": "OpenAIToolMessageParam"}
"""By role: the one class of each that this stack has for all versions; a field more is kept."""


class ReferenceAgents:
    """`provider` has METHODS."""

    def __init__(self, provider_id: str, provider: Any, data: SimpleNamespace | None = None) -> None:  # noqa: ANN401 - somebody else's object
        self._provider_id = provider_id
        self._provider = provider
        self._data = data
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceAgents":
        """This provider for a caller who brings `data`, which its `get_request_provider_data()` then returns."""
        return ReferenceAgents(self._provider_id, self._provider, SimpleNamespace(**data))

    async def create_agent(self, config: JsonObject) -> str:
        answer = await self._ask("create_agent", agent_config=record("AgentConfig", **config))
        return str(_fields(plain(answer)).get("agent_id") or "")

    async def create_session(self, agent_id: str, name: str) -> str:
        answer = await self._ask("create_agent_session", agent_id=agent_id, session_name=name)
        return str(_fields(plain(answer)).get("session_id") or "")

    async def stream_turn(self, agent_id: str, session_id: str, request: JsonObject) -> JsonStream:
        fields = {name: value for name, value in request.items() if value is not None}
        fields["messages"] = [record(MESSAGES[message["role"]], **message) for message in request["messages"]]
        fields["documents"] = [record("Document", **row) for row in request.get("documents") or ()] or None
        if config := request.get("tool_config"):
            fields["tool_config"] = record("ToolConfig", **config)
        place = {"agent_id": agent_id, "session_id": session_id, "stream": True}
        return self._events(await self._ask("create_agent_turn", **fields | place))

    async def stream_resumed_turn(
        self, agent_id: str, session_id: str, turn_id: str, answers: list[JsonObject]
    ) -> JsonStream:
        responses = [record("ToolResponse", **answer) for answer in answers]
        place = {"agent_id": agent_id, "session_id": session_id, "turn_id": turn_id, "stream": True}
        return self._events(await self._ask("resume_agent_turn", tool_responses=responses, **place))

    async def delete_session(self, agent_id: str, session_id: str) -> None:
        await self._delete("session", agent_id=agent_id, session_id=session_id)

    async def delete_agent(self, agent_id: str) -> None:
        await self._delete("agent", agent_id=agent_id)

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()

    async def _delete(self, kind: str, **ids: str) -> None:
        """What a package does not find, or cannot delete, is no failure."""
        method = own_method(self._provider, DELETES[kind])
        if method is not None:
            try:
                with Translated(self._provider_id, self._data):
                    answer = method(**ids)
                    await answer if isawaitable(answer) else None
            except (KeyError, NotFound, InvalidRequest):
                return

    async def _ask(self, name: str, **fields: Any) -> Any:  # noqa: ANN401 - a package's answer
        method = getattr(self._provider, name)
        offered = parameters(method)
        arguments = {key: value for key, value in fields.items() if key in offered and value is not None}
        with Translated(self._provider_id, self._data):
            answer = method(**arguments)
            return await answer if isawaitable(answer) else answer

    async def _events(self, stream: Any) -> JsonStream:  # noqa: ANN401 - a package's answer
        """Its chunks as JSON."""
        if not hasattr(stream, "__aiter__"):
            raise UpstreamFailed(f"Provider `{self._provider_id}` answered a turn with something else than events.")
        chunks: AsyncIterator[Any] = aiter(stream)
        try:
            while True:
                with Translated(self._provider_id, self._data):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield _fields(plain(chunk))
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()


def _fields(answer: object) -> JsonObject:
    return to_object(answer) or to_object(getattr(answer, "__dict__", {}))
