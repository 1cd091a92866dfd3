"""The safety router: a conversation or a text is judged by the provider of its shield."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from core.apis.safety import MOST_INPUTS, ModerationRequest, RunShieldRequest, SafetyProvider, Violation, is_strict
from core.config.policy import parse_condition
from core.errors import InvalidRequest, NotFound, ProviderUnavailable
from core.frame.callers import ANONYMOUS, ActingFor, Call
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.routing.guard import PAGE_SIZE, RegistryFactory

MOST_QUOTED: Final = 40  # characters of what a caller called it
MOST_NESTED: Final = 4  # judgements inside each other: a caller may register shields and models that make a long chain


class SafetyRouter:
    """The `Safety` that one caller gets: federated over every configured provider."""

    def __init__(
        self,
        shields: RegistryFactory,
        providers: Mapping[str, SafetyProvider],
        call: Call | None = None,
        default: str | None = None,
    ) -> None:
        """`providers` are by provider id; which one judged, and for how long, is noted on `call`.

        `default` is the shield of moderations that name none.
        """
        self._shields = shields(call)
        self._visible = shields(replace(call, internal=False)) if call is not None and call.internal else self._shields
        self._providers = providers
        self._default = default
        self._caller = call
        self._call = call or Call(ANONYMOUS)

    async def run_shield(self, request: RunShieldRequest) -> JsonObject:
        shield = await self._shield(request.shield_id, "shield_id")
        (violation,) = await self._judge(shield, [request.messages], request.params or {})
        return {"violation": violation}

    async def moderate(self, request: ModerationRequest) -> JsonObject:
        shield = (
            await self._shield(request.model, "model") if request.model is not None else await self._default_shield()
        )
        inputs = [request.input] if isinstance(request.input, str) else request.input
        if not 1 <= len(inputs) <= MOST_INPUTS:
            raise InvalidRequest(f"input must have 1 to {MOST_INPUTS} entries.", param="input")
        violations = await self._judge(shield, [[{"role": "user", "content": _content(part)}] for part in inputs], {})
        results = [build_result(violation) for violation in violations]
        return {"id": f"modr-{uuid4().hex}", "model": request.model or shield.identifier, "results": results}

    async def _judge(
        self, shield: Resource, conversations: Sequence[list[dict[str, Any]]], params: JsonObject
    ) -> list[Violation | None]:
        """What the shield's provider finds in each; the models that it asks meanwhile are charged to the caller."""
        provider, judged_for = self._provider(shield), self._caller and self._enter(self._caller, shield)
        with self._call.observed.upstream, ActingFor(judged_for):
            violations = [await _verdict(provider, shield, messages, params) for messages in conversations]
        self._call.add_tokens(0)  # a shield has none of its own: its reservation is given back
        return violations

    def _enter(self, call: Call, shield: Resource) -> Call:
        """The call within this shield's judgement; raises ProviderUnavailable where that would never end.

        What an operator's shield asks, the caller need not be able to see; what a caller's own shield asks, it must.
        """
        if shield.provider_name in call.judging or len(call.judging) == MOST_NESTED:
            raise ProviderUnavailable(
                f"Shield `{shield.identifier}` cannot judge here: its provider asks models that are guarded by shields, "
                f"which in turn ask it ({' -> '.join((*call.judging, shield.provider_name))})."
            )
        trusted, judging = self._is_trusted(shield), (*call.judging, shield.provider_name)
        return replace(call, internal=trusted, for_verdict=trusted or call.for_verdict, judging=judging)

    def _is_trusted(self, shield: Resource) -> bool:
        """Whether it is the operator's word: declared, or where there is no auth, anybody's."""
        return self._shields.declares(shield.identifier) or self._call.principal.anonymous

    async def _shield(self, identifier: str, param: str) -> Resource:
        """For a guarded model, one of the run config, whoever may see it, or else one that the caller may see."""
        try:
            operators = self._shields.declares(identifier)
            return await (self._shields if operators else self._visible).get(identifier)
        except NotFound as unknown:
            raise NotFound(unknown.message, param=param) from None

    async def _default_shield(self) -> Resource:
        """The one that the run config says, or the only one that it or the caller has."""
        if self._default and (self._shields.declares(self._default) or self._call.principal.anonymous):
            return await self._shield(self._default, "model")
        shields, more, after = list[Resource](), True, ""
        while more and len(shields) <= 1:
            page = await self._shields.page(after=after, limit=PAGE_SIZE)
            shields += [row for row in page.resources if self._is_trusted(row) or self._owns(row)]
            more, after = page.has_more, page.resources[-1].identifier if page.resources else after
        if len(shields) != 1:
            raise InvalidRequest(
                "`model` must name a shield, unless there is exactly one. GET /v1/shields lists them.", param="model"
            )
        return shields[0]

    def _owns(self, shield: Resource) -> bool:
        return self._shields.holds(parse_condition("user is owner"), self._call.principal, shield.owner)

    def _provider(self, shield: Resource) -> SafetyProvider:
        provider = self._providers.get(shield.provider_id)
        if provider is None:
            raise ProviderUnavailable(
                f"Shield `{shield.identifier}` belongs to provider `{shield.provider_id}`, "
                "which this stack does not configure."
            )
        observed = self._call.observed
        observed.model, observed.provider = shield.identifier, shield.provider_id
        observed.provider_model = shield.provider_resource_id
        return provider


async def _verdict(
    provider: SafetyProvider, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
) -> Violation | None:
    """The first violation, if any; raises InvalidRequest for what a strict shield cannot judge."""
    from core.services.safety.conversation import read_conversation  # late: few of inference's calls are judged

    conversation = read_conversation(messages, params.get("source"))
    for judgement in conversation.judgements:
        violation = await provider.run_shield(shield, judgement.messages, {"source": judgement.source} | params)
        if violation is not None:
            return violation
    if conversation.obstacles and is_strict(shield):
        obstacle = conversation.obstacles[0]
        message = f"Shield `{shield.identifier}` cannot judge content of the kind `{obstacle.kind[:MOST_QUOTED]}`."
        raise InvalidRequest(message, param=obstacle.path)
    return None


def _content(part: Any) -> Any:  # noqa: ANN401 - a text, or one of OpenAI's multi-modal parts
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        return [part]
    raise InvalidRequest("Each entry of input must be a text or a content part.", param="input")


def build_result(violation: Violation | None) -> JsonObject:
    """OpenAI's result of one input. Shields have no scores: categories of a violation get 1, others are left out."""
    violation_type = violation["metadata"].get("violation_type") if violation is not None else None
    categories = str(violation_type).split(",") if violation_type else []
    return {
        "flagged": violation is not None,
        "categories": dict.fromkeys(categories, True),
        "category_scores": dict.fromkeys(categories, 1.0),
        "category_applied_input_types": {category: ["text"] for category in categories},
        "user_message": violation["user_message"] if violation is not None else None,
        "metadata": violation["metadata"] if violation is not None else {},
    }
