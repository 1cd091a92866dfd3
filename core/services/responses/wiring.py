"""What the router of responses works with, out of the parts of a stack and for one call; imported when a response is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.apis.responses import ResponseRequest
from core.errors import InvalidRequest
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.parts import Parts, surface_for
from core.services.responses.attachments import Attachments
from core.services.responses.contract import Engine, Item, RunTools
from core.services.responses.engine.rounds import RoundEngine
from core.services.responses.native.finding import find_native
from core.services.responses.printing.shown import ENCRYPTED, show_item
from core.services.responses.router import Pieces, ResponsesRouter
from core.services.responses.settings import settings_of
from core.services.responses.state.place import StatePlace
from core.services.responses.state.responses import KeptResponses
from core.services.responses.state.sessions import ThreadHistory
from core.services.responses.tools.told import teller_in

NO_FETCHER: Final = (
    "This stack fetches no files: add a provider of the type `inline::rag-runtime` to `tool_runtime` of the run config, or send the file "
    "itself as `file_data`, or upload it to /v1/files."
)

if TYPE_CHECKING:
    from core.apis.rag import Fetched
    from core.apis.sealing import DataKeys
    from core.services.responses.compaction.compactor import Compactor
    from core.services.responses.sealing.sealer import Sealer


@dataclass(frozen=True, slots=True)
class Wiring:
    """Of one call; `data_keys` are the stack's, of which one object remembers what it was given."""

    parts: Parts
    call: Call | None
    data_keys: "Callable[[], DataKeys]"

    async def find_engine(self, request: ResponseRequest) -> Engine:
        """The stack's own, or that of a native model, between the shields that the request names."""
        engine: Engine | None = await find_native(self.parts, self.call, request)
        if engine is None:
            inference, tell = surface_for(self.parts, "inference", self.call), teller_in(self.parts.vector_stores)
            engine = RoundEngine(inference, self.call, tell=tell)
            if ENCRYPTED in (request.include or ()):
                from core.services.responses.sealing.reasoning import SealingEngine  # late, here and below: few have it

                engine = SealingEngine(engine, self._sealer())
        return self._guard(request, engine) if request.guardrails else engine

    async def find_tools(self, request: ResponseRequest) -> RunTools:
        from core.services.responses.tools.resolving import resolve_tools  # late: much of what is asked is no run
        from core.services.responses.tools.surfaces import surfaces_of

        return resolve_tools(request, surfaces_of(self.parts, self.call))

    async def find_prompt(self, prompt: JsonObject) -> Sequence[Item]:
        from core.services.prompts.resolving import resolve_prompt

        return await resolve_prompt(self.parts, self.call, prompt)

    async def fetch(self, url: str, path: str) -> "Fetched":
        """By the guarded fetcher of a provider of tools; raises InvalidRequest where there is none."""
        from core.apis.rag import FetchesDocuments

        providers = self.parts.providers("tool_runtime").values()
        fetcher = next((provider for provider in providers if isinstance(provider, FetchesDocuments)), None)
        if fetcher is None:
            raise InvalidRequest(NO_FETCHER, param=path)
        return await fetcher.fetch_document(url, param=path)

    def attachments(self) -> Attachments:
        return Attachments(lambda: surface_for(self.parts, "files", self.call), self.fetch)

    def compactor(self) -> "Compactor":
        from core.services.responses.compaction.compactor import Compactor

        inference = surface_for(self.parts, "inference", self.call)
        return Compactor(inference, self._sealer(), settings_of(self.parts).compaction)

    def _sealer(self) -> "Sealer":
        from core.services.responses.sealing.sealer import Sealer

        return Sealer(self.data_keys(), self.call)

    def _guard(self, request: ResponseRequest, engine: Engine) -> Engine:
        from core.services.responses.guardrails import NO_SAFETY, GuardedEngine, shields_of

        shields = shields_of(request, self.parts.safety.default_shield_id)
        safety = surface_for(self.parts, "safety", None if self.call is None else self.call.cause())
        if safety is None:
            raise InvalidRequest(NO_SAFETY, param="guardrails")
        return GuardedEngine(engine, safety, shields)


def responses_of(parts: Parts, call: Call | None, data_keys: "Callable[[], DataKeys]") -> ResponsesRouter:
    """The surface `responses` of a call."""
    wiring, settings = Wiring(parts, call, data_keys), settings_of(parts)
    state = StatePlace.of(parts, call)
    history = ThreadHistory(state)
    return ResponsesRouter(
        Pieces(
            engine=wiring.find_engine,
            history=lambda: history,
            tools=wiring.find_tools,
            prompt=wiring.find_prompt,
            attachments=wiring.attachments,
            records=lambda: KeptResponses(state, show_item),
            read_context=history.read,
            compactor=wiring.compactor,
            max_rounds=settings.max_rounds,
            compacts=settings.compaction.threshold is not None,
        )
    )
