"""A scoring provider written for the reference: it lists functions, is told of those that are registered, and scores rows by ids.

Sources: Scoring and ScoringFunctionsProtocolPrivate of Llama Stack 0.2.12 and 0.7.3.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from inspect import isawaitable
from types import SimpleNamespace
from typing import Any, Final, cast

from core.apis.answers.scoring import ScoreRow
from core.apis.scoring import ScoringFunctionOffer
from core.errors import UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.platform.json_values import is_object, to_object
from core.resolution.external.reference.calls import Translated, call, own_method
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.records import Record, plain, record

METHODS: Final = ("score",)
MOST_KNOWN: Final = 10_000  # functions; then it is told of them again
PARAMS: Final = {
    "llm_as_judge": "LLMAsJudgeScoringFnParams",
    "regex_parser": "RegexParserScoringFnParams",
    "basic": "BasicScoringFnParams",
}
SCORING: Final = ContextVar[Record | None]("SCORING", default=None)
"""The function of the call under way: callers may have different ones of one name."""


class ReferenceFunctions:
    """The `scoring_function_store` of the reference."""

    async def get_scoring_function(self, scoring_fn_id: Any) -> Record:  # noqa: ANN401 - a name, or a request for one
        name = str(getattr(scoring_fn_id, "scoring_fn_id", scoring_fn_id))
        function = SCORING.get()
        if function is None or name != vars(function)["identifier"]:
            raise ValueError(f"Scoring function '{name}' not found")
        return function


class ReferenceScoring:
    """`provider` has METHODS, and `list_scoring_functions` and `register_scoring_function` where it likes."""

    def __init__(self, provider_id: str, provider: Any, data: SimpleNamespace | None = None) -> None:  # noqa: ANN401 - somebody else's object
        self._provider_id = provider_id
        self._provider = provider
        self._data = data
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))
        self._offers: list[ScoringFunctionOffer] = []
        self._known: set[str] = set()

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceScoring":
        """This provider for a caller who brings `data`, which its `get_request_provider_data()` then returns."""
        other = ReferenceScoring(self._provider_id, self._provider, SimpleNamespace(**data))
        other._offers, other._known = self._offers, self._known
        return other

    async def begin(self) -> None:
        """Read what it lists, once: its functions are there from the start."""
        method = own_method(self._provider, "list_scoring_functions")
        if method is None:
            return
        listing = method()
        rows = await listing if isawaitable(listing) else listing
        self._offers = [_offer(to_object(plain(row))) for row in cast("list[object]", rows)]
        self._known = {offer["id"] for offer in self._offers}

    def functions(self) -> Sequence[ScoringFunctionOffer]:
        return self._offers

    async def check_function(self, function: Resource, params: JsonObject | None = None) -> None:
        """Whether params are right the package says when it scores."""
        del params
        with Translated(self._provider_id, self._data):
            await self._tell(_function(function))

    async def score_row(self, function: Resource, row: JsonObject, params: JsonObject) -> ScoreRow:
        return (await self.score_rows(function, [row], params))[0]

    async def score_rows(self, function: Resource, rows: Sequence[JsonObject], params: JsonObject) -> list[ScoreRow]:
        """By the reference's `score`; what it aggregates itself is not read."""
        row, name = _function(function), function.identifier
        fields: JsonObject = {"input_rows": list(rows), "scoring_functions": {name: _params(params)}}
        token = SCORING.set(row)
        try:
            with Translated(self._provider_id, self._data):
                await self._tell(row)
                answer = plain(await call(self._provider.score, "ScoreRequest", "input_rows", fields))
        finally:
            SCORING.reset(token)
        listing = to_object(to_object(to_object(answer).get("results")).get(name)).get("score_rows")
        scores = cast("list[object]", listing) if isinstance(listing, list) else []
        if not all(map(is_object, scores)) or len(scores) != len(rows):
            raise UpstreamFailed(f"Provider `{self._provider_id}` did not answer with a score for each row.")
        return cast("list[ScoreRow]", scores)

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()

    async def _tell(self, function: Any) -> None:  # noqa: ANN401 - a ScoringFn
        """Once in each process: packages keep what they are told in memory."""
        method = own_method(self._provider, "register_scoring_function")
        key = function.identifier if function.identifier in self._known else function.model_dump_json()
        if method is None or key in self._known:
            return
        await method(function)
        if len(self._known) >= MOST_KNOWN:
            self._known = {offer["id"] for offer in self._offers}
        self._known.add(key)


def _offer(row: JsonObject) -> ScoringFunctionOffer:
    name = str(row["identifier"])
    params: JsonObject = row.get("params") or {"type": "basic"}
    return ScoringFunctionOffer(
        id=name,
        provider_resource_id=str(row.get("provider_resource_id") or name),
        description=str(row.get("description") or ""),
        return_type=row.get("return_type") or {"type": "number"},
        params={"aggregation_functions": [], **params},
        columns=(),
        metadata=row.get("metadata") or {},
    )


def _function(function: Resource) -> Record:
    attributes = function.attributes
    row: Record = record(
        "ScoringFn",
        identifier=function.identifier,
        provider_resource_id=function.provider_resource_id,
        provider_id=function.provider_id,
        description=attributes.get("description"),
        metadata=attributes.get("metadata") or {},
        return_type=Record(**attributes["return_type"]),
        params=_params(attributes.get("params") or {}),
    )
    return row


def _params(params: JsonObject) -> Any:  # noqa: ANN401 - a record of the reference
    kind = PARAMS.get(params.get("type", "basic"))
    return Record(**params) if kind is None else record(kind, **params)
