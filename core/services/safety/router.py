"""The safety router: a conversation or a text is judged by the provider of its shield."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast
from uuid import uuid4

from core.apis.safety import (
    MOST_INPUTS,
    ModerationRequest,
    RunShieldRequest,
    SafetyProvider,
    Violation,
    is_parts,
    is_strict,
)
from core.config.policy import parse_condition
from core.errors import InvalidRequest, NotFound, ProviderUnavailable
from core.frame.callers import ANONYMOUS, ActingFor, Call
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.routing.guard import PAGE_SIZE, RegistryFactory
from core.routing.registry import split_identifier

MOST_QUOTED: Final = 40  # characters of what a caller called it
MOST_NAMED: Final = 20  # shields in a refusal
MOST_NESTED: Final = 4  # judgements inside each other: a caller may register shields and models that make a long chain

type Findings = tuple[Violation | None, Sequence[str]]
"""A violation, if there is one, and the categories that were looked for, as far as the provider tells."""
type Run = Callable[[SafetyProvider, Resource, list[JsonObject], JsonObject], Awaitable[Findings]]


class SafetyRouter:
    """The `Safety` that one caller gets: federated over every configured provider."""

    def __init__(
        self,
        shields: RegistryFactory,
        providers: Mapping[str, SafetyProvider],
        call: Call | None = None,
        default: str | None = None,
        models: RegistryFactory | None = None,
    ) -> None:
        """`providers` are by provider id; which one judged, and for how long, is noted on `call`.

        `default` is the shield of moderations that name none; `models` are what guards may be, None where there are none.
        """
        self._shields = shields(call)
        self._visible = shields(replace(call, internal=False)) if call is not None and call.internal else self._shields
        self._providers = providers
        self._default = default
        self._models = None if models is None else models(call)
        self._caller = call
        self._call = call or Call(ANONYMOUS)

    async def run_shield(self, request: RunShieldRequest) -> JsonObject:
        shield = await self._shield(request.shield_id, "shield_id")
        ((violation, _),) = await self._judge(shield, [request.messages], request.params or {}, _run)
        return {"violation": violation}

    async def require(self, shield_id: str) -> None:
        """Raise NotFound for one that the caller may not use."""
        await self._shield(shield_id, "shield_id")

    async def moderate(self, request: ModerationRequest) -> JsonObject:
        shield = await (self._default_shield() if request.model is None else self._moderator(request.model))
        entries = [request.input] if isinstance(request.input, str) else request.input
        if not 1 <= len(entries) <= MOST_INPUTS:
            raise InvalidRequest(f"input must have 1 to {MOST_INPUTS} entries.", param="input")
        contents = [entries] if is_parts(entries) else [_content(entry) for entry in entries]
        conversations = [[{"role": "user", "content": content}] for content in contents]
        try:
            judged = await self._judge(shield, conversations, {}, _run_by_category)
        except InvalidRequest as refused:
            raise _refused_input(refused, is_whole=len(contents) == 1) from None
        results = [build_result(*findings, content) for findings, content in zip(judged, contents, strict=True)]
        return {"id": f"modr-{uuid4().hex}", "model": request.model or shield.identifier, "results": results}

    async def _judge(
        self, shield: Resource, conversations: Sequence[list[dict[str, Any]]], params: JsonObject, run: Run
    ) -> list[Findings]:
        """What the shield's provider finds in each; the models that it asks meanwhile are charged to the caller."""
        provider, judged_for = self._provider(shield), self._caller and self._enter(self._caller, shield)
        with self._call.observed.upstream, ActingFor(judged_for):
            judged = [await _verdict(provider, shield, messages, params, run) for messages in conversations]
        self._call.add_tokens(0)  # a shield has none of its own: its reservation is given back
        return judged

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

    async def _moderator(self, name: str) -> Resource:
        """The shield of this id, or the one that stands for what a provider of shields or of models calls so.

        What others have registered is named by its id alone: it must not change what a guard's name means.
        """
        try:
            return await self._shield(name, "model")
        except NotFound:
            shields = await self._shields_over([name]) or await self._shields_over(await self._model_names(name))
            if not shields:
                raise
        if len(shields) > 1:
            names = ", ".join(f"`{identifier}`" for identifier in sorted(shields)[:MOST_NAMED])
            raise InvalidRequest(f"Several shields stand for `{name}`: name one of {names}.", param="model")
        return next(iter(shields.values()))

    async def _shields_over(self, names: Sequence[str]) -> dict[str, Resource]:
        """The operator's and the caller's own, by their ids, that stand for one of these names at their providers."""
        places = [(provider_id, name) for provider_id in self._providers for name in names]
        places += [place for name in names if (place := split_identifier(name, self._providers)) is not None]
        rows = [row for place in places for row in await self._visible.read_at(*place)]
        return {row.identifier: row for row in rows if self._is_trusted(row) or self._owns(row)}

    async def _model_names(self, name: str) -> list[str]:
        """What else the model of this id is called, if the caller sees one."""
        if self._models is None:
            return []
        try:
            model = await self._models.get(name)
        except (NotFound, ProviderUnavailable):
            return []
        declared = self._models.declared_at(model.provider_id, model.provider_resource_id)
        return [model.provider_name, *(row.identifier for row in declared)]

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


