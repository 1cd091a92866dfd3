"""Agents of a provider that runs them itself, asked for one call."""

from collections.abc import Awaitable, Callable
from typing import Final, cast

from core.apis.agents import RunsAgents
from core.errors import ProviderUnavailable, UpstreamFailed
from core.frame.callers import ActingFor, Call
from core.frame.types import JsonObject, JsonStream
from core.services.parts import Parts
from core.services.responses.native.charging import acting

API: Final = "responses"
LONGEST_ID: Final = 1000  # characters


class ProvidedAgents:
    """`provider` with what the call brings for it; its code runs for the call."""

    def __init__(self, provider_id: str, provider: RunsAgents, call: Call | None) -> None:
        self.id = provider_id
        self._provider = provider
        self._call = call

    @classmethod
    def find(cls, parts: Parts, call: Call | None, provider_id: str = "") -> "ProvidedAgents | None":
        """The provider of this id, or the first that runs agents; None where there is none."""
        for name, provider in parts.providers(API).items():
            # not by the type: one of another package hands on what it is asked for
            if provider_id in {"", name} and hasattr(provider, "stream_turn"):
                return cls(name, cast("RunsAgents", _for_caller(provider, call)), call)
        return None

    @classmethod
    def of(cls, parts: Parts, call: Call | None, provider_id: str) -> "ProvidedAgents":
        """Raises ProviderUnavailable where the stack does not configure it."""
        provided = cls.find(parts, call, provider_id)
        if provided is None:
            raise ProviderUnavailable(
                f"The agent belongs to provider `{provider_id}`, which this stack does not configure."
            )
        return provided

    async def create_agent(self, config: JsonObject) -> str:
        return self._read_id(await self._ask(lambda: self._provider.create_agent(config)))

    async def create_session(self, agent_id: str, name: str) -> str:
        return self._read_id(await self._ask(lambda: self._provider.create_session(agent_id, name)))

    async def stream_turn(self, agent_id: str, session_id: str, request: JsonObject) -> JsonStream:
        return acting(await self._ask(lambda: self._provider.stream_turn(agent_id, session_id, request)), self._call)

    async def stream_resumed_turn(
        self, agent_id: str, session_id: str, turn_id: str, answers: list[JsonObject]
    ) -> JsonStream:
        events = await self._ask(lambda: self._provider.stream_resumed_turn(agent_id, session_id, turn_id, answers))
        return acting(events, self._call)

    async def delete_session(self, agent_id: str, session_id: str) -> None:
        await self._ask(lambda: self._provider.delete_session(agent_id, session_id))

    async def delete_agent(self, agent_id: str) -> None:
        await self._ask(lambda: self._provider.delete_agent(agent_id))

    async def _ask[T](self, ask: Callable[[], Awaitable[T]]) -> T:
        with ActingFor(self._call):
            return await ask()

    def _read_id(self, identifier: object) -> str:
        if not isinstance(identifier, str) or not 0 < len(identifier) <= LONGEST_ID:
            raise UpstreamFailed(f"Provider `{self.id}` did not say the id of what it made.")
        return identifier


def _for_caller(provider: object, call: Call | None) -> object:
    take = getattr(provider, "with_provider_data", None)
    if call is None or not call.provider_data or take is None:
        return provider
    with ActingFor(call):
        return cast("object", take(call.provider_data))
