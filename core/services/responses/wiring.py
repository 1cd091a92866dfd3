"""What the router of responses works with, out of the parts of a stack and for one call; imported when a response is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.apis.responses import ResponseRequest
from core.errors import InvalidRequest
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.services.parts import Parts, surface_for
from core.services.responses.attachments import Attachments
from core.services.responses.contract import Engine, Item, Run, RunTools
from core.services.responses.engine.messages import pair_outputs, teller_in
from core.services.responses.engine.rounds import RoundEngine
from core.services.responses.native.finding import answers_itself, find_native
from core.services.responses.printing.shown import ENCRYPTED
from core.services.responses.router import Pieces, ResponsesRouter
from core.services.responses.settings import settings_of
from core.services.responses.state.place import StatePlace
from core.services.responses.state.sessions import ThreadHistory
from core.services.responses.tools.no_tools import NoTools, needs_tools

NO_FETCHER: Final = (
    "This stack fetches no files: add a provider of the type `inline::rag-runtime` to `tool_runtime` of the run config, or send the file "
    "itself as `file_data`, or upload it to /v1/files."
)

if TYPE_CHECKING:
    from core.apis.rag import Fetched
    from core.apis.sealing import DataKeys
    from core.services.responses.background.creating import Background
    from core.services.responses.background.handing import Handover
    from core.services.responses.background.metering import Meter
    from core.services.responses.compaction.compactor import Compactor
    from core.services.responses.recording.serving import StoredResponses
    from core.services.sealing.sealer import Sealer


@dataclass(frozen=True, slots=True)
class Wiring:
    """Of one call; `data_keys` are the stack's, of which one object remembers what it was given. A worker's call has a `meter`."""

    parts: Parts
    call: Call | None
    data_keys: "Callable[[], DataKeys]"
    meter: "Meter | None" = None

    async def find_engine(self, request: ResponseRequest) -> Engine:
        """The stack's own, or that of a native model, between the shields that the request names."""
        engine: Engine | None = await find_native(self.parts, self.call, request)
        if engine is None:
            inference: Any = surface_for(self.parts, "inference", self.call)
            tell = teller_in(self.parts.vector_stores)
            if self.meter is not None:
                from core.services.responses.background.metering import MeteredInference

                inference = MeteredInference(inference, self.meter)
            engine = RoundEngine(inference, self.call, tell=tell)
            if ENCRYPTED in (request.include or ()):
                from core.services.responses.sealing.reasoning import PURPOSE, SealingEngine  # late, here and below

                engine = SealingEngine(engine, self.sealer(PURPOSE))
        return self._guard(request, engine) if request.guardrails else engine

    async def find_tools(self, request: ResponseRequest) -> RunTools:
        if not needs_tools(request):
            return NoTools()
        from core.services.responses.tools.resolving import resolve_tools  # late: few requests have tools
        from core.services.responses.tools.surfaces import surfaces_of

        return resolve_tools(request, surfaces_of(self.parts, self.call))

    async def check_tools(self, request: ResponseRequest) -> None:
        """Raise what `find_tools`, and the preparation of what it finds, would for what this stack lacks."""
        if needs_tools(request):
            from core.services.responses.tools.resolving import resolve_tools
            from core.services.responses.tools.surfaces import surfaces_of

            tools = resolve_tools(request, surfaces_of(self.parts, self.call))
            if await find_native(self.parts, self.call, request) is None:  # else they are its provider's affair
                await tools.check()

    async def check_model(self, model: str) -> None:
        """Raise NotFound or InvalidRequest for one that cannot answer the caller, where it is the stack's models that answer."""
        if not answers_itself(self.parts):
            await surface_for(self.parts, "native_responses", self.call).require(model)

    async def check_shields(self, request: ResponseRequest) -> None:
        """Raise NotFound for a shield that the request names and the caller may not use; none is asked."""
        if not request.guardrails:
            return
        from core.services.responses.guardrails import naming_shield

        safety, shields = self._shields(request)
        for place, shield in enumerate(shields):
            with naming_shield(place):
                await safety.require(shield)

    async def check_run(self, request: ResponseRequest, run: Run) -> None:
        """Raise InvalidRequest for a context that no model can be told."""
        from core.services.responses.engine.checking import check_told  # late: runs in the background alone are checked

        if await find_native(self.parts, self.call, request) is None:
            check_told(run, teller_in(self.parts.vector_stores))
        else:  # the rest its provider says
            pair_outputs(run.context, run.kept_count)

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

    def background(self) -> "Background":
        from core.services.responses.background.creating import Background  # late: few responses are

        return Background(self, pieces_of(self))

    async def find_handover(self, request: ResponseRequest) -> "Handover | None":
        """For a run that may go on by a worker, and whose call has an end."""
        may = request.background == "auto" or (request.background is None and settings_of(self.parts).background)
        if not may or request.store is False or (self.call is not None and self.call.provider_data):
            return None
        from core.services.responses.background.handing import find_handover

        return await find_handover(self, request)

    def compactor(self) -> "Compactor":
        from core.services.responses.compaction.compactor import Compactor

        inference = surface_for(self.parts, "inference", self.call)
        return Compactor(inference, self.sealer(), settings_of(self.parts).compaction)

    def sealer(self, purpose: str = "") -> "Sealer":
        from core.services.sealing.sealer import Sealer

        return Sealer(self.data_keys(), self.call, purpose)

    def _guard(self, request: ResponseRequest, engine: Engine) -> Engine:
        from core.services.responses.guardrails import GuardedEngine, Guardrails

        return GuardedEngine(engine, Guardrails(*self._shields(request)))

    def _shields(self, request: ResponseRequest) -> tuple[Any, Sequence[str]]:
        """The surface `safety`, and the ids of the shields that the request names. Raises InvalidRequest where there is no such thing here."""
        from core.services.responses.guardrails import NO_SAFETY, shields_of

        shields = shields_of(request, self.parts.safety.default_shield_id)
        safety = surface_for(self.parts, "safety", None if self.call is None else self.call.cause())
        if safety is None:
            raise InvalidRequest(NO_SAFETY, param="guardrails")
        return safety, shields


def responses_of(parts: Parts, call: Call | None, data_keys: "Callable[[], DataKeys]") -> ResponsesRouter:
    """The surface `responses` of a call."""
    return ResponsesRouter(pieces_of(Wiring(parts, call, data_keys)))


def pieces_of(wiring: Wiring) -> Pieces:
    """What a response of this call is made with."""
    settings, state = settings_of(wiring.parts), StatePlace.of(wiring.parts, wiring.call)
    history = ThreadHistory(state)
    return Pieces(
        engine=wiring.find_engine,
        history=lambda: history,
        tools=wiring.find_tools,
        prompt=wiring.find_prompt,
        attachments=wiring.attachments,
        records=lambda: _records_in(state),
        read_context=history.read,
        compactor=wiring.compactor,
        max_rounds=settings.max_rounds,
        compacts=settings.compaction.threshold is not None,
        background=wiring.background,
        handover=wiring.find_handover,
    )


def _records_in(state: StatePlace) -> "StoredResponses":
    from core.services.responses.printing.shown import show_item
    from core.services.responses.recording.serving import StoredResponses  # late: what is new is not looked up
    from core.services.responses.state.responses import KeptResponses

    return StoredResponses(state, KeptResponses(state, show_item))