async def _run(provider: SafetyProvider, shield: Resource, messages: list[JsonObject], params: JsonObject) -> Findings:
    return await provider.run_shield(shield, messages, params), ()


async def _run_by_category(
    provider: SafetyProvider, shield: Resource, messages: list[JsonObject], params: JsonObject
) -> Findings:
    judge = getattr(provider, "judge_by_category", None)
    if judge is None:
        return await _run(provider, shield, messages, params)
    findings: Findings = await judge(shield, messages, params)
    return findings


async def _verdict(
    provider: SafetyProvider, shield: Resource, messages: list[dict[str, Any]], params: JsonObject, run: Run
) -> Findings:
    """The first violation, if any; raises InvalidRequest for what a strict shield cannot judge."""
    from core.services.safety.conversation import read_conversation  # late: few of inference's calls are judged

    conversation, categories = read_conversation(messages, params.get("source")), dict[str, None]()
    for judgement in conversation.judgements:
        violation, names = await run(provider, shield, judgement.messages, {"source": judgement.source} | params)
        categories |= dict.fromkeys(names)
        if violation is not None:
            return violation, list(categories)
    if conversation.obstacles and is_strict(shield):
        obstacle = conversation.obstacles[0]
        message = f"Shield `{shield.identifier}` cannot judge content of the kind `{obstacle.kind[:MOST_QUOTED]}`."
        raise InvalidRequest(message, param=obstacle.path)
    return None, list(categories)


def _refused_input(refused: InvalidRequest, *, is_whole: bool) -> InvalidRequest:
    """The refusal by the field that the caller wrote; of several inputs that is not told which."""
    path, param = "messages[0].content", refused.param or ""
    if not param.startswith(path):
        return refused
    field = "input" + (param.removeprefix(path) if is_whole else "")
    return InvalidRequest(refused.message.replace(param, field), param=field)


def _content(part: Any) -> Any:  # noqa: ANN401 - a text, or one of OpenAI's multi-modal parts
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        return [part]
    raise InvalidRequest("Each entry of input must be a text or a content part.", param="input")


def build_result(violation: Violation | None, categories: Sequence[str] = (), content: object = "") -> JsonObject:
    """OpenAI's result of one input, over the `categories` that were looked for and those of the violation."""
    metadata: JsonObject = violation["metadata"] if violation is not None else {}
    found: list[str] = metadata.get("categories") or [
        name for name in str(metadata.get("violation_type") or "").split(",") if name
    ]
    types = _input_types(content)
    flags = dict.fromkeys(categories, False) | dict.fromkeys(found, True)
    return {
        "flagged": violation is not None,
        "categories": flags,
        "category_scores": {name: float(flag) for name, flag in flags.items()},
        "category_applied_input_types": {name: types if flag else [] for name, flag in flags.items()},
        "user_message": violation["user_message"] if violation is not None else None,
        "metadata": metadata,
    }


def _input_types(content: object) -> list[str]:
    if not isinstance(content, list):
        return ["text"]
    kinds = [to_object(part).get("type") for part in cast("list[object]", content)]
    return list(dict.fromkeys("image" if kind == "image_url" else "text" for kind in kinds))
